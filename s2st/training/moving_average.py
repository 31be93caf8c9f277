"""The exponential moving average of the weights: what validation and checkpoints use.

Averages of the iterates are steadier than the last one (Polyak & Juditsky 1992). After update t
each trained parameter's average moves to d * average + (1 - d) * parameter, from the initial
weights on, with d = min(decay, (1 + t) / (10 + t)): early weights are soon forgotten (the warm-up
of TensorFlow's ExponentialMovingAverage and of Marian's --exponential-smoothing).

A checkpoint's weights are the averages; the parameters themselves are in the optimiser's state as
"raw", so that every way to exchange that state over ranks carries them too.
"""

import contextlib
from collections.abc import Iterator

import torch

from s2st.errors import CheckpointError

RAW = "raw"


class WeightAverages:
    """The averages of an optimiser's parameters, or of this rank's parts of them.

    Args:
        optimizer: whose parameters have their initial weights.
        decay: d at most; with 0 there are no averages, and every method does nothing.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, decay: float) -> None:
        self._optimizer = optimizer
        self._decay = decay
        self._pairs: list[tuple[torch.Tensor, torch.Tensor]] = []  # parameter, average
        if decay:
            for group in optimizer.param_groups:
                trained = (p for p in group["params"] if p.requires_grad)
                self._pairs += [(p, p.detach().clone()) for p in trained]

    @torch.no_grad()
    def update(self, count: int) -> None:
        """Moves the averages towards the weights after `count` updates, at least 1."""
        decay = min(self._decay, (1 + count) / (10 + count))
        for parameter, average in self._pairs:
            average.lerp_(parameter, 1 - decay)

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Inside, the parameters hold the averages, and the optimiser's state them as "raw"."""
        self._swap()
        try:
            for parameter, average in self._pairs:
                self._optimizer.state[parameter][RAW] = average
            yield
        finally:
            for parameter, _ in self._pairs:
                del self._optimizer.state[parameter][RAW]
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        """Exchanges parameters and averages, in their memory, which others have views of."""
        for parameter, average in self._pairs:
            kept = parameter.detach().clone()
            parameter.copy_(average)
            average.copy_(kept)

    @torch.no_grad()
    def restored(self) -> None:
        """Takes both from a checkpoint that was put back.

        Raises:
            CheckpointError: it holds no averages.
        """
        for parameter, average in self._pairs:
            raw = self._optimizer.state[parameter].pop(RAW, None)
            if raw is None:
                raise CheckpointError("the optimiser's state holds no weights beside the averages")
            average.copy_(parameter)
            parameter.copy_(raw)
