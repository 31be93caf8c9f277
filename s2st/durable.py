"""The one place that makes files last: create, write, fsync, rename, link, fsync of the folder.

What others may read gets its name when it is whole: it is written as `.NAME.tmp-...`, synced, then
renamed. Messages name the final path. Every operation passes `_observe`, where tests make it fail.
"""

import contextlib
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from s2st.errors import OutputError
from s2st.pipe_output import open_to_write

CHUNK = 1 << 20
_TEMPORARY = re.compile(r"\.(.+)\.tmp(?:-.*)?")

# Told of an operation just before it: its name, its path, and the source of a rename or the target
# of a link. None in the product; a test that sets it may raise OSError, or kill the process.
_observe: Callable[[str, Path, str], None] | None = None


def _step(operation: str, path: Path, other: str = "") -> None:
    if _observe is not None:
        _observe(operation, path, other)


def lasting(path: Path) -> Path:
    """The path without the temporary names in it: what a user knows it by."""
    parts = [match[1] if (match := _TEMPORARY.fullmatch(p)) else p for p in path.parts]
    return Path(*parts)


@contextlib.contextmanager
def _naming(path: Path, failure: str = "cannot be written") -> Iterator[None]:
    try:
        yield
    except OSError as error:
        message = f"{lasting(path)}: {failure}: {error.strerror or error}"
        raise OutputError(message) from error


class Writer:
    """A new file, written in pieces; every method raises OutputError.

    As a context it is synced and closed at the end, on an error only closed. Its folder is not
    synced.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with _naming(path):
            _step("create", path)
            # unbuffered: nothing is left to be written when an error closes it
            self._file = open(path, "wb", buffering=0)  # noqa: SIM115 - closed by close()

    def write(self, data: bytes) -> None:
        """Writes at the current position, the end unless `rewind` was called."""
        with _naming(self.path):
            _step("write", self.path)
            view = memoryview(data)
            while len(view):
                view = view[self._file.write(view) :]

    def rewind(self) -> None:
        """The next write goes over the file's beginning."""
        with _naming(self.path):
            self._file.seek(0)

    def close(self) -> None:
        """Syncs and closes."""
        with _naming(self.path), self._file:
            _step("sync", self.path)
            os.fsync(self._file.fileno())

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            with contextlib.suppress(OSError):
                self._file.close()


def write_file(path: Path, data: bytes) -> None:
    """Writes and syncs one file under its own name (not its folder); raises OutputError."""
    with Writer(path) as writer:
        writer.write(data)


def replace_file(path: Path, data: bytes) -> None:
    """Makes a file hold `data`, or leaves it as it was; raises OutputError.

    What is there and no regular file (a device, a pipe) is written to instead.
    """
    if path.exists() and not path.is_file():
        with _naming(path), open_to_write(path) as stream:
            stream.write(data)
        return
    path = Path(os.path.realpath(path))  # a link stays one
    temporary = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    try:
        write_file(temporary, data)
        publish(temporary, path)
    except OutputError:
        with contextlib.suppress(OutputError):
            remove_file(temporary)
        raise


def sync_file(path: Path) -> None:
    """fsync of a file that is there: what was written to it lasts; raises OutputError."""
    _sync(path)


def sync_folder(path: Path) -> None:
    """fsync of a folder: what was created, renamed or removed in it lasts; raises OutputError."""
    _sync(path)


def _sync(path: Path) -> None:
    with _naming(path, "cannot be synced"):
        _step("sync", path)
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def publish(temporary: Path, final: Path) -> None:
    """Renames a finished file or folder to its name, lastingly.

    Files must have been synced; the folders within a folder are synced here.
    """
    if not temporary.is_symlink():
        for folder, _, _ in os.walk(temporary, topdown=False):  # nothing where it is a file
            sync_folder(Path(folder))
    _rename(temporary, final)
    sync_folder(final.parent)


def _rename(source: Path, target: Path) -> None:
    with _naming(target):
        _step("rename", target, str(source))
        os.replace(source, target)


def point_link(link: Path, target_name: str) -> None:
    """Makes `link` a symbolic link to a neighbour of that name, atomically and lastingly."""
    temporary = link.with_name(f".{link.name}.tmp-{os.getpid()}")
    remove_file(temporary)
    with _naming(link):
        _step("link", temporary, target_name)
        os.symlink(target_name, temporary)
    publish(temporary, link)


@contextlib.contextmanager
def new_folder(final: Path) -> Iterator[Path]:
    """An empty folder to fill; it becomes `final` at the end, and is removed on an error.

    What stopped processes left of `final` is removed first. `final` must not exist, or be an empty
    folder. Raises OutputError.
    """
    make_folder(final.parent)
    _sweep_dead(final)
    temporary = final.with_name(f".{final.name}.tmp-{os.getpid()}")
    with _naming(temporary, "cannot be created"):
        _step("mkdir", temporary)
        temporary.mkdir()
    try:
        yield temporary
        publish(temporary, final)
    except BaseException:
        remove_folder(temporary)
        raise


def _sweep_dead(final: Path) -> None:
    prefix = f".{final.name}.tmp-"
    for entry in sorted(final.parent.iterdir()):
        number = entry.name[len(prefix) :] if entry.name.startswith(prefix) else ""
        if number.isdecimal() and (int(number) == os.getpid() or not _alive(int(number))):
            remove_folder(entry)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def make_folder(path: Path) -> None:
    """Creates a folder and its parents, lastingly; raises OutputError if that is not possible."""
    with _naming(path, "cannot be created"):
        missing = [folder for folder in (path, *path.parents) if not folder.exists()]
        for folder in reversed(missing):
            _step("mkdir", folder)
            folder.mkdir(exist_ok=True)
        path.mkdir(exist_ok=True)  # says so where it is a file
    for folder in missing:
        sync_folder(folder.parent)


def remove_file(path: Path) -> None:
    """Removes a file or link; one that is not there is no error. Raises OutputError."""
    with _naming(path, "cannot be removed"), contextlib.suppress(FileNotFoundError):
        os.lstat(path)
        _step("remove", path)
        path.unlink()


def remove_folder(path: Path) -> None:
    """Removes a folder and what is in it, as far as that is possible."""
    with contextlib.suppress(OSError):
        os.lstat(path)
        _step("remove", path)
        shutil.rmtree(path, ignore_errors=True)


def retire_folder(path: Path) -> None:
    """Removes a folder that others may read: its name goes first, so that none reads half of it."""
    aside = path.with_name(f".{path.name}.tmp-old-{os.getpid()}")
    remove_folder(aside)
    _rename(path, aside)
    remove_folder(aside)


def sha256_of(path: Path) -> str:
    """Hex sha256 of a file's content, read in chunks."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
