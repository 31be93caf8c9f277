"""What the recurrent layers of packed products share: the positions of a batch, and their sums.

Letters: N sentences, longest first, P positions of all sentences, U distinct words, E input width,
H width, G gates x H. The P positions are ordered by time, then by sentence.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch

from s2st.models.packed.packed_linear import can_pack, multiply

# What `run_lstm` costs more than torch's layer, in operations of a product (measured on Zen 5):
STEP_COST = 5e7  # Python and small operators, per time
SHARE_COST = 0.1  # the products themselves are slower, as a share of all operations of the layer


@dataclass(frozen=True)
class Words:
    """The positions of a batch.

    Attributes:
        rows: (P,) the distinct word at each position; None if each position has an input.
        counts: number of sentences at each time; never increases.
    """

    rows: torch.Tensor | None
    counts: Sequence[int]

    @property
    def positions(self) -> int:
        """P."""
        return sum(self.counts)

    def spans(self) -> list[slice]:
        """The positions of each time."""
        ends = list(accumulate(self.counts))
        return [slice(begin, end) for begin, end in zip([0, *ends], ends, strict=False)]

    def previous(self) -> list[slice]:
        """The positions before those of each time but the first, in the same sentences."""
        starts = (span.start for span in self.spans())
        return [slice(s, s + n) for s, n in zip(starts, self.counts[1:], strict=False)]


def can_share(weight: torch.Tensor) -> bool:
    """Whether packed layers can read embeddings of this device and data type."""
    if weight.device.type != "cpu" or weight.dtype != torch.float32:
        return False
    return can_pack() and not torch.is_autocast_enabled("cpu")


def worth_sharing(positions: int, words: int, times: int, weight: torch.Tensor) -> bool:
    """Whether `run_lstm` takes less time than torch's layer.

    Args:
        positions, words, times: P, U, and the number of steps.
        weight: (4H, E) the input weights.
    """
    gates, width = weight.shape
    product = 6.0 * gates * width  # operations per row, with both gradients
    recurrent = 6.0 * gates * gates / 4
    spent = SHARE_COST * positions * (product + recurrent) + STEP_COST * times
    return (positions - words) * product > spent


def sums_by_word(errors: torch.Tensor, words: Words, count: int) -> torch.Tensor:
    """(U, G) for each of `count` inputs the sum of its positions' gradients (P, G)."""
    if words.rows is None:
        return errors
    return errors.new_zeros(count, errors.shape[1]).index_add_(0, words.rows, errors)


def recurrent_inputs(
    products: torch.Tensor, words: Words, gates: torch.Tensor, span: slice
) -> torch.Tensor:
    """(n, G) the input products of the positions of one time, in the memory of the gates."""
    if words.rows is None:
        return products[span]
    return torch.index_select(products, 0, words.rows[span], out=gates[span])


def tanh(values: torch.Tensor) -> torch.Tensor:
    """tanh(x) = 2 sigmoid(2x) - 1: torch's sigmoid is several times as fast on a CPU."""
    doubled = (values + values).sigmoid_()
    return doubled.add_(doubled).sub_(1.0)


def states_before(states: torch.Tensor, first: torch.Tensor, words: Words) -> torch.Tensor:
    """(P, H) the states before those of states (P, H); `first` are those before the first time."""
    return torch.cat([first, *(states[part] for part in words.previous())])


def last_states(states: torch.Tensor, words: Words) -> torch.Tensor:
    """(N, H) each sentence's last state, of states (P, H)."""
    pieces = [
        states[span][going_on:]
        for span, going_on in zip(words.spans(), [*words.counts[1:], 0], strict=True)
    ]
    return torch.cat(pieces[::-1])


def weight_gradient(errors: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
    """The gradient (G, E) of weights whose products with inputs (P, E) have the errors (P, G)."""
    return multiply(inputs.t(), errors.t()).t().contiguous()
