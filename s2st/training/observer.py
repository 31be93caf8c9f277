"""Training progress: the observer that receives it, the reports, and the meter of an interval.

Times are wall-clock seconds; losses are nats per token.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

PLAIN_NATS = 27.0  # exp of a larger number has at least 12 digits
MAX_NATS = 1e12  # no model computes a smaller probability


def perplexity_text(nats: float, digits: int = 2) -> str:
    """Return exp(nats per token) as text, such as 1.26e+900 beyond the range of a float."""
    if math.isnan(nats):
        return "not a number"
    if nats > MAX_NATS:
        return "infinite"
    if nats < PLAIN_NATS:
        return f"{math.exp(nats):.{digits}f}"
    exponent, rest = divmod(nats / math.log(10), 1)
    mantissa = f"{10**rest:.2f}"  # the logarithm has no more significant digits
    if mantissa == "10.00":
        mantissa, exponent = "1.00", exponent + 1
    return f"{mantissa}e+{int(exponent)}"


@dataclass(frozen=True)
class UpdateReport:
    """The updates since the last report. Word counts exclude padding and include EOS.

    Attributes:
        update, epoch: updates done; epochs done with fraction.
        loss: criterion per target token.
        nll: -log p per target token; exp(nll) is the perplexity.
        learning_rate: of the last update.
        gradient_norm: mean over the updates, before clipping.
        source_words_per_second, target_words_per_second: without validation and saving time. The
            first is None for a model without source.
        seconds_left: time to the last epoch or update, whichever is nearer; None if unknown.
        end: which of the two is nearer, such as "epoch 40"; "" if unknown.
        may_stop_early: whether patience may end the training earlier.
    """

    update: int
    epoch: float
    loss: float
    nll: float
    learning_rate: float
    gradient_norm: float
    source_words_per_second: float | None
    target_words_per_second: float
    seconds_left: float | None
    end: str = ""
    may_stop_early: bool = False


@dataclass(frozen=True)
class ValidationReport:
    """One validation.

    Attributes:
        update, epoch: updates done; epochs done with fraction.
        nll: -log p per target token of the validation split, EOS included.
        train_nll: the same over the training updates since the previous validation.
        learning_rate: of the last update.
        best: whether this is the lowest validation loss so far.
        corpora: nll of each corpus, if validation has several.
    """

    update: int
    epoch: float
    nll: float
    train_nll: float
    learning_rate: float
    best: bool
    corpora: Mapping[str, float] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """Return the fields as JSON values, without those that are empty."""
        return {name: value for name, value in asdict(self).items() if value != {}}


class Observer:
    """Receives the progress of a training; this base class ignores it."""

    def started(self, update: int, epochs: float | None, updates: int | None) -> None:
        """Training starts or resumes after `update`; its limits are `epochs` and `updates`."""

    def updated(self, report: UpdateReport) -> None:
        """A reporting interval ended."""

    def validated(self, report: ValidationReport) -> None:
        """A validation ended."""

    def saved(self, name: str) -> None:
        """The checkpoint `name` was written."""


class Meter:
    """Sums over the updates since the last report."""

    def __init__(self) -> None:
        self.updates = self.source = self.target = 0
        self.loss = self.nll = self.norm = self.seconds = 0.0

    def add(
        self, loss: float, nll: float, source: int, target: int, norm: float, seconds: float
    ) -> None:
        """Add one update.

        Args:
            loss, nll: sums over the update, in nats.
            source, target: words of the update.
            norm: gradient norm before clipping.
            seconds: wall-clock time.
        """
        self.updates += 1
        self.loss += loss
        self.nll += nll
        self.source += source
        self.target += target
        self.norm += norm
        self.seconds += seconds

    def report(
        self, update: int, epoch: float, rate: float, left: float | None, reads_source: bool = True
    ) -> UpdateReport:
        """Return the means; `left` is the remaining time in seconds, None if unknown."""
        tokens, seconds = max(1, self.target), max(1e-9, self.seconds)
        return UpdateReport(
            update, epoch, self.loss / tokens, self.nll / tokens, rate, self.norm / self.updates,
            self.source / seconds if reads_source else None, self.target / seconds, left,
        )  # fmt: skip
