"""Models on disk: a folder with weights, config, vocabularies and tokenizers, complete in itself.

`manifest.json` has the record, and the size and sha256 of every other file; it is written last.
Training adds files under `training/`. Without them the folder is a release.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from s2st.errors import CheckpointError, InputMissingError, UsageError
from s2st.models.base import Seq2SeqModel
from s2st.models.languages import DECODERS, LanguageChoice, Languages, LanguageSide
from s2st.models.model_building import hollow_model, model_with_weights
from s2st.models.model_record import ModelRecord
from s2st.models.multi_decoder import weights_for
from s2st.models.registry import ARCHITECTURES
from s2st.models.weight_files import check_finite, load_tensors, save_tensors
from s2st.options.option_fields import config_values, make_config
from s2st.process import durable_files
from s2st.process.bounded_read import missing, unreadable
from s2st.process.consistent_reads import Stamp, check_same, stamp_of, steady
from s2st.process.folder_manifest import MANIFEST, files_of, read_manifest, seal, verify_files
from s2st.text.tokenizer_files import load_spec, save_models
from s2st.text.vocabulary import Vocabulary

FORMAT = "s2st-checkpoint"
VERSION = 1
VERSION_OF_PAIRS = 2  # of a model for several language pairs
WEIGHTS = "weights.safetensors"
TRAINING = "training/"  # prefix of the files that only training reads


@dataclass(frozen=True)
class SavedModel:
    """A checkpoint that was read.

    Attributes:
        folder: as the user names it; it may be a link.
        place: the folder itself, whose files are read.
        summary: what training noted of itself.
        digest: sha256 of the manifest, which holds those of all other files.
        stamp: tells this folder from one that takes its place.
        decoder: the target language whose decoder is loaded; None for the whole model.
    """

    folder: Path
    place: Path
    record: ModelRecord
    summary: Mapping[str, Any]
    manifest: Mapping[str, Any]
    digest: str
    stamp: Stamp | None
    decoder: str | None = None

    def for_pair(self, choice: LanguageChoice) -> "SavedModel":
        """The checkpoint as one of a model for a single pair; raises as `ModelRecord.for_pair`."""
        record = self.record.for_pair(choice, str(self.folder))
        languages = self.record.languages
        several = languages is not None and languages.per_language
        return replace(
            self, record=record, decoder=record.target_tokenizer.language if several else None
        )

    def load(self, device: torch.device) -> Seq2SeqModel:
        """The model with its weights, on the device.

        Raises:
            CheckpointError: they do not fit, or the checkpoint was replaced; `load_saved` would
                read it again.
        """
        weights = self.tensors(WEIGHTS)
        if self.decoder is not None:
            weights = weights_for(weights, self.decoder)
        manifest, stored = str(self.place / MANIFEST), str(self.place / WEIGHTS)
        check_weights(self.record, weights, manifest, stored)
        return model_with_weights(self.record, weights).to(device)

    def tensors(self, name: str) -> dict[str, torch.Tensor]:
        """The tensors of a file of the checkpoint that was verified; raises CheckpointError."""
        try:
            found = load_tensors(self.place / name)
        finally:
            check_same(self.place, self.stamp)
        return found


def check_weights(
    record: ModelRecord, weights: Mapping[str, torch.Tensor], described: str, stored: str
) -> None:
    """Compare names and shapes before allocating: a damaged record can ask for any size.

    Args:
        record: the model.
        weights: its tensors by name.
        described, stored: the files of the record and of the weights, for messages.

    Raises:
        CheckpointError: the weights do not fit the record.
    """
    try:
        expected = hollow_model(record.architecture, record.config, record.sizes).state_dict()
    except (RuntimeError, ValueError, TypeError, OverflowError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(f"no model can have these sizes: {reason}", described) from error
    for name in sorted({*expected, *weights}):
        wanted, found = (_describe(tensors.get(name)) for tensors in (expected, weights))
        if wanted != found:
            message = f"{name[:80]} is {found}, expected {wanted}"
            raise CheckpointError(f"the weights do not fit the architecture: {message}", stored)


def _describe(tensor: torch.Tensor | None) -> str:
    if tensor is None:
        return "missing"
    kind = "floating-point" if tensor.is_floating_point() else str(tensor.dtype)
    return f"{kind} {tuple(tensor.shape)}"


def write_model_files(
    folder: Path, record: ModelRecord, weights: Mapping[str, torch.Tensor]
) -> None:
    """Writes everything but the manifest into an existing folder.

    Raises:
        CheckpointError: weights that are not finite; no command could use them.
        OutputError: a file cannot be written.
    """
    check_finite(weights, durable_files.final_path(folder) / WEIGHTS)
    save_tensors(folder / WEIGHTS, weights)
    save_models(folder, [side.tokenizer for side in record.sides])
    for side in record.sides:
        side.vocabulary.save(folder / f"dict.{side.tokenizer.language}.txt")


def write_manifest(folder: Path, record: ModelRecord, summary: Mapping[str, Any]) -> None:
    """Writes the manifest of all files in the folder."""
    languages = record.languages
    files = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != MANIFEST:
            name = path.relative_to(folder).as_posix()
            files[name] = {"size": path.stat().st_size, "sha256": durable_files.sha256_of(path)}
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION if languages is None else VERSION_OF_PAIRS,
        "architecture": {"name": record.architecture, "options": config_values(record.config)},
        "source_language": record.source_tokenizer.language,
        "target_language": record.target_tokenizer.language,
        "tokenizers": {
            "source": record.source_tokenizer.record(),
            "target": record.target_tokenizer.record(),
        },
        "plugins": list(record.plugins),
        "summary": dict(summary),
        "files": files,
    }
    if languages is not None:
        manifest["languages"] = {
            "tokenizers": [side.tokenizer.record() for side in record.sides],
            "pairs": [list(pair) for pair in languages.pairs],
            "decoders": languages.decoders,
        }
    durable_files.write_file(folder / MANIFEST, seal(manifest))


def read_saved(folder: str | Path, whole: bool = True) -> SavedModel:
    """Reads and verifies a checkpoint without loading the weights.

    Args:
        folder: folder of the checkpoint.
        whole: also verify the files of training. They can be twice as large as the weights, and
            only training reads them.

    Raises:
        InputMissingError: the folder does not exist, or has no manifest.
        CheckpointError: a file is missing, damaged or of another format.
    """
    return steady(folder, lambda place: read_at(place, whole, Path(folder)))


def load_saved(
    folder: str | Path,
    device: torch.device,
    whole: bool = False,
    pin: bool = False,
    choice: LanguageChoice | None = None,
) -> tuple[SavedModel, Seq2SeqModel]:
    """A checkpoint and its model, read from one folder, again where that was replaced meanwhile.

    Args:
        folder, whole: as in `read_saved`.
        device: for the model.
        pin: as in `consistent_reads.steady`.
        choice: languages of the model for one pair; None for the whole model.
    """

    def read(place: Path) -> tuple[SavedModel, Seq2SeqModel]:
        saved = read_at(place, whole, Path(folder))
        if choice is not None:
            saved = saved.for_pair(choice)
        return saved, saved.load(device)

    return steady(folder, read, pin)


def read_at(path: Path, whole: bool = True, folder: Path | None = None) -> SavedModel:
    """As `read_saved`, of the folder itself, once.

    Args:
        path: where the files are.
        whole: as in `read_saved`.
        folder: as the user names it, the same where left out.
    """
    stamp = stamp_of(path)
    manifest = _checkpoint_manifest(path)
    files = files_of(path, manifest)
    if WEIGHTS not in files:
        raise CheckpointError(f"damaged: no {WEIGHTS} among its files", str(path / MANIFEST))
    verify_files(path, manifest, [n for n in files if whole or not n.startswith(TRAINING)])
    record = _record_of(path, manifest)
    summary = manifest.get("summary")
    return SavedModel(
        folder=path if folder is None else folder,
        place=path,
        record=record,
        summary=summary if isinstance(summary, dict) else {},
        manifest=manifest,
        digest=durable_files.sha256_of(path / MANIFEST),
        stamp=stamp,
    )


def read_record(folder: str | Path) -> ModelRecord:
    """Reads what a checkpoint says of its model; the weights stay unread.

    Raises:
        S2STError: as `read_saved`.
    """

    def read(place: Path) -> ModelRecord:
        manifest = _checkpoint_manifest(place)
        names = files_of(place, manifest)
        verify_files(place, manifest, [name for name in names if name.startswith("dict.")])
        return _record_of(place, manifest)

    return steady(folder, read)


def _record_of(path: Path, manifest: Mapping[str, Any]) -> ModelRecord:
    """The record in a manifest, with vocabularies and tokenizers of the folder `path`."""
    damaged = CheckpointError("damaged: incomplete record", str(path / MANIFEST))
    try:
        plugins = tuple(str(name) for name in manifest.get("plugins", []))
        name = manifest["architecture"]["name"]
        options = manifest["architecture"]["options"]
        tokenizers = manifest["tokenizers"]
        specs = [load_spec(tokenizers[side], path, manifest) for side in ("source", "target")]
    except (KeyError, TypeError) as error:
        raise damaged from error
    if not isinstance(name, str) or not isinstance(options, dict):
        raise damaged
    try:
        entry = ARCHITECTURES.get(name)
    except UsageError as error:
        hint = f" (it was trained with --plugin {plugins[0]}: name it again)" if plugins else ""
        raise UsageError(f"{path}: {error}{hint}") from error
    config: Any = make_config(entry.config_type, options, str(path / MANIFEST))
    for spec in specs:
        if f"dict.{spec.language}.txt" not in manifest["files"]:
            raise damaged
    source, target = (Vocabulary.load(path / f"dict.{spec.language}.txt") for spec in specs)
    record = ModelRecord(name, config, source, target, specs[0], specs[1], plugins)
    if "languages" in manifest:
        record = replace(record, languages=_read_languages(path, manifest))
    return record


def _read_languages(path: Path, manifest: Mapping[str, Any]) -> Languages:
    """The languages of a model for several pairs; raises CheckpointError."""
    damaged = CheckpointError("damaged: no valid languages", str(path / MANIFEST))
    try:
        record = manifest["languages"]
        specs = [load_spec(item, path, manifest) for item in record["tokenizers"]]
        pairs = [(str(source), str(target)) for source, target in record["pairs"]]
        decoders = str(record["decoders"])
    except (KeyError, TypeError, ValueError) as error:
        raise damaged from error
    sides = {}
    for spec in specs:
        name = f"dict.{spec.language}.txt"
        if name not in manifest["files"]:
            raise damaged
        sides[spec.language] = LanguageSide(spec, Vocabulary.load(path / name))
    languages = Languages(sides, pairs, decoders)
    if (
        decoders not in DECODERS
        or not pairs
        or not {*languages.sources, *languages.targets} <= set(sides)
    ):
        raise damaged
    if languages.needs_tag and any(
        target not in sides[source].vocabulary.tags
        for source in languages.sources
        for target in languages.targets
    ):
        raise damaged
    return languages


def _checkpoint_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a checkpoint folder, as JSON values."""
    path = folder / MANIFEST
    if not folder.exists():
        raise missing(folder, "no such checkpoint folder")
    if not folder.is_dir():
        raise CheckpointError("this is a file, but a checkpoint is a folder", str(folder))
    try:
        return read_manifest(folder, FORMAT, VERSION, VERSION_OF_PAIRS)
    except FileNotFoundError as error:
        inside = sorted(item.name for item in folder.glob("checkpoint_[bl]*"))  # best, last
        hint = f"; did you mean {folder / inside[0]}?" if inside else ""
        raise InputMissingError(f"{folder}: not a checkpoint (no {MANIFEST}){hint}") from error
    except OSError as error:
        raise unreadable(path, error) from error
