"""The models that the benchmarks measure, and the operations that they need.

Useful operations count the matrix products of real words. The attention's products of positions
with each other are left out: in sentences of 15 words they are below 2 %.
"""

from dataclasses import dataclass
from typing import Any

from s2st.models.base import ModelSizes, Seq2SeqModel
from s2st.models.model_building import build_model
from s2st.models.registry import ARCHITECTURES

LSTM, TRANSFORMER = "lstm", "transformer"
SIZES = {"S": (2, 512), "L": (4, 1000), "T": (4, 256)}  # layers, width; L is the paper's
HEADS = 4
SOURCE_MEMORY = "cross_attention.memory"  # keys and values: once a source word


@dataclass(frozen=True)
class Work:
    """Weights that a word is multiplied with.

    Attributes:
        source: for a source word.
        target: for a target word, without the softmax.
        softmax: for a target word.
    """

    source: int
    target: int
    softmax: int

    def operations(self, source_words: int, target_words: int) -> float:
        """Multiplications and additions of one forward pass."""
        own = source_words * self.source + target_words * (self.target + self.softmax)
        return 2.0 * own


def work_of(model: Any) -> Work:
    """The work of a model with an encoder, a decoder and a full softmax."""
    encoder = [weight.numel() for weight in model.encoder.parameters() if weight.dim() == 2]
    decoder = {
        name: weight.numel()
        for name, weight in model.decoder.named_parameters()
        if weight.dim() == 2
    }
    memory = sum(count for name, count in decoder.items() if SOURCE_MEMORY in name)
    softmax = model.softmax.matrix().numel()
    return Work(sum(encoder) + memory, sum(decoder.values()) - memory, softmax)


def architecture_of(size: str) -> str:
    """LSTM or TRANSFORMER."""
    return TRANSFORMER if size == "T" else LSTM


def make_config(
    architecture: str, layers: int, width: int, dropout: float = 0.0
) -> tuple[str, Any]:
    """The name and the config of a model: the paper's LSTM, or the Transformer."""
    if architecture == TRANSFORMER:
        entry = ARCHITECTURES.get(TRANSFORMER)
        shape = {"heads": HEADS}
    else:
        entry = ARCHITECTURES.get("lstm-sutskever2014")
        shape = {"embedding_size": width}
    shape = {**entry.overrides, **shape, "layers": layers, "hidden_size": width, "dropout": dropout}
    return entry.base, entry.config_type(**shape)


def make_model(
    architecture: str, layers: int, width: int, sizes: ModelSizes, dropout: float = 0.0
) -> Seq2SeqModel:
    """A model with random weights."""
    return build_model(*make_config(architecture, layers, width, dropout), sizes)


def task_shape(model: Any, layers: int, width: int) -> dict[str, Any]:
    """What a peer's task says of the architecture."""
    config = model.config
    if not hasattr(config, "heads"):
        return {"architecture": LSTM, "layers": layers, "width": width}
    inner = config.feedforward_size or 4 * width
    return {
        "architecture": TRANSFORMER, "layers": layers, "width": width, "heads": config.heads,
        "inner": inner, "norm": config.norm, "tied": config.tie_embeddings != "none",
    }  # fmt: skip
