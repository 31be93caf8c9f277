"""Learning-rate schedules and their registry: fixed, halve-after, plateau, inverse-sqrt."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from s2st.options.option_fields import option
from s2st.options.registry import Registry


class Schedule(ABC):
    """A factor on the optimizer's base learning rate, by time and validation results."""

    @abstractmethod
    def factor(self, update: int, epoch: float) -> float:
        """Return the factor for an update.

        Args:
            update: number of the update, from 1.
            epoch: epochs done before the update, with fraction.
        """

    def validated(self, loss: float) -> None:  # noqa: B027 - most schedules ignore it
        """Receive the loss of each validation, in nats per token."""

    def state(self) -> dict[str, float]:
        """Return the state that a checkpoint must keep for exact resume."""
        return {}

    def restore(self, state: Mapping[str, float]) -> None:  # noqa: B027
        """Load the values that `state` returned."""


SCHEDULES: Registry[Schedule] = Registry("schedule", "s2st.training.lr_schedules:Schedule")


@dataclass(frozen=True)
class FixedConfig:
    """Options of `fixed`: none."""


@dataclass(frozen=True)
class HalveAfterConfig:
    """Options of `halve-after`; the defaults are the paper's."""

    halve_after: float = option(
        5.0, "epochs before the first halving", minimum=0, maximum=1_000_000
    )
    halve_every: float = option(0.5, "epochs between halvings", minimum=1e-6, maximum=1_000_000)


@dataclass(frozen=True)
class PlateauConfig:
    """Options of `plateau`."""

    plateau_factor: float = option(
        0.5,
        "multiply the learning rate by this when validation perplexity stops improving",
        minimum=0,
        maximum=1,
    )
    plateau_patience: int = option(
        0,
        "number of validations without improvement before the learning rate drops (patience)",
        minimum=0,
        maximum=1_000_000,
    )


@dataclass(frozen=True)
class InverseSqrtConfig:
    """Options of `inverse-sqrt`."""

    warmup_updates: int = option(
        4000, "updates of linear warm-up to the full learning rate", minimum=1, maximum=10**12
    )


class Fixed(Schedule):
    """The full learning rate at all times."""

    def __init__(self, config: FixedConfig) -> None:
        self.config = config

    def factor(self, update: int, epoch: float) -> float:
        """Return 1."""
        return 1.0


class HalveAfter(Schedule):
    """Sutskever et al. 2014: constant for 5 epochs, then halved every half epoch.

    The first halving is at epoch 5 exactly; 7.5 epochs end at 1/32 of the rate.
    """

    def __init__(self, config: HalveAfterConfig) -> None:
        self.config = config

    def factor(self, update: int, epoch: float) -> float:
        """Return 1, then 1/2, 1/4, ..."""
        late = epoch - self.config.halve_after
        if late < -1e-9:
            return 1.0
        return float(0.5 ** (1 + math.floor(late / self.config.halve_every + 1e-9)))


class Plateau(Schedule):
    """Multiplication of the rate by a factor each time the validation loss stops improving."""

    def __init__(self, config: PlateauConfig) -> None:
        self.config = config
        self._scale = 1.0
        self._best = math.inf
        self._bad = 0

    def factor(self, update: int, epoch: float) -> float:
        """Return the product of all reductions so far."""
        return self._scale

    def validated(self, loss: float) -> None:
        """Lower the factor after more than `plateau_patience` results without improvement."""
        if loss < self._best:
            self._best, self._bad = loss, 0
            return
        self._bad += 1
        if self._bad > self.config.plateau_patience:
            self._scale *= self.config.plateau_factor
            self._bad = 0

    def state(self) -> dict[str, float]:
        """Return the factor, the best loss and the count of results without improvement."""
        return {"scale": self._scale, "best": self._best, "bad": float(self._bad)}

    def restore(self, state: Mapping[str, float]) -> None:
        """Load the values that `state` returned."""
        self._scale, self._best, self._bad = state["scale"], state["best"], int(state["bad"])


class InverseSqrt(Schedule):
    """Linear warm-up, then proportional to 1 / sqrt(update).

    Vaswani et al. 2017, section 5.3, divided by its largest value: with a base rate of
    1 / sqrt(d_model * warm-up) this is d_model^-0.5 * min(update^-0.5, update * warm-up^-1.5).
    """

    def __init__(self, config: InverseSqrtConfig) -> None:
        self.config = config

    def factor(self, update: int, epoch: float) -> float:
        """Return update / warmup, then sqrt(warmup / update)."""
        warmup = self.config.warmup_updates
        return min(update / warmup, math.sqrt(warmup / update))


SCHEDULES.register("plateau", PlateauConfig, Plateau, "lower when validation stops improving")
SCHEDULES.register("fixed", FixedConfig, Fixed, "constant")
SCHEDULES.register(
    "halve-after", HalveAfterConfig, HalveAfter, "constant, then halved every half epoch (paper)"
)
SCHEDULES.register("inverse-sqrt", InverseSqrtConfig, InverseSqrt, "warm-up, then 1/sqrt(update)")
