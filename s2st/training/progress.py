"""What the trainer tells while it works. Times are wall-clock seconds, losses nats a token."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class UpdateReport:
    """The updates since the last report. Word counts leave out padding, EOS counted.

    Attributes:
        update, epoch: updates done; epochs done with fraction.
        loss: criterion a target token.
        nll: -log p a target token; exp of it is the perplexity.
        source_words_per_second, target_words_per_second: over these updates, validation and
            saving left out.
        seconds_left: of training if it goes to its last epoch or update; None if unknown.
    """

    update: int
    epoch: float
    loss: float
    nll: float
    learning_rate: float
    gradient_norm: float
    source_words_per_second: float
    target_words_per_second: float
    seconds_left: float | None


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
