"""Building models: with random weights, with given weights, or without memory for weights."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch.overrides import TorchFunctionMode

from s2st.errors import UsageError
from s2st.models.base import ModelSizes, Seq2SeqModel
from s2st.models.configs import EnsembleConfig
from s2st.models.multi_decoder import MultiDecoderModel
from s2st.models.registry import ARCHITECTURES, UNTRAINED
from s2st.models.vector_input import reads_vectors

if TYPE_CHECKING:
    from s2st.models.model_record import ModelRecord


class Unfilled(TorchFunctionMode):
    """Context in which `torch.nn.init` does nothing, since loading then fills the tensors.

    On the meta device `torch.nn.init` would also import torch's compiler, which is slow.
    """

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Sequence[type],
        arguments: Sequence[Any] = (),
        named: Mapping[str, Any] | None = None,
    ) -> Any:
        named = named or {}
        if getattr(function, "__module__", None) == "torch.nn.init":
            return named["tensor"] if "tensor" in named else arguments[0]
        return function(*arguments, **named)


def build_model(architecture: str, config: Any, sizes: ModelSizes) -> Seq2SeqModel:
    """A model with random weights; raises UsageError for an architecture without weights."""
    if isinstance(config, EnsembleConfig):
        raise UsageError(UNTRAINED["ensemble"])
    entry = ARCHITECTURES.get(architecture)
    if not sizes.decoders:
        model: Seq2SeqModel = entry.build(config, sizes)
        if sizes.source_vectors and not reads_vectors(model):
            raise UsageError(
                f"the architecture {architecture} cannot read vectors (--source-vectors); use "
                "another one, such as gru-attention or transformer"
            )
        return model
    if not getattr(config, "reads_source", True):
        raise UsageError(f"--decoders per-language: {architecture} reads no source")
    if getattr(config, "tie_embeddings", "none") == "all":
        raise UsageError(
            "--decoders per-language cannot be combined with --tie-embeddings all: use output"
        )
    return MultiDecoderModel(
        {
            language: entry.build(config, ModelSizes(sizes.source_vocabulary, words))
            for language, words in sizes.decoders
        }
    )


def model_with_weights(record: "ModelRecord", weights: Mapping[str, torch.Tensor]) -> Seq2SeqModel:
    """A model on the CPU with copies of these weights, by name."""
    with Unfilled():
        model = record.build()
    model.load_state_dict(weights)
    return model


def hollow_model(architecture: str, config: Any, sizes: ModelSizes) -> Seq2SeqModel:
    """A model on the meta device: names and shapes, no memory for weights."""
    with torch.device("meta"), Unfilled():
        return build_model(architecture, config, sizes)


def planned_model(architecture: str, config: Any, sizes: ModelSizes) -> Seq2SeqModel:
    """A hollow model with a user's sizes; raises UsageError if no model can have them."""
    try:
        return hollow_model(architecture, config, sizes)
    except (RuntimeError, OverflowError) as error:
        reason = " ".join(str(error).partition("\n")[0].split())[:200]
        raise UsageError(f"no model can have these sizes: {reason}") from error
