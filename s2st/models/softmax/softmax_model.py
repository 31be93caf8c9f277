"""Base class of models with an output layer over words."""

from typing import ClassVar

import torch
from torch import nn

from s2st.models.base import Embeddings, Seq2SeqModel
from s2st.models.softmax.output_layer import Output


class WordModel(Seq2SeqModel):
    """A model that predicts target words with an `Output` layer.

    A subclass sets `softmax`, and, if it has them, `source_embedding` and `target_embedding`.

    Attributes:
        prepared_parts: names of the modules whose weights `prepare` packs; a model can have None
            in place of a module.
    """

    prepared_parts: ClassVar[tuple[str, ...]] = ("decoder", "softmax")
    encoder_parts = ("source_embedding", "encoder")
    softmax: Output

    def embeddings(self) -> Embeddings:
        """The embedding tables; None for a missing one."""
        return Embeddings(
            getattr(self, "source_embedding", None), getattr(self, "target_embedding", None)
        )

    def project(self, features: torch.Tensor) -> torch.Tensor:
        """Logits from the output layer."""
        return self.softmax.project(features)

    def target_loss(
        self, features: torch.Tensor, words: torch.Tensor, smoothing: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The loss of the output layer, computed in chunks of rows."""
        return self.softmax.loss(features, words, smoothing)

    def softmax_weight(self) -> torch.Tensor:
        """The softmax matrix; raises UsageError if it is also a table, or not full."""
        return self.softmax.divisible_matrix()

    def narrowed(self, words: torch.Tensor, precision: str) -> nn.Module:
        """The rows of the softmax matrix; raises UsageError for an adaptive softmax."""
        return self.softmax.narrowed(words, precision)

    def prepare(self, precision: str) -> None:
        """Packs the weights on a CPU; a GPU uses them as they are."""
        if next(self.parameters()).device.type != "cpu":
            super().prepare(precision)
            return
        for name in self.prepared_parts:
            part = getattr(self, name)
            if part is not None:
                part.prepare(precision)
