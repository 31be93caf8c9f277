"""`s2st inspect`: what a checkpoint, a store, an architecture or a preset is."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from s2st.errors import CheckpointError, UsageError
from s2st.models.registry import ARCHITECTURES, UNTRAINED
from s2st.options.resolution import CommandSpec, Resolved, Role
from s2st.process.input_files import missing
from s2st.process.manifest import kind_of
from s2st.process.torch_import import import_torch
from s2st.text.tokenizers import ABSENT
from s2st.training.observer import perplexity_text
from s2st_cli.click_options import ConfiguredCommand, Number, NumberOption
from s2st_cli.terminal_output import show

SPEC = CommandSpec(
    fixed=(),
    roles=(Role("arch", ARCHITECTURES, "lstm-reversed", "architecture", ("-a",), UNTRAINED),),
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
        from s2st.jobs.verify_checksums import verify

        for name, size in verify(Path(extra["path"])).items():
            show(f"{name}: ok, {size:,} bytes")
        return
    if extra["path"] is not None:
        _inspect_path(Path(extra["path"]))
        return
    if extra["nwordssrc"] is None or extra["nwordstgt"] is None:
        raise UsageError("give PATH, or --arch NAME with --nwordssrc N and --nwordstgt N")
    from s2st.models.base import ModelSizes
    from s2st.models.registry import with_default_sizes
    from s2st.options.config import config_values

    entry = options.entries["arch"]
    config = with_default_sizes(options.configs["arch"], 10_000_000)
    specials = 4
    sizes = ModelSizes(extra["nwordssrc"] + specials, extra["nwordstgt"] + specials)
    show(f"architecture {entry.name}: {entry.description}")
    _print_options(config_values(config))
    _print_parameters(entry.base, config, sizes)


def _inspect_path(path: Path) -> None:
    if path.suffix == ".toml" and path.is_file():
        _inspect_ensemble(path)
        return
    if not path.exists():
        raise missing(path, "no such file or folder")
    if kind_of(path) == "s2st-store":
        _inspect_store(path)
        return
    from s2st.models.model_files import read_saved
    from s2st.options.config import config_values

    saved = read_saved(path)
    record = saved.record
    show(f"checkpoint {path.resolve().name}: architecture {record.architecture}")
    _print_options(config_values(record.config))
    for side, spec, vocabulary in (
        ("source", record.source_tokenizer, record.source_vocabulary),
        ("target", record.target_tokenizer, record.target_vocabulary),
    ):
        words = len(vocabulary) - 4
        show(f"{side} {spec.language}: {words:,} words + 4 special, tokenizer {spec.name}")
    _print_parameters(record.architecture, record.config, record.sizes)
    if record.plugins:
        show(f"plugins: {', '.join(record.plugins)}")
    try:
        _print_history(saved.summary)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError("damaged training history", str(path / "manifest.json")) from error


def _inspect_ensemble(path: Path) -> None:
    from s2st.scoring.load_scorers import read_ensemble

    config = read_ensemble(path)
    weights = config.weights or (1.0,) * len(config.members)
    show(f"ensemble {path}: {len(config.members)} members, mode {config.mode}")
    for member, weight in zip(config.members, weights, strict=False):
        show()
        show(f"member of weight {weight:g}:")
        _inspect_path(path.parent / member)


def _inspect_store(path: Path) -> None:
    from s2st.data.store import Store

    store = Store(path)
    languages = f"{store.source_language} to {store.target_language}"
    if store.source_language == ABSENT:
        languages = f"{store.target_language} alone"
    show(f"store {path}: {languages}")
    for side, spec, vocabulary in (
        ("source", store.source_tokenizer, store.source_vocabulary),
        ("target", store.target_tokenizer, store.target_vocabulary),
    ):
        words = len(vocabulary) - 4
        show(f"{side} {spec.language}: {words:,} words + 4 special, tokenizer {spec.name}")
    for name in store.splits:
        corpus = store.split(name)
        source, target = len(corpus.source.ids), len(corpus.target.ids)
        counts = f"{len(corpus):,} pairs, {source:,} source and {target:,} target tokens"
        if store.source_language == ABSENT:
            counts = f"{len(corpus):,} lines, {target:,} tokens"
        show(f"{name}: {counts}")


def _print_options(values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        show(f"  {name.replace('_', '-')} = {value}")


def _print_parameters(architecture: str, config: Any, sizes: Any) -> None:
    from s2st.models.base import parameters_by_part
    from s2st.models.model_files import planned_model

    model = planned_model(architecture, config, sizes)
    show(f"vocabulary rows: {sizes.source_vocabulary:,} source, {sizes.target_vocabulary:,} target")
    show("parameters by part (weights, biases apart):")
    parts = parameters_by_part(model)
    for part, (weights, biases) in parts.items():
        show(f"  {part:<18} {weights:>13,}  + {biases:,}")
    weights = sum(part[0] for part in parts.values())
    biases = sum(part[1] for part in parts.values())
    show(f"  {'total':<18} {weights:>13,}  + {biases:,}   ({weights / 1e6:.0f} M)")


def _print_history(summary: Mapping[str, Any]) -> None:
    if not summary:
        return
    if "mean_of" in summary:
        show("the mean of:")
        for part in summary["mean_of"]:
            show(f"  {part['checkpoint']}, update {part['update']}, weight {part['weight']:g}")
        return
    decay = summary.get("options", {}).get("ema_decay")
    if decay:
        show(f"the weights are a moving average over updates, of decay {decay}")
    show(f"trained for {summary.get('update')} updates; validations:")
    for row in summary.get("history", []):
        line = f"  update {row['update']}, epoch {row['epoch']:.2f}"
        if "nll" in row:
            line += f": valid ppl {perplexity_text(row['nll'])}"
        line += f", train ppl {perplexity_text(row['train_nll'])}"
        if row["update"] == summary.get("best_update"):
            line += " (best)"
        show(line)


command = ConfiguredCommand(
    "inspect",
    SPEC,
    run,
    HELP,
    extra=[
        click.Argument(["path"], required=False),
        click.Option(["--verify"], is_flag=True, help="check every file of PATH"),
        NumberOption(["--nwordssrc"], type=Number(int, 0, 100_000_000), help="source words"),
        NumberOption(["--nwordstgt"], type=Number(int, 0, 100_000_000), help="target words"),
    ],
)
