"""Translation of the validation split during training, by the code of `s2st generate`.

The beam search translates the lines of the store with a copy of the current weights, in float32 and
in the batches of `s2st generate`. So the metrics equal those of `s2st score` on the output of
`s2st generate` with the same beam. Ranks share the batches.
"""

import json
import math
from collections.abc import Callable, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any

from s2st.errors import UsageError
from s2st.jobs.options import TranslateConfig
from s2st.jobs.training_resume_checks import METRIC_ROLE
from s2st.jobs.validation_metrics import ValidationMetric
from s2st.jobs.work_queue import TaskName, WorkQueue, in_order
from s2st.options.option_fields import load_json
from s2st.options.resolution import Resolved
from s2st.process.ranks import Ranks
from s2st.search.registry import SEARCHES
from s2st.training.observer import ValidationSample
from s2st.training.options import ValidationConfig
from s2st.training.validation import PERPLEXITY, BestMetric, Decoded

if TYPE_CHECKING:
    import torch

    from s2st.data.store import Store
    from s2st.models.model_files import ModelRecord
    from s2st.training.gradient_accumulation import Gradients


def plan_validation(
    options: Resolved, store: "Store", record: "ModelRecord", device: "torch.device"
) -> "tuple[BestMetric, Decoder | None]":
    """Return the metric that decides, and the decoder if the options need translations.

    Raises:
        UsageError: a metric cannot be built, the store has no validation split, or the model no
            source.
        CheckpointError: the store has no text of its validation split.
    """
    config = options.config(ValidationConfig)
    entry = options.entries[METRIC_ROLE]
    metric: ValidationMetric = entry.build(options.configs[METRIC_ROLE])
    best = BestMetric(entry.base, bool(metric.larger_is_better))
    translates = best.name != PERPLEXITY
    if not translates and not config.validate_samples:
        return best, None
    flag = f"--best-checkpoint-metric {entry.name}" if translates else "--validate-samples"
    if "valid" not in store.splits:
        raise UsageError(
            f"{flag}: {store.folder} has no valid split; preprocess it with --validpref"
        )
    if not getattr(record.config, "reads_source", True):
        raise UsageError(f"{flag}: a language model has no source to translate")
    named = (best.name, metric) if translates else None
    return best, Decoder(record, store.text("valid"), config, named, device)


class Decoder:
    """Translates the validation split and computes the metric.

    Args:
        record: describes the model.
        text: source and target lines of the validation split.
        config: beam and number of samples.
        metric: name and function; None if only samples are wanted.
        device: where to translate.
    """

    def __init__(
        self,
        record: "ModelRecord",
        text: tuple[Sequence[str], Sequence[str]],
        config: ValidationConfig,
        metric: tuple[str, ValidationMetric] | None,
        device: "torch.device",
    ) -> None:
        self._record = record
        self._metric = metric
        self._device = device
        entry = SEARCHES.get("beam")
        self._search = entry.build(entry.config_type(beam=config.validate_beam))
        self._sources, self._references = text
        count = len(self._sources)
        samples = min(config.validate_samples, count)
        # evenly spread; without a metric only these are translated
        self._samples = [index * count // samples for index in range(samples)]
        if metric is None:
            self._sources = [self._sources[index] for index in self._samples]
            self._references = [self._references[index] for index in self._samples]
            self._samples = list(range(samples))

    def __call__(self, gradients: "Gradients") -> Decoded:
        """Translate with the current weights; every rank must call this method."""
        weights = gradients.whole_weights()
        hypotheses = [] if weights is None else self._translate(weights, gradients)
        values: dict[str, float] = {}
        if self._metric is not None and gradients.first:
            values = self._values(*self._metric, hypotheses)
        values = load_json(gradients.exchange_texts(json.dumps(values))[0])
        samples = [
            ValidationSample(self._sources[i], self._references[i], hypotheses[i])
            for i in (self._samples if gradients.first else ())
        ]
        return Decoded(values, samples)

    def _translate(self, weights: Any, gradients: "Gradients") -> list[str]:
        """Return the translations in order on rank 0."""
        from s2st.jobs.translation_tasks import plan
        from s2st.models.model_files import model_with_weights
        from s2st.scoring.load_scorers import text_sides
        from s2st.scoring.model_scorer import ModelScorer

        model = model_with_weights(self._record, weights).to(self._device)
        scorer = ModelScorer(model, *text_sides(self._record))
        size = TranslateConfig().buffer_size
        sources = self._sources
        chunks = [sources[start : start + size] for start in range(0, len(sources), size)]
        tasks = plan(scorer, self._search, chunks, None, detokenize=True)
        queue = ExchangeQueue(gradients.decoding_ranks, gradients.exchange_texts)
        return list(in_order(tasks, lambda translation: translation.texts[0], queue))

    def _values(
        self, name: str, metric: ValidationMetric, hypotheses: Sequence[str]
    ) -> dict[str, float]:
        value: Any = metric(hypotheses, self._references)  # a plugin may return anything
        if not isinstance(value, Real) or not math.isfinite(value):
            raise UsageError(f"metric {name!r} returned {value!r}, not a finite number")
        return {name: float(value)}


class ExchangeQueue(WorkQueue):
    """A work queue in memory: ranks take turns, and exchange their results at the end.

    Args:
        ranks: this process among the ranks of the job.
        exchange: returns the texts of all ranks, given that of this rank.
    """

    def __init__(self, ranks: Ranks, exchange: Callable[[str], list[str]]) -> None:
        super().__init__(ranks)
        self._exchange = exchange
        self._results: dict[str, Any] = {}
        self._claims = 0

    def claim(self, number: int) -> bool:
        """Return whether it is this rank's turn; all ranks claim all tasks in one order."""
        self._claims += 1
        return (self._claims - 1) % self.ranks.size == self.ranks.rank

    def finished(self, task: TaskName) -> bool:
        """Whether this rank has the result."""
        return task.file in self._results

    def read(self, task: TaskName) -> Any:
        """Return the result, None if this rank does not have it."""
        return self._results.get(task.file)

    def publish(self, task: TaskName, result: Any) -> None:
        """Keep the result."""
        self._results[task.file] = result

    def meet(self) -> None:
        """Give every rank all results."""
        for text in self._exchange(json.dumps(self._results)):
            self._results |= load_json(text)
