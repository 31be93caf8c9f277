"""Training progress: the observer that receives it, the reports, and the meter of an interval.

Times are wall-clock seconds; losses are nats per token.
"""

import math
from collections.abc import Mapping, Sequence
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
        memory: most bytes of memory that this process has used so far, on the GPU if there is
            one; None if unknown.
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
    memory: int | None = None


@dataclass(frozen=True)
class ValidationSample:
    """A sentence of the validation split and its translation."""

    source: str
    reference: str
    hypothesis: str


@dataclass(frozen=True)
class ValidationReport:
    """One validation.

    Attributes:
        update, epoch: updates done; epochs done with fraction.
        nll: -log p per target token of the validation split, EOS included.
        train_nll: the same over the training updates since the previous validation.
        learning_rate: of the last update.
        best: whether this is the best validation so far.
        metrics: value of each metric of translations, by name. With several corpora the mean of
            their values, and the value of each one.
        samples: some translations, for the log.
        corpora: nll of each corpus, if validation has several.
    """

    update: int
    epoch: float
    nll: float
    train_nll: float
    learning_rate: float
    best: bool
    metrics: Mapping[str, float] = field(default_factory=dict)
    samples: Sequence[ValidationSample] = ()
    corpora: Mapping[str, float] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """Return the fields as JSON values, without samples, and without empty ones."""
        values = asdict(self)
        del values["samples"]
        return {name: value for name, value in values.items() if value != {}}


class Observer:
    """Receives the progress of a training; this base class ignores it."""

    def started(self, update: int, epochs: float | None, updates: int | None) -> None:
        """Training starts or resumes after `update`; its limits are `epochs` and `updates`."""

    def continues(self, update: int, reports: int) -> None:
        """Training continues from a checkpoint, or from the start.

        Called at the start, and where a divergence restores a checkpoint. Later reports will be
        repeated.

        Args:
            update: number of updates that the checkpoint has.
            reports: number of reports, of updates and validations, up to the checkpoint.
        """

    def updated(self, report: UpdateReport) -> None:
        """A reporting interval ended."""

    def validated(self, report: ValidationReport) -> None:
        """A validation ended."""

    def saving(self) -> None:
        """A checkpoint will be written: all reports so far must be durable before."""

    def saved(self, name: str) -> None:
        """The checkpoint `name` was written."""


class Observers(Observer):
    """Passes everything on to several observers, in order."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._all = observers

    def started(self, update: int, epochs: float | None, updates: int | None) -> None:
        """Pass on."""
        for one in self._all:
            one.started(update, epochs, updates)

    def continues(self, update: int, reports: int) -> None:
        """Pass on."""
        for one in self._all:
            one.continues(update, reports)

    def updated(self, report: UpdateReport) -> None:
        """Pass on."""
        for one in self._all:
            one.updated(report)

    def validated(self, report: ValidationReport) -> None:
        """Pass on."""
        for one in self._all:
            one.validated(report)

    def saving(self) -> None:
        """Pass on."""
        for one in self._all:
            one.saving()

    def saved(self, name: str) -> None:
        """Pass on."""
        for one in self._all:
            one.saved(name)


class Meter:
    """Sums over the updates since the last report.

    Args:
        sums: from `state`, to continue an interval that a checkpoint interrupted.
    """

    def __init__(self, sums: Mapping[str, float] | None = None) -> None:
        sums = sums or {}
        self.updates = int(sums.get("updates", 0))
        self._target = int(sums.get("target", 0))
        self._loss = sums.get("loss", 0.0)
        self._nll = sums.get("nll", 0.0)
        self._norm = sums.get("norm", 0.0)
        # of this process: speed and time left
        self._timed_updates = self._timed_source = self._timed_target = 0
        self._seconds = 0.0

    def state(self) -> dict[str, float]:
        """Return the sums that a checkpoint keeps, so that the next report is exact."""
        names = ("updates", "target", "loss", "nll", "norm")
        values = (self.updates, self._target, self._loss, self._nll, self._norm)
        return dict(zip(names, values, strict=True)) if self.updates else {}

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
        self._loss += loss
        self._nll += nll
        self._target += target
        self._norm += norm
        self._timed_updates += 1
        self._timed_source += source
        self._timed_target += target
        self._seconds += seconds

    def seconds_per_update(self) -> float:
        """Return the mean wall-clock time of this process's updates."""
        return self._seconds / max(1, self._timed_updates)

    def report(
        self, update: int, epoch: float, rate: float, left: float | None, reads_source: bool = True
    ) -> UpdateReport:
        """Return the means; `left` is the remaining time in seconds, None if unknown."""
        tokens, seconds = max(1, self._target), max(1e-9, self._seconds)
        return UpdateReport(
            update, epoch, self._loss / tokens, self._nll / tokens, rate, self._norm / self.updates,
            self._timed_source / seconds if reads_source else None, self._timed_target / seconds,
            left,
        )  # fmt: skip
