"""Durable, atomic file writes: create, write, fsync, rename, link, fsync of the folder.

A file gets its final name only when it is complete: s2st writes `.NAME.tmp-...`, syncs it, then
renames it. Messages show the final path. Every operation is announced to `_observe`, where tests
make it fail.
"""

import contextlib
import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from s2st.errors import OutputError, reason
from s2st.process.pipe_output import open_to_write

CHUNK = 1 << 20
_TEMPORARY_NAME = re.compile(r"\.(.+)\.tmp(?:-.*)?")
_SUFFIX = re.compile(r"\.tmp-(?:old-)?([0-9]+)(?:\.[0-9]+)?")
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)

# Called just before each operation with its name, its path, and the source of a rename or the
# target of a link. Only tests set it; it may raise OSError or kill the process.
_observe: Callable[[str, Path, str], None] | None = None

# /proc path of each folder that is held open -> the path that the user knows
_open_folders: dict[str, Path] = {}


def announce(operation: str, path: Path, other: str = "") -> None:
    """Announce the next operation to `_observe`."""
    if _observe is not None:
        _observe(operation, _user_path(path), str(_user_path(Path(other))) if other else "")


def final_path(path: Path) -> Path:
    """Return the path with final instead of temporary names, as the user knows it."""
    names = _user_path(path).parts
    return Path(*(match[1] if (match := _TEMPORARY_NAME.fullmatch(n)) else n for n in names))


def _user_path(path: Path) -> Path:
    """Return the path with the folder's name instead of the /proc path of an open folder."""
    for open_path, folder in _open_folders.items():
        if path.is_relative_to(open_path):
            return folder / path.relative_to(open_path)
    return path


@contextlib.contextmanager
def held_open(folder: Path) -> Iterator[Path]:
    """Open a folder and yield a path that keeps leading to it when the folder is renamed.

    On systems without /proc it is the folder's normal path. Raises OutputError.
    """
    with output_errors(folder, "cannot be opened"):
        descriptor = os.open(folder, os.O_RDONLY) if os.name == "posix" else -1
    place = f"/proc/self/fd/{descriptor}"
    try:
        has_proc = os.path.isdir(place) and os.path.samefile(place, folder)
        if has_proc:
            _open_folders[place] = folder
        yield Path(place) if has_proc else folder
    finally:
        _open_folders.pop(place, None)
        if descriptor >= 0:
            os.close(descriptor)


@contextlib.contextmanager
def output_errors(path: Path, failure: str = "cannot be written") -> Iterator[None]:
    """Turn an OSError into an OutputError that names the path."""
    try:
        yield
    except OSError as error:
        message = f"{final_path(path)}: {failure}: {reason(error)}"
        raise OutputError(message) from error


def temporary_path(path: Path, kind: str = "tmp") -> Path:
    """Return an unused path beside `path`; its name contains the process id, see `creator`."""
    first = f".{path.name}.{kind}-{os.getpid()}"
    number, name = 0, first
    while os.path.lexists(path.with_name(name)):
        number += 1
        name = f"{first}.{number}"
    return path.with_name(name)


def creator(temporary: str, final: str) -> int | None:
    """Return the id of the process that made a temporary name of `final`; None for other names."""
    prefix = f".{final}"
    if not temporary.startswith(prefix):
        return None
    match = _SUFFIX.fullmatch(temporary, len(prefix))
    return int(match[1]) if match else None


def describe(path: Path) -> str:
    """Say what a path is unless it is a regular file with one name; return "" for such a file.

    Raises:
        OSError: the path does not exist (FileNotFoundError) or cannot be examined.
    """
    facts = os.lstat(path)
    if stat.S_ISLNK(facts.st_mode):
        return f"a symbolic link to {os.readlink(path)!r}"
    return describe_facts(facts)


def describe_facts(facts: os.stat_result) -> str:
    """Like `describe`, from the stat result of an open file."""
    for is_kind, name in _KINDS:
        if is_kind(facts.st_mode):
            return name
    if facts.st_nlink > 1:
        return f"a file with {facts.st_nlink} names (hard links)"
    return ""


