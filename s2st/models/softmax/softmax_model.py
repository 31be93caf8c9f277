"""What models with an output layer over words have in common."""

from typing import ClassVar

import torch

from s2st.models.base import Embeddings, Seq2SeqModel
from s2st.models.softmax.output_layer import Output


class WordModel(Seq2SeqModel):
    """A model whose target words come from an `Output`, and what follows from that.

    A subclass sets `softmax`, and `source_embedding` and `target_embedding` where it has them.

    Attributes:
        prepared_parts: names of the modules that `prepare` lays out for scoring.
    """

    prepared_parts: ClassVar[tuple[str, ...]] = ("decoder", "softmax")
    softmax: Output

    def embeddings(self) -> Embeddings:
        """The tables there are."""
        return Embeddings(
            getattr(self, "source_embedding", None), getattr(self, "target_embedding", None)
        )

    def project(self, features: torch.Tensor) -> torch.Tensor:
        """Logits by the output layer."""
        return self.softmax.project(features)

    def target_loss(
        self, features: torch.Tensor, words: torch.Tensor, smoothing: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """By the output layer, in chunks of rows."""
        return self.softmax.loss(features, words, smoothing)

    def softmax_weight(self) -> torch.Tensor:
        """The softmax matrix; raises UsageError where it is also a table, or there is none."""
        return self.softmax.divisible_matrix()

    def prepare(self, precision: str) -> None:
        """Packed or int8 weights on CPUs."""
        if next(self.parameters()).device.type != "cpu":
            super().prepare(precision)
            return
        for name in self.prepared_parts:
            getattr(self, name).prepare(precision)
