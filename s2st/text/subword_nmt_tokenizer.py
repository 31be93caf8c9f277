"""Byte-pair encoding of subword-nmt (Sennrich et al. 2016), with codes from its files.

The package `subword-nmt` does the work. It leaves the program on a malformed codes file, keeps
draws of BPE-dropout in its cache, and needs quadratic time for a long word; this module avoids
these three.
"""

import contextlib
import io
import logging
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from s2st.errors import ConfigError, DataError
from s2st.text.line_files import split_words
from s2st.text.tokenizers import (
    MosesConfig,
    SampledTokenizer,
    SubwordNmtConfig,
    Tokenizer,
    TokenizerSpec,
    import_optional,
)

log = logging.getLogger("s2st")
MARK = "@@"  # at the end of a token that its word continues
END = "</w>"  # at the end of the last symbol of a word, in codes
VERSION_MARK = "#version:"
VERSIONS = ("0.1", "0.2")  # of the codes that subword-nmt reads
LONGEST = 1000  # longer words are cut, since the package needs quadratic time
CACHED_WORDS = 1_000_000


class SubwordNmtTokenizer(SampledTokenizer):
    """Splits words into subwords; `@@` at a token's end says that the word goes on.

    Text in which a word ends with `@@` loses this mark, as with subword-nmt itself.
    """

    subword = True

    def __init__(self, spec: TokenizerSpec) -> None:
        if spec.model is None:
            raise ConfigError("the subword-nmt tokenizer needs a codes file, but none was given")
        module = import_optional("subword_nmt.apply_bpe", "subword-nmt", "subword-nmt")
        self.model = spec.model
        codes = checked_codes(spec.model)
        self._bpe = module.BPE(io.StringIO(codes))
        self._drawing = module.BPE(io.StringIO(codes))
        self._lowercase = spec.config.lowercase
        self._moses: Tokenizer | None = None
        if spec.config.bpe_words == "moses":
            self._moses = TokenizerSpec("moses", MosesConfig(), spec.language).build()

    def encode(self, line: str) -> list[str]:
        """Return the subwords of the line."""
        text = line.lower() if self._lowercase else line
        words = split_words(text) if self._moses is None else self._moses.encode(text)
        if len(self._bpe.cache) > CACHED_WORDS:
            self._bpe.cache.clear()
        return _segment(self._bpe, words)

    def decode(self, tokens: Sequence[str]) -> str:
        """Return the text, with the subwords of a word joined."""
        words = [_joined(group) for group in _groups(tokens)]
        return " ".join(words) if self._moses is None else self._moses.decode(words)

    def word_starts(self, tokens: Sequence[str]) -> list[bool]:
        """Return for each subword whether the one before it ends its word."""
        return [not i or not tokens[i - 1].endswith(MARK) for i in range(len(tokens))]

    def remarks(self) -> list[str]:
        """Return the warnings of the Moses tokenizer, if it is used."""
        return [] if self._moses is None else self._moses.remarks()

    def further_tokens(self, tokens: Iterable[str]) -> list[str]:
        """Return both forms of each character, and what merges make of these characters.

        BPE-dropout and rare words consist of these.
        """
        characters = sorted(set().union(*(token.removesuffix(MARK) for token in tokens)))
        symbols = ["".join(pair) for pair in self._bpe.bpe_codes]
        merged = [
            symbol.removesuffix(END) if symbol.endswith(END) else symbol + MARK
            for symbol in symbols
            if set(symbol.removesuffix(END)).issubset(characters)
        ]
        forms = [form for c in characters for form in (c, c + MARK)]
        return [token for token in dict.fromkeys([*forms, *merged]) if token]

    # subword regularization

    def can_resample(self) -> bool:
        """Return True."""
        return True

    def resample(
        self,
        tokens: Sequence[str],
        known: Callable[[str], bool],
        seed: int,
        unigram_alpha: float,
        bpe_dropout: float,
    ) -> list[str]:
        """Return subwords of BPE-dropout.

        A word stays as it is if its tokens are not its BPE, or if its draw is not known.
        """
        drawn: list[str] = []
        state = random.getstate()
        random.seed(seed)  # the package draws from Python's own generator
        try:
            for group in _groups(tokens):
                word = _joined(group)
                if word and _segment(self._bpe, [word]) == group:
                    other = _segment(self._drawing, [word], bpe_dropout)
                    self._drawing.cache.clear()  # the package keeps draws there
                    group = other if all(map(known, other)) else group
                drawn += group
        finally:
            random.setstate(state)
        return drawn


