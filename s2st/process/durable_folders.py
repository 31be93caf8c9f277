"""Durable, atomic changes of folders: create, publish, retire, remove.

A folder gets its final name only when it is complete: s2st fills `.NAME.tmp-...`, syncs it, then
renames it. s2st removes only folders whose files all have names that it writes.
"""

import contextlib
import os
import re
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from s2st.errors import OutputError
from s2st.process.durable_files import (
    announce,
    creator,
    output_errors,
    publish,
    rename,
    sync_folder,
    temporary_path,
)

# files in the folders that s2st writes, relative to the folder; spool and provisional are temporary
_S2ST_FILES = re.compile(
    r"manifest\.json|weights\.safetensors|training/(state\.json|optimizer\.safetensors)"
    r"|(dict|valid[0-9]*)\.[^/]+\.txt|sentencepiece\.[^/]+\.model|[^/]+\.npy|spool\.tsv"
    r"|subword-nmt\.[^/]+\.codes|tokenizer\.[^/]+\.json"
)


def has_only_s2st_files(path: Path) -> bool:
    """Whether a folder, not a link, contains only files with names that s2st writes.

    Contents do not matter: a damaged checkpoint is still s2st's.
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
                if not regular or not _S2ST_FILES.fullmatch(file.relative_to(path).as_posix()):
                    return False
        return True
    return False


def refuse_existing(final: Path) -> None:
    """Raise OutputError unless the path is unused or an empty folder.

    A link is refused even if its target does not exist: a folder cannot replace it at the end.
    """
    usable = not os.path.lexists(final) or (final.is_dir() and not final.is_symlink())
    with output_errors(final):
        if not usable or (final.is_dir() and any(final.iterdir())):
            raise OutputError(f"{final}: already exists; remove it or name another folder")


@contextlib.contextmanager
def new_folder(final: Path) -> Iterator[Path]:
    """Yield an empty folder to fill; rename it to `final` at the end, remove it on an error.

    Temporary folders that ended processes left for `final` are removed first. `final` must not
    exist, or be an empty folder. Raises OutputError.
    """
    refuse_existing(final)
    make_folder(final.parent)
    _remove_leftovers(final)
    temporary = temporary_path(final)
    with output_errors(temporary, "cannot be created"):
        announce("mkdir", temporary)
        temporary.mkdir()
    try:
        yield temporary
        publish(temporary, final)
    except BaseException:
        remove_folder(temporary)
        raise


def _remove_leftovers(final: Path) -> None:
    """Remove temporary folders of `final` whose process has ended."""
    for entry in sorted(final.parent.iterdir()):
        process = creator(entry.name, final.name)
        ended = process is not None and (process == os.getpid() or not _alive(process))
        if ended and has_only_s2st_files(entry):
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
    """Create a folder and its parents durably; raise OutputError."""
    with output_errors(path, "cannot be created"):
        missing = [folder for folder in (path, *path.parents) if not folder.exists()]
        for folder in reversed(missing):
            announce("mkdir", folder)
            folder.mkdir(exist_ok=True)
        path.mkdir(exist_ok=True)  # raises FileExistsError if it is a file
    for folder in missing:
        sync_folder(folder.parent)


def remove_folder(path: Path) -> None:
    """Remove a folder and its contents; ignore errors."""
    with contextlib.suppress(OSError):
        os.lstat(path)
        announce("remove", path)
        shutil.rmtree(path, ignore_errors=True)


def retire_folder(path: Path) -> None:
    """Rename a folder, then remove it, so that no reader sees half of it."""
    aside = temporary_path(path, "tmp-old")
    rename(path, aside)
    remove_folder(aside)
