"""The checkpoint of `train --finetune-from`: its options, its vocabularies, and what must fit.

Importable without torch: the command line reads the checkpoint's architecture before it knows which
options there are.
"""

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s2st.errors import CheckpointError, InputMissingError, UsageError
from s2st.models.registry import ARCHITECTURES
from s2st.options.resolution import Inherited, OptionSource, Resolved
from s2st.process.bounded_read import missing
from s2st.process.consistent_reads import once, steady
from s2st.process.folder_manifest import MANIFEST, read_manifest
from s2st.text.vocabulary import Vocabulary
from s2st.training.options import FinetuneConfig, TrainerConfig

if TYPE_CHECKING:
    from s2st.data.parallel_corpus import ParallelCorpus
    from s2st.data.store import Store
    from s2st.models.model_record import ModelRecord

log = logging.getLogger("s2st")
LAST = "checkpoint_last"


def _inherited(given: Mapping[str, Any]) -> OptionSource | None:
    """Return the architecture and its options of the checkpoint in `finetune_from`, if any.

    Raises:
        InputMissingError, CheckpointError: the checkpoint cannot be read.
    """
    path = given.get("finetune_from")
    if not isinstance(path, str) or not path or "\0" in path:
        return None
    save_dir = given.get("save_dir", TrainerConfig.save_dir)
    return once("architecture", path, lambda: _architecture(path, str(save_dir)))


INHERITED = Inherited(("finetune_from", "save_dir"), _inherited)


def _architecture(path: str, save_dir: str) -> OptionSource:
    place = starting_point(path, save_dir)
    values = architecture_values(steady(place, read_checkpoint_manifest), place)
    return OptionSource(str(place), values, lenient=True)


