"""Tokenizers and their registry: white space, characters, Moses, subwords, none for an absent side.

The manifest of a store or checkpoint records a tokenizer's name and options. The model file of a
trained tokenizer (SentencePiece, subword-nmt, Hugging Face) is stored in the same folder.
"""

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from s2st.errors import CheckpointError, UsageError
from s2st.options.option_fields import OptionSpec, config_values, make_config, option, option_specs
from s2st.options.registry import Registry
from s2st.process import durable_files
from s2st.process.bounded_read import read_bounded
from s2st.process.folder_manifest import files_of, read_listed, verify_files
from s2st.text.line_files import split_words

ABSENT = "nothing"
MAX_MODEL_BYTES = 1 << 28  # of a trained model's file
SPACE_SIGN = "\u2581"  # SentencePiece's sign for a space in a piece


class Tokenizer(ABC):
    """Interface of a tokenizer: split lines of one language into tokens and join them again.

    Attributes:
        model: content of the trained model file, if the tokenizer has one (`MODEL_KINDS`).
        subword: whether tokens are subword pieces, which mean nothing to other programs.
        absent: whether the side has no text, so that every line has no tokens.
    """

    model: bytes | None = None
    subword: bool = False
    absent: bool = False

    @abstractmethod
    def encode(self, line: str) -> list[str]:
        """Return the tokens of a line; no token is empty or contains ASCII white space."""

    @abstractmethod
    def decode(self, tokens: Sequence[str]) -> str:
        """Return the detokenized text, without newlines."""

    def pieces(self) -> list[str] | None:
        """Return all tokens of a trained tokenizer; None if the text determines the tokens."""
        return None

    def further_tokens(self, tokens: Iterable[str]) -> list[str]:
        """Return tokens of which other texts of these tokens' characters can consist.

        The vocabulary has these tokens too. Tokenizers with `pieces` need none.

        Args:
            tokens: all tokens of a training text.
        """
        return []

    def remarks(self) -> list[str]:
        """Return warnings for the user about this tokenizer and its language, one line each."""
        return []


class SampledTokenizer(Tokenizer):
    """A tokenizer that can draw other segmentations of a text, for subword regularization."""

    @abstractmethod
    def can_resample(self) -> bool:
        """Return whether this tokenizer's model has other segmentations."""

    @abstractmethod
    def resample(
        self,
        tokens: Sequence[str],
        known: Callable[[str], bool],
        seed: int,
        unigram_alpha: float,
        bpe_dropout: float,
    ) -> list[str]:
        """Return another segmentation of the text of tokens, a function of the arguments.

        Args:
            tokens: a segmentation; `<unk>` stands for an unknown token.
            known: whether the vocabulary has a token, as a draw should.
            seed: seed of the draw, below 2**31.
            unigram_alpha: exponent of the probabilities of a unigram model's segmentations.
            bpe_dropout: probability that a merge of BPE is left out.
        """


@dataclass(frozen=True)
class NoneConfig:
    """Options of the tokenizer `none`."""

    lowercase: bool = option(False, "lowercase the text first")


@dataclass(frozen=True)
class AbsentConfig:
    """The tokenizer `nothing` has no options."""


@dataclass(frozen=True)
class MosesConfig:
    """Options of the tokenizer `moses`."""

    lowercase: bool = option(False, "lowercase the text first")
    moses_escape: bool = option(True, "escape special characters (&apos; and so on) as Moses does")
    moses_aggressive_dashes: bool = option(False, "split words at hyphens, written as @-@")


@dataclass(frozen=True)
class SentencePieceConfig:
    """Options of the tokenizer `sentencepiece`; training alone uses the last three."""

    lowercase: bool = option(False, "lowercase the text first")
    sentencepiece_vocab_size: int = option(
        8000, "number of pieces per side (training)", minimum=8, maximum=1_000_000
    )
    sentencepiece_model_type: str = option(
        "unigram", "type of the model (training)", choices=("unigram", "bpe", "char", "word")
    )
    sentencepiece_coverage: float = option(
        0.9995, "share of characters covered by the model (training)", minimum=0.98, maximum=1.0
    )


@dataclass(frozen=True)
class CharactersConfig:
    """Options of the tokenizer `characters`."""

    lowercase: bool = option(False, "lower-case the text first")


