"""How a training ended, as data and as the last line of the log."""

from dataclasses import dataclass

from s2st.training.observer import perplexity_text


@dataclass(frozen=True)
class TrainResult:
    """How a training ended.

    Attributes:
        update: updates done.
        epochs: epochs completed.
        best_nll: lowest validation loss in nats per token, None without validation.
        best_update: update of the best checkpoint; 0 if the training stopped before the first
            validation.
        save_dir: the save folder.
        reads_source: false for a language model.
        reason: the limit that ended the training.
        resumable: whether the training stopped before its end.
        best_metric: name and best value of the metric of translations that decides, if one does.
    """

    update: int
    epochs: int
    best_nll: float | None
    best_update: int
    save_dir: str
    reads_source: bool = True
    reason: str = ""
    resumable: bool = False
    best_metric: tuple[str, float] | None = None

    def describe(self) -> str:
        """Return the last line of a training: its length, its end, its best checkpoint."""
        use = "translate with" if self.reads_source else "use the language model with"
        best = ""
        if self.best_metric is not None:
            metric, value = self.best_metric
            best = f"; best valid {metric} {value:.2f} at update {self.best_update}"
        elif self.best_nll is not None:
            perplexity = perplexity_text(self.best_nll)
            best = f"; best valid ppl {perplexity} at update {self.best_update}"
        name = "checkpoint_best" if self.best_update else "checkpoint_last"
        resume = "run the same command again to resume; " if self.resumable else ""
        return (
            f"done after {self.update} updates, {self.epochs} epochs: {self.reason}{best}; "
            f"{resume}{use} --checkpoint {self.save_dir}/{name}"
        )
