"""Options as a TOML file that `train --config` reads: of a command, and of a checkpoint."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from s2st.data.corpora import training_split
from s2st.data.store import Store
from s2st.errors import CheckpointError
from s2st.jobs.finetune import architecture_values, read_checkpoint_manifest, recorded_plugins
from s2st.jobs.train import TRAIN_SPEC
from s2st.models.configs import with_default_sizes
from s2st.options.option_fields import check_value, option_specs
from s2st.options.option_file_text import option_file, toml_line, toml_value
from s2st.options.registry import Entry
from s2st.options.resolution import Resolved, Role
from s2st.process.consistent_reads import steady
from s2st.process.folder_manifest import MANIFEST, files_of, parse_json, read_small, verify_files

STATE = "training/state.json"
# files of word vectors, of which a checkpoint has only the checksum, and what needs them
VECTORS = ("source_embeddings", "target_embeddings", "lowercase_embeddings", "freeze_embeddings")


def command_config(options: Resolved, data: str | None) -> Iterator[str]:
    """Yield the lines of a TOML file with all options of `train`.

    Args:
        options: of TRAIN_SPEC.
        data: the store, from which missing sizes of the model follow; None leaves them out.

    Raises:
        S2STError: the store cannot be read.
    """
    if data is not None:
        tokens = sum(len(part.target.ids) for part in training_split(Store(data)).parts)
        sized = with_default_sizes(options.configs["arch"], tokens)
        options = Resolved(options.fixed, options.entries, {**options.configs, "arch": sized})
    yield from option_file(TRAIN_SPEC, options)


def checkpoint_config(path: str) -> Iterator[str]:
    """Yield the lines of a TOML file with the options that trained a checkpoint.

    The save folder is left out. So are the options that do not change the mathematics, if the
    checkpoint has no training state (`s2st export`).

    Args:
        path: the checkpoint.

    Raises:
        S2STError: the checkpoint cannot be read.
        UsageError: it has a component that is not registered.
    """
    manifest, other = steady(path, _read)
    summary = manifest.get("summary")
    options = summary.get("options", {}) if isinstance(summary, dict) else None
    if not isinstance(options, dict):
        raise CheckpointError("damaged: incomplete record", f"{path}/{MANIFEST}")
    values = {**other, **options, **architecture_values(manifest, Path(path))}
    values.pop("save_dir", None)
    yield f"# options of {path}"
    for name in recorded_plugins(manifest):
        yield f"# needs --plugin {name}"
    entries = [entry for role in TRAIN_SPEC.roles for entry in _entry(role, values)]
    for name, line in _lines(values, [e.config_type for e in entries], path):
        yield f"# {line} (give the file)" if name in VECTORS else line


def _read(place: Path) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """Read the manifest, and the options that only the training state has."""
    manifest = read_checkpoint_manifest(place)
    if STATE not in files_of(place, manifest):
        return manifest, {}
    verify_files(place, manifest, [STATE])
    state = parse_json(read_small(place / STATE), place / STATE)
    try:
        other = state["identity"]["other"]
    except (KeyError, TypeError) as error:
        raise CheckpointError("damaged training state", str(place / STATE)) from error
    return manifest, other if isinstance(other, dict) else {}


def _entry(role: Role, values: Mapping[str, Any]) -> Iterator[Entry[Any]]:
    """Yield the component that the checkpoint names for a role, if any: an average has few."""
    if isinstance(values.get(role.name), str):
        yield role.registry.get(values[role.name])


def _lines(values: Mapping[str, Any], types: list[type], path: str) -> Iterator[tuple[str, str]]:
    """Yield name and TOML line of each value that is an option of `train`."""
    for role in TRAIN_SPEC.roles:
        if isinstance(values.get(role.name), str):
            yield role.name, f"{role.name.replace('_', '-')} = {toml_value(values[role.name])}"
    for config_type in (*TRAIN_SPEC.fixed, *types):
        for spec in option_specs(config_type):
            if spec.name not in values:
                continue
            line = toml_line(spec, check_value(spec, values[spec.name], path))
            if line is not None:
                yield spec.name, line
