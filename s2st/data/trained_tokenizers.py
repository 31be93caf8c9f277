"""Tokenizers with a trained model, as preprocessing needs them: training, and a user's file."""

from collections.abc import Iterable
from typing import Any

from s2st.errors import ConfigError
from s2st.text.tokenizers import MODEL_KINDS, TokenizerSpec

SHOWN = {"sentencepiece": "SentencePiece", "huggingface": "byte-level BPE"}


def shown_name(name: str) -> str:
    """Return the name of a tokenizer for messages."""
    return SHOWN.get(name, name)


def train_model(lines: Iterable[str], name: str, config: Any, language: str) -> bytes:
    """Train the model of a tokenizer; a function of a module, for a process of its own."""
    return MODEL_KINDS[name].train(lines, config, language)


def checked_spec(spec: TokenizerSpec, path: str) -> TokenizerSpec:
    """Return the spec; raise ConfigError that names the user's file if it is no such model."""
    try:
        spec.build()
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    return spec
