"""Manifests: the JSON file of a store or checkpoint that says what the folder is and holds.

A manifest lists size and sha256 of every other file and ends with a seal, the sha256 of all bytes
before it: no bit of a folder can change unseen.
"""

import hashlib
import json
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from s2st import durable
from s2st.config import shown
from s2st.errors import CheckpointError
from s2st.reading import read_whole
from s2st.snapshots import MANIFEST as MANIFEST

KINDS = {
    "s2st-store": "a store of `s2st preprocess`",
    "s2st-checkpoint": "a checkpoint of `s2st train`",
}
_SURROGATE = re.compile("[\ud800-\udfff]")
MOST_JSON_BYTES = 1 << 25  # parsed JSON takes up to 20 times as much memory


def seal(values: Mapping[str, Any]) -> bytes:
    """The bytes of a manifest of these values, with its own checksum at the end."""
    text = json.dumps(values, indent=1, ensure_ascii=False).removesuffix("\n}")
    # what stands for a byte of a file's name that is no UTF-8
    body = _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text).encode()
    return body + _seal_of(body)


def _seal_of(body: bytes) -> bytes:
    return f',\n "manifest_sha256": "{hashlib.sha256(body).hexdigest()}"\n}}\n'.encode()


_SEAL_BYTES = len(_seal_of(b""))


def read_sealed(folder: Path) -> dict[str, Any]:
    """The manifest of a folder as plain JSON values.

    Raises:
        OSError: it cannot be read.
        CheckpointError: damaged, or not a manifest.
    """
    path = folder / MANIFEST
    data = read_small(path)
    body = data[:-_SEAL_BYTES]
    if data[len(body) :] != _seal_of(body):
        message = "damaged, or not a manifest of s2st (its own checksum does not fit)"
        raise CheckpointError(message, str(path))
    values = parse_json(data, path)
    if not isinstance(values, dict):
        raise CheckpointError("damaged: not a JSON object", str(path))
    return values


def read_small(path: Path) -> bytes:
    """A file of limited size; raises OSError, or CheckpointError if it is too large."""
    return read_listed(path, MOST_JSON_BYTES)


def read_listed(path: Path, most: int) -> bytes:
    """A plain file of a folder, of `most` bytes; raises OSError or CheckpointError."""
    return read_whole(path, most, failure=CheckpointError)


def parse_json(data: bytes, path: Path) -> Any:
    """The JSON values of a file's bytes; raises CheckpointError."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise CheckpointError("damaged: not JSON", str(path)) from error


def read_manifest(folder: Path, expected: str, version: int) -> dict[str, Any]:
    """The manifest of a folder of a certain kind.

    Args:
        folder: the store or checkpoint.
        expected: its format, a key of KINDS.
        version: the format's version.

    Raises:
        OSError: it cannot be read.
        CheckpointError: damaged, or of another format or version.
    """
    manifest = read_sealed(folder)
    kind = manifest.get("format")
    if kind != expected:
        found = KINDS.get(str(kind), "of unknown format")
        raise CheckpointError(f"this is {found}, expected {KINDS[expected]}", str(folder))
    if manifest.get("version") != version:
        message = f"format version {shown(manifest.get('version'))}, this s2st reads {version}"
        raise CheckpointError(message, str(folder / MANIFEST))
    return manifest


def kind_of(folder: Path) -> str | None:
    """The format that a folder's manifest names, None where there is none that can be read."""
    try:
        return str(read_sealed(folder).get("format"))
    except (OSError, CheckpointError):
        return None


def files_of(folder: Path, manifest: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Name -> size and sha256 of each file that a manifest lists; raises CheckpointError."""
    files = manifest.get("files")
    where = str(folder / MANIFEST)
    if not isinstance(files, dict):
        raise CheckpointError("damaged: no list of files", where)
    for name, facts in files.items():
        parts = PurePosixPath(name).parts
        if not parts or ".." in parts or name.startswith("/") or not name.isprintable():
            raise CheckpointError(f"damaged: file name {name[:80]!r}", where)
        sized = isinstance(facts, dict) and isinstance(facts.get("size"), int)
        digest = facts.get("sha256") if sized else None
        if not isinstance(digest, str) or not digest.isascii():
            raise CheckpointError(f"damaged: no checksum of {name[:80]!r}", where)
    return files


def verify_files(
    folder: Path, manifest: Mapping[str, Any], names: Iterable[str] | None = None
) -> None:
    """Compares size and sha256 of files with the manifest; raises CheckpointError.

    Args:
        folder, manifest: of the store or checkpoint.
        names: which files, all by default.
    """
    files = files_of(folder, manifest)
    for name in files if names is None else names:
        path = check_size(folder, files, name)
        try:
            if durable.sha256_of(path) == files[name]["sha256"]:
                continue
        except OSError as error:
            raise _unreadable(path, error) from error
        raise CheckpointError("damaged: its checksum is not the manifest's", str(path))


def check_size(folder: Path, files: Mapping[str, Mapping[str, Any]], name: str) -> Path:
    """The path of a listed file, whose size is the manifest's; raises CheckpointError."""
    path = folder / name
    if name not in files:
        raise CheckpointError("not listed in the manifest", str(path))
    try:
        inside = os.path.realpath(path).startswith(os.path.realpath(folder) + os.sep)
        facts = path.stat()
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    if not inside:
        raise CheckpointError("a symbolic link to outside of its folder", str(path))
    if not stat.S_ISREG(facts.st_mode):
        raise CheckpointError("not a plain file", str(path))
    expected = files[name].get("size")
    if facts.st_size != expected:
        message = f"damaged: {facts.st_size} bytes, the manifest says {str(expected)[:40]}"
        raise CheckpointError(message, str(path))
    return path


def _unreadable(path: Path, error: Exception) -> CheckpointError:
    reason = error.strerror if isinstance(error, OSError) else "no file can have this name"
    return CheckpointError(f"missing or unreadable ({reason})", str(path))


def refuse_strangers(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Raises CheckpointError for a file in the folder that its manifest does not list."""
    files = files_of(folder, manifest)
    for path in _files_below(folder):
        name = path.relative_to(folder).as_posix()
        if name != MANIFEST and name not in files:
            raise CheckpointError("not listed in the manifest", str(path))


def _files_below(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.is_symlink():
            yield from _files_below(path)
        else:
            yield path
