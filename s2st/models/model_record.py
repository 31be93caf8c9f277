"""What a model is without its weights, and models built from that."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from s2st.errors import UsageError
from s2st.models.base import ModelSizes, Seq2SeqModel
from s2st.models.languages import LanguageChoice, Languages, LanguageSide, check_choice
from s2st.models.multi_decoder import MultiDecoderModel
from s2st.models.registry import ARCHITECTURES, EnsembleConfig
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
        return ModelSizes(len(self.source_vocabulary), len(self.target_vocabulary), decoders)

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


class Unfilled(TorchFunctionMode):
    """Context in which `torch.nn.init` does nothing, since loading then fills the tensors.

    On the meta device `torch.nn.init` would also import torch's compiler, which is slow.
    """

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Sequence[type],
        arguments: Sequence[Any] = (),
        named: Mapping[str, Any] | None = None,
    ) -> Any:
        named = named or {}
        if getattr(function, "__module__", None) == "torch.nn.init":
            return named["tensor"] if "tensor" in named else arguments[0]
        return function(*arguments, **named)


def build_model(architecture: str, config: Any, sizes: ModelSizes) -> Seq2SeqModel:
    """A model with random weights; raises UsageError for an architecture without weights."""
    if isinstance(config, EnsembleConfig):
        raise UsageError(
            "an ensemble has no weights: train its members, then list them in a TOML file or "
            "repeat --checkpoint"
        )
    entry = ARCHITECTURES.get(architecture)
    if not sizes.decoders:
        model: Seq2SeqModel = entry.build(config, sizes)
        return model
    if not getattr(config, "reads_source", True):
        raise UsageError(f"--decoders per-language: {architecture} reads no source")
    if getattr(config, "tie_embeddings", "none") == "all":
        raise UsageError(
            "--decoders per-language cannot be combined with --tie-embeddings all: use output"
        )
    return MultiDecoderModel(
        {
            language: entry.build(config, ModelSizes(sizes.source_vocabulary, words))
            for language, words in sizes.decoders
        }
    )


def model_with_weights(record: ModelRecord, weights: Mapping[str, torch.Tensor]) -> Seq2SeqModel:
    """A model on the CPU with copies of these weights, by name."""
    with Unfilled():
        model = record.build()
    model.load_state_dict(weights)
    return model


def hollow_model(architecture: str, config: Any, sizes: ModelSizes) -> Seq2SeqModel:
    """A model on the meta device: names and shapes, no memory for weights."""
    with torch.device("meta"), Unfilled():
        return build_model(architecture, config, sizes)


def planned_model(architecture: str, config: Any, sizes: ModelSizes) -> Seq2SeqModel:
    """A hollow model with a user's sizes; raises UsageError if no model can have them."""
    try:
        return hollow_model(architecture, config, sizes)
    except (RuntimeError, OverflowError) as error:
        reason = " ".join(str(error).partition("\n")[0].split())[:200]
        raise UsageError(f"no model can have these sizes: {reason}") from error
