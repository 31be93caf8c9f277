"""Exponential moving averages of the weights, which validation and checkpoints use.

The average of the weights varies less than the last weights (Polyak & Juditsky 1992). It starts at
the initial weights. After update t, it becomes d * average + (1 - d) * parameter with
d = min(decay, (1 + t) / (10 + t)). The second term lets early weights fade quickly, as in
TensorFlow's ExponentialMovingAverage and Marian's --exponential-smoothing.

The weights of a checkpoint are the averages. The parameters are in the optimizer state under the
name "raw", so each exchange of optimizer state between ranks includes them.
"""

import contextlib
from collections.abc import Iterator

import torch

from s2st.errors import CheckpointError

RAW = "raw"


class WeightAverages:
    """Moving averages of an optimizer's parameters, or of this rank's parts of them.

    Args:
        optimizer: the optimizer; its parameters have their initial weights.
        decay: the largest d. With 0 there are no averages, and every method does nothing.
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
        """Move the averages towards the weights after update number `count`, from 1."""
        decay = min(self._decay, (1 + count) / (10 + count))
        for parameter, average in self._pairs:
            average.lerp_(parameter, 1 - decay)

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Put the averages into the parameters for the duration of the context.

        The weights are in the optimizer state under the name "raw" meanwhile.
        """
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
        """Exchange parameters and averages in place, because other objects have views of them."""
        for parameter, average in self._pairs:
            kept = parameter.detach().clone()
            parameter.copy_(average)
            average.copy_(kept)

    @torch.no_grad()
    def restored(self) -> None:
        """Set averages and parameters after a checkpoint was loaded.

        Raises:
            CheckpointError: the checkpoint has no averages.
        """
        for parameter, average in self._pairs:
            raw = self._optimizer.state[parameter].pop(RAW, None)
            if raw is None:
                raise CheckpointError("the optimizer's state has no weights beside the averages")
            average.copy_(parameter)
            parameter.copy_(raw)
