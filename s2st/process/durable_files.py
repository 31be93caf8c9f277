"""The one place that makes files last: create, write, fsync, rename, link, fsync of the folder.

What others may read gets its name when it is whole: it is written as `.NAME.tmp-...`, synced, then
renamed. Messages name the final path. Every operation passes `_observe`, where tests make it fail.
"""

import contextlib
import hashlib
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from s2st.errors import OutputError, reason
from s2st.process.pipe_output import open_to_write

CHUNK = 1 << 20
_TEMPORARY = re.compile(r"\.(.+)\.tmp(?:-.*)?")
_SUFFIX = re.compile(r"\.tmp-(?:old-)?([0-9]+)(?:\.[0-9]+)?")
# files of the folders that s2st makes, relative to them, also while they are made
_OWN_FILES = re.compile(
    r"manifest\.json|weights\.safetensors|training/(state\.json|optimizer\.safetensors)"
    r"|dict\.[^/]+\.txt|sentencepiece\.[^/]+\.model|[^/]+\.npy|spool\.tsv"
)
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)

# Told of an operation just before it: its name, its path, and the source of a rename or the target
# of a link. None in the product; a test that sets it may raise OSError, or kill the process.
_observe: Callable[[str, Path, str], None] | None = None

# paths of folders that are held open, and what a user knows them by
_held: dict[str, Path] = {}


def step(operation: str, path: Path, other: str = "") -> None:
    """Tells `_observe` of an operation that comes next."""
    if _observe is not None:
        _observe(operation, _known(path), str(_known(Path(other))) if other else "")


def lasting(path: Path) -> Path:
    """The path without the temporary names in it: what a user knows it by."""
    known = _known(path)
    parts = [match[1] if (match := _TEMPORARY.fullmatch(p)) else p for p in known.parts]
    return Path(*parts)


def _known(path: Path) -> Path:
    """The path with the name of the folder in the place of one that is held open."""
    for held, folder in _held.items():
        if path.is_relative_to(held):
            return folder / path.relative_to(held)
    return path


@contextlib.contextmanager
def held_open(folder: Path) -> Iterator[Path]:
    """A path that leads to this very folder, whatever becomes of its name meanwhile.

    Where the system has no such paths it is the folder's own. Raises OutputError.
    """
    with naming(folder, "cannot be opened"):
        descriptor = os.open(folder, os.O_RDONLY) if os.name == "posix" else -1
    place = f"/proc/self/fd/{descriptor}"
    try:
        own = os.path.isdir(place) and os.path.samefile(place, folder)
        if own:
            _held[place] = folder
        yield Path(place) if own else folder
    finally:
        _held.pop(place, None)
        if descriptor >= 0:
            os.close(descriptor)


@contextlib.contextmanager
def naming(path: Path, failure: str = "cannot be written") -> Iterator[None]:
    """Turns an OSError into an OutputError that names the path."""
    try:
        yield
    except OSError as error:
        message = f"{lasting(path)}: {failure}: {reason(error)}"
        raise OutputError(message) from error


def _temporary(path: Path, kind: str = "tmp") -> Path:
    """An unused name beside a path, by which `maker` finds whose it is."""
    first = f".{path.name}.{kind}-{os.getpid()}"
    number, name = 0, first
    while os.path.lexists(path.with_name(name)):
        number += 1
        name = f"{first}.{number}"
    return path.with_name(name)


def maker(temporary: str, final: str) -> int | None:
    """The process that made a temporary name of `final`; None for any other name."""
    prefix = f".{final}"
    if not temporary.startswith(prefix):
        return None
    match = _SUFFIX.fullmatch(temporary, len(prefix))
    return int(match[1]) if match else None


def describe(path: Path) -> str:
    """What is under a path, in words, where it is no regular file with one name; else "".

    Raises:
        OSError: FileNotFoundError, where nothing is there.
    """
    facts = os.lstat(path)
    if stat.S_ISLNK(facts.st_mode):
        return f"a symbolic link to {os.readlink(path)!r}"
    return describe_facts(facts)


def describe_facts(facts: os.stat_result) -> str:
    """As `describe`, of a file that is open."""
    for is_kind, name in _KINDS:
        if is_kind(facts.st_mode):
            return name
    if facts.st_nlink > 1:
        return f"a file with {facts.st_nlink} names (hard links)"
    return ""


def is_own_folder(path: Path) -> bool:
    """Whether all that a real folder holds are files such as s2st writes in its folders.

    What is in them is of no account: a damaged checkpoint is still s2st's.
    """
    if path.is_symlink() or not path.is_dir():
        return False

    def refuse(error: OSError) -> None:
        raise error

    with contextlib.suppress(OSError):
        for folder, folders, names in os.walk(path, onerror=refuse):
            if any(Path(folder, name).is_symlink() for name in folders):
                return False
            for name in names:
                file = Path(folder, name)
                regular = stat.S_ISREG(os.lstat(file).st_mode)
                if not regular or not _OWN_FILES.fullmatch(file.relative_to(path).as_posix()):
                    return False
        return True
    return False


