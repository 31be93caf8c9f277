"""Tokenizers of Hugging Face's package `tokenizers`: a tokenizer.json, or byte-level BPE.

The JSON describes rules and tables only, so that reading a file runs nothing that it contains.
"""

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from s2st.errors import ConfigError, DataError
from s2st.options.option_fields import load_json
from s2st.process.bounded_read import read_bounded
from s2st.process.stop_signals import Stopped
from s2st.text.tokenizers import (
    MAX_MODEL_BYTES,
    HuggingFaceConfig,
    Tokenizer,
    TokenizerSpec,
    import_optional,
)

log = logging.getLogger("s2st")
SPECIAL_WORDS = ("<pad>", "<s>", "</s>", "<unk>")  # of every vocabulary of s2st
# white space in a piece -> its control picture, since a dictionary file has one word a line
SAFE = {ord(space): chr(0x2400 + ord(space)) for space in " \t\n\r\f\v"}
END_OF_TEXT = "<|endoftext|>"  # of GPT-2
SPACES = "[ \\t\\n\\r\\f\\v]+"


class HuggingFaceTokenizer(Tokenizer):
    """Splits text into the pieces of a tokenizer.json.

    The file's template of special tokens, its padding, truncation and dropout are not used.
    `encode` returns what the file would call unknown in the spelling of the text, so that it stays
    readable; such a token is not in `pieces`.
    """

    subword = True

    def __init__(self, spec: TokenizerSpec) -> None:
        if spec.model is None:
            raise ConfigError(
                "the huggingface tokenizer needs a tokenizer.json, but none was given"
            )
        module = import_optional("tokenizers", "tokenizers", "huggingface")
        self.model = spec.model
        self._lowercase = spec.config.lowercase
        self._tokenizer = _parsed(module, spec.model)
        self._unknown = str(getattr(self._tokenizer.model, "unk_token", None) or "")
        vocabulary = self._tokenizer.get_vocab(with_added_tokens=True)
        added = self._tokenizer.get_added_tokens_decoder()
        special = {*SPECIAL_WORDS, self._unknown}
        special |= {token.content for token in added.values() if token.special}
        ordered = sorted(vocabulary, key=lambda piece: (vocabulary[piece], piece))
        self._pieces = [piece for piece in ordered if piece and piece not in special]
        self._spaced = {p.translate(SAFE): p for p in self._pieces if p != p.translate(SAFE)}
        known = self._known = set(self._pieces)
        if len(known - set(self._spaced.values()) | set(self._spaced)) != len(known):
            raise ConfigError("tokenizer.json: two pieces differ only in white space")

    def encode(self, line: str) -> list[str]:
        """Return the pieces of the line, and the parts of the text that the file lacks."""
        text = line.lower() if self._lowercase else line
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        tokens: list[str] = encoding.tokens
        if self._unknown and self._unknown in tokens:
            tokens = [
                self._spelled(text[slice(*place)]) if token == self._unknown else token
                for token, place in zip(tokens, encoding.offsets, strict=True)
            ]
        return [token.translate(SAFE) for token in tokens if token]

    def _spelled(self, part: str) -> str:
        """Return an unknown part of the text as a token that is not a piece."""
        return part if part.strip() and part not in self._known else self._unknown

    def decode(self, tokens: Sequence[str]) -> str:
        """Return the text of the pieces."""
        plain = [self._spaced.get(token, token) for token in tokens]
        decoder = self._tokenizer.decoder
        text: str = " ".join(plain) if decoder is None else decoder.decode(plain)
        return " ".join(text.split("\n"))

    def pieces(self) -> list[str]:
        """Return the pieces that text can consist of."""
        return [piece.translate(SAFE) for piece in self._pieces]


