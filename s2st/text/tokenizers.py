"""Tokenisers (registry): a line of text to words or pieces and back.

A tokeniser is named with its options in a store's manifest and in a checkpoint; a trained one
(SentencePiece) keeps its model file beside it.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from s2st.errors import CheckpointError, ConfigError
from s2st.options.config import OptionSpec, config_values, make_config, option, option_specs
from s2st.options.registry import Registry
from s2st.process import durable_files
from s2st.process.input_files import read_bounded
from s2st.process.manifest import files_of, read_listed, verify_files
from s2st.text.line_files import split_words

ABSENT = "nothing"
MOST_MODEL_BYTES = 1 << 28  # of a SentencePiece model
BLANK = "\u2581"  # how SentencePiece writes a blank within a piece
WITHOUT_BLANKS = ("zh", "ja", "yue", "th", "lo", "km", "my", "bo", "dz")  # between words
_ASCII_SPACE = re.compile(r"[ \t\n\r\f\v]+")


class Tokenizer(ABC):
    """Splits lines of one language and joins them again.

    Attributes:
        model: the trained file, if the tokeniser has one.
        subword: its tokens are pieces, which mean nothing to other programs.
        absent: the side has no text: there are no tokens, whatever the line.
    """

    model: bytes | None = None
    subword: bool = False
    absent: bool = False

    @abstractmethod
    def encode(self, line: str) -> list[str]:
        """Tokens of a line, none of which is empty or holds ASCII white space."""

    @abstractmethod
    def decode(self, tokens: Sequence[str]) -> str:
        """The text of tokens, as a reader wants it; never holds a newline."""

    def pieces(self) -> list[str] | None:
        """All tokens that it knows, where training fixed them; None where text decides."""
        return None

    def remarks(self) -> list[str]:
        """What the user had better know about this tokenizer and its language, one line each."""
        return []


@dataclass(frozen=True)
class NoneConfig:
    """Options of the tokeniser `none`."""

    lowercase: bool = option(False, "lower-case the text first")


@dataclass(frozen=True)
class AbsentConfig:
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
    sentencepiece_vocab_size: int = option(
        8000, "pieces a side (training)", minimum=8, maximum=1_000_000
    )
    sentencepiece_model_type: str = option(
        "unigram", "kind of model to train", choices=("unigram", "bpe", "char", "word")
    )
    sentencepiece_coverage: float = option(
        0.9995, "share of characters covered (training)", minimum=0.98, maximum=1.0
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


TOKENIZERS: Registry[Tokenizer] = Registry("tokenizer", "s2st.text.tokenizers:Tokenizer")


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


class AbsentTokenizer(Tokenizer):
    """No tokens at all: the source side of a language model."""

    absent = True

    def __init__(self, spec: TokenizerSpec) -> None:
        pass

    def encode(self, line: str) -> list[str]:
        """No tokens."""
        return []

    def decode(self, tokens: Sequence[str]) -> str:
        """No text."""
        return ""


class MosesTokenizer(Tokenizer):
    """The Moses tokenizer and detokenizer of sacremoses; the guide says where they differ."""

    def __init__(self, spec: TokenizerSpec) -> None:
        import sacremoses

        self._language = spec.language
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

    def remarks(self) -> list[str]:
        """Languages that sacremoses takes for English, and those whose words it cannot find."""
        from sacremoses.corpus import NonbreakingPrefixes

        language = self._language
        found = []
        if language in WITHOUT_BLANKS:
            found.append(
                f"--tokenizer moses does not find the words of language {language!r}: segment the "
                "text before, or take --tokenizer sentencepiece"
            )
        known = {*NonbreakingPrefixes().available_langs.values(), "ja", "ko"}
        if language not in known:
            parts = [*re.split("[^a-z]+", language.lower()), language[:2].lower()]
            near = next((part for part in parts if part in known), None)
            hint = f"; did you mean {near}?" if near else ""
            found.append(
                f"--tokenizer moses has no rules for language {language!r}: it takes those of "
                f"English{hint}"
            )
        return found


class SentencePieceTokenizer(Tokenizer):
    """Subword pieces of a SentencePiece model.

    Characters that the model lacks stay in the text's own spelling: `encode` gives each run of them
    as one token, which is none of `pieces` and hence unknown, and `decode` gives it back.
    """

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
        """Pieces of the line, and runs of characters that the model lacks."""
        text = line.lower() if self._lowercase else line
        pieces: list[str] = self._processor.encode(text, out_type=str)
        return [_without_space(piece) for piece in pieces]

    def decode(self, tokens: Sequence[str]) -> str:
        """The text that the pieces spell."""
        text: str = self._processor.decode_pieces(list(tokens))
        # of tokens that are no pieces the library leaves the signs of blanks, the first one too
        return " ".join(text.removeprefix(BLANK).split("\n")).replace(BLANK, " ")

    def pieces(self) -> list[str]:
        """The model's pieces that text can consist of, without `<unk>`, `<s>` and `</s>`."""
        own = self._processor
        never = (own.is_unknown, own.is_control, own.is_unused)
        found = (
            _without_space(own.id_to_piece(index))
            for index in range(own.get_piece_size())
            if not any(check(index) for check in never)
        )
        return list(dict.fromkeys(piece for piece in found if piece))


def _without_space(piece: str) -> str:
    """A piece as the dictionary can hold it; some models have pieces such as a tab."""
    return piece if piece.isprintable() and " " not in piece else _ASCII_SPACE.sub(BLANK, piece)


TOKENIZERS.register("none", NoneConfig, WhitespaceTokenizer, "split at white space only")
TOKENIZERS.register("moses", MosesConfig, MosesTokenizer, "Moses tokeniser (sacremoses)")
TOKENIZERS.register(
    "sentencepiece", SentencePieceConfig, SentencePieceTokenizer, "SentencePiece pieces"
)
TOKENIZERS.register(
    ABSENT, AbsentConfig, AbsentTokenizer, "no tokens: the source side of a language model"
)


def absent_side() -> TokenizerSpec:
    """The source side of a language model; its language has the same name."""
    return TokenizerSpec(ABSENT, AbsentConfig(), ABSENT)


def model_file_name(language: str) -> str:
    """Name of a side's trained model file in a store or checkpoint."""
    return f"sentencepiece.{language}.model"


def save_models(folder: Path, specs: Iterable[TokenizerSpec]) -> list[str]:
    """Writes the trained models of the specs into a folder; returns the file names."""
    names = []
    for spec in specs:
        if spec.model is not None:
            names.append(model_file_name(spec.language))
            durable_files.write_file(folder / names[-1], spec.model)
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
    config = recorded_config(name, options, f"{folder}: tokenizer {name}")
    model = None
    file_name = model_file_name(language)
    if file_name in files_of(folder, manifest):
        verify_files(folder, manifest, [file_name])
        model = read_listed(folder / file_name, MOST_MODEL_BYTES)
    return TokenizerSpec(name, config, language, model)


def recorded_config(name: str, options: Mapping[str, Any], where: str) -> Any:
    """The config of a tokenizer from its record in a file.

    A number outside the limits becomes the default: earlier versions had wider limits for options
    that only the training of a model reads.

    Raises:
        UsageError: an unknown tokenizer or option, or a value of another type.
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
    """Whether a value is a number beyond an option's limits."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return spec.range.fault(value) is not None


def read_model(path: str) -> bytes:
    """Reads a SentencePiece model file that the user named.

    Raises:
        InputMissingError: it cannot be read.
        DataError: it is larger than a model can be.
    """
    return read_bounded(path, MOST_MODEL_BYTES, "a SentencePiece model")
