"""The job of `s2st inspect --verify`: check every byte of a checkpoint or store."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from s2st.errors import CheckpointError, ConfigError
from s2st.process.bounded_read import missing
from s2st.process.consistent_reads import steady
from s2st.process.folder_manifest import MANIFEST, kind_of, refuse_unlisted_files
from s2st.text.tokenizer_files import model_file_name
from s2st.text.tokenizers import TokenizerSpec


def verify(folder: Path) -> dict[str, int]:
    """Check all files of a checkpoint or store.

    Returns:
        Size of each file by name, the manifest first.

    Raises:
        InputMissingError: there is no such folder.
        CheckpointError: a file is missing, damaged, or not in the manifest; the message names it.
    """
    return steady(folder, _verify)


def _verify(folder: Path) -> dict[str, int]:
    if not folder.is_dir():
        raise missing(folder, "no such folder; give a checkpoint or a store")
    if not (folder / MANIFEST).exists():
        message = "missing: without it this is neither a checkpoint nor a store"
        raise CheckpointError(message, str(folder / MANIFEST))
    manifest = _verify_store(folder) if kind_of(folder) == "s2st-store" else _verify_model(folder)
    refuse_unlisted_files(folder, manifest)
    sizes = {name: int(facts["size"]) for name, facts in manifest["files"].items()}
    return {MANIFEST: (folder / MANIFEST).stat().st_size, **sizes}


def _verify_store(folder: Path) -> Any:
    from s2st.data.store import Store

    store = Store(folder)
    store.verify()
    for name in store.splits:
        facts = store.manifest["splits"][name]
        if not isinstance(facts, dict) or facts.get("pairs") != len(store.split(name)):
            message = f"damaged: the arrays have another number of pairs for split {name[:80]}"
            raise CheckpointError(message, str(folder / MANIFEST))
    _build_tokenizers(folder, store.tokenizers.values())
    return store.manifest


def _verify_model(folder: Path) -> Any:
    import torch

    from s2st.models.model_files import WEIGHTS, read_at
    from s2st.models.weight_files import check_finite
    from s2st.training.checkpoint import OPTIMIZER, STATE, check_optimizer_tensors, read_run_at

    saved = read_at(folder)
    _build_tokenizers(folder, [side.tokenizer for side in saved.record.sides])
    model = saved.load(torch.device("cpu"))
    check_finite(model.state_dict(), folder / WEIGHTS)
    if {STATE, OPTIMIZER} & set(saved.manifest["files"]):
        read_run_at(folder)
        tensors = saved.tensors(OPTIMIZER)
        check_optimizer_tensors(tensors, list(model.parameters()), folder / OPTIMIZER)
        check_finite(tensors, folder / OPTIMIZER)
    return saved.manifest


def _build_tokenizers(folder: Path, specs: Iterable[TokenizerSpec]) -> None:
    for spec in specs:
        try:
            spec.build()
        except ConfigError as error:
            path = folder / model_file_name(spec.name, spec.language)
            raise CheckpointError(str(error), str(path)) from error