def _parsed(module: Any, model: bytes) -> Any:
    """Return the package's tokenizer; raise ConfigError if the file is not one of its kind."""
    try:
        text = model.decode("utf-8-sig")
        described = load_json(text)
        if not isinstance(described, dict) or "model" not in described:
            raise ValueError("not a description of a tokenizer")
        tokenizer = module.Tokenizer.from_str(text)
    except Stopped:
        raise
    except BaseException as error:  # an error in Rust may be no Exception
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        reason = " ".join(str(error).split())[:200]
        raise ConfigError(f"not a tokenizer.json of Hugging Face, or damaged: {reason}") from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokenizer.encode_special_tokens = True  # <s> in a text is text
    if getattr(tokenizer.model, "dropout", None) is not None:
        tokenizer.model.dropout = None
    return tokenizer


def train_byte_bpe(lines: Iterable[str], config: HuggingFaceConfig, language: str) -> bytes:
    """Train byte-level BPE (Radford et al. 2019): it has no unknown characters.

    White space is treated as by s2st's other tokenizers: runs of ASCII white space become one
    space. The file says so itself, so that other programs read text alike.

    Args:
        lines: the text; errors of the iterator are raised unchanged.
        config: number of pieces.
        language: language of the text, for messages.

    Returns:
        The content of a tokenizer.json.

    Raises:
        DataError: there is no text to train on.
        UsageError: the package is not installed.
    """
    module = import_optional("tokenizers", "tokenizers", "huggingface")
    before, after, rewrite = module.pre_tokenizers, module.decoders, module.normalizers
    tokenizer = module.Tokenizer(module.models.BPE())
    tokenizer.normalizer = rewrite.Sequence(
        [
            rewrite.Replace(module.Regex(SPACES), " "),
            rewrite.Replace(module.Regex("\\A | \\z"), ""),
        ]
    )
    tokenizer.pre_tokenizer = before.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = after.Sequence([after.ByteLevel(), after.Strip(" ", 1, 0)])
    trainer = module.trainers.BpeTrainer(
        vocab_size=config.byte_bpe_vocab_size,
        initial_alphabet=before.ByteLevel.alphabet(),
        special_tokens=[],
        show_progress=False,
    )
    seen = 0

    def texts() -> Iterable[str]:
        nonlocal seen
        for line in lines:
            seen += bool(line.strip())
            yield line.lower() if config.lowercase else line

    tokenizer.train_from_iterator(texts(), trainer)
    if not seen:
        raise DataError(f"{language}: there is no text to train byte-level BPE on")
    size = tokenizer.get_vocab_size()
    if size < config.byte_bpe_vocab_size:
        log.warning(
            "%s: byte-level BPE made %s pieces, not --byte-bpe-vocab-size %s: the text does not "
            "have more", language, f"{size:,}", config.byte_bpe_vocab_size,
        )  # fmt: skip
    text: str = tokenizer.to_str()
    return text.encode()


def byte_bpe_of_files(vocabulary: Path, merges: Path) -> bytes:
    """Return the tokenizer.json of byte-level BPE that GPT-2 keeps in two files.

    Args:
        vocabulary: `vocab.json`, the number of each token.
        merges: `merges.txt`, one merge a line.

    Raises:
        InputMissingError: a file cannot be read.
        DataError: a file is not of its kind.
        UsageError: the package is not installed.
    """
    module = import_optional("tokenizers", "tokenizers", "huggingface")
    for path in (vocabulary, merges):
        read_bounded(path, MAX_MODEL_BYTES, "a file of byte-level BPE")
    try:
        model = module.models.BPE.from_file(str(vocabulary), str(merges))
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{vocabulary} and {merges} are not byte-level BPE: {reason}") from error
    tokenizer = module.Tokenizer(model)
    tokenizer.pre_tokenizer = module.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = module.decoders.ByteLevel()
    if tokenizer.token_to_id(END_OF_TEXT) is not None:
        tokenizer.add_special_tokens([END_OF_TEXT])
    text: str = tokenizer.to_str()
    return text.encode()
