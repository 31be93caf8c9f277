"""Tokenisers (registry): a line of text to words or pieces and back.

A tokeniser is named with its options in a store's manifest and in a checkpoint; a trained one
(SentencePiece) keeps its model file beside it.
"""

import io
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from s2st import durable
from s2st.config import config_values, make_config, option
from s2st.errors import CheckpointError, ConfigError, InputMissingError
from s2st.manifest import files_of, read_listed, verify_files
from s2st.reading import read_whole, why_not
from s2st.registry import Registry
from s2st.text.lines import split_words

NOTHING = "nothing"
MOST_MODEL_BYTES = 1 << 26  # of a SentencePiece model; those of 250,000 pieces have 5 MB


class Tokenizer(ABC):
    """Splits lines of one language and joins them again.

    Attributes:
        model: the trained file, if the tokeniser has one.
        subword: its tokens are pieces, which mean nothing to other programs.
        silent: it gives no tokens, whatever the line.
    """

    model: bytes | None = None
    subword: bool = False
    silent: bool = False

    @abstractmethod
    def encode(self, line: str) -> list[str]:
        """Tokens of a line, none of which is empty or holds ASCII white space."""

    @abstractmethod
    def decode(self, tokens: Sequence[str]) -> str:
        """The text of tokens, as a reader wants it; never holds a newline."""


@dataclass(frozen=True)
class NoneConfig:
    """Options of the tokeniser `none`."""

    lowercase: bool = option(False, "lower-case the text first")


@dataclass(frozen=True)
class NothingConfig:
    """The tokeniser `nothing` has no options."""


@dataclass(frozen=True)
class MosesConfig:
    """Options of the tokeniser `moses`."""

    lowercase: bool = option(False, "lower-case the text first")
    moses_escape: bool = option(True, "escape special characters (&apos; and so on) as Moses does")
    moses_aggressive_dashes: bool = option(False, "split dashes within words as @-@")


@dataclass(frozen=True)
class SentencePieceConfig:
    """Options of the tokeniser `sentencepiece`; the last three only matter when it trains."""

    lowercase: bool = option(False, "lower-case the text first")
    sentencepiece_vocab_size: int = option(8000, "pieces a side (training)", minimum=8)
    sentencepiece_model_type: str = option(
        "unigram", "kind of model to train", choices=("unigram", "bpe", "char", "word")
    )
    sentencepiece_coverage: float = option(
        0.9995, "share of characters covered (training)", minimum=0.0, maximum=1.0
    )


@dataclass(frozen=True)
class TokenizerSpec:
    """What rebuilds a tokeniser: its name, options and language, and its trained model if any."""

    name: str
    config: Any
    language: str
    model: bytes | None = None

    def build(self) -> Tokenizer:
        """The tokeniser; raises ConfigError if it needs a model that is missing or broken."""
        return TOKENIZERS.get(self.name).build(self)

    def record(self) -> dict[str, Any]:
        """Plain JSON values, without the model."""
        options = config_values(self.config)
        return {"name": self.name, "language": self.language, "options": options}


TOKENIZERS: Registry[Tokenizer] = Registry("tokenizer")


class WhitespaceTokenizer(Tokenizer):
    """Words between ASCII white space; for text that is tokenised already."""

    def __init__(self, spec: TokenizerSpec) -> None:
        self._lowercase = spec.config.lowercase

    def encode(self, line: str) -> list[str]:
        """Words of the line."""
        return split_words(line.lower() if self._lowercase else line)

    def decode(self, tokens: Sequence[str]) -> str:
        """The words with a space between."""
        return " ".join(tokens)


class NothingTokenizer(Tokenizer):
    """No tokens at all: the source side of a language model."""

    silent = True

    def __init__(self, spec: TokenizerSpec) -> None:
        pass

    def encode(self, line: str) -> list[str]:
        """No tokens."""
        return []

    def decode(self, tokens: Sequence[str]) -> str:
        """No text."""
        return ""


class MosesTokenizer(Tokenizer):
    """The Moses tokeniser and detokeniser of sacremoses."""

    def __init__(self, spec: TokenizerSpec) -> None:
        import sacremoses

        self._config = spec.config
        self._tokenizer = sacremoses.MosesTokenizer(lang=spec.language)
        self._detokenizer = sacremoses.MosesDetokenizer(lang=spec.language)

    def encode(self, line: str) -> list[str]:
        """Moses tokens of the line."""
        text = self._tokenizer.tokenize(
            line.lower() if self._config.lowercase else line,
            escape=self._config.moses_escape,
            aggressive_dash_splits=self._config.moses_aggressive_dashes,
            return_str=True,
        )
        return split_words(text)

    def decode(self, tokens: Sequence[str]) -> str:
        """Detokenised text."""
        joined: str = self._detokenizer.detokenize(list(tokens), unescape=True)
        return " ".join(joined.split("\n"))


