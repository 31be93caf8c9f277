"""Manifests: the JSON file of a store or checkpoint that says what the folder is and holds."""

import json
from pathlib import Path
from typing import Any

from s2st.errors import CheckpointError

MANIFEST = "manifest.json"
KINDS = {
    "s2st-store": "a store of `s2st preprocess`",
    "s2st-checkpoint": "a checkpoint of `s2st train`",
}


def read_manifest(folder: Path, expected: str, version: int) -> dict[str, Any]:
    """The manifest of a folder as plain JSON values.

    Args:
        folder: the store or checkpoint.
        expected: its format, a key of KINDS.
        version: the format's version.

    Raises:
        OSError: it cannot be read.
        CheckpointError: not JSON, or of another format or version.
    """
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise CheckpointError("damaged: not JSON", str(path)) from error
    kind = manifest.get("format") if isinstance(manifest, dict) else None
    if not isinstance(manifest, dict) or kind != expected:
        found = KINDS.get(str(kind), "of unknown format")
        raise CheckpointError(f"this is {found}, expected {KINDS[expected]}", str(folder))
    if manifest.get("version") != version:
        message = f"format version {manifest.get('version')}, this s2st reads {version}"
        raise CheckpointError(message, str(path))
    return manifest


def kind_of(folder: Path) -> str | None:
    """The format that a folder's manifest names, None where there is none that can be read."""
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return str(manifest.get("format")) if isinstance(manifest, dict) else None
