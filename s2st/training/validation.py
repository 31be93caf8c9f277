"""Validation during training: which result is the best, and the interface to decoding."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from s2st.training.observer import ValidationSample

if TYPE_CHECKING:
    from s2st.training.checkpoint import TrainingState
    from s2st.training.gradient_accumulation import Gradients


PERPLEXITY = "perplexity"


@dataclass(frozen=True)
class Decoded:
    """What translating the validation split gave.

    Attributes:
        metrics: value of each metric by name, equal on every rank.
        samples: translations for the log; only rank 0 has any.
    """

    metrics: Mapping[str, float] = field(default_factory=dict)
    samples: Sequence[ValidationSample] = ()


class ValidationDecoder(Protocol):
    """Translates the validation split with the weights of a training."""

    def __call__(self, gradients: "Gradients") -> Decoded:
        """Translate with the current weights; every rank must call this method."""


@dataclass(frozen=True)
class BestMetric:
    """The metric that decides which checkpoint is best, patience and plateau.

    Attributes:
        name: PERPLEXITY, or the name of a metric of translations.
        larger_is_better: direction of the metric.
    """

    name: str = PERPLEXITY
    larger_is_better: bool = False

    def cost(self, nll: float, metrics: Mapping[str, float]) -> float:
        """Return a number that is smaller for a better validation.

        Args:
            nll: -log p per target token. It stands for the perplexity, which may overflow.
            metrics: values of the metrics of translations.
        """
        if self.name == PERPLEXITY:
            return nll
        return -metrics[self.name] if self.larger_is_better else metrics[self.name]

    def judge(self, state: "TrainingState", nll: float, metrics: Mapping[str, float]) -> bool:
        """Note a validation of `state.update` in the state; return whether it is the best.

        Of equal values, such as a BLEU of 0 at the beginning, the one with the lower perplexity is
        better.
        """
        if self.name == PERPLEXITY:
            before = state.best_nll
        else:
            known = state.best_value
            before = None if known is None else self.cost(0.0, {self.name: known})
        cost = self.cost(nll, metrics)
        best = before is None or cost < before or (cost == before and nll < _best_nll(state))
        if state.best_nll is None or nll < state.best_nll:
            state.best_nll = nll
        if best:
            state.best_update, state.bad_validations = state.update, 0
            if self.name != PERPLEXITY:
                state.best_value = metrics[self.name]
        else:
            state.bad_validations += 1
        return best

    def ranked(self, history: Sequence[Mapping[str, Any]]) -> list[int]:
        """Return the updates of all validations in the history, the best first.

        Of equal values the lower perplexity is better, then the earlier.
        """
        rows = [row for row in history if "nll" in row]
        rows.sort(key=lambda row: (self.cost(row["nll"], row.get("metrics", {})), row["nll"]))
        return list(dict.fromkeys(int(row["update"]) for row in rows))


def _best_nll(state: "TrainingState") -> float:
    """Return the validation loss of the best update so far; -infinity if it is not known."""
    rows = (row for row in reversed(state.history) if row["update"] == state.best_update)
    return next((float(row["nll"]) for row in rows if "nll" in row), -math.inf)
