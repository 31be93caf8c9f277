"""The job of `s2st inspect`: describe a checkpoint, a store, an ensemble or an architecture.

Importable without torch, so that wrong options are reported at once.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s2st.errors import CheckpointError, UsageError
from s2st.models.configs import with_default_sizes
from s2st.models.registry import ARCHITECTURES, UNTRAINED
from s2st.options.option_fields import config_values, option
from s2st.options.resolution import CommandSpec, Resolved, Role
from s2st.process.bounded_read import missing
from s2st.process.consistent_reads import steady
from s2st.process.folder_manifest import kind_of
from s2st.process.torch_import import import_torch
from s2st.text.tokenizers import ABSENT, TokenizerSpec
from s2st.text.vocabulary import SPECIALS, Vocabulary
from s2st.training.observer import perplexity_text

if TYPE_CHECKING:
    from s2st.data.parallel_corpus import ParallelCorpus
    from s2st.data.store import Store
    from s2st.models.base import ModelSizes
    from s2st.models.model_files import SavedModel
    from s2st.models.model_record import ModelRecord
    from s2st.scoring.ensemble_files import ModelTree

    OpenStore = tuple[Store, dict[str, ParallelCorpus]]


@dataclass(frozen=True)
class InspectConfig:
    """What `inspect` shows."""

    verify: bool = option(False, "read every file of PATH and compare its checksum")
    parameters: bool = option(False, "also list name and shape of every parameter")
    nwordssrc: int | None = option(
        None, "size of the source vocabulary for --arch", minimum=0, maximum=100_000_000
    )
    nwordstgt: int | None = option(
        None, "size of the target vocabulary for --arch", minimum=0, maximum=100_000_000
    )


INSPECT_SPEC = CommandSpec(
    fixed=(InspectConfig,),
    roles=(Role("arch", ARCHITECTURES, "lstm-reversed", "architecture", ("-a",), UNTRAINED),),
)
LARGE_CORPUS = 10_000_000  # training words; sizes that the options leave out fit such a corpus


def inspect(options: Resolved, path: str | None) -> Iterator[str]:
    """Describe what is at a path, or the chosen architecture.

    Args:
        options: of INSPECT_SPEC.
        path: a checkpoint, a store or the TOML file of an ensemble; None for the architecture.

    Yields:
        Lines of text.

    Raises:
        UsageError: neither a path nor the sizes of an architecture.
        InputMissingError, CheckpointError, DataError: a path that is missing or damaged.
    """
    config = options.config(InspectConfig)
    import_torch()
    if config.verify:
        if path is None:
            raise UsageError("--verify needs PATH, a checkpoint or a store")
        from s2st.jobs.verify_checksums import verify

        for name, size in verify(Path(path)).items():
            yield f"{name}: ok, {size:,} bytes"
    elif path is not None:
        yield from _path(Path(path), config)
    else:
        yield from _architecture(options, config)


def _architecture(options: Resolved, config: InspectConfig) -> Iterator[str]:
    if config.nwordssrc is None or config.nwordstgt is None:
        raise UsageError("give PATH, or --arch NAME with --nwordssrc N and --nwordstgt N")
    from s2st.models.base import ModelSizes

    entry = options.entries["arch"]
    chosen = with_default_sizes(options.configs["arch"], LARGE_CORPUS)
    special = len(SPECIALS)
    sizes = ModelSizes(config.nwordssrc + special, config.nwordstgt + special)
    yield f"architecture {entry.name}: {entry.description}"
    yield from _options(chosen)
    yield from _parameters(entry.base, chosen, sizes, config.parameters)


def _path(path: Path, config: InspectConfig) -> Iterator[str]:
    if path.suffix == ".toml" and path.is_file():
        from s2st.scoring.ensemble_files import read_tree

        yield from _tree(read_tree(path), config)
    else:
        opened = steady(path, lambda place: _opened(place, path))
        if isinstance(opened, tuple):
            yield from _store(path, *opened)
        else:
            yield from _checkpoint(path, opened, config)


def _opened(place: Path, path: Path) -> "SavedModel | OpenStore":
    """Open the folder `place`, which the user calls `path`: a checkpoint, or a store's splits."""
    from s2st.data.store import Store
    from s2st.models.model_files import read_at

    if not place.exists():
        raise missing(path, "no such file or folder")
    if kind_of(place) != "s2st-store":
        return read_at(place, folder=path)
    store = Store(place)
    return store, {name: store.split(name) for name in store.splits}


def _checkpoint(path: Path, saved: "SavedModel", config: InspectConfig) -> Iterator[str]:
    record = saved.record
    yield f"checkpoint {saved.place.resolve().name}: architecture {record.architecture}"
    yield from _options(record.config)
    yield from _sides(record)
    yield from _parameters(record.architecture, record.config, record.sizes, config.parameters)
    if record.plugins:
        yield f"plugins: {', '.join(record.plugins)}"
    try:
        yield from _history(saved.summary)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError("damaged training history", str(path / "manifest.json")) from error


