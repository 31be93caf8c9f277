"""The first states of a decoder from the last states of an encoder.

Letters: L layers, P planes (L hidden states, then, for the LSTM, L cell states), B sentences, E
width of the encoder, H width of the decoder.
"""

import torch
from torch import nn


class Bridge(nn.Module):
    """One linear function for the hidden states and, for the LSTM, one for the cell states.

    Args:
        kind: "linear": a function of each layer's state, the same for all layers (as fairseq);
            "relu": the ReLU of a function of the states of all layers (as OpenNMT-py).
        layers: L.
        planes: P.
        encoder_width, width: E and H.
    """

    def __init__(self, kind: str, layers: int, planes: int, encoder_width: int, width: int) -> None:
        super().__init__()
        self.joint = kind == "relu"
        self.layers = layers
        times = layers if self.joint else 1
        self.parts = nn.ModuleList(
            nn.Linear(times * encoder_width, times * width) for _ in range(planes // layers)
        )

    def forward(self, memory: torch.Tensor) -> torch.Tensor:
        """(P, B, H) of the encoder's memory (P, B, E)."""
        found = []
        for part, planes in zip(self.parts, memory.split(self.layers), strict=True):
            if self.joint:
                joined = torch.relu(part(planes.transpose(0, 1).flatten(1)))
                planes = joined.view(len(joined), self.layers, -1).transpose(0, 1)
            else:
                planes = part(planes)
            found.append(planes)
        return torch.cat(found)
