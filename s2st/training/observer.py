"""What the trainer tells while it works. Times are wall-clock seconds, losses nats a token."""

import math
from dataclasses import asdict, dataclass
from typing import Any

PLAIN_NATS = 27.0  # exp of more has 12 digits or more
MOST_NATS = 1e12  # more is no probability that any model computes


def perplexity_text(nats: float, digits: int = 2) -> str:
    """exp of nats a token for a reader; 1.26e+900 where floating point has no such number."""
    if math.isnan(nats):
        return "not a number"
    if nats > MOST_NATS:
        return "infinite"
    if nats < PLAIN_NATS:
        return f"{math.exp(nats):.{digits}f}"
    exponent, rest = divmod(nats / math.log(10), 1)
    mantissa = f"{10**rest:.2f}"  # log-probabilities tell no more digits of such a number
    if mantissa == "10.00":
        mantissa, exponent = "1.00", exponent + 1
    return f"{mantissa}e+{int(exponent)}"


@dataclass(frozen=True)
class UpdateReport:
    """The updates since the last report. Word counts leave out padding, EOS counted.

    Attributes:
        update, epoch: updates done; epochs done with fraction.
        loss: criterion a target token.
        nll: -log p a target token; exp of it is the perplexity.
        source_words_per_second, target_words_per_second: over these updates, validation and
            saving left out; None of a model that reads no source.
        seconds_left: of training if it goes to its last epoch or update; None if unknown.
        end: which of the two that is, such as "epoch 40"; "" if unknown.
        may_stop_early: whether validation may end the training before.
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
    """One validation: `nll` is -log p a target token, EOS counted.

    `train_nll` is over the updates since the validation before.
    """

    update: int
    epoch: float
    nll: float
    train_nll: float
    learning_rate: float
    best: bool

    def record(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


class Observer:
    """Told of progress; this one keeps silent."""

    def started(self, update: int, epochs: float | None, updates: int | None) -> None:
        """Training starts or goes on at an update, towards these ends."""

    def updated(self, report: UpdateReport) -> None:
        """Some updates were done."""

    def validated(self, report: ValidationReport) -> None:
        """A validation was done."""

    def saved(self, name: str) -> None:
        """A checkpoint was written."""


class Meter:
    """Sums since the last progress report."""

    def __init__(self) -> None:
        self.updates = self.source = self.target = 0
        self.loss = self.nll = self.norm = self.seconds = 0.0

    def add(
        self, loss: float, nll: float, source: int, target: int, norm: float, seconds: float
    ) -> None:
        """An update: sums of loss and nll in nats, words of both sides, gradient norm, time."""
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
        """The means; `left` is how many seconds are left, if that is known."""
        tokens, seconds = max(1, self.target), max(1e-9, self.seconds)
        return UpdateReport(
            update, epoch, self.loss / tokens, self.nll / tokens, rate, self.norm / self.updates,
            self.source / seconds if reads_source else None, self.target / seconds, left,
        )  # fmt: skip
