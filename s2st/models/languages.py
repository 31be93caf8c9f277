"""Languages of a model for several language pairs, and the choice of one pair."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from s2st.errors import UsageError

if TYPE_CHECKING:
    from s2st.text.tokenizers import TokenizerSpec
    from s2st.text.vocabulary import Vocabulary

PER_LANGUAGE = "per-language"
DECODERS = ("shared", PER_LANGUAGE)


@dataclass(frozen=True)
class LanguageChoice:
    """The languages that a user names; None for one that the model determines."""

    source: str | None = None
    target: str | None = None

    def reversed(self) -> "LanguageChoice":
        """The choice for a model of the opposite direction."""
        return LanguageChoice(self.target, self.source)


ANY = LanguageChoice()


@dataclass(frozen=True)
class LanguageSide:
    """Tokenizer and vocabulary of one language of a model."""

    tokenizer: "TokenizerSpec"
    vocabulary: "Vocabulary"


@dataclass(frozen=True)
class Languages:
    """The languages of a model that was trained on several pairs.

    Attributes:
        sides: tokenizer and vocabulary of each language.
        pairs: the (source, target) pairs of training, each once.
        decoders: "shared" or "per-language".
    """

    sides: Mapping[str, LanguageSide]
    pairs: Sequence[tuple[str, str]]
    decoders: str

    @property
    def sources(self) -> list[str]:
        """The source languages, each once."""
        return list(dict.fromkeys(source for source, _ in self.pairs))

    @property
    def targets(self) -> list[str]:
        """The target languages, each once."""
        return list(dict.fromkeys(target for _, target in self.pairs))

    @property
    def per_language(self) -> bool:
        """Whether each target language has its own decoder."""
        return self.decoders == PER_LANGUAGE

    @property
    def needs_tag(self) -> bool:
        """Whether a tag in the source says which language the decoder writes."""
        return not self.per_language and any(side.vocabulary.tags for side in self.sides.values())

    def chosen(self, choice: LanguageChoice, where: str) -> tuple[str, str]:
        """Return the source and the target language of a choice.

        Args:
            choice: what the user named. A pair without training data is allowed ("zero-shot").
            where: the checkpoint, for messages.

        Raises:
            UsageError: the model has no such language, or has several and none was named.
        """
        source = _pick("source", self.sources, choice.source, where)
        return source, _pick("target", self.targets, choice.target, where)


def _pick(side: str, known: Sequence[str], name: str | None, where: str) -> str:
    flag = f"--{side}-lang"
    if name is None and len(known) > 1:
        raise UsageError(
            f"{where}: the model has several {side} languages: choose one of "
            f"{', '.join(known)} by {flag}"
        )
    if name is not None and name not in known:
        raise UsageError(f"{where}: {flag} is {name}, but the model has {', '.join(known)}")
    return name or known[0]


def check_choice(choice: LanguageChoice, source: str, target: str, where: str) -> None:
    """Raise UsageError if a user named other languages than those of a model for one pair.

    Args:
        choice: what the user named.
        source, target: languages of the model; "" where it does not state one.
        where: the checkpoint, for messages.
    """
    for side, known, name in (("source", source, choice.source), ("target", target, choice.target)):
        if known:
            _pick(side, [known], name, where)
