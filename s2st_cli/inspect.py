"""`s2st inspect`: what a checkpoint, a store, an architecture or a preset is."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from s2st.components import CommandSpec, Resolved, Role
from s2st.errors import CheckpointError, InputMissingError, UsageError
from s2st.manifest import kind_of
from s2st.models.registry import ARCHITECTURES
from s2st.reading import why_not
from s2st.snapshots import steady
from s2st.text.tokenizers import NOTHING
from s2st_cli.options import ConfiguredCommand
from s2st_cli.startup import import_torch

if TYPE_CHECKING:
    from s2st.data.store import ParallelCorpus, Store
    from s2st.models.saved import SavedModel
    from s2st.scoring.members import ModelTree

    OpenStore = tuple[Store, dict[str, ParallelCorpus]]

SPEC = CommandSpec(
    fixed=(), roles=(Role("arch", ARCHITECTURES, "lstm-reversed", "architecture", ("-a",)),)
)
HELP = """Show what PATH (a checkpoint or a store) is: options, vocabulary sizes, parameters by
part, training history. Without PATH: the parameters of --arch at vocabularies of --nwordssrc and
--nwordstgt words, counted without allocating them. --verify reads every byte of a checkpoint or
store instead, names its files, and ends with exit code 65 at the first bad one.
"""


def run(options: Resolved, extra: Mapping[str, Any]) -> None:
    """Prints to stdout."""
    import_torch()
    if extra["verify"]:
        if extra["path"] is None:
            raise UsageError("--verify needs PATH, a checkpoint or a store")
        from s2st.pipelines.verify import verify

        for name, size in verify(Path(extra["path"])).items():
            print(f"{name}: ok, {size:,} bytes")
        return
    if extra["path"] is not None:
        _inspect_path(Path(extra["path"]))
        return
    if extra["nwordssrc"] is None or extra["nwordstgt"] is None:
        raise UsageError("give PATH, or --arch NAME with --nwordssrc N and --nwordstgt N")
    from s2st.config import config_values
    from s2st.models.base import ModelSizes
    from s2st.models.registry import with_default_sizes

    entry = options.entries["arch"]
    config = with_default_sizes(options.configs["arch"], 10_000_000)
    specials = 4
    sizes = ModelSizes(extra["nwordssrc"] + specials, extra["nwordstgt"] + specials)
    print(f"architecture {entry.name}: {entry.description}")
    _print_options(config_values(config))
    _print_parameters(entry.base, config, sizes)


def _inspect_path(path: Path) -> None:
    if path.suffix == ".toml" and path.is_file():
        from s2st.scoring.members import read_tree

        _inspect_tree(read_tree(path))
        return
    from s2st.config import config_values
    from s2st.models.saved import read_at

    def read(place: Path) -> "SavedModel | OpenStore":
        if not place.exists():
            raise InputMissingError(f"{path}: {why_not(path)}")
        return _open_store(place) if kind_of(place) == "s2st-store" else read_at(place, folder=path)

    opened = steady(path, read)
    if isinstance(opened, tuple):
        _inspect_store(path, *opened)
        return
    saved = opened
    record = saved.record
    print(f"checkpoint {saved.place.resolve().name}: architecture {record.architecture}")
    _print_options(config_values(record.config))
    for side, spec, vocabulary in (
        ("source", record.source_tokenizer, record.source_vocabulary),
        ("target", record.target_tokenizer, record.target_vocabulary),
    ):
        words = len(vocabulary) - 4
        print(f"{side} {spec.language}: {words:,} words + 4 special, tokenizer {spec.name}")
    _print_parameters(record.architecture, record.config, record.sizes)
    if record.plugins:
        print(f"plugins: {', '.join(record.plugins)}")
    try:
        _print_history(saved.summary)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError("damaged training history", str(path / "manifest.json")) from error


def _inspect_tree(tree: "ModelTree") -> None:
    """An ensemble file and all that it leads to."""
    config = tree.config
    if config is None:
        _inspect_path(tree.path)
        return
    weights = config.weights or (1.0,) * len(config.members)
    print(f"ensemble {tree.path}: {len(config.members)} members, mode {config.mode}")
    for member, weight in zip(tree.members, weights, strict=False):
        print(f"\nmember of weight {weight:g}:")
        _inspect_tree(member)


def _open_store(place: Path) -> "OpenStore":
    """A store and its splits, by name."""
    from s2st.data.store import Store

    store = Store(place)
    return store, {name: store.split(name) for name in store.splits}


def _inspect_store(path: Path, store: "Store", splits: Mapping[str, "ParallelCorpus"]) -> None:
    languages = f"{store.source_language} to {store.target_language}"
    if store.source_language == NOTHING:
        languages = f"{store.target_language} alone"
    print(f"store {path}: {languages}")
    for side, spec, vocabulary in (
        ("source", store.source_tokenizer, store.source_vocabulary),
        ("target", store.target_tokenizer, store.target_vocabulary),
    ):
        words = len(vocabulary) - 4
        print(f"{side} {spec.language}: {words:,} words + 4 special, tokenizer {spec.name}")
    for name, corpus in splits.items():
        source, target = len(corpus.source.ids), len(corpus.target.ids)
        print(f"{name}: {len(corpus):,} pairs, {source:,} source and {target:,} target tokens")


def _print_options(values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        print(f"  {name.replace('_', '-')} = {value}")


def _print_parameters(architecture: str, config: Any, sizes: Any) -> None:
    from s2st.models.base import parameters_by_part
    from s2st.models.saved import hollow_model

    model = hollow_model(architecture, config, sizes)
    print(
        f"vocabulary rows: {sizes.source_vocabulary:,} source, {sizes.target_vocabulary:,} target"
    )
    print("parameters by part (weights, biases apart):")
    parts = parameters_by_part(model)
    for part, (weights, biases) in parts.items():
        print(f"  {part:<18} {weights:>13,}  + {biases:,}")
    weights = sum(part[0] for part in parts.values())
    biases = sum(part[1] for part in parts.values())
    print(f"  {'total':<18} {weights:>13,}  + {biases:,}   ({weights / 1e6:.0f} M)")


def _print_history(summary: Mapping[str, Any]) -> None:
    if not summary:
        return
    if "mean_of" in summary:
        print("the mean of:")
        for part in summary["mean_of"]:
            print(f"  {part['checkpoint']}, update {part['update']}, weight {part['weight']:g}")
        return
    decay = summary.get("options", {}).get("ema_decay")
    if decay:
        print(f"the weights are a moving average over updates, of decay {decay}")
    print(f"trained for {summary.get('update')} updates; validations:")
    for row in summary.get("history", []):
        line = f"  update {row['update']}, epoch {row['epoch']:.2f}"
        if "nll" in row:
            line += f": valid ppl {math.exp(min(700, row['nll'])):.2f}"
        line += f", train ppl {math.exp(min(700, row['train_nll'])):.2f}"
        if row["update"] == summary.get("best_update"):
            line += " (best)"
        print(line)


command = ConfiguredCommand(
    "inspect",
    SPEC,
    run,
    HELP,
    extra=[
        click.Argument(["path"], required=False),
        click.Option(["--verify"], is_flag=True, help="check every file of PATH"),
        click.Option(["--nwordssrc"], type=click.IntRange(min=0), metavar="N", help="source words"),
        click.Option(["--nwordstgt"], type=click.IntRange(min=0), metavar="N", help="target words"),
    ],
)
