"""One encoder with a decoder for each target language (Dong et al. 2015).

Each target language has an ordinary model of the architecture. All of them share the modules of
the encoder (`Seq2SeqModel.encoder_parts`).
"""

from collections.abc import Mapping

import torch
from torch import nn

from s2st.data.batch import Batch, SourceBatch
from s2st.errors import UsageError
from s2st.models.base import DecoderState, Embeddings, EncoderOutput, ModelStep, Seq2SeqModel

SHARED = "shared"
DECODERS = "decoders"


class MultiDecoderModel(Seq2SeqModel):
    """Models of several target languages with one encoder.

    `for_target` returns the model of a language. Without it, this is the model of the first one.

    Args:
        models: the model of each target language; their encoders have equal shapes. The first
            model's encoder is kept.

    Raises:
        UsageError: the architecture does not say which of its parts are the encoder.
    """

    encoder_parts = (SHARED,)

    def __init__(self, models: Mapping[str, Seq2SeqModel]) -> None:
        super().__init__()
        first = next(iter(models.values()))
        names = first.encoder_parts
        if not names:
            raise UsageError(
                "--decoders per-language: this architecture has no encoder that decoders can share"
            )
        self.shared = nn.ModuleDict({name: first.get_submodule(name) for name in names})
        self.decoders = nn.ModuleDict({_key(name): model for name, model in models.items()})
        for model in models.values():
            for name in names:
                # an ordinary attribute: only `shared` has the weights of the encoder
                del model._modules[name]
                model.__dict__[name] = self.shared[name]
        self._first = next(iter(models))

    def for_target(self, language: str) -> Seq2SeqModel:
        """The model that translates to a language."""
        model = self.decoders[_key(language or self._first)]
        assert isinstance(model, Seq2SeqModel)
        return model

    def encode(self, source: SourceBatch) -> EncoderOutput:
        """Encodes with the encoder that all languages share."""
        return self.for_target("").encode(source)

    def initial_state(self, encoder_output: EncoderOutput) -> DecoderState:
        """The first state of the first language's decoder."""
        return self.for_target("").initial_state(encoder_output)

    def sentence_vectors(self, encoder_output: EncoderOutput) -> dict[str, torch.Tensor]:
        """The vectors of the shared encoder."""
        return self.for_target("").sentence_vectors(encoder_output)

    def embeddings(self) -> Embeddings:
        """The tables of the first language."""
        return self.for_target("").embeddings()

    def check_pairs(self, batch: Batch) -> None:
        """Checks the pairs with the model of their target language."""
        self.for_target(batch.target_language).check_pairs(batch)

    def decode(self, target_in: torch.Tensor, state: DecoderState) -> torch.Tensor:
        """Features of the first language's decoder."""
        return self.for_target("").decode(target_in, state)

    def decode_targets(self, batch: Batch, state: DecoderState) -> torch.Tensor:
        """Features of the first language's decoder at the real positions."""
        return self.for_target("").decode_targets(batch, state)

    def project(self, features: torch.Tensor) -> torch.Tensor:
        """Logits of the first language's words."""
        return self.for_target("").project(features)

    def step(self, tokens: torch.Tensor, state: DecoderState) -> ModelStep:
        """A step of the first language's decoder."""
        return self.for_target("").step(tokens, state)


def _key(language: str) -> str:
    """The name of a language's decoder; a plain language could be a name that torch uses."""
    return f"to_{language}"


def weights_for(weights: Mapping[str, torch.Tensor], language: str) -> dict[str, torch.Tensor]:
    """The weights of a language's ordinary model, from those of a `MultiDecoderModel`."""
    prefixes = (f"{SHARED}.", f"{DECODERS}.{_key(language)}.")
    return {
        name.removeprefix(prefix): tensor
        for prefix in prefixes
        for name, tensor in weights.items()
        if name.startswith(prefix)
    }