class Writer:
    """A new file, written in chunks; every method raises OutputError.

    The name must be unused: no existing file is opened and no link is followed. As a context
    manager, the writer syncs and closes the file at the end; after an error it only closes it. The
    folder is not synced.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with output_errors(path):
            announce("create", path)
            # unbuffered, so that closing after an error writes nothing
            self._file = open(path, "xb", buffering=0)  # noqa: SIM115 - closed by close()

    def write(self, data: bytes) -> None:
        """Write at the current position: the end, unless `rewind` was called."""
        with output_errors(self.path):
            announce("write", self.path)
            view = memoryview(data)
            while len(view):
                view = view[self._file.write(view) :]

    def take_mode(self, path: Path) -> None:
        """Copy the permissions of another file, if that file exists."""
        with contextlib.suppress(OSError):
            os.fchmod(self._file.fileno(), stat.S_IMODE(os.stat(path).st_mode))

    def rewind(self) -> None:
        """Move to the start of the file; the next write overwrites it."""
        with output_errors(self.path):
            self._file.seek(0)

    def close(self) -> None:
        """Sync and close the file."""
        with output_errors(self.path), self._file:
            announce("sync", self.path)
            os.fsync(self._file.fileno())

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            with contextlib.suppress(OSError):
                self._file.close()


class Stream:
    """An open device or pipe, written to in place; every method raises OutputError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with output_errors(path):
            self._file = open_to_write(path)

    def write(self, data: bytes) -> None:
        """Write all bytes; raise BrokenPipeError if the reader of a pipe has ended."""
        with output_errors(self.path):
            self._file.write(data)
            self._file.flush()

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._file.close()


def write_file(path: Path, data: bytes) -> None:
    """Write and sync one new file, not its folder; raise OutputError."""
    with Writer(path) as writer:
        writer.write(data)


def replace_file(path: Path, data: bytes) -> None:
    """Replace a file's content atomically; see `replacing`."""
    with replacing(path) as writer:
        writer.write(data)


def publish_file(path: Path, data: bytes) -> None:
    """Write a file atomically; a link under its name is replaced, not followed.

    For files that the user did not name, in a folder that s2st created. Raises OutputError.
    """
    temporary = temporary_path(path)
    try:
        write_file(temporary, data)
        publish(temporary, path)
    except BaseException:
        with contextlib.suppress(OutputError):
            remove_file(temporary)
        raise


@contextlib.contextmanager
def replacing(path: Path) -> Iterator["Writer | Stream"]:
    """Yield a writer that replaces a file at the end; an error leaves the old file unchanged.

    A symbolic link is followed: its target is replaced and keeps its permissions. A device or a
    pipe is written to in place. Raises OutputError.
    """
    if path.exists() and not path.is_file():
        with Stream(path) as stream:
            yield stream
        return
    final = Path(os.path.realpath(path)) if path.is_symlink() else path
    temporary = temporary_path(final)
    try:
        with Writer(temporary) as writer:
            writer.take_mode(final)
            yield writer
        publish(temporary, final)
    except BaseException:
        with contextlib.suppress(OutputError):
            remove_file(temporary)
        raise


def sync_file(path: Path) -> None:
    """Call fsync on a file, so that its content is durable; raise OutputError."""
    _sync(path)


def sync_folder(path: Path) -> None:
    """Call fsync on a folder, so that created, renamed and removed names are durable.

    Raises:
        OutputError: it cannot be synced.
    """
    _sync(path)


def _sync(path: Path) -> None:
    with output_errors(path, "cannot be synced"):
        announce("sync", path)
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def publish(temporary: Path, final: Path) -> None:
    """Rename a complete file or folder to its final name, durably.

    The caller has synced the files; this function syncs the folders inside a folder.
    """
    if not temporary.is_symlink():
        for folder, _, _ in os.walk(temporary, topdown=False):  # yields nothing for a file
            sync_folder(Path(folder))
    rename(temporary, final)
    sync_folder(final.parent)


def rename(source: Path, target: Path) -> None:
    """Rename a file or folder, replacing a file under the new name; raise OutputError."""
    with output_errors(target):
        announce("rename", target, str(source))
        os.replace(source, target)


def point_link(link: Path, target_name: str) -> None:
    """Make `link` a symbolic link to a name in the same folder, atomically and durably."""
    temporary = temporary_path(link)
    with output_errors(link):
        announce("link", temporary, target_name)
        os.symlink(target_name, temporary)
    publish(temporary, link)


def remove_file(path: Path) -> None:
    """Remove a file or link, if it exists; raise OutputError."""
    with output_errors(path, "cannot be removed"), contextlib.suppress(FileNotFoundError):
        os.lstat(path)
        announce("remove", path)
        path.unlink()


def lock(descriptor: int) -> bool:
    """Lock an open file until it is closed; return False if another process holds the lock.

    If the system or the file system has no locks, nothing is locked and the result is True.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def sha256_of(path: Path) -> str:
    """Return the hexadecimal sha256 of a file's content, read in chunks."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
