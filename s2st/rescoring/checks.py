"""Does the text of the lists suit the model? Mismatches that ruin scores silently, with figures.

An SMT system's list may be cased, escaped (`&apos;`) or tokenised in another way than the model's
training text: every such word is then unknown to the model.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from s2st.text.lines import split_words
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
MOST_WORDS = 200_000  # looked at; the start of a file tells enough
MUCH_UNKNOWN = 0.05
CLEAR_GAIN = 0.5  # a change of text that halves the unknown words explains them


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


CHANGES: dict[str, tuple[Callable[[str], str], str]] = {
    "case": (str.lower, "the text is cased and the model's is lower-cased: lower-case it"),
    "unescape": (unescape, "the text has Moses escapes (&apos;) that the model's has not"),
    "escape": (escape, "the model's text has Moses escapes (&apos;) that this one has not"),
}


@dataclass
class UnknownWords:
    """Counts unknown words of a text, as it is and after each change that may explain them."""

    vocabulary: Vocabulary
    words: int = 0
    unknown: int = 0
    unknown_after: dict[str, int] = field(default_factory=lambda: dict.fromkeys(CHANGES, 0))

    def add(self, words: Iterable[str]) -> None:
        """Counts some words, until enough were seen."""
        if self.words >= MOST_WORDS:
            return
        for word in words:
            self.words += 1
            if word in self.vocabulary:
                continue
            self.unknown += 1
            for name, (change, _) in CHANGES.items():
                changed = split_words(change(word))
                self.unknown_after[name] += any(part not in self.vocabulary for part in changed)

    def warning(self, what: str) -> str | None:
        """One line about a text of too many unknown words, None where there is no need."""
        share = self.unknown / max(1, self.words)
        if share < MUCH_UNKNOWN:
            return None
        text = f"{share:.1%} of the words of {what} are unknown to the model"
        best = min(CHANGES, key=lambda name: self.unknown_after[name])
        after = self.unknown_after[best] / max(1, self.words)
        if after <= CLEAR_GAIN * share:
            return f"{text}; {after:.1%} would be otherwise: {CHANGES[best][1]}"
        return f"{text}: is it tokenised as the model's training text was?"