@dataclass(frozen=True)
class SubwordNmtConfig:
    """Options of the tokenizer `subword-nmt`; training alone uses the last one."""

    lowercase: bool = option(False, "lower-case the text first")
    bpe_words: str = option(
        "spaces",
        "what splits text into words before BPE: white space, or the Moses tokenizer, which also "
        "detokenizes the output",
        choices=("spaces", "moses"),
    )
    bpe_merges: int = option(
        8000, "number of merges (training, without --bpe-codes)", minimum=1, maximum=1_000_000
    )


@dataclass(frozen=True)
class HuggingFaceConfig:
    """Options of the tokenizer `huggingface`; training alone uses the last one."""

    lowercase: bool = option(False, "lower-case the text first")
    byte_bpe_vocab_size: int = option(
        8000,
        "number of pieces of byte-level BPE per side (training, without --tokenizer-json)",
        minimum=257,
        maximum=1_000_000,
    )


@dataclass(frozen=True)
class ModelKind:
    """The trained model of a tokenizer, as a file.

    Attributes:
        file: its name in a store or checkpoint; `{}` stands for the language.
        what: the kind of file, for messages.
        trainer: "module:function" of (lines, config, language), which returns the file's bytes.
        size: the option that sets the number of pieces, if they are the whole vocabulary; else "".
    """

    file: str
    what: str
    trainer: str
    size: str = ""

    def train(self, lines: Iterable[str], config: Any, language: str) -> bytes:
        """Train a model on lines of a language; raises as the trainer."""
        module, _, name = self.trainer.partition(":")
        model: bytes = getattr(importlib.import_module(module), name)(lines, config, language)
        return model


MODEL_KINDS: Mapping[str, ModelKind] = {
    "sentencepiece": ModelKind(
        "sentencepiece.{}.model",
        "a SentencePiece model",
        "s2st.text.sentencepiece_training:train_sentencepiece",
        "--sentencepiece-vocab-size",
    ),
    "subword-nmt": ModelKind(
        "subword-nmt.{}.codes",
        "a codes file of subword-nmt",
        "s2st.text.subword_nmt_tokenizer:train_subword_nmt",
    ),
    "huggingface": ModelKind(
        "tokenizer.{}.json",
        "a tokenizer.json of Hugging Face",
        "s2st.text.huggingface_tokenizer:train_byte_bpe",
        "--byte-bpe-vocab-size",
    ),
}


@dataclass(frozen=True)
class TokenizerSpec:
    """Name, options, language and trained model (if any) from which a tokenizer is built."""

    name: str
    config: Any
    language: str
    model: bytes | None = None

    def build(self) -> Tokenizer:
        """Build the tokenizer; raise ConfigError if its model is missing or damaged."""
        return TOKENIZERS.get(self.name).build(self)

    def record(self) -> dict[str, Any]:
        """Return the spec as plain JSON values, without the model."""
        options = config_values(self.config)
        return {"name": self.name, "language": self.language, "options": options}


TOKENIZERS: Registry[Tokenizer] = Registry("tokenizer", "s2st.text.tokenizers:Tokenizer")


class WhitespaceTokenizer(Tokenizer):
    """Splits at ASCII white space; for text that is already tokenized."""

    def __init__(self, spec: TokenizerSpec) -> None:
        self._lowercase = spec.config.lowercase

    def encode(self, line: str) -> list[str]:
        """Return the words of the line."""
        return split_words(line.lower() if self._lowercase else line)

    def decode(self, tokens: Sequence[str]) -> str:
        """Return the words, separated by spaces."""
        return " ".join(tokens)


class CharacterTokenizer(Tokenizer):
    """Splits text into code points; SPACE_SIGN stands for white space between words.

    Combining marks are tokens of their own, so that text comes back unchanged. As with other
    tokenizers, runs of ASCII white space become one space. SPACE_SIGN in a text comes back as a
    space.
    """

    subword = True

    def __init__(self, spec: TokenizerSpec) -> None:
        self._lowercase = spec.config.lowercase

    def encode(self, line: str) -> list[str]:
        """Return the characters of the line."""
        return list(SPACE_SIGN.join(split_words(line.lower() if self._lowercase else line)))

    def decode(self, tokens: Sequence[str]) -> str:
        """Return the text of the characters."""
        return "".join(tokens).replace(SPACE_SIGN, " ")


class AbsentTokenizer(Tokenizer):
    """Returns no tokens; stands for the source side of a language model."""

    absent = True

    def __init__(self, spec: TokenizerSpec) -> None:
        pass

    def encode(self, line: str) -> list[str]:
        """Return no tokens."""
        return []

    def decode(self, tokens: Sequence[str]) -> str:
        """Return no text."""
        return ""