def _sides(record: "ModelRecord") -> Iterator[str]:
    languages = record.languages
    if languages is not None:
        yield f"language pairs: {_pairs(languages.pairs)}; decoders {languages.decoders}"
        for side in languages.sides.values():
            yield _side("language", side.tokenizer, side.vocabulary)
        return
    yield _side("source", record.source_tokenizer, record.source_vocabulary)
    yield _side("target", record.target_tokenizer, record.target_vocabulary)


def _side(name: str, spec: TokenizerSpec, vocabulary: Vocabulary) -> str:
    if spec.vector_size:
        return f"{name} {spec.language}: vectors of size {spec.vector_size}"
    special = vocabulary.first_word
    words = len(vocabulary) - special
    return f"{name} {spec.language}: {words:,} words + {special} special, tokenizer {spec.name}"


def _tree(tree: "ModelTree", config: InspectConfig) -> Iterator[str]:
    """Describe an ensemble file and everything that it leads to."""
    ensemble = tree.config
    if ensemble is None:
        yield from _path(tree.path, config)
        return
    weights = ensemble.weights or (1.0,) * len(ensemble.members)
    yield f"ensemble {tree.path}: {len(ensemble.members)} members, mode {ensemble.mode}"
    for member, weight in zip(tree.members, weights, strict=False):
        yield ""
        yield f"member of weight {weight:g}:"
        yield from _tree(member, config)


def _store(path: Path, store: "Store", splits: Mapping[str, "ParallelCorpus"]) -> Iterator[str]:
    languages = _pairs(store.pairs)
    if store.source_language == ABSENT:
        languages = f"{store.target_language} alone"
    yield f"store {path}: {languages}"
    if store.several_pairs:
        for language, vocabulary in store.vocabularies.items():
            yield _side("language", store.tokenizers[language], vocabulary)
    else:
        yield _side("source", store.source_tokenizer, store.source_vocabulary)
        yield _side("target", store.target_tokenizer, store.target_vocabulary)
    for name, corpus in splits.items():
        source, target = len(corpus.source.ids), len(corpus.target.ids)
        counts = f"{len(corpus):,} pairs, {source:,} source and {target:,} target tokens"
        if store.source_tokenizer.vector_size:
            counts = f"{len(corpus):,} pairs, {source:,} vectors and {target:,} target tokens"
        if store.source_language == ABSENT:
            counts = f"{len(corpus):,} lines, {target:,} tokens"
        yield f"{name}: {counts}"
        corpora = store.corpora(name)
        if len(corpora) > 1:
            yield f"  corpora: {', '.join(f'{n} ({size:,})' for n, size in corpora)}"


def _pairs(pairs: Sequence[tuple[str, str]]) -> str:
    return ", ".join(f"{source} to {target}" for source, target in pairs)


def _options(config: Any) -> Iterator[str]:
    for name, value in config_values(config).items():
        yield f"  {name.replace('_', '-')} = {value}"


def _parameters(architecture: str, config: Any, sizes: "ModelSizes", names: bool) -> Iterator[str]:
    """The parameters of each part, counted without allocating them; with `names`, each of them."""
    from s2st.models.base import parameters_by_part
    from s2st.models.model_building import planned_model

    model = planned_model(architecture, config, sizes)
    source, target = sizes.source_vocabulary, sizes.target_vocabulary
    if sizes.source_vectors:
        yield f"vocabulary rows: {target:,} target; source vectors of size {sizes.source_vectors}"
    else:
        yield f"vocabulary rows: {source:,} source, {target:,} target"
    yield "parameters by part (weights, biases apart):"
    parts = parameters_by_part(model)
    for part, (weights, biases) in parts.items():
        yield f"  {part:<18} {weights:>13,}  + {biases:,}"
    weights = sum(part[0] for part in parts.values())
    biases = sum(part[1] for part in parts.values())
    yield f"  {'total':<18} {weights:>13,}  + {biases:,}   ({weights / 1e6:.3g} M)"
    if names:
        yield "parameters (shape):"
        for name, parameter in model.named_parameters(remove_duplicate=False):
            yield f"  {name} ({', '.join(map(str, parameter.shape))})"


def _history(summary: Mapping[str, Any]) -> Iterator[str]:
    """How the weights were made: averaged, or trained with these validations."""
    if not summary:
        return
    if "mean_of" in summary:
        yield "the mean of:"
        for part in summary["mean_of"]:
            yield f"  {part['checkpoint']}, update {part['update']}, weight {part['weight']:g}"
        return
    begin = summary.get("options", {}).get("finetune_from")
    if begin:
        yield f"fine-tuned from {begin}"
    decay = summary.get("options", {}).get("ema_decay")
    if decay:
        yield f"the weights are a moving average over updates, of decay {decay}"
    yield f"trained for {summary.get('update')} updates; validations:"
    for row in summary.get("history", []):
        line = f"  update {row['update']}, epoch {row['epoch']:.2f}"
        if "nll" in row:
            line += f": valid ppl {perplexity_text(row['nll'])}"
            each = (f"{n} {perplexity_text(nll)}" for n, nll in row.get("corpora", {}).items())
            line += f" ({', '.join(each)})" if row.get("corpora") else ""
        for name, value in row.get("metrics", {}).items():
            line += f", {name} {value:.2f}"
        line += f", train ppl {perplexity_text(row['train_nll'])}"
        if row["update"] == summary.get("best_update"):
            line += " (best)"
        yield line
