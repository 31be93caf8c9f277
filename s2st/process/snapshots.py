"""One command sees one state of what it reads, though others replace it meanwhile.

A training moves the links `checkpoint_best` and `checkpoint_last` and removes old folders while
other commands read them. `steady` resolves a path once, reads the one folder that it names, and
reads again where that folder was replaced under its hands. Within `one_run` a path that was pinned
names the same folder to the end, and a file that is opened twice must be the same file.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from s2st.errors import CheckpointError, S2STError
from s2st.process.input_files import missing

T = TypeVar("T")
Stamp = tuple[int, int, int, int]  # device, number on it, size, time of the last change
MOST_TRIES = 100  # of a folder that is replaced again and again
MANIFEST = "manifest.json"

_run: dict[tuple[str, str], Any] | None = None  # what the command that runs has seen so far
_within = 0  # how many `steady` readings are going on: they look after their files themselves


class ReplacedError(CheckpointError):
    """A folder or file was replaced or removed while a command that needs it was running."""


@contextlib.contextmanager
def one_run() -> Iterator[None]:
    """Inside, paths mean what they meant when they were first used."""
    global _run
    before, _run = _run, {}
    try:
        yield
    finally:
        _run = before


def once(kind: str, path: str | Path, read: Callable[[], T]) -> T:
    """What `read` gives; within a run it is called once for a kind and a path."""
    if _run is None:
        return read()
    key = kind, os.path.abspath(path)
    if key not in _run:
        _run[key] = read()
    found: T = _run[key]
    return found


def remember(kind: str, path: str | Path, value: object) -> None:
    """Lets `once` give this value."""
    if _run is not None:
        _run[kind, os.path.abspath(path)] = value


def stamp_of(place: Path) -> Stamp | None:
    """What tells a folder with a manifest, or a file, from another; None where there is none."""
    try:
        return _stamp(os.stat(place / MANIFEST if place.is_dir() else place))
    except (OSError, ValueError):
        return None


def _stamp(facts: os.stat_result) -> Stamp:
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns


def resolved(path: str | Path) -> Path:
    """The path without links in it; as it is, where there are none."""
    real = os.path.realpath(path)
    return Path(path) if real == os.path.abspath(path) else Path(real)


def steady(path: str | Path, read: Callable[[Path], T], pin: bool = False) -> T:
    """What `read` gives of the one folder that a path names now.

    Where that folder was replaced or removed meanwhile, the path is resolved and read again.

    Args:
        path: of a checkpoint or a store; links may lead to it.
        read: is given the folder itself; may be called several times.
        pin: within a run, the path names this folder from now on.

    Raises:
        InputMissingError: the path is a link that leads nowhere.
        ReplacedError: it was replaced each time, or it is pinned and was replaced.
        S2STError, OSError: as `read`, where nothing was replaced.
    """
    global _within
    key = "place", os.path.abspath(path)
    pinned: tuple[Path, Stamp] | None = None if _run is None else _run.get(key)
    for _ in range(1 if pinned else MOST_TRIES):
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
    """Where a path leads now, and what is there; raises InputMissingError for a dangling link."""
    for _ in range(MOST_TRIES):
        before = _link(path)
        place = resolved(path)
        stamp = stamp_of(place)
        if stamp is not None or os.path.exists(place) or _link(path) == before:
            break  # else the link was moved just then, and what it led to has gone
    if os.path.islink(path) and not os.path.exists(path) and _link(path) == before:
        raise missing(path, "no such file or folder")
    return place, stamp


def is_folder(path: str | Path) -> bool:
    """Whether a path names a folder, also where a link to one is being moved."""
    for _ in range(MOST_TRIES):
        before = _link(path)
        if os.path.isdir(path):
            return True
        if _link(path) == before:
            break
    return False


def _link(path: str | Path) -> tuple[int, int, str] | None:
    """What tells a link from one that takes its place; None for what is no link."""
    try:
        facts = os.lstat(path)
        return facts.st_ino, facts.st_mtime_ns, os.readlink(path)
    except (OSError, ValueError):
        return None


def check_same(place: Path, before: Stamp | None) -> None:
    """Raises ReplacedError where a folder or file is no more the one of that stamp."""
    if stamp_of(place) != before:
        raise ReplacedError("it was replaced or removed while it was read", str(place))


def note(path: str | Path, facts: os.stat_result) -> None:
    """Notes which file a path named when it was opened.

    Raises:
        ReplacedError: within this run the path named another file before, or one of another
            content. What a command learned in a first reading would not hold in a second.
    """
    if _run is None or _within:
        return
    stamp = _stamp(facts)
    if _run.setdefault(("file", os.path.abspath(path)), stamp) != stamp:
        raise ReplacedError("changed while the command ran, which reads it twice; run it again",
                            str(path))  # fmt: skip


def note_path(path: str | Path) -> None:
    """As `note`, of a file that something else opens; raises OSError too."""
    note(path, os.stat(path))
