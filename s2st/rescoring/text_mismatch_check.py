"""Warnings about unknown words, with their probable cause: case, Moses escapes, tokenization.

If a text has other case, escapes (`&apos;`) or tokenization than the model's training text, the
model does not know many of its words, and scores are useless without any error.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from s2st.text.line_files import split_words
from s2st.text.tokenizers import SPACE_SIGN, Tokenizer
from s2st.text.vocabulary import Vocabulary

# Moses' escape-special-chars.perl
ESCAPES = (
    ("&", "&amp;"),
    ("|", "&#124;"),
    ("<", "&lt;"),
    (">", "&gt;"),
    ("'", "&apos;"),
    ('"', "&quot;"),
    ("[", "&#91;"),
    ("]", "&#93;"),
)
MAX_WORDS = 200_000  # count at most so many words: the start of a file is enough
MUCH_UNKNOWN = 0.05
CLEAR_GAIN = 0.5  # a change of the text that halves the unknown words explains them
ENOUGH_CASED = 20  # so many words without a capital show that a vocabulary is lowercased
LONGEST = 100  # ignore words with more characters
MARKS = ("<>", "[]", "{}", "\u2985\u2986", "__", "@@", "%%", "$$", "##", "||")  # first, last char


def escape(word: str) -> str:
    """Return a word as Moses escapes it."""
    for plain, escaped in ESCAPES:
        word = word.replace(plain, escaped)
    return word


def unescape(word: str) -> str:
    """Return the word that Moses escaped."""
    for plain, escaped in reversed(ESCAPES):
        word = word.replace(escaped, plain)
    return word


def is_ordinary(word: str) -> bool:
    """Whether a word or piece is of the text, not a mark such as <0xE4>, [SEP] or __fr__."""
    bare = word.strip(SPACE_SIGN)
    return len(bare) < 3 or bare[0] + bare[-1] not in MARKS


@dataclass
class Letters:
    """Counts of words by the kind of their letters, without marks.

    Attributes:
        words: number of words with letters.
        cased: number of words with letters of a script that has upper and lower case.
        upper, lower: numbers of words with uppercase and with lowercase letters.
        escaped: number of words with Moses escapes.
    """

    words: int = 0
    cased: int = 0
    upper: int = 0
    lower: int = 0
    escaped: int = 0

    @classmethod
    def of(cls, words: Iterable[str]) -> "Letters":
        """Count words."""
        letters = cls()
        for word in filter(is_ordinary, words):
            lower, upper = word.lower(), word.upper()
            letters.words += any(map(str.isalpha, word))
            letters.cased += lower != upper
            letters.upper += word != lower
            letters.lower += word != upper
            letters.escaped += word != unescape(word)
        return letters

    @property
    def lower_cased(self) -> bool:
        """Whether no letter is uppercase although enough of them could be."""
        return not self.upper and self.cased >= min(ENOUGH_CASED, max(1, self.words / 2))


@dataclass(frozen=True)
class Change:
    """A change of the text that may make its words known.

    Attributes:
        apply: returns a word or line after the change.
        fits: takes the letters of text and vocabulary, and returns whether the advice applies.
        advice: what is wrong and what to do.
        by: "word" changes unknown words alone; "line" changes whole lines, because the tokenizer
            may split what the change is about; "piece" changes lines if tokens are subwords.
    """

    apply: Callable[[str], str]
    fits: Callable[[Letters, Letters], bool]
    advice: str
    by: Literal["word", "piece", "line"] = "piece"


def _capitalized(word: str) -> str:
    return word[:1].upper() + word[1:]


CHANGES: dict[str, Change] = {
    "case": Change(
        str.lower,
        lambda text, model: model.lower_cased,
        "the text is cased but the model's training text is lowercased: lowercase the text",
    ),
    "capitals": Change(
        str.lower,
        lambda text, model: not text.lower and model.upper > 0,
        "the text is all uppercase but the model's training text is not: use ordinary case",
    ),
    "lower": Change(
        _capitalized,
        lambda text, model: text.lower_cased and model.upper > 0,
        "the text is lowercased but the model's training text is cased: give the original text",
        by="word",
    ),
    "unescape": Change(
        unescape,
        lambda text, model: text.escaped > 0,
        "the text has Moses escapes (&apos;) but the model's training text does not: unescape it",
        by="line",
    ),
    "escape": Change(
        escape,
        lambda text, model: not text.escaped,
        "the model's training text has Moses escapes (&apos;) but this text does not: escape it",
    ),
}


@dataclass
class UnknownWords:
    """Counts the unknown words of a text, unchanged and after each change that may explain them.

    Attributes:
        vocabulary, tokenizer: of the model.
        words, unknown: numbers of words and of unknown words.
        unknown_after: number of unknown words after each change, by its name.
        seen: the distinct words of the text, split at blanks.
    """

    vocabulary: Vocabulary
    tokenizer: Tokenizer
    words: int = 0
    unknown: int = 0
    unknown_after: dict[str, int] = field(default_factory=lambda: dict.fromkeys(CHANGES, 0))
    seen: set[str] = field(default_factory=set)

    def add(self, words: Sequence[str], text: str | None = None) -> None:
        """Count the words of a line, up to MAX_WORDS words in all.

        Args:
            words: the line's tokens.
            text: the line before tokenization; None if it came in tokens.
        """
        if self.words >= MAX_WORDS or self.tokenizer.vector_size:
            return
        self.words += len(words)
        whole = words if text is None else split_words(text)
        self.seen.update(word for word in whole if len(word) <= LONGEST)
        unknown = [word for word in words if word not in self.vocabulary]
        self.unknown += len(unknown)
        if unknown:
            for name, change in CHANGES.items():
                self.unknown_after[name] += self._unknown_after(change, unknown, text)

    def _unknown_after(self, change: Change, unknown: Sequence[str], text: str | None) -> int:
        """Return how many tokens of a line are unknown after a change; `unknown`: those before."""
        if text is None or change.by not in ("line", "piece" if self.tokenizer.subword else "line"):
            rows = [split_words(change.apply(word)) for word in unknown]
            return sum(any(part not in self.vocabulary for part in row) for row in rows)
        changed = change.apply(text)
        if changed == text:
            return len(unknown)
        return sum(word not in self.vocabulary for word in self.tokenizer.encode(changed))

    def warning(self, what: str) -> str | None:
        """Return a warning if the text has too many unknown words, else None."""
        share = self.unknown / max(1, self.words)
        if share < MUCH_UNKNOWN:
            return None
        text = f"{share:.1%} of the words of {what} are unknown to the model"
        model = Letters.of(self.vocabulary.tokens[self.vocabulary.first_word :])
        letters = Letters.of(self.seen)
        fitting = [name for name, change in CHANGES.items() if change.fits(letters, model)]
        best = min(fitting, key=lambda name: self.unknown_after[name], default=None)
        if best is not None:
            after = self.unknown_after[best] / max(1, self.words)
            if after <= CLEAR_GAIN * share:
                return f"{text} ({after:.1%} after a change): {CHANGES[best].advice}"
        if self.tokenizer.subword:
            return f"{text}: check that it has the language and script of the model's training text"
        return f"{text}: check that it is tokenized like the model's training text"
