"""Snapshot reads: a command sees one state of a checkpoint, even if a training replaces it.

A training moves the links `checkpoint_best` and `checkpoint_last` and removes old folders while
other commands read them. `steady` resolves a path once and reads the folder that the path names. If
that folder is replaced during the read, `steady` resolves the path and reads again. Within
`one_run`, a pinned path names the same folder to the end, and a file that is opened twice must be
the same file.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from s2st.errors import CheckpointError, S2STError
from s2st.process.bounded_read import missing

T = TypeVar("T")
Stamp = tuple[int, int, int, int]  # device, inode, size, time of the last change
MAX_TRIES = 100  # readings of a folder that is replaced during each of them
MANIFEST = "manifest.json"

_run: dict[tuple[str, str], Any] | None = None  # what the running command has read so far
_within = 0  # nesting depth of `steady`, which checks its files itself


class ReplacedError(CheckpointError):
    """A folder or file was replaced or removed while a command that needs it was running."""


@contextlib.contextmanager
def one_run() -> Iterator[None]:
    """Within this context, a path means what it meant when it was first used."""
    global _run
    before, _run = _run, {}
    try:
        yield
    finally:
        _run = before


def once(kind: str, path: str | Path, read: Callable[[], T]) -> T:
    """Return `read()`; within a run, call it only once for each kind and path."""
    if _run is None:
        return read()
    key = kind, os.path.abspath(path)
    if key not in _run:
        _run[key] = read()
    found: T = _run[key]
    return found


def remember(kind: str, path: str | Path, value: object) -> None:
    """Let `once` return this value."""
    if _run is not None:
        _run[kind, os.path.abspath(path)] = value


def stamp_of(place: Path) -> Stamp | None:
    """Return the identity of a file, or of a folder by its manifest; None if there is none."""
    try:
        return _stamp(os.stat(place / MANIFEST if place.is_dir() else place))
    except (OSError, ValueError):
        return None


def _stamp(facts: os.stat_result) -> Stamp:
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns


def resolved(path: str | Path) -> Path:
    """Return the path with its links resolved; a path without links stays as it is."""
    real = os.path.realpath(path)
    return Path(path) if real == os.path.abspath(path) else Path(real)


def steady(path: str | Path, read: Callable[[Path], T], pin: bool = False) -> T:
    """Return `read(folder)` for the folder that a path names now.

    If the folder is replaced or removed during the read, resolve the path and read again.

    Args:
        path: path of a checkpoint or a store, possibly through links.
        read: called with the resolved folder, possibly several times.
        pin: within a run, let the path name this folder from now on.

    Raises:
        InputMissingError: the path is a dangling link.
        ReplacedError: the folder was replaced each time, or the path is pinned and its folder was
            replaced.
        S2STError, OSError: raised by `read` of a folder that was not replaced.
    """
    global _within
    key = "place", os.path.abspath(path)
    pinned: tuple[Path, Stamp] | None = None if _run is None else _run.get(key)
    for _ in range(1 if pinned else MAX_TRIES):
        place, before = pinned or _look(path)
        failure: S2STError | OSError | None = None
        _within += 1
        try:
            result = read(place)
        except (S2STError, OSError) as error:
            failure = error
        finally:
            _within -= 1
        there = before is not None or resolved(path) == place
        if stamp_of(place) == before and there:
            if failure is not None:
                raise failure
            if pin and _run is not None and before is not None:
                _run[key] = place, before
            return result
    raise ReplacedError(
        "it was replaced or removed while it was read (a running training does so: see "
        "--keep-last); run the command again",
        str(path),
    )


def _look(path: str | Path) -> tuple[Path, Stamp | None]:
    """Return the folder that a path names now, and its stamp.

    Raises:
        InputMissingError: the path is a dangling link.
    """
    for _ in range(MAX_TRIES):
        before = _link(path)
        place = resolved(path)
        stamp = stamp_of(place)
        if stamp is not None or os.path.exists(place) or _link(path) == before:
            break  # otherwise the link was moved just now, and its old target was removed
    if os.path.islink(path) and not os.path.exists(path) and _link(path) == before:
        raise missing(path, "no such file or folder")
    return place, stamp


def is_folder(path: str | Path) -> bool:
    """Return whether a path names a folder, even while a link in the path is being moved."""
    for _ in range(MAX_TRIES):
        before = _link(path)
        if os.path.isdir(path):
            return True
        if _link(path) == before:
            break
    return False


def _link(path: str | Path) -> tuple[int, int, str] | None:
    """Return the identity of a link; None if the path is not a link."""
    try:
        facts = os.lstat(path)
        return facts.st_ino, facts.st_mtime_ns, os.readlink(path)
    except (OSError, ValueError):
        return None


def check_same(place: Path, before: Stamp | None) -> None:
    """Raise ReplacedError if a folder or file no longer has the stamp `before`."""
    if stamp_of(place) != before:
        raise ReplacedError("it was replaced or removed while it was read", str(place))


def note(path: str | Path, facts: os.stat_result) -> None:
    """Record which file a path named when it was opened.

    Raises:
        ReplacedError: earlier in this run, the path named another file or other content. Results
            of the first reading would not hold for the second.
    """
    if _run is None or _within:
        return
    stamp = _stamp(facts)
    if _run.setdefault(("file", os.path.abspath(path)), stamp) != stamp:
        raise ReplacedError("changed while the command ran, which reads it twice; run it again",
                            str(path))  # fmt: skip


def note_path(path: str | Path) -> None:
    """Call `note` for a file that a library opens; may raise OSError."""
    note(path, os.stat(path))