def _segment(bpe: Any, words: Sequence[str], dropout: float = 0.0) -> list[str]:
    """Return the subwords of words, by the package."""
    if all(len(word) <= LONGEST for word in words):
        tokens: list[str] = bpe.segment_tokens(words, dropout)
        return tokens
    tokens = []
    for word in words:
        parts = [word[start : start + LONGEST] for start in range(0, len(word), LONGEST)]
        for part in parts:
            tokens += bpe.segment_tokens([part], dropout)
            if part is not parts[-1]:
                tokens[-1] += MARK
    return tokens


def _groups(tokens: Iterable[str]) -> Iterator[list[str]]:
    """Yield the tokens of each word."""
    group: list[str] = []
    for token in tokens:
        group.append(token)
        if not token.endswith(MARK):
            yield group
            group = []
    if group:
        yield group


def _joined(group: Sequence[str]) -> str:
    """Return the word of its tokens."""
    return "".join(token.removesuffix(MARK) for token in group)


def checked_codes(model: bytes) -> str:
    """Return the text of a codes file; raise ConfigError with the first line that is wrong.

    The package would leave the program, or fail later without a line number.
    """
    try:
        text = model.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise ConfigError(f"codes of subword-nmt: not UTF-8 at byte {error.start + 1}") from error
    lines = text.rstrip("\n").split("\n")
    if "\x00" in text:
        raise ConfigError("codes of subword-nmt: this is not a text file")
    first = 0
    if lines[0].startswith(VERSION_MARK):
        version = lines[0].removeprefix(VERSION_MARK).strip()
        if version not in VERSIONS:
            raise ConfigError(
                f"codes of subword-nmt, line 1: version {version[:20]!r} is not one of "
                f"{', '.join(VERSIONS)}"
            )
        first = 1
    if lines[first:] in ([], [""]):
        raise ConfigError("codes of subword-nmt: there are no merges in the file")
    for number, line in enumerate(lines[first:], start=first + 1):
        units = line.strip("\r\n ").split(" ")
        if len(units) == 2 and all(units):
            continue
        hint = ""
        if len(units) == 3 and units[2].isdigit():
            hint = "; this looks like fastBPE: keep two columns, below a line `#version: 0.2`"
        raise ConfigError(
            f"codes of subword-nmt, line {number}: expected two symbols separated by a space, "
            f"found {len(units)} fields{hint}"
        )
    return text


def train_subword_nmt(lines: Iterable[str], config: SubwordNmtConfig, language: str) -> bytes:
    """Learn merges with subword-nmt on the words of lines.

    Args:
        lines: the text; errors of the iterator are raised unchanged.
        config: number of merges, and what splits text into words.
        language: language of the text, for Moses and for messages.

    Returns:
        The content of a codes file.

    Raises:
        DataError: there is nothing to learn.
        UsageError: the package is not installed.
    """
    module = import_optional("subword_nmt.learn_bpe", "subword-nmt", "subword-nmt")
    moses = None
    if config.bpe_words == "moses":
        moses = TokenizerSpec("moses", MosesConfig(), language).build()
    counts: dict[str, int] = {}
    for line in lines:
        text = line.lower() if config.lowercase else line
        for word in split_words(text) if moses is None else moses.encode(text):
            counts[word] = counts.get(word, 0) + 1
    # the package takes some characters, such as no-break spaces, for the end of a symbol
    usable = (word for word in counts if len(word) <= LONGEST and len(word.split()) == 1)
    table = [f"{word} {counts[word]}" for word in usable]
    output = io.StringIO()
    module.tqdm = lambda rounds: rounds  # its progress bar would leave a semaphore behind
    with contextlib.redirect_stderr(io.StringIO()):  # where the package says that it stops early
        if any(len(row.split(" ")[0]) > 1 for row in table):
            module.learn_bpe(table, output, config.bpe_merges, is_dict=True)
    merges = max(0, output.getvalue().count("\n") - 1)
    if not merges:
        raise DataError(f"{language}: there is too little text to learn BPE on")
    if merges < config.bpe_merges:
        log.warning(
            "%s: subword-nmt found %s merges, not --bpe-merges %s: the text does not have more",
            language, f"{merges:,}", config.bpe_merges,
        )  # fmt: skip
    return output.getvalue().encode()
