"""Manifest of a store or checkpoint: JSON with format, version and checksums of all files.

A manifest lists size and sha256 of every other file. It ends with a seal, the sha256 of all bytes
before it, so that every changed bit of a folder is found.
"""

import hashlib
import json
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from s2st.errors import CheckpointError, InputMissingError, reason
from s2st.options.option_fields import load_json, shown
from s2st.process import durable_files
from s2st.process.bounded_read import read_regular
from s2st.process.consistent_reads import MANIFEST as MANIFEST

KINDS = {  # format: what the folder is
    "s2st-store": "a store of `s2st preprocess`",
    "s2st-checkpoint": "a checkpoint of `s2st train`",
}
EXAMPLES = {"s2st-checkpoint": ", such as SAVE_DIR/checkpoint_best"}
_SURROGATE = re.compile("[\ud800-\udfff]")
MAX_JSON_BYTES = 1 << 25  # parsed JSON takes up to 20 times as much memory


def seal(values: Mapping[str, Any]) -> bytes:
    """Return a manifest with these values as bytes, with its checksum at the end."""
    text = json.dumps(values, indent=1, ensure_ascii=False).removesuffix("\n}")
    # a surrogate stands for a byte of a file name that is not UTF-8
    body = _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text).encode()
    return body + _seal_of(body)


def _seal_of(body: bytes) -> bytes:
    return f',\n "manifest_sha256": "{hashlib.sha256(body).hexdigest()}"\n}}\n'.encode()


_SEAL_BYTES = len(_seal_of(b""))


def read_sealed(folder: Path) -> dict[str, Any]:
    """Read the manifest of a folder as plain JSON values.

    Raises:
        OSError: it cannot be read.
        CheckpointError: it is damaged, or not a manifest.
    """
    path = folder / MANIFEST
    data = read_small(path)
    body = data[:-_SEAL_BYTES]
    if data[len(body) :] != _seal_of(body):
        message = "damaged, or not a manifest of s2st (the checksum at its end does not match)"
        raise CheckpointError(message, str(path))
    values = parse_json(data, path)
    if not isinstance(values, dict):
        raise CheckpointError("damaged: not a JSON object", str(path))
    return values


def read_small(path: Path) -> bytes:
    """Read a file of limited size; raise OSError, or CheckpointError if it is too large."""
    return read_listed(path, MAX_JSON_BYTES)


def read_listed(path: Path, most: int) -> bytes:
    """Read a file that a manifest lists; raise OSError, or CheckpointError above `most` bytes."""
    return read_regular(path, most, CheckpointError)


def parse_json(data: bytes, path: Path) -> Any:
    """Parse the JSON content of a file; raise CheckpointError."""
    try:
        return load_json(data)
    except ValueError as error:
        raise CheckpointError("damaged: not JSON", str(path)) from error


def read_manifest(folder: Path, expected: str, *versions: int) -> dict[str, Any]:
    """Read the manifest of a folder, and check its format and version.

    Args:
        folder: the store or checkpoint.
        expected: the expected format, a key of KINDS.
        versions: the versions of the format that the caller reads.

    Raises:
        OSError: it cannot be read.
        CheckpointError: it is damaged, or has another format or version.
    """
    manifest = read_sealed(folder)
    kind = manifest.get("format")
    if kind != expected:
        actual = KINDS.get(str(kind), "of unknown format")
        wanted = KINDS[expected] + EXAMPLES.get(expected, "")
        raise CheckpointError(f"this is {actual}, expected {wanted}", str(folder))
    if manifest.get("version") not in versions:
        known = " and ".join(map(str, versions))
        message = f"format version {shown(manifest.get('version'))}; this s2st reads {known}"
        raise CheckpointError(message, str(folder / MANIFEST))
    return manifest


def kind_of(folder: Path) -> str | None:
    """Return the format named in a folder's manifest; None without a readable manifest."""
    try:
        return str(read_sealed(folder).get("format"))
    except (OSError, CheckpointError):
        return None


def files_of(folder: Path, manifest: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return size and sha256 of each listed file, by name; raise CheckpointError."""
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
    """Compare size and sha256 of files with the manifest; raise CheckpointError.

    Args:
        folder: the store or checkpoint.
        manifest: its manifest.
        names: the files to check; all by default.
    """
    files = files_of(folder, manifest)
    for name in files if names is None else names:
        path = check_size(folder, files, name)
        try:
            if durable_files.sha256_of(path) == files[name]["sha256"]:
                continue
        except OSError as error:
            raise _unreadable(path, error) from error
        raise CheckpointError("damaged: its checksum differs from the manifest's", str(path))


def check_size(folder: Path, files: Mapping[str, Mapping[str, Any]], name: str) -> Path:
    """Return the path of a listed file after checking its size; raise CheckpointError."""
    path = folder / name
    if name not in files:
        raise CheckpointError("not listed in the manifest", str(path))
    try:
        inside = os.path.realpath(path).startswith(os.path.realpath(folder) + os.sep)
        facts = path.stat()
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    if not inside:
        raise CheckpointError("a symbolic link that leaves its folder", str(path))
    if not stat.S_ISREG(facts.st_mode):
        raise CheckpointError("not a regular file", str(path))
    expected = files[name].get("size")
    if facts.st_size != expected:
        message = f"damaged: it has {facts.st_size} bytes, the manifest says {str(expected)[:40]}"
        raise CheckpointError(message, str(path))
    return path


def _unreadable(path: Path, error: Exception) -> CheckpointError:
    reason = error.strerror if isinstance(error, OSError) else "no file can have this name"
    return CheckpointError(f"missing or unreadable ({reason})", str(path))


def refuse_unlisted_files(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Raise CheckpointError for a file in the folder that its manifest does not list.

    Raises:
        CheckpointError: such a file exists.
        InputMissingError: the folder cannot be listed.
    """
    files = files_of(folder, manifest)
    try:
        paths = list(_files_below(folder))
    except OSError as error:
        where = error.filename or folder
        raise InputMissingError(f"{where}: cannot be read: {reason(error)}") from error
    for path in paths:
        name = path.relative_to(folder).as_posix()
        if name != MANIFEST and name not in files:
            raise CheckpointError("not listed in the manifest", str(path))


def _files_below(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.is_symlink():
            yield from _files_below(path)
        else:
            yield path
