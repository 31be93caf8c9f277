"""The record of a model: everything but its weights.

A side is the tokenizer and the vocabulary of one language.
"""

from dataclasses import dataclass, replace
from typing import Any

from s2st.models.base import ModelSizes, Seq2SeqModel
from s2st.models.languages import LanguageChoice, Languages, LanguageSide, check_choice
from s2st.models.model_building import build_model
from s2st.text.tokenizers import TokenizerSpec
from s2st.text.vocabulary import Vocabulary


@dataclass(frozen=True)
class ModelRecord:
    """A model without its weights.

    Attributes:
        config: the config record of the architecture.
        languages: for a model of several language pairs. The sides are then those of its first
            pair.
        tag: id of the target language's tag, before each source; None without tags.
    """

    architecture: str
    config: Any
    source_vocabulary: Vocabulary
    target_vocabulary: Vocabulary
    source_tokenizer: TokenizerSpec
    target_tokenizer: TokenizerSpec
    plugins: tuple[str, ...] = ()
    languages: Languages | None = None
    tag: int | None = None

    def build(self) -> Seq2SeqModel:
        """A model with random initial weights."""
        return build_model(self.architecture, self.config, self.sizes)

    @property
    def sizes(self) -> ModelSizes:
        """Rows of the embedding tables."""
        decoders: tuple[tuple[str, int], ...] = ()
        if self.languages is not None and self.languages.per_language:
            sides = self.languages.sides
            decoders = tuple((n, len(sides[n].vocabulary)) for n in self.languages.targets)
        source, target = len(self.source_vocabulary), len(self.target_vocabulary)
        return ModelSizes(source, target, decoders, self.source_tokenizer.vector_size)

    @property
    def directions(self) -> str:
        """The languages for a title, such as "en to fr"."""
        source, target = [self.source_tokenizer.language], [self.target_tokenizer.language]
        if self.languages is not None:
            source, target = self.languages.sources, self.languages.targets
        return f"{', '.join(source)} to {', '.join(target)}"

    @property
    def sides(self) -> list[LanguageSide]:
        """Tokenizer and vocabulary of every language: source and target, or those of all pairs."""
        if self.languages is not None:
            return list(self.languages.sides.values())
        return [
            LanguageSide(self.source_tokenizer, self.source_vocabulary),
            LanguageSide(self.target_tokenizer, self.target_vocabulary),
        ]

    def for_pair(self, choice: LanguageChoice, where: str) -> "ModelRecord":
        """The record of the model as one for a single pair.

        Args:
            choice: the languages that the user names.
            where: the checkpoint, for messages.

        Raises:
            UsageError: the model does not have these languages, or has several.
        """
        if self.languages is None:
            absent = self.source_tokenizer.build().absent
            source = "" if absent else self.source_tokenizer.language
            check_choice(choice, source, self.target_tokenizer.language, where)
            return self
        names = self.languages.chosen(choice, where)
        source_side, target_side = (self.languages.sides[name] for name in names)
        tag = source_side.vocabulary.tags[names[1]] if self.languages.needs_tag else None
        return replace(
            self,
            source_vocabulary=source_side.vocabulary,
            target_vocabulary=target_side.vocabulary,
            source_tokenizer=source_side.tokenizer,
            target_tokenizer=target_side.tokenizer,
            languages=None,
            tag=tag,
        )
