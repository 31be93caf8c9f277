"""Recurrent layers of other programs' models as layers of s2st.

Both sides of a model of s2st have embeddings of the same width. A narrower table of another program
gets columns of zeros, and so does the product that reads it, which changes no result.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F

from s2st.models.foreign_folder import take

KINDS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
Tensors = Mapping[str, torch.Tensor]


def is_bidirectional(theirs: Tensors, name: str) -> bool:
    """Whether the `nn.LSTM` or `nn.GRU` of this name reads in both directions."""
    return f"{name}.weight_ih_l0_reverse" in theirs


def count_layers(theirs: Tensors, pattern: str, where: str) -> int:
    """The number of layers, of which `pattern` names a tensor, with {} for the layer's number.

    Raises:
        CheckpointError: there is none.
    """
    take(theirs, pattern.format(0), where)
    return next(n for n in range(len(theirs) + 1) if pattern.format(n) not in theirs)


def fused_layers(
    theirs: Tensors, name: str, ours: str, layers: int, embedding: int, where: str
) -> dict[str, torch.Tensor]:
    """The tensors of a `Stack` or `BidirectionalStack` from an `nn.LSTM` or `nn.GRU`.

    Args:
        theirs: all tensors.
        name, ours: the names before and after.
        layers: how many there are.
        embedding: width of the embeddings in s2st.
        where: the file, for messages.

    Raises:
        CheckpointError: a tensor is missing.
    """
    found = {}
    both = is_bidirectional(theirs, name)
    for level in range(layers):
        places = {"": f"{ours}.layers.{level}"}
        if both:
            halves = {"": "forwards", "_reverse": "backwards"}
            places = {end: f"{ours}.{half}.{level}.layers.0" for end, half in halves.items()}
        for end, place in places.items():
            for kind in KINDS:
                value = take(theirs, f"{name}.{kind}_l{level}{end}", where)
                if not level and kind == "weight_ih":
                    value = widened(value, embedding)
                found[f"{place}.{kind}_l0"] = value
    return found


def cell_layers(
    theirs: Tensors, name: str, ours: str, layers: int, widths: tuple[int, int], where: str
) -> dict[str, torch.Tensor]:
    """The tensors of a `Stack` from cells (`nn.LSTMCell`, `nn.GRUCell`) NAME.0, NAME.1, ...

    Args:
        widths: of the embeddings there and in s2st. They come first in the input.

    Raises:
        CheckpointError: a tensor is missing.
    """
    found = {}
    for level in range(layers):
        for kind in KINDS:
            value = take(theirs, f"{name}.{level}.{kind}", where)
            if not level and kind == "weight_ih":
                words, fed = value[:, : widths[0]], value[:, widths[0] :]
                value = torch.cat([widened(words, widths[1]), fed], dim=1)
            found[f"{ours}.layers.{level}.{kind}_l0"] = value
    return found


def widened(matrix: torch.Tensor, width: int) -> torch.Tensor:
    """The matrix with columns of zeros after its own."""
    return F.pad(matrix, (0, width - matrix.shape[1]))
