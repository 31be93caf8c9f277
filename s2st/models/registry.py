"""The registry of architectures and presets, importable without torch.

A builder takes (config, sizes) and returns a `Seq2SeqModel`. The exception is `ensemble`, which is
not trained: `s2st.scoring.load_scorers` builds it from checkpoints.
"""

from typing import TYPE_CHECKING

from s2st.models.configs import (
    AlignedConfig,
    AttentionConfig,
    ConvolutionalConfig,
    EnsembleConfig,
    RecurrentConfig,
    RecurrentLMConfig,
    TransformerConfig,
    TransformerLMConfig,
    VanillaConfig,
)
from s2st.options.registry import Registry

if TYPE_CHECKING:
    from s2st.models.base import Seq2SeqModel

ARCHITECTURES: Registry["Seq2SeqModel"] = Registry("architecture", "s2st.models.base:Seq2SeqModel")
UNTRAINED = {
    "ensemble": "an ensemble has no weights: train its members, then list them in a TOML file or "
    "repeat --checkpoint"
}

_RECURRENT = "s2st.models.recurrent.encoder_decoder"
ARCHITECTURES.register(
    "lstm", RecurrentConfig, f"{_RECURRENT}:build_lstm", "deep LSTM encoder-decoder, no attention"
)
ARCHITECTURES.register(
    "gru", RecurrentConfig, f"{_RECURRENT}:build_gru", "GRU encoder-decoder, no attention"
)
ARCHITECTURES.register(
    "rnn", VanillaConfig, f"{_RECURRENT}:build_rnn", "vanilla RNN encoder-decoder (tanh or sigmoid)"
)
ARCHITECTURES.register(
    "rctm",
    ConvolutionalConfig,
    "s2st.models.convolutional.rctm:ConvolutionalModel",
    "convolutional sentence encoder, RNN decoder (Kalchbrenner & Blunsom 2013, RCTM I)",
)
ARCHITECTURES.register(
    "aligned-rnn",
    AlignedConfig,
    "s2st.models.aligned_rnn:AlignedModel",
    "RNN that writes one target word as it reads each source word",
)
_ATTENTION = "s2st.models.attention.encoder_decoder"
ARCHITECTURES.register(
    "lstm-attention",
    AttentionConfig,
    f"{_ATTENTION}:build_lstm_attention",
    "LSTM encoder-decoder with attention (additive, dot or general), or with input feeding only",
)
ARCHITECTURES.register(
    "gru-attention",
    AttentionConfig,
    f"{_ATTENTION}:build_gru_attention",
    "GRU encoder-decoder with attention (additive, dot or general), or with input feeding only",
)
ARCHITECTURES.register(
    "transformer",
    TransformerConfig,
    "s2st.models.transformer.encoder_decoder:TransformerModel",
    "Transformer encoder-decoder (Vaswani et al. 2017), pre- or post-norm",
)
_LANGUAGE_MODELS = "s2st.models.language_models"
ARCHITECTURES.register(
    "transformer-lm",
    TransformerLMConfig,
    f"{_LANGUAGE_MODELS}:TransformerLM",
    "language model: decoder-only Transformer, reads no source",
)
ARCHITECTURES.register(
    "lstm-lm",
    RecurrentLMConfig,
    f"{_LANGUAGE_MODELS}:RecurrentLM",
    "language model: LSTM, reads no source",
)
ARCHITECTURES.register(
    "ensemble",
    EnsembleConfig,
    "s2st.scoring.load_scorers:build_ensemble",
    "average of several checkpoints (members in a TOML file; not trained)",
)
ARCHITECTURES.preset("lstm-forward", "lstm", {"reverse_source": False}, "LSTM, source not reversed")
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
ARCHITECTURES.preset(
    "transformer-base",
    "transformer",
    {
        "layers": 6,
        "hidden_size": 512,
        "heads": 8,
        "feedforward_size": 2048,
        "dropout": 0.1,
        "norm": "post",
        "tie_embeddings": "all",
    },
    "the base Transformer as published (63 M parameters at 37,000 shared words)",
)