class SentencePieceTokenizer(Tokenizer):
    """Subword pieces of a SentencePiece model."""

    subword = True

    def __init__(self, spec: TokenizerSpec) -> None:
        import sentencepiece

        if spec.model is None:
            raise ConfigError("the sentencepiece tokenizer needs a model; none was given")
        self.model = spec.model
        self._lowercase = spec.config.lowercase
        try:
            if not spec.model:  # the library takes an empty model for none at all
                raise RuntimeError("empty")
            self._processor = sentencepiece.SentencePieceProcessor(model_proto=spec.model)
            self._processor.get_piece_size()
        except RuntimeError as error:
            raise ConfigError("not a SentencePiece model, or a damaged one") from error

    def encode(self, line: str) -> list[str]:
        """Pieces of the line; a character outside the model is a piece of its own."""
        text = line.lower() if self._lowercase else line
        pieces: list[str] = self._processor.encode(text, out_type=str)
        return [word for piece in pieces for word in split_words(piece)]

    def decode(self, tokens: Sequence[str]) -> str:
        """The text that the pieces spell."""
        text: str = self._processor.decode_pieces(list(tokens))
        return " ".join(text.split("\n"))


TOKENIZERS.register("none", NoneConfig, WhitespaceTokenizer, "split at white space only")
TOKENIZERS.register("moses", MosesConfig, MosesTokenizer, "Moses tokeniser (sacremoses)")
TOKENIZERS.register(
    "sentencepiece", SentencePieceConfig, SentencePieceTokenizer, "SentencePiece pieces"
)
TOKENIZERS.register(
    NOTHING, NothingConfig, NothingTokenizer, "no tokens: the source side of a language model"
)


def nothing() -> TokenizerSpec:
    """The source side of a language model; its language has the same name."""
    return TokenizerSpec(NOTHING, NothingConfig(), NOTHING)


def train_sentencepiece(lines: Iterable[str], config: SentencePieceConfig) -> bytes:
    """Trains a model on lines, at most a million of them drawn at random; returns its file.

    Raises:
        ConfigError: the text does not support so many pieces.
    """
    import sentencepiece

    output = io.BytesIO()
    texts = (line.lower() if config.lowercase else line for line in lines)
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=(text for text in texts if text.strip()),
            model_writer=output,
            vocab_size=config.sentencepiece_vocab_size,
            model_type=config.sentencepiece_model_type,
            character_coverage=config.sentencepiece_coverage,
            input_sentence_size=1_000_000,
            shuffle_input_sentence=True,
            hard_vocab_limit=False,
            num_threads=2,
            minloglevel=2,
        )
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise ConfigError(f"SentencePiece cannot train on this text: {reason}") from error
    return output.getvalue()


def model_file_name(language: str) -> str:
    """Name of a side's trained model file in a store or checkpoint."""
    return f"sentencepiece.{language}.model"


def save_models(folder: Path, specs: Iterable[TokenizerSpec]) -> list[str]:
    """Writes the trained models of the specs into a folder; returns the file names."""
    names = []
    for spec in specs:
        if spec.model is not None:
            names.append(model_file_name(spec.language))
            durable.write_file(folder / names[-1], spec.model)
    return names


def load_spec(record: Any, folder: Path, manifest: Mapping[str, Any]) -> TokenizerSpec:
    """Rebuilds a spec from its record; its model is read if the folder's manifest lists it.

    Raises:
        CheckpointError: a damaged record, or a model that is not the manifest's.
        UsageError: an unknown tokeniser or option.
    """
    try:
        name, language, options = record["name"], record["language"], record["options"]
    except (TypeError, KeyError) as error:
        raise CheckpointError("the record of the tokenizer is damaged", str(folder)) from error
    texts = isinstance(name, str) and isinstance(language, str) and isinstance(options, dict)
    if not texts or not language.isprintable() or "/" in language or language.startswith("."):
        raise CheckpointError("the record of the tokenizer is damaged", str(folder))
    entry = TOKENIZERS.get(name)
    config: Any = make_config(entry.config_type, options, f"{folder}: tokenizer {name}")
    model = None
    file_name = model_file_name(language)
    if file_name in files_of(folder, manifest):
        verify_files(folder, manifest, [file_name])
        model = read_listed(folder / file_name, MOST_MODEL_BYTES)
    return TokenizerSpec(name, config, language, model)


def read_model(path: str) -> bytes:
    """Reads a SentencePiece model file that the user named.

    Raises:
        InputMissingError: it cannot be read.
        DataError: it is larger than a model can be.
    """
    try:
        return read_whole(path, MOST_MODEL_BYTES, regular=False)
    except OSError as error:
        raise InputMissingError(f"{path}: cannot be read: {why_not(path, error)}") from error