TOKENIZERS.register("none", NoneConfig, WhitespaceTokenizer, "split at white space only")
TOKENIZERS.register(
    "moses", MosesConfig, "s2st.text.moses_tokenizer:MosesTokenizer", "Moses tokenizer (sacremoses)"
)
TOKENIZERS.register(
    "sentencepiece",
    SentencePieceConfig,
    "s2st.text.sentencepiece_tokenizer:SentencePieceTokenizer",
    "SentencePiece subword pieces",
)
TOKENIZERS.register(
    "subword-nmt",
    SubwordNmtConfig,
    "s2st.text.subword_nmt_tokenizer:SubwordNmtTokenizer",
    "byte-pair encoding of subword-nmt (@@)",
)
TOKENIZERS.register(
    "huggingface",
    HuggingFaceConfig,
    "s2st.text.huggingface_tokenizer:HuggingFaceTokenizer",
    "a tokenizer.json of Hugging Face; byte-level BPE",
)
TOKENIZERS.register("characters", CharactersConfig, CharacterTokenizer, "single characters")
TOKENIZERS.register(
    ABSENT, AbsentConfig, AbsentTokenizer, "no tokens: the source side of a language model"
)


def absent_side() -> TokenizerSpec:
    """Return the spec of a language model's source side; its language has the same name."""
    return TokenizerSpec(ABSENT, AbsentConfig(), ABSENT)


def model_file_name(name: str, language: str) -> str:
    """Return the name of a language's trained model in a store or checkpoint.

    Args:
        name: the tokenizer; one that is not in MODEL_KINDS has no such file today.
        language: the language.
    """
    kind = MODEL_KINDS.get(name)
    return f"{name}.{language}.model" if kind is None else kind.file.format(language)


def save_models(folder: Path, specs: Iterable[TokenizerSpec]) -> list[str]:
    """Write the trained models of the specs into a folder; return the file names."""
    names = []
    for spec in specs:
        if spec.model is not None:
            names.append(model_file_name(spec.name, spec.language))
            durable_files.write_file(folder / names[-1], spec.model)
    return names


def load_spec(record: Any, folder: Path, manifest: Mapping[str, Any]) -> TokenizerSpec:
    """Rebuild a spec from its record; read its model if the folder's manifest lists one.

    Raises:
        CheckpointError: a damaged record, or a model file that differs from the manifest.
        UsageError: an unknown tokenizer or option.
    """
    try:
        name, language, options = record["name"], record["language"], record["options"]
    except (TypeError, KeyError) as error:
        raise CheckpointError(
            "damaged: the record of the tokenizer is malformed", str(folder)
        ) from error
    texts = isinstance(name, str) and isinstance(language, str) and isinstance(options, dict)
    if not texts or not language.isprintable() or "/" in language or language.startswith("."):
        raise CheckpointError("damaged: the record of the tokenizer is malformed", str(folder))
    config = recorded_config(name, options, f"{folder}: tokenizer {name}")
    model = None
    file_name = model_file_name(name, language)
    if file_name in files_of(folder, manifest):
        verify_files(folder, manifest, [file_name])
        model = read_listed(folder / file_name, MAX_MODEL_BYTES)
    return TokenizerSpec(name, config, language, model)


def recorded_config(name: str, options: Mapping[str, Any], where: str) -> Any:
    """Return the config of a tokenizer from its record in a file.

    A number outside its range becomes the default: earlier versions had wider ranges for options
    that only training uses.

    Raises:
        UsageError: an unknown tokenizer or option, or a value of the wrong type.
    """
    config_type = TOKENIZERS.get(name).config_type
    specs = {spec.name: spec for spec in option_specs(config_type)}
    values = {
        name: value
        for name, value in options.items()
        if name not in specs or not _outside(specs[name], value)
    }
    config: Any = make_config(config_type, values, where)
    return config


def _outside(spec: OptionSpec, value: Any) -> bool:
    """Whether a value is a number outside an option's range."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return spec.range.fault(value) is not None


def read_model(path: str, name: str = "sentencepiece") -> bytes:
    """Read the file of a trained model that the user named.

    Args:
        path: the file.
        name: the tokenizer.

    Raises:
        InputMissingError: it cannot be read.
        DataError: it is larger than a model can be.
    """
    return read_bounded(path, MAX_MODEL_BYTES, MODEL_KINDS[name].what)


def import_optional(module: str, package: str, extra: str) -> Any:
    """Import a package that only some tokenizers need; raise UsageError that says how to get it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UsageError(
            f"the tokenizer {extra} needs the package {package}: run pip install 's2st[{extra}]'"
        ) from error