class Writer:
    """A new file, written in pieces; every method raises OutputError.

    Nothing that is there is opened, no link followed: the name must be unused. As a context the
    file is synced and closed at the end, on an error only closed. Its folder is not synced.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with naming(path):
            step("create", path)
            # unbuffered: nothing is left to be written when an error closes it
            self._file = open(path, "xb", buffering=0)  # noqa: SIM115 - closed by close()

    def write(self, data: bytes) -> None:
        """Writes at the current position, the end unless `rewind` was called."""
        with naming(self.path):
            step("write", self.path)
            view = memoryview(data)
            while len(view):
                view = view[self._file.write(view) :]

    def take_mode(self, path: Path) -> None:
        """Gives the file the permissions of one that is there; of none, those of a new file."""
        with contextlib.suppress(OSError):
            os.fchmod(self._file.fileno(), stat.S_IMODE(os.stat(path).st_mode))

    def rewind(self) -> None:
        """The next write goes over the file's beginning."""
        with naming(self.path):
            self._file.seek(0)

    def close(self) -> None:
        """Syncs and closes."""
        with naming(self.path), self._file:
            step("sync", self.path)
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
    """A device or pipe, written to as it is; every method raises OutputError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with naming(path):
            self._file = open_to_write(path)

    def write(self, data: bytes) -> None:
        """Writes all of the bytes; BrokenPipeError where a pipe's reader has gone."""
        with naming(self.path):
            self._file.write(data)
            self._file.flush()

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._file.close()


def write_file(path: Path, data: bytes) -> None:
    """Writes and syncs one new file under its own name (not its folder); raises OutputError."""
    with Writer(path) as writer:
        writer.write(data)


def replace_file(path: Path, data: bytes) -> None:
    """Makes a file hold `data`, or leaves it as it was, as `replacing` does."""
    with replacing(path) as writer:
        writer.write(data)


def publish_file(path: Path, data: bytes) -> None:
    """Makes a path a file that holds `data`, or leaves it as it was; a link there is replaced.

    For files that a user did not name, in a folder of s2st's own. Raises OutputError.
    """
    temporary = _temporary(path)
    try:
        write_file(temporary, data)
        publish(temporary, path)
    except BaseException:
        with contextlib.suppress(OutputError):
            remove_file(temporary)
        raise


@contextlib.contextmanager
def replacing(path: Path) -> Iterator["Writer | Stream"]:
    """What writes a file that gets its name at the end, or leaves the old one on any error.

    A link stays one: the file that it leads to is replaced, and keeps its permissions. What is
    there and no regular file (a device, a pipe) is written to instead. Raises OutputError.
    """
    if path.exists() and not path.is_file():
        with Stream(path) as stream:
            yield stream
        return
    final = Path(os.path.realpath(path)) if path.is_symlink() else path
    temporary = _temporary(final)
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
    """fsync of a file that is there: what was written to it lasts; raises OutputError."""
    _sync(path)


def sync_folder(path: Path) -> None:
    """fsync of a folder: what was created, renamed or removed in it lasts; raises OutputError."""
    _sync(path)


def _sync(path: Path) -> None:
    with naming(path, "cannot be synced"):
        step("sync", path)
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
    with naming(target):
        step("rename", target, str(source))
        os.replace(source, target)


def point_link(link: Path, target_name: str) -> None:
    """Makes `link` a symbolic link to a neighbour of that name, atomically and lastingly."""
    temporary = _temporary(link)
    with naming(link):
        step("link", temporary, target_name)
        os.symlink(target_name, temporary)
    publish(temporary, link)


def refuse_taken(final: Path) -> None:
    """Raises OutputError where a new folder cannot have this name; an empty folder may stand there.

    A link there, also one that leads nowhere, could not be replaced in the end.
    """
    free = not os.path.lexists(final) or (final.is_dir() and not final.is_symlink())
    with naming(final):
        if not free or (final.is_dir() and any(final.iterdir())):
            raise OutputError(f"{final}: exists already; remove it or name another folder")


@contextlib.contextmanager
def new_folder(final: Path) -> Iterator[Path]:
    """An empty folder to fill; it becomes `final` at the end, and is removed on an error.

    What stopped processes left of `final` is removed first, where it is s2st's. `final` must not
    exist, or be an empty folder. Raises OutputError.
    """
    refuse_taken(final)
    make_folder(final.parent)
    _sweep_dead(final)
    temporary = _temporary(final)
    with naming(temporary, "cannot be created"):
        step("mkdir", temporary)
        temporary.mkdir()
    try:
        yield temporary
        publish(temporary, final)
    except BaseException:
        remove_folder(temporary)
        raise


def _sweep_dead(final: Path) -> None:
    for entry in sorted(final.parent.iterdir()):
        process = maker(entry.name, final.name)
        ended = process is not None and (process == os.getpid() or not _alive(process))
        if ended and is_own_folder(entry):
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
    with naming(path, "cannot be created"):
        missing = [folder for folder in (path, *path.parents) if not folder.exists()]
        for folder in reversed(missing):
            step("mkdir", folder)
            folder.mkdir(exist_ok=True)
        path.mkdir(exist_ok=True)  # says so where it is a file
    for folder in missing:
        sync_folder(folder.parent)


def remove_file(path: Path) -> None:
    """Removes a file or link; one that is not there is no error. Raises OutputError."""
    with naming(path, "cannot be removed"), contextlib.suppress(FileNotFoundError):
        os.lstat(path)
        step("remove", path)
        path.unlink()


def remove_folder(path: Path) -> None:
    """Removes a folder and what is in it, as far as that is possible."""
    with contextlib.suppress(OSError):
        os.lstat(path)
        step("remove", path)
        shutil.rmtree(path, ignore_errors=True)


def retire_folder(path: Path) -> None:
    """Removes a folder that others may read: its name goes first, so that none reads half of it."""
    aside = _temporary(path, "tmp-old")
    _rename(path, aside)
    remove_folder(aside)


def lock(descriptor: int) -> bool:
    """Locks an open file until it is closed; False where another process holds the lock.

    Where the system or file system has no locks, nothing is held and the answer is True.
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
    """Hex sha256 of a file's content, read in chunks."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
