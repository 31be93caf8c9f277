"""Does the text of the lists suit the model? Mismatches that ruin scores silently, with figures.

An SMT system's list may be cased, escaped (`&apos;`) or tokenised in another way than the model's
training text: every such word is then unknown to the model.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from s2st.text.line_files import split_words
from s2st.text.tokenizers import SPACE_SIGN, Tokenizer
from s2st.text.vocabulary import SPECIALS, Vocabulary

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
MOST_WORDS = 200_000  # looked at; the start of a file tells enough
MUCH_UNKNOWN = 0.05
CLEAR_GAIN = 0.5  # a change of text that halves the unknown words explains them
ENOUGH_CASED = 20  # words without a capital that show a vocabulary to be lower-cased
LONGEST = 100  # characters of a word that is looked at
MARKS = ("<>", "[]", "{}", "\u2985\u2986", "__", "@@", "%%", "$$", "##", "||")  # both ends of one


def escape(word: str) -> str:
    """A word as Moses escapes it."""
    for plain, escaped in ESCAPES:
        word = word.replace(plain, escaped)
    return word


def unescape(word: str) -> str:
    """The word that Moses escaped."""
    for plain, escaped in reversed(ESCAPES):
        word = word.replace(escaped, plain)
    return word


def is_ordinary(word: str) -> bool:
    """Whether a word or piece is of the text, not a mark such as <0xE4>, [SEP] or __fr__."""
    bare = word.strip(SPACE_SIGN)
    return len(bare) < 3 or bare[0] + bare[-1] not in MARKS


@dataclass
class Letters:
    """Which letters some words have, marks left out.

    Attributes:
        words: that have letters.
        cased: words that have letters of a script with upper and lower case.
        upper, lower: words with upper-case, and with lower-case letters.
        escaped: words with Moses escapes.
    """

    words: int = 0
    cased: int = 0
    upper: int = 0
    lower: int = 0
    escaped: int = 0

    @classmethod
    def of(cls, words: Iterable[str]) -> "Letters":
        """Counts words."""
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
        """No letter is upper-case, and enough of them could be."""
        return not self.upper and self.cased >= min(ENOUGH_CASED, max(1, self.words / 2))


@dataclass(frozen=True)
class Change:
    """A change of the text that may make its words known.

    Attributes:
        made: a word or line after it.
        fits: whether the letters of the text and of the vocabulary bear the advice out.
        advice: what is wrong and what to do.
        by: "word" is made of unknown words alone; "line" of whole lines, as tokens that the change
            is about may be in pieces; "piece" of lines where the tokens are pieces of words.
    """

    made: Callable[[str], str]
    fits: Callable[[Letters, Letters], bool]
    advice: str
    by: Literal["word", "piece", "line"] = "piece"


def _capitalized(word: str) -> str:
    return word[:1].upper() + word[1:]


CHANGES: dict[str, Change] = {
    "case": Change(
        str.lower,
        lambda text, model: model.lower_cased,
        "the text is cased and the model's is lower-cased: lower-case it",
    ),
    "capitals": Change(
        str.lower,
        lambda text, model: not text.lower and model.upper > 0,
        "the text is all in capitals and the model's is not: write it in ordinary case",
    ),
    "lower": Change(
        _capitalized,
        lambda text, model: text.lower_cased and model.upper > 0,
        "the text is lower-cased and the model's is cased: give it the text as it was written",
        by="word",
    ),
    "unescape": Change(
        unescape,
        lambda text, model: text.escaped > 0,
        "the text has Moses escapes (&apos;) that the model's has not",
        by="line",
    ),
    "escape": Change(
        escape,
        lambda text, model: not text.escaped,
        "the model's text has Moses escapes (&apos;) that this one has not",
    ),
}


@dataclass
class UnknownWords:
    """Counts unknown words of a text, as it is and after each change that may explain them.

    Attributes:
        vocabulary: of the model.
        tokenizer: of the model.
        words, unknown: how many there were.
        unknown_after: how many were unknown after each change.
        seen: the different words, as they stand between blanks in the text.
    """

    vocabulary: Vocabulary
    tokenizer: Tokenizer
    words: int = 0
    unknown: int = 0
    unknown_after: dict[str, int] = field(default_factory=lambda: dict.fromkeys(CHANGES, 0))
    seen: set[str] = field(default_factory=set)

    def add(self, words: Sequence[str], text: str | None = None) -> None:
        """Counts the words of a line, until enough were seen.

        Args:
            words: the line's tokens.
            text: the line that the tokenizer made them of; None if it came in tokens.
        """
        if self.words >= MOST_WORDS:
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
        """How many tokens of a line are unknown after a change; `unknown` are those before it."""
        if text is None or change.by not in ("line", "piece" if self.tokenizer.subword else "line"):
            rows = [split_words(change.made(word)) for word in unknown]
            return sum(any(part not in self.vocabulary for part in row) for row in rows)
        changed = change.made(text)
        if changed == text:
            return len(unknown)
        return sum(word not in self.vocabulary for word in self.tokenizer.encode(changed))

    def warning(self, what: str) -> str | None:
        """One line about a text of too many unknown words, None where there is no need."""
        share = self.unknown / max(1, self.words)
        if share < MUCH_UNKNOWN:
            return None
        text = f"{share:.1%} of the words of {what} are unknown to the model"
        own, model = Letters.of(self.seen), Letters.of(self.vocabulary.tokens[len(SPECIALS) :])
        fitting = [name for name, change in CHANGES.items() if change.fits(own, model)]
        best = min(fitting, key=lambda name: self.unknown_after[name], default=None)
        if best is not None:
            after = self.unknown_after[best] / max(1, self.words)
            if after <= CLEAR_GAIN * share:
                return f"{text}; {after:.1%} would be otherwise: {CHANGES[best].advice}"
        if self.tokenizer.subword:
            return f"{text}: is it of the language and script of the model's training text?"
        return f"{text}: is it tokenized as the model's training text was?"
