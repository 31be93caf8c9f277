"""Checks that no output of a command is one of its inputs or lies in a folder that it reads."""

import errno
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from s2st.errors import InputMissingError, S2STError, UsageError, reason
from s2st.options.option_fields import read_toml
from s2st.process.folder_manifest import MANIFEST
from s2st.text.line_files import check_outputs

MAX_MEMBERS = 1000  # ensemble files and members that are checked
_FIGURES = (".svg", ".png")


def check_destinations(
    outputs: Sequence[str], folders: Sequence[str], inputs: Iterable[str]
) -> None:
    """Check, before the work, that no output would overwrite an input; open and change nothing.

    Args:
        outputs: files that will be written, or "-".
        folders: folders that will be created or extended.
        inputs: files and folders that are read, or "-". All files of a checkpoint or store are
            inputs, and so are the members of an ensemble file. Of another folder, only the files
            that reports and averages read are inputs.

    Raises:
        OutputError: an output is a folder, its folder does not exist, or it is not writable.
        UsageError: an output is an input, lies in one, or is another output.
    """
    files, sealed = _files_and_folders(inputs)
    check_outputs(outputs, files)
    for path in (*outputs, *folders):
        if path == "-":
            continue
        place = os.path.realpath(path)
        for folder, name in sealed.items():
            if place == folder or place.startswith(folder + os.sep):
                relation = "is" if place == folder else "is inside"
                raise UsageError(
                    f"{path}: {relation} {name}, which this command reads; choose another path"
                )


def check_readable(inputs: Iterable[str]) -> None:
    """Raise InputMissingError for an input in a forbidden folder or behind a loop of links.

    A missing input is no error here: the code that reads it reports that.
    """
    for path in inputs:
        try:
            is_folder = path != "-" and stat.S_ISDIR(os.stat(path).st_mode)
            if is_folder and not os.access(path, os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        except OSError as error:
            if error.errno in (errno.EACCES, errno.ELOOP):
                raise InputMissingError(f"{path}: cannot be read: {reason(error)}") from error
        except ValueError:  # no file can have this name
            continue


def _files_and_folders(inputs: Iterable[str]) -> tuple[list[str], dict[str, str]]:
    """Return all input files, and the checkpoints and stores by real path."""
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
        elif path.endswith(".toml") and len(seen) < MAX_MEMBERS:
            waiting += _members(path)
    return files, sealed


def _is_sealed(folder: str) -> bool:
    return os.path.lexists(os.path.join(folder, MANIFEST))


def _sealed_below(folder: str) -> list[str]:
    """Return the checkpoints of a save folder, including links to checkpoints."""
    try:
        inner = sorted(os.path.join(folder, name) for name in os.listdir(folder))
    except OSError:  # the code that reads the folder reports it
        return []
    return [path for path in inner if _is_sealed(path)]


def _all_files(folder: str) -> Iterator[str]:
    for inner, _, names in os.walk(folder):
        yield from (os.path.join(inner, name) for name in names)


def _files_of_report(folder: str) -> list[str]:
    """Return the files of a study's folder that `s2st report` reads: report.json and figures."""
    files = [os.path.join(folder, "report.json")]
    if os.path.exists(files[0]):
        files += [path for path in _all_files(folder) if path.endswith(_FIGURES)]
    return files


def _members(path: str) -> list[str]:
    """Return the members of an ensemble file; none if it is damaged or another kind of file."""
    try:
        members = read_toml(path).get("members")
    except S2STError:
        return []
    if not isinstance(members, list):
        return []
    names = [name for name in members[:MAX_MEMBERS] if isinstance(name, str) and "\0" not in name]
    return [str(Path(path).parent / name) for name in names]
