"""Where a command may write: never to an input, nor into a folder that it reads."""

import errno
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from s2st.errors import InputMissingError, S2STError, UsageError, reason
from s2st.options.config import read_toml
from s2st.process.manifest import MANIFEST
from s2st.text.line_files import check_outputs

MOST_MEMBERS = 1000  # ensemble files and members that are looked at
_FIGURES = (".svg", ".png")


def check_destinations(
    outputs: Sequence[str], folders: Sequence[str], inputs: Iterable[str]
) -> None:
    """Finds, before the work, what would overwrite an input; nothing is opened or changed.

    Args:
        outputs: files that will be written, or "-".
        folders: folders that will be made or added to.
        inputs: files and folders that are read, or "-". Of a checkpoint or store everything is
            an input; of another folder what reports and averages read of it; of an ensemble file
            its members.

    Raises:
        OutputError: an output is a folder, in no folder, or must not be written.
        UsageError: an output is an input, within one, or another output.
    """
    files, sealed = _files_and_folders(inputs)
    check_outputs(outputs, files)
    for path in (*outputs, *folders):
        if path == "-":
            continue
        place = os.path.realpath(path)
        for folder, name in sealed.items():
            if place == folder or place.startswith(folder + os.sep):
                where = "is" if place == folder else "lies within"
                raise UsageError(
                    f"{path}: {where} {name}, which this command reads; name another place"
                )


def check_readable(inputs: Iterable[str]) -> None:
    """Raises InputMissingError for an input in a folder that may not be entered, or a link loop.

    What is not there at all is said by whoever reads it.
    """
    for path in inputs:
        try:
            is_folder = path != "-" and stat.S_ISDIR(os.stat(path).st_mode)
            if is_folder and not os.access(path, os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        except OSError as error:
            if error.errno in (errno.EACCES, errno.ELOOP):
                raise InputMissingError(f"{path}: cannot be read: {reason(error)}") from error
        except ValueError:  # a name that no file can have
            continue


def _files_and_folders(inputs: Iterable[str]) -> tuple[list[str], dict[str, str]]:
    """All files that are read, and each checkpoint or store by its real path."""
    files: list[str] = []
    sealed: dict[str, str] = {}
    waiting, seen = list(inputs), set[str]()
    while waiting:
        path = waiting.pop()
        place = path if path == "-" else os.path.realpath(path)
        if place in seen:
            continue
        seen.add(place)
        files.append(path)
        if os.path.isdir(path):
            folders = [path] if _is_sealed(path) else _sealed_below(path)
            sealed.update((os.path.realpath(folder), folder) for folder in folders)
            files += [file for folder in folders for file in _all_files(folder)]
            files += _files_of_report(path)
        elif path.endswith(".toml") and len(seen) < MOST_MEMBERS:
            waiting += _members(path)
    return files, sealed


def _is_sealed(folder: str) -> bool:
    return os.path.lexists(os.path.join(folder, MANIFEST))


def _sealed_below(folder: str) -> list[str]:
    """The checkpoints of a save folder, its links among them."""
    try:
        inner = sorted(os.path.join(folder, name) for name in os.listdir(folder))
    except OSError:  # said by who reads it
        return []
    return [path for path in inner if _is_sealed(path)]


def _all_files(folder: str) -> Iterator[str]:
    for inner, _, names in os.walk(folder):
        yield from (os.path.join(inner, name) for name in names)


def _files_of_report(folder: str) -> list[str]:
    """What `s2st report` reads of a study's folder: its description, and figures."""
    found = [os.path.join(folder, "report.json")]
    if os.path.exists(found[0]):
        found += [path for path in _all_files(folder) if path.endswith(_FIGURES)]
    return found


def _members(path: str) -> list[str]:
    """The files that an ensemble file names; none where it is another file, or damaged."""
    try:
        members = read_toml(path).get("members")
    except S2STError:
        return []
    if not isinstance(members, list):
        return []
    names = [name for name in members[:MOST_MEMBERS] if isinstance(name, str) and "\0" not in name]
    return [str(Path(path).parent / name) for name in names]
