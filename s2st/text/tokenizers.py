"""Tokenizers and their registry: white space, characters, Moses, subwords, none for an absent side.

The manifest of a store or checkpoint records a tokenizer's name and options. The model file of a
trained tokenizer (SentencePiece, subword-nmt, Hugging Face) is stored in the same folder.
"""

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from s2st.errors import UsageError
from s2st.options.option_fields import config_values, option
from s2st.options.registry import Registry
from s2st.text.line_files import split_words

ABSENT = "nothing"
VECTORS = "vectors"  # of a source of vectors
INTERNAL = {  # which users do not choose
    ABSENT: "it is set by `s2st preprocess --only-target`",
    VECTORS: "it is set by `s2st preprocess --source-vectors`",
}
MAX_MODEL_BYTES = 1 << 28  # of a trained model's file
SPACE_SIGN = "\u2581"  # SentencePiece's sign for a space in a piece


class Tokenizer(ABC):
    """Interface of a tokenizer: split lines of one language into tokens and join them again.

    Attributes:
        model: content of the trained model file, if the tokenizer has one (`MODEL_KINDS`).
        subword: whether tokens are subword pieces, which mean nothing to other programs.
        absent: whether the side has no text, so that every line has no tokens.
        vector_size: size of the vectors that are the tokens of a line; 0 for text.
    """

    model: bytes | None = None
    subword: bool = False
    absent: bool = False
    vector_size: int = 0

    @abstractmethod
    def encode(self, line: str) -> list[str]:
        """Return the tokens of a line; no token is empty or contains ASCII white space."""

    @abstractmethod
    def decode(self, tokens: Sequence[str]) -> str:
        """Return the detokenized text, without newlines."""

    def word_starts(self, tokens: Sequence[str]) -> list[bool]:
        """Return for each token of a text whether it begins a word; the first one does.

        This default says yes for tokens that are words. For pieces, it asks `decode` where the
        white space is.
        """
        if not self.subword:
            return [True] * len(tokens)
        starts: list[bool] = []
        before, space = "", True  # the text so far, and whether it ends with a space
        for end in range(1, len(tokens) + 1):
            text = self.decode(tokens[:end])
            more = len(split_words(text)) > len(split_words(before))
            blank = text.strip() == before.strip() and (not text or text[-1].isspace())
            # a space of its own begins the word that follows
            starts.append(not starts or ((more or blank) and not space))
            before, space = text, blank
        return starts

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
class VectorsConfig:
    """The tokenizer `vectors`, which `preprocess --source-vectors` sets."""

    vector_size: int = option(1, "size of a vector", minimum=1, maximum=1_000_000)


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

    lowercase: bool = option(False, "lowercase the text first")


@dataclass(frozen=True)
class SubwordNmtConfig:
    """Options of the tokenizer `subword-nmt`; training alone uses the last one."""

    lowercase: bool = option(False, "lowercase the text first")
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

    lowercase: bool = option(False, "lowercase the text first")
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

    @property
    def vector_size(self) -> int:
        """Size of the vectors that are the tokens; 0 for text."""
        return self.config.vector_size if self.name == VECTORS else 0

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

    def word_starts(self, tokens: Sequence[str]) -> list[bool]:
        """Return for each character whether it is the space before a word, or the first."""
        return space_starts(tokens)

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
TOKENIZERS.register(
    VECTORS,
    VectorsConfig,
    "s2st.text.vector_lines:VectorTokenizer",
    "no text: the source of preprocess --source-vectors",
)


def vectors_side(language: str, size: int) -> TokenizerSpec:
    """Return the spec of a source of vectors of a size."""
    return TokenizerSpec(VECTORS, VectorsConfig(size), language)


def space_starts(tokens: Sequence[str]) -> list[bool]:
    """Return for each piece whether it begins with SPACE_SIGN, or is the first one."""
    return [not place or token.startswith(SPACE_SIGN) for place, token in enumerate(tokens)]


def absent_side() -> TokenizerSpec:
    """Return the spec of a language model's source side; its language has the same name."""
    return TokenizerSpec(ABSENT, AbsentConfig(), ABSENT)


def import_optional(module: str, package: str, extra: str) -> Any:
    """Import a package that only some tokenizers need; raise UsageError that says how to get it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UsageError(
            f"the tokenizer {extra} needs the package {package}: run pip install 's2st[{extra}]'"
        ) from error
