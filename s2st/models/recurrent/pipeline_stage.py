"""A stage of a recurrent encoder-decoder: encoder layers and the decoder layers of the same height.

From the encoder, a decoder layer needs only the last state of the layer at its height. So both are
on one device, and only the layers' outputs are sent (Sutskever et al. 2014, section 3.5).
"""

import torch
import torch.nn.functional as F
from torch import nn

from s2st.data.batch import SourceBatch
from s2st.models.base import ModelStage, reverse_tokens
from s2st.models.dropout import dropped
from s2st.models.recurrent.layer_stack import Stack


class RecurrentStage(ModelStage):
    """Some encoder layers, and the decoder layers that start from the last states of these.

    Args:
        encoder, decoder: the layers.
        tables: source and target embeddings on the first stage, None on the others.
        last: whether these are the top layers.
        dropout: applied to the inputs, between the layers, and to the outputs of the top layers.
        reverse: whether the first stage reverses the source.
    """

    def __init__(
        self,
        encoder: Stack,
        decoder: Stack,
        tables: tuple[nn.Embedding, nn.Embedding] | None,
        last: bool,
        dropout: float,
        reverse: bool,
    ) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.tables = None if tables is None else nn.ModuleList(tables)
        self.last = last
        self.dropout = dropout
        self.reverse = reverse

    def forward(
        self,
        source: torch.Tensor,
        target: torch.Tensor,
        source_lengths: torch.Tensor,
        target_lengths: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        """Runs the source, then the target from the encoder's last states."""
        if self.tables is not None:
            batch = SourceBatch(source, source_lengths, ())
            tokens = reverse_tokens(batch) if self.reverse else source
            source, target = self.tables[0](tokens.t()), self.tables[1](target.t())
        widths = len(source), len(target)
        # the rest is padding: all states that a pipeline sends have one shape
        longest = int(source_lengths.max()), max(1, int(target_lengths.max()))
        source = dropped(source[: longest[0]], self.dropout, self.training)
        target = dropped(target[: longest[1]], self.dropout, self.training)
        if self.last:
            memory = self.encoder.run_packed(source, source_lengths, self.dropout)
        else:
            source, memory = self.encoder.run_padded(source, source_lengths, self.dropout)
        target, _ = self.decoder.run(target, memory, self.dropout)
        target = _widened(target, widths[1])
        if self.last:
            return (dropped(target, self.dropout, self.training).transpose(0, 1),)
        return _widened(source, widths[0]), target


def _widened(states: torch.Tensor, width: int) -> torch.Tensor:
    """States, time first, padded to `width` positions."""
    return F.pad(states, (0, 0, 0, 0, 0, width - len(states)))
