"""Ensemble files: TOML files that name checkpoints, ARPA files and other ensemble files.

All files that a file leads to are read before any model is loaded: once each, in no circle, and as
many as a program can hold.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from s2st import durable
from s2st.config import make_config, read_option_file, shown
from s2st.errors import ConfigError, InputMissingError, S2STError, UsageError
from s2st.models.registry import EnsembleConfig
from s2st.reading import why_not
from s2st.snapshots import note_path, once

MAX_DEPTH = 4  # of ensemble files that name ensemble files
MOST_MODELS = 100  # that one file leads to


@dataclass(frozen=True)
class ModelTree:
    """A path, and where it is an ensemble file what that says; its members in their order.

    Attributes:
        config, digest: of an ensemble file, its options and the sha256 of its bytes.
    """

    path: Path
    config: EnsembleConfig | None = None
    digest: str = ""
    members: tuple["ModelTree", ...] = ()


def read_tree(path: Path) -> ModelTree:
    """What a path leads to; checkpoints and ARPA files are not looked at.

    Raises:
        InputMissingError, ConfigError: an ensemble file that cannot be used.
        UsageError: ensemble files that name each other in a circle or too deep, or too many models.
    """
    return once("tree", path, lambda: _Expansion(path).tree(path, ()))


class _Expansion:
    """Follows the members of one path."""

    def __init__(self, top: Path) -> None:
        self._top = top
        self._models = 0
        self._files: dict[Path, tuple[EnsembleConfig, str]] = {}

    def tree(self, path: Path, above: tuple[Path, ...]) -> ModelTree:
        if not is_ensemble(path):
            self._models += 1
            if self._models > MOST_MODELS:
                message = f"leads to more than {MOST_MODELS} models; name fewer members"
                raise UsageError(f"{self._top}: {message}")
            return ModelTree(path)
        own = path.resolve()
        if own in above:
            raise UsageError(f"{path}: ensemble files name each other in a circle")
        if len(above) >= MAX_DEPTH:
            raise UsageError(f"{path}: ensemble files name each other more than {MAX_DEPTH} deep")
        if own not in self._files:
            self._files[own] = _read(path)
        config, digest = self._files[own]
        members = []
        for member in config.members:
            with naming(path, member):
                members.append(self.tree(path.parent / member, (*above, own)))
        return ModelTree(path, config, digest, tuple(members))


def is_ensemble(path: Path) -> bool:
    """Whether a path is meant as an ensemble file, by its name; a folder is none."""
    return path.suffix == ".toml" and not path.is_dir()


def _read(path: Path) -> tuple[EnsembleConfig, str]:
    config = read_ensemble(path)
    try:
        note_path(path)
        return config, durable.sha256_of(path)
    except OSError as error:
        raise InputMissingError(f"{path}: cannot be read: {why_not(path, error)}") from error


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
