"""The architectures registry: configs and presets, importable without torch.

A builder takes (config, sizes) and returns a Seq2SeqModel; `ensemble`, which is not trained, is
built from checkpoints by `s2st.scoring.build` instead.
"""

from dataclasses import dataclass, replace
from typing import Any

from s2st.config import option
from s2st.registry import Registry

ARCHITECTURES: Registry[Any] = Registry("architecture")


@dataclass(frozen=True)
class RecurrentConfig:
    """Options of the recurrent encoder-decoders. Sizes left out follow the corpus (see `train`)."""

    layers: int | None = option(None, "layers of encoder and decoder", minimum=1, maximum=1000)
    hidden_size: int | None = option(None, "cells a layer", minimum=1)
    embedding_size: int | None = option(None, "width of the word embeddings", minimum=1)
    dropout: float | None = option(
        None, "dropout on embeddings, between layers and before the output", minimum=0, maximum=0.99
    )
    reverse_source: bool = option(False, "read the source words in reverse order")
    context: str = option(
        "first-state",
        "how the decoder is given the encoder's final state: as its first state only, "
        "or also as an input at every step",
        choices=("first-state", "every-step"),
    )
    init: str = option(
        "default",
        "initial weights: torch's defaults, or uniform in +-init-range as in the paper",
        choices=("default", "uniform"),
    )
    init_range: float = option(0.08, "bound of the uniform initialisation", minimum=0)


@dataclass(frozen=True)
class EnsembleConfig:
    """Options of an ensemble: checkpoints that score together."""

    members: tuple[str, ...] = option((), "checkpoint folders, relative to the file's own folder")
    weights: tuple[float, ...] = option((), "one weight a member; equal when left out")
    mode: str = option(
        "probability",
        "average the members' probabilities, or their log-probabilities (renormalised)",
        choices=("probability", "log-probability"),
    )


_RECURRENT = "s2st.models.recurrent"
ARCHITECTURES.register(
    "lstm", RecurrentConfig, f"{_RECURRENT}:build_lstm", "deep LSTM encoder-decoder, no attention"
)
ARCHITECTURES.register(
    "gru", RecurrentConfig, f"{_RECURRENT}:build_gru", "GRU encoder-decoder, no attention"
)
ARCHITECTURES.register(
    "rnn", RecurrentConfig, f"{_RECURRENT}:build_rnn", "vanilla (tanh) RNN encoder-decoder"
)
ARCHITECTURES.register(
    "ensemble",
    EnsembleConfig,
    "s2st.scoring.build:build_ensemble",
    "several checkpoints that score together (from a TOML file; not trained)",
)
ARCHITECTURES.preset("lstm-forward", "lstm", {"reverse_source": False}, "LSTM, source as it is")
ARCHITECTURES.preset("lstm-reversed", "lstm", {"reverse_source": True}, "LSTM, source reversed")
ARCHITECTURES.preset(
    "lstm-sutskever2014",
    "lstm",
    {
        "layers": 4,
        "hidden_size": 1000,
        "embedding_size": 1000,
        "dropout": 0.0,
        "reverse_source": True,
        "init": "uniform",
        "init_range": 0.08,
    },
    "the paper's 4 x 1000 reversed LSTM (384 M parameters at 160,000 + 80,000 words)",
)


@dataclass(frozen=True)
class DefaultSizes:
    """Sizes of a model for a corpus of up to `tokens` target words."""

    tokens: float
    layers: int
    hidden_size: int
    embedding_size: int
    dropout: float


# Found on the demo's corpus and on Multi30k; the larger two follow the paper's width and depth.
DEFAULT_SIZES = (
    DefaultSizes(3e5, 1, 256, 256, 0.2),
    DefaultSizes(3e6, 1, 512, 256, 0.4),
    DefaultSizes(3e7, 2, 1000, 500, 0.2),
    DefaultSizes(float("inf"), 4, 1000, 1000, 0.1),
)


def with_default_sizes(config: Any, training_tokens: int) -> Any:
    """The config with sizes that were left out (None) filled in for a corpus of that many words.

    Works on any architecture's config: only fields of these names that are None are set.
    """
    sizes = next(item for item in DEFAULT_SIZES if training_tokens <= item.tokens)
    names = ("layers", "hidden_size", "embedding_size", "dropout")
    return replace(
        config, **{name: getattr(sizes, name) for name in names if getattr(config, name, 0) is None}
    )