def architecture_values(manifest: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return the architecture in a checkpoint's manifest (`arch`), and its options.

    Raises:
        CheckpointError: the manifest is damaged.
        UsageError: the architecture is not registered; the message names its plugin.
    """
    record = manifest.get("architecture")
    if not isinstance(record, dict) or not isinstance(record.get("options"), dict):
        raise CheckpointError("damaged: incomplete record", str(path / MANIFEST))
    try:
        ARCHITECTURES.get(str(record.get("name")))
    except UsageError as error:
        plugins = recorded_plugins(manifest)
        hint = f" (it was trained with --plugin {plugins[0]}: name it again)" if plugins else ""
        raise UsageError(f"{path}: {error}{hint}") from error
    values = {**record["options"], "arch": record.get("name")}
    languages = manifest.get("languages")
    if isinstance(languages, dict):  # a model of several language pairs
        values["decoders"] = languages.get("decoders")
    return values


def recorded_plugins(manifest: Mapping[str, Any]) -> list[str]:
    """Return the plugin modules that a checkpoint was trained with."""
    plugins = manifest.get("plugins")
    return [str(name) for name in plugins] if isinstance(plugins, list) else []


def read_checkpoint_manifest(place: Path) -> dict[str, Any]:
    """Return the manifest of a checkpoint, read without torch.

    Raises:
        InputMissingError, CheckpointError: there is no checkpoint, or it is damaged.
    """
    if not os.path.exists(place):
        raise missing(place, "no such checkpoint folder")
    if not place.is_dir():
        raise CheckpointError("this is a file, but a checkpoint is a folder", str(place))
    try:
        return read_manifest(place, "s2st-checkpoint", 1, 2)
    except OSError as error:
        inside = sorted(item.name for item in place.glob("checkpoint_[bl]*"))  # best, last
        hint = f"; did you mean {place / inside[0]}?" if inside else ""
        raise InputMissingError(f"{place}: not a checkpoint (no {MANIFEST}){hint}") from error


def starting_point(path: str, save_dir: str) -> Path:
    """Return the checkpoint that a fine-tuned model begins with.

    Args:
        path: the checkpoint of `--finetune-from`.
        save_dir: a run that goes on does not need `path`, and it may be gone. Its own last
            checkpoint has the same options, and all words.
    """
    last = Path(save_dir) / LAST
    if not os.path.exists(path) and os.path.exists(last):
        return last
    return Path(path)


@dataclass(frozen=True)
class BaseModel:
    """The checkpoint that a fine-tuned model begins with.

    Attributes:
        path: the checkpoint.
        record: its architecture, vocabularies and tokenizers.
    """

    path: Path
    record: "ModelRecord"

    def added(self, record: "ModelRecord") -> tuple[int, int]:
        """Return how many source and target words a record has that the checkpoint lacks."""
        mine, sizes = self.record.sizes, record.sizes
        return (
            sizes.source_vocabulary - mine.source_vocabulary,
            sizes.target_vocabulary - mine.target_vocabulary,
        )


def read_base(options: Resolved) -> BaseModel | None:
    """Return the checkpoint of `--finetune-from` without its weights; None without the option.

    Raises:
        S2STError: the checkpoint cannot be read.
    """
    from s2st.models.model_files import read_record

    path = options.config(FinetuneConfig).finetune_from
    if path is None:
        return None
    place = starting_point(path, options.config(TrainerConfig).save_dir)
    return BaseModel(place, read_record(place))


def with_base_words(
    record: "ModelRecord", base: BaseModel, store: "Store", extend: bool
) -> "ModelRecord":
    """Return the record with the checkpoint's words, to which the store's other words may be added.

    Args:
        record: the new model, with the vocabularies of the store.
        base: the checkpoint.
        store: for messages.
        extend: whether to add words.

    Raises:
        UsageError: the vocabularies differ, and `extend` is false.
    """
    sizes = base.record.source_tokenizer.vector_size, record.source_tokenizer.vector_size
    if sizes[0] != sizes[1]:
        kinds = [f"vectors of size {size}" if size else "words" for size in sizes]
        raise UsageError(
            f"--finetune-from {base.path}: the model reads {kinds[0]}, but the sources of "
            f"{store.folder} are {kinds[1]}"
        )
    if base.record.languages is not None or record.languages is not None:
        _check_languages(record, base, store, extend)
        return record
    theirs = (base.record.source_vocabulary, base.record.target_vocabulary)
    mine = (record.source_vocabulary, record.target_vocabulary)
    if extend:
        joined = theirs[0] == theirs[1]
        if joined and getattr(record.config, "tie_embeddings", "none") == "all":
            both = _extended(_extended(theirs[0], mine[0]), mine[1])
            found = [both, both]
        else:
            found = [_extended(old, new) for old, new in zip(theirs, mine, strict=True)]
        return replace(record, source_vocabulary=found[0], target_vocabulary=found[1])
    differing = [
        (side, old, new)
        for side, old, new in zip(("source", "target"), theirs, mine, strict=True)
        if old != new
    ]
    if differing:
        sides = "; ".join(_difference(*side) for side in differing)
        flags = ["--srcdict" if side == "source" else "--tgtdict" for side, _, _ in differing]
        given = " ".join(f"{flag} {base.path}" for flag in flags)
        if len(flags) == 2 and theirs[0] == theirs[1]:
            given = f"--joined-dictionary {given}"
        raise UsageError(
            f"--finetune-from {base.path}: {store.folder} has other words ({sides}); make it by "
            f"`s2st preprocess {given}`, or give --extend-vocabulary"
        )
    return record


def _check_languages(record: "ModelRecord", base: BaseModel, store: "Store", extend: bool) -> None:
    """Raise UsageError unless a model of several pairs has the words of the checkpoint."""
    mine, theirs = record.languages, base.record.languages
    where = f"--finetune-from {base.path}"
    if mine is None:
        raise UsageError(
            f"{where}: it has several language pairs, and {store.folder} has one; take a decoder "
            "out by `s2st export --target-lang`, or preprocess with --pair"
        )
    if theirs is None or mine.decoders != theirs.decoders:
        decoders = "one pair" if theirs is None else f"--decoders {theirs.decoders}"
        raise UsageError(
            f"{where}: it has {decoders}, not several pairs with {mine.decoders} decoders"
        )
    if extend:
        raise UsageError("--extend-vocabulary cannot be combined with several language pairs")
    for name in (*mine.sources, *mine.targets):
        known = theirs.sides.get(name)
        if known is None or known.vocabulary != mine.sides[name].vocabulary:
            raise UsageError(
                f"{where}: {store.folder} has other words of {name}; make it by `s2st preprocess "
                f"--srcdict {base.path} --tgtdict {base.path}`"
            )
    if mine.targets != theirs.targets:
        raise UsageError(
            f"{where}: its target languages are {', '.join(theirs.targets)}, those of "
            f"{store.folder} {', '.join(mine.targets)}; they must be the same, in this order"
        )


def _difference(side: str, old: Vocabulary, new: Vocabulary) -> str:
    count = sum(word not in old for word in new.tokens[new.first_word :])
    if not count:
        return f"{side}: fewer words, or another order of the same words"
    return f"{side}: {count:,} of {len(new) - new.first_word:,} are not in the checkpoint"


def _extended(old: Vocabulary, new: Vocabulary) -> Vocabulary:
    """Return the old words followed by those of the new ones that are not among them."""
    more = [(w, n) for w, n in zip(new.tokens[4:], new.counts[4:], strict=True) if w not in old]
    words, counts = [*old.tokens[4:]], [*old.counts[4:]]
    return Vocabulary(words + [w for w, _ in more], counts + [n for _, n in more])


def with_ids_of(
    corpus: "ParallelCorpus", store: "Store", record: "ModelRecord"
) -> "ParallelCorpus":
    """Return a split of the store with the ids of the record's vocabularies."""
    if record.languages is not None:  # they have the words of the store
        return corpus
    source, target = corpus.source, corpus.target
    if len(source.ids) and store.source_vocabulary != record.source_vocabulary:
        source = source.with_ids(store.source_vocabulary.mapping_to(record.source_vocabulary))
    if store.target_vocabulary != record.target_vocabulary:
        target = target.with_ids(store.target_vocabulary.mapping_to(record.target_vocabulary))
    return replace(corpus, source=source, target=target)


def with_cutoffs(config: Any, base: BaseModel) -> Any:
    """Return the config with the checkpoint's parts of an adaptive softmax.

    Their default sizes depend on the number of words, which `--extend-vocabulary` changes.
    """
    from torch import nn

    from s2st.models.model_building import planned_model

    names = {field.name for field in fields(config)}
    if getattr(config, "softmax", None) != "adaptive" or "adaptive_cutoffs" not in names:
        return config
    if not config.adaptive_cutoffs:
        model = planned_model(base.record.architecture, base.record.config, base.record.sizes)
        for part in model.modules():
            if isinstance(part, nn.AdaptiveLogSoftmaxWithLoss):
                config = replace(config, adaptive_cutoffs=tuple(map(int, part.cutoffs[:-1])))
    return config


def log_base(base: BaseModel, record: "ModelRecord") -> None:
    """Log where the weights come from, the number of new words, and tokenizers that differ."""
    log.info("weights of %s; optimizer, schedule and data order start anew", base.path)
    added = base.added(record)
    if any(added):
        log.info(
            "--extend-vocabulary: %s new source words and %s new target words get initial weights",
            *(f"{count:,}" for count in added),
        )
    for side in ("source", "target"):
        new = getattr(record, f"{side}_tokenizer")
        old = getattr(base.record, f"{side}_tokenizer")
        if (new.name, new.config, new.model) != (old.name, old.config, old.model):
            log.warning(
                "the %s tokenizer of the data (%s) differs from the checkpoint's (%s); "
                "`s2st preprocess --srcdict` and `--tgtdict` with the checkpoint use its tokenizer",
                side, new.name, old.name,
            )  # fmt: skip
