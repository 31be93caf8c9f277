"""The one place that makes files last: write, fsync, rename, fsync of the folder."""

import contextlib
import hashlib
import os
import shutil
from pathlib import Path

from s2st.errors import OutputError

CHUNK = 1 << 20


def write_file(path: Path, data: bytes) -> None:
    """Writes and syncs one file (not its folder); raises OutputError."""
    try:
        with open(path, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error


def sync_path(path: Path) -> None:
    """fsync of an existing file or folder; raises OutputError."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise OutputError(f"{path}: cannot be synced: {error.strerror}") from error


def publish(temporary: Path, final: Path) -> None:
    """Renames a finished file or folder to its name and syncs the folder that holds it."""
    try:
        if temporary.is_dir():
            sync_path(temporary)
        os.replace(temporary, final)
    except OSError as error:
        raise OutputError(f"{final}: cannot be written: {error.strerror}") from error
    sync_path(final.parent)


def point_link(link: Path, target_name: str) -> None:
    """Makes `link` a symbolic link to a neighbour of that name, atomically."""
    temporary = link.with_name(f".{link.name}.tmp")
    try:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        os.symlink(target_name, temporary)
    except OSError as error:
        raise OutputError(f"{link}: cannot be written: {error.strerror}") from error
    publish(temporary, link)


def make_folder(path: Path) -> None:
    """Creates a folder and its parents; raises OutputError if that is not possible."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path}: cannot be created: {error.strerror}") from error


def remove_folder(path: Path) -> None:
    """Removes a folder and what is in it; one that is already gone is no error."""
    shutil.rmtree(path, ignore_errors=True)


def sha256_of(path: Path) -> str:
    """Hex sha256 of a file's content, read in chunks."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
