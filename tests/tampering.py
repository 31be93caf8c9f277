"""Checkpoints and stores changed by someone who knows the format: hashes and seal fit again."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from s2st.process import durable_files
from s2st.process.folder_manifest import MANIFEST, seal


def reseal(
    folder: Path, change: Callable[[dict[str, Any]], object] = lambda manifest: None
) -> None:
    """Lists the files as they are now, then applies `change` to the manifest, then seals it."""
    manifest = json.loads((folder / MANIFEST).read_bytes())
    del manifest["manifest_sha256"]
    for name, facts in manifest["files"].items():
        path = folder / name
        if path.is_file():
            facts.update(size=path.stat().st_size, sha256=durable_files.sha256_of(path))
    change(manifest)
    (folder / MANIFEST).write_bytes(seal(manifest))
