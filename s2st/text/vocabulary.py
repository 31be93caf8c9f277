"""Vocabulary: words and their ids, and the dictionary file `dict.LANG.txt`.

Ids 0 to 3 are `<pad> <s> </s> <unk>`. The file has one `token count` line for each other word, most
frequent first, so that line i (from 0) has id i + 4.

A vocabulary of several target languages has a tag for each, such as `<2fr>` (Johnson et al. 2017).
Tags have the ids from 4 on, and lines `<2fr> tag` at the start of the file. No text contains a tag:
a word of the text that looks like one is unknown.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from s2st.errors import DataError
from s2st.options.option_fields import shown
from s2st.process import durable_files
from s2st.text.dictionary_format_detection import is_json, is_numbered, probable_kind
from s2st.text.line_files import read_lines, split_words

SPECIALS = ("<pad>", "<s>", "</s>", "<unk>")
PAD_ID, BOS_ID, EOS_ID, UNK_ID = range(4)
TAG_LINE = re.compile(r"<2(\w{1,40})> tag")
MAX_CHARACTERS = 10_000  # of a word; a longer one means that the file has another format


class Vocabulary:
    """Words and their ids. A word of the text that looks like a special token maps to unk.

    Args:
        words: the words in order of id, after the special tokens.
        counts: frequency of each word in the training text; same length.
        languages: target languages that have a tag.

    Attributes:
        tokens: special tokens (with tags) and words, by id.
        tags: id of the tag of each language.
        first_word: number of special tokens, tags included; the id of the first word.
    """

    def __init__(
        self, words: Sequence[str], counts: Sequence[int], languages: Sequence[str] = ()
    ) -> None:
        if len(words) != len(counts):
            raise ValueError(f"{len(words)} words but {len(counts)} counts")
        special = (*SPECIALS, *map(tag_token, languages))
        self.first_word = len(special)
        self.tags = {name: index for index, name in enumerate(languages, start=len(SPECIALS))}
        self.tokens: tuple[str, ...] = special + tuple(words)
        self.counts: tuple[int, ...] = (*(0 for _ in special), *counts)
        self._ids = dict(zip(words, range(self.first_word, len(self.tokens)), strict=True))
        if len(self._ids) != len(words) or any(token in self._ids for token in special):
            raise ValueError("a vocabulary's words must be distinct and not special tokens")

    def __len__(self) -> int:
        return len(self.tokens)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Vocabulary):
            return False
        return self.tokens == other.tokens and self.tags == other.tags

    def __hash__(self) -> int:
        return hash(self.tokens)

    def __contains__(self, token: str) -> bool:
        return token in self._ids

    def id(self, token: str) -> int:
        """Return the id of a word, UNK_ID if it is unknown."""
        return self._ids.get(token, UNK_ID)

    def encode(self, tokens: Iterable[str]) -> list[int]:
        """Return the ids of words, without EOS."""
        get = self._ids.get
        return [get(token, UNK_ID) for token in tokens]

    def decode(self, ids: Iterable[int]) -> list[str]:
        """Return the words of ids, without pad, BOS, EOS and tags; unknown words are `<unk>`."""
        first = self.first_word
        return [self.tokens[i] for i in ids if i >= first or i == UNK_ID]

    def mapping_to(self, other: "Vocabulary") -> npt.NDArray[np.int64]:
        """Return, for each id, the id of the same word in `other`, or UNK_ID."""
        specials = list(range(len(SPECIALS)))
        tags = [other.tags.get(name, UNK_ID) for name in self.tags]
        words = [other.id(token) for token in self.tokens[self.first_word :]]
        return np.array(specials + tags + words, dtype=np.int64)

    @classmethod
    def build(
        cls,
        counts: Mapping[str, int],
        max_words: int | None = None,
        threshold: int = 0,
        languages: Sequence[str] = (),
    ) -> "Vocabulary":
        """Build a vocabulary of the most frequent words.

        Words of equal frequency are sorted by code points, so that the result does not depend on
        the order of counting. Words of more than MAX_CHARACTERS are left out, hence unknown.

        Args:
            counts: frequency of each word.
            max_words: number of words to keep, without the special tokens; None keeps all.
            threshold: lowest frequency of a word to keep.
            languages: target languages that have a tag.
        """
        special = {*SPECIALS, *map(tag_token, languages)}
        items = [
            (word, count)
            for word, count in counts.items()
            if count >= threshold and word not in special and len(word) <= MAX_CHARACTERS
        ]
        items.sort(key=lambda item: (-item[1], item[0]))
        kept = items if max_words is None else items[:max_words]
        return cls([word for word, _ in kept], [count for _, count in kept], languages)

    def save(self, path: str | Path) -> None:
        """Write the `token count` lines and sync the file; raise OutputError."""
        # `load` removes one byte order mark, so a first word that starts with U+FEFF needs two
        first = self.first_word
        text = "\ufeff" if "".join(self.tokens[4:5]).startswith("\ufeff") else ""
        text += "".join(f"{token} tag\n" for token in self.tokens[len(SPECIALS) : first])
        pairs = zip(self.tokens[first:], self.counts[first:], strict=True)
        text += "".join(f"{token} {count}\n" for token, count in pairs)
        durable_files.write_file(Path(path), text.encode())

    @classmethod
    def load(cls, path: str | Path) -> "Vocabulary":
        """Read a file of `token count` lines; a missing count means 1.

        Raises:
            InputMissingError: the file does not exist.
            DataError: an empty line, a count that is not a number, or a word that contains white
                space, is too long or occurs twice. The message names the probable file format.
        """
        words: dict[str, int] = {}
        languages: list[str] = []
        special = list(SPECIALS)
        first = last = ""
        try:
            for number, line in enumerate(read_lines(path), start=1):
                tag = None if words else TAG_LINE.fullmatch(line)
                if tag is not None and tag[1] not in languages:
                    languages.append(tag[1])
                    special.append(tag_token(tag[1]))
                    continue
                word, space, count = line.rpartition(" ")
                if not space:
                    word, count = line, "1"
                problem = _problem(word, count, words, special)
                if problem is not None:
                    raise DataError(problem, str(path), number)
                words[word] = int(count)
                first, last = first or line, line
            if is_json(first, last):
                raise DataError("expected `token count`", str(path), 1)
            if first.endswith(": 0") and is_numbered([f"{w} {c}" for w, c in words.items()]):
                raise DataError("expected `token count`", str(path), 1)
        except DataError as error:
            kind = probable_kind(path)
            if kind is None:
                raise
            text = str(error).removeprefix(str(DataError("", error.path, error.line)))
            if isinstance(error.__cause__, UnicodeDecodeError):
                text = "not UTF-8"
            raise DataError(f"{text}; this looks like {kind}", error.path, error.line) from error
        return cls(list(words), list(words.values()), languages)


def tag_token(language: str) -> str:
    """Return the tag of a target language."""
    return f"<2{language}>"


def mostly_unknown(unknown: int, tokens: int, text: str, dictionary: str) -> str | None:
    """Return a warning if more than half of the tokens are unknown, else None.

    Args:
        unknown, tokens: number of unknown tokens and of all tokens.
        text: the tokens, for the message.
        dictionary: name of the vocabulary, for the message.
    """
    if unknown <= tokens / 2:
        return None
    return (
        f"{unknown / tokens:.1%} of the {text} are not in {dictionary}: does the text have the "
        "same language, tokenization and casing?"
    )


def _problem(
    word: str, count: str, words: Mapping[str, int], special: Collection[str]
) -> str | None:
    """Return what is wrong with a line of a dictionary that follows `words`, else None."""
    if not word:
        return "expected `token count`, but there is no word"
    if split_words(word) != [word]:
        return f"expected `token count`, but the word {shown(word)} contains white space"
    if len(word) > MAX_CHARACTERS:
        return f"the word has {len(word)} characters; the maximum is {MAX_CHARACTERS}"
    if not (count.isascii() and count.isdigit() and len(count) < 19):
        return f"count {count[:40]!r} is not a whole number"
    if word in special:
        return f"{word} is a special token, not a word"
    if word in words:
        return f"word {word[:80]!r} occurs twice"
    return None
