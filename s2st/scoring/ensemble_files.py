"""Ensemble files: TOML files that name checkpoints, ARPA files and other ensemble files.

s2st reads every ensemble file that a path leads to before it loads a model. It reads each file
once, and limits how deep the files nest and how many members they have.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from s2st.errors import ConfigError, S2STError, UsageError
from s2st.models.configs import EnsembleConfig
from s2st.options.option_fields import make_config, read_option_file, shown
from s2st.process import durable_files
from s2st.process.bounded_read import missing, unreadable
from s2st.process.consistent_reads import is_folder, note_path, once

MAX_DEPTH = 4  # of ensemble files that name ensemble files
MAX_MEMBERS = 200  # of all checkpoints of a command together


@dataclass(frozen=True)
class ModelTree:
    """A path to a model. For an ensemble file, also its content and its members in their order.

    Attributes:
        config: the options of an ensemble file, None for a checkpoint or an ARPA file.
        digest: sha256 of an ensemble file's bytes.
        members: the members of an ensemble file.
        size: number of members including this one and those of members.
    """

    path: Path
    config: EnsembleConfig | None = None
    digest: str = ""
    members: tuple["ModelTree", ...] = ()
    size: int = 1


def read_trees(paths: Sequence[str | Path]) -> list[ModelTree]:
    """Read what each path leads to, without opening checkpoints and ARPA files.

    Raises:
        InputMissingError, ConfigError: an ensemble file cannot be used, or a member is missing.
        UsageError: ensemble files nest too deep or in a circle, or have too many members.
    """
    trees, count = [], 0
    for path in map(Path, paths):
        tree = read_tree(path)
        count += tree.size
        if count > MAX_MEMBERS:
            raise _too_many(path)
        trees.append(tree)
    return trees


def read_tree(path: Path) -> ModelTree:
    """Read what one path leads to; raises as `read_trees`."""
    return once("tree", path, lambda: _Expansion().tree(path, ()))


class _Expansion:
    """Follows the members of one path."""

    def __init__(self) -> None:
        self._count = 0
        self._files: dict[Path, tuple[EnsembleConfig, str]] = {}

    def tree(self, path: Path, above: tuple[Path, ...]) -> ModelTree:
        """Expand a path; `above` are the ensemble files that lead to it, outermost first."""
        before = self._count
        self._count += 1
        if self._count > MAX_MEMBERS:
            raise _too_many(path)
        if not is_ensemble(path):
            if above and not (is_folder(path) or os.path.exists(path)):
                raise missing(path, "no such checkpoint folder")
            return ModelTree(path)
        real = path.resolve()
        if real in above:
            raise UsageError(f"{path}: this ensemble file is a member of itself")
        if len(above) >= MAX_DEPTH:
            raise UsageError(f"{path}: ensemble files name each other more than {MAX_DEPTH} deep")
        if real not in self._files:
            self._files[real] = _read(path)
        config, digest = self._files[real]
        members = []
        for member in config.members:
            with naming(path, member):
                members.append(self.tree(path.parent / member, (*above, real)))
        return ModelTree(path, config, digest, tuple(members), self._count - before)


def _too_many(path: Path) -> UsageError:
    return UsageError(f"{path}: more than {MAX_MEMBERS} members, counting those of members")


def is_ensemble(path: Path) -> bool:
    """Whether the name of a path is that of an ensemble file; a folder is none."""
    return path.suffix == ".toml" and not path.is_dir()


def _read(path: Path) -> tuple[EnsembleConfig, str]:
    config = read_ensemble(path)
    try:
        note_path(path)
        return config, durable_files.sha256_of(path)
    except OSError as error:
        raise unreadable(path, error) from error


def read_ensemble(path: Path) -> EnsembleConfig:
    """The options of an ensemble file; raises ConfigError or InputMissingError."""
    values = read_option_file(path)
    if values.pop("arch", "ensemble") != "ensemble":
        raise ConfigError(f'{path}: arch must be "ensemble" in a file given as a checkpoint')
    config = make_config(EnsembleConfig, values, str(path))
    if not config.members:
        raise ConfigError(f'{path}: members = ["checkpoint", ...] is missing')
    for member in config.members:
        if not 0 < len(member) < 1000 or "\0" in member:
            raise ConfigError(f"{path}: member {shown(member)} is not a path")
    return config


@contextmanager
def naming(file: Path, member: str | None = None) -> Iterator[None]:
    """Errors inside say first which ensemble file, and which member of it, led there."""
    try:
        yield
    except S2STError as error:
        where = str(file) if member is None else f"{file}, member {shown(member)}"
        error.args = (f"{where}: {error}",)
        raise
