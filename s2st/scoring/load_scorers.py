"""Scorers from what the user names: checkpoint folders, ensemble files and ARPA files."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import torch

from s2st.errors import ConfigError, InputMissingError, S2STError, UsageError
from s2st.models.model_files import ModelRecord, read_saved
from s2st.models.registry import EnsembleConfig
from s2st.ngram.arpa_files import is_arpa
from s2st.options.config import make_config, read_option_file, shown
from s2st.process import durable_files
from s2st.process.input_files import missing
from s2st.process.manifest import MANIFEST
from s2st.scoring.base import Scorer, TextSide
from s2st.scoring.ensemble_scorer import EnsembleScorer
from s2st.scoring.model_scorer import ModelScorer
from s2st.scoring.ngram_scorer import NGramScorer

MAX_DEPTH = 4  # of ensemble files that name ensemble files
MOST_MEMBERS = 200  # of all checkpoints of a command together


class _Nesting:
    """Where a member stands: the ensemble files that lead to it, and how many members there are.

    Attributes:
        files: the ensemble files, outermost first.
        count: members so far, shared by all nestings of a command.
    """

    def __init__(self, files: tuple[Path, ...] = (), count: list[int] | None = None) -> None:
        self.files = files
        self.count = [0] if count is None else count

    def enter(self, file: Path) -> "_Nesting":
        """Go into an ensemble file; raises UsageError where files nest too deep or in a circle."""
        real = file.resolve()
        if real in self.files:
            raise UsageError(f"{file}: this ensemble file is a member of itself")
        if len(self.files) >= MAX_DEPTH:
            raise UsageError(f"{file}: ensemble files name each other more than {MAX_DEPTH} deep")
        return _Nesting((*self.files, real), self.count)

    def add(self, path: Path) -> None:
        """Count a member; raises UsageError where there are too many."""
        self.count[0] += 1
        if self.count[0] > MOST_MEMBERS:
            raise UsageError(f"{path}: more than {MOST_MEMBERS} members, counting those of members")


def load_scorer(
    paths: Sequence[str],
    device: torch.device,
    precision: str = "float32",
    weights: Sequence[float] = (),
    mode: str = "probability",
) -> Scorer:
    """One scorer over all the paths: a plain one for one path, an ensemble for several.

    Args:
        paths: checkpoint folders, TOML files with the options of the architecture `ensemble`, or
            ARPA files of n-gram models.
        device, precision: where and in which numbers to compute.
        weights, mode: of the ensemble, where there are several paths.

    Raises:
        InputMissingError, CheckpointError, ConfigError: a path that cannot be used.
        UsageError: members that do not fit together.
    """
    members = load_members(paths, device, precision)
    if len(members) == 1 and len(weights) <= 1:
        return members[0]
    return join(members, paths, weights, mode)


def load_members(paths: Sequence[str], device: torch.device, precision: str) -> list[Scorer]:
    """One scorer a path; they need not fit together unless they are joined."""
    nesting = _Nesting()
    return [_load(Path(path), device, precision, nesting) for path in paths]


def fingerprints(paths: Sequence[str]) -> list[str]:
    """For each path a hash of what it computes: of the files of a checkpoint or an ensemble.

    Raises:
        InputMissingError, ConfigError: a path that cannot be used.
    """
    nesting = _Nesting()
    return [_fingerprint(Path(path), nesting) for path in paths]


def _fingerprint(path: Path, nesting: _Nesting) -> str:
    nesting.add(path)
    if path.suffix == ".toml" and not path.is_dir():
        inside = nesting.enter(path)
        members = read_ensemble(path).members
        inner = []
        for member in members:
            with _named(path, member):
                inner.append(_fingerprint(path.parent / member, inside))
        return sha256(" ".join([durable_files.sha256_of(path), *inner]).encode()).hexdigest()
    try:
        if is_arpa(path):
            return durable_files.sha256_of(path)
        return durable_files.sha256_of(path / MANIFEST)  # which holds the hashes of the other files
    except OSError as error:
        raise missing(path, f"cannot be read: {error.strerror}") from error


def join(
    members: Sequence[Scorer], paths: Sequence[str], weights: Sequence[float], mode: str
) -> EnsembleScorer:
    """The ensemble of scorers; raises UsageError that names a path whose text does not fit."""
    named = list(zip(members, paths, strict=True))
    readers = [pair for pair in named if not pair[0].source.absent]
    writers = [pair for pair in named if pair[0].target.language]
    for other in readers[1:]:
        first = readers[0]
        _check_side("source", (first[0].source, first[1]), (other[0].source, other[1]))
    for other in writers[1:]:
        first = writers[0]
        _check_side("target", (first[0].target, first[1]), (other[0].target, other[1]))
        _check_words(first, other)
    return EnsembleScorer(members, weights, mode)


def check_channel(scorer: Scorer, path: str, direct: Sequence[Scorer]) -> None:
    """Raises UsageError for a channel model that is not of the other direction."""
    if scorer.source.absent:
        raise UsageError(
            f"{path}: --channel-checkpoint needs a model of the other direction, "
            "this one reads no source"
        )
    for other in direct:
        sides = (scorer.source, other.target), (scorer.target, other.source)
        for channel, lists in sides:
            known = channel.language and lists.language and not lists.absent
            if known and channel.language != lists.language:
                raise UsageError(
                    f"{path}: translates {scorer.source.language} to {scorer.target.language}, but "
                    f"the lists are {lists.language} where it has {channel.language}; "
                    "--channel-checkpoint needs a model of the other direction"
                )


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


def _load(path: Path, device: torch.device, precision: str, nesting: _Nesting) -> Scorer:
    nesting.add(path)
    try:
        if path.suffix == ".toml" and not path.is_dir():
            inside = nesting.enter(path)
            config = read_ensemble(path)
            return build_ensemble(config, path.parent, device, precision, inside, path)
        if is_arpa(path):
            return NGramScorer(path, device)
        saved = read_saved(path, whole=False)
    except OSError as error:  # a name that no file can have
        raise InputMissingError(f"{path}: cannot be read: {error.strerror}") from error
    source, target = text_sides(saved.record)
    return ModelScorer(saved.load(device), source, target, precision)


def build_ensemble(
    config: EnsembleConfig,
    folder: Path,
    device: torch.device,
    precision: str = "float32",
    nesting: _Nesting | None = None,
    file: Path | None = None,
) -> EnsembleScorer:
    """The architecture `ensemble`: its members are found from `folder`, where its file is.

    Args:
        nesting: the ensemble files that lead to this one.
        file: where the options come from; messages name it.
    """
    paths = [folder / member for member in config.members]
    members = []
    for member, path in zip(config.members, paths, strict=True):
        with _named(file, member):
            members.append(_load(path, device, precision, nesting or _Nesting()))
    with _named(file):
        return join(members, [str(path) for path in paths], config.weights, config.mode)


@contextmanager
def _named(file: Path | None, member: str | None = None) -> Iterator[None]:
    """Errors inside say first which ensemble file, and which member of it, led there."""
    try:
        yield
    except S2STError as error:
        if file is not None:
            where = str(file) if member is None else f"{file}, member {shown(member)}"
            error.args = (f"{where}: {error}",)
        raise


def text_sides(record: ModelRecord) -> tuple[TextSide, TextSide]:
    """Tokenizers and vocabularies of a model, ready to use."""
    source, target = record.source_tokenizer, record.target_tokenizer
    right_to_left = bool(getattr(record.config, "reverse_target", False))
    return (
        TextSide(source.language, source.build(), record.source_vocabulary),
        TextSide(target.language, target.build(), record.target_vocabulary, right_to_left),
    )


def _check_side(side: str, first: tuple[TextSide, str], other: tuple[TextSide, str]) -> None:
    """Members must cut text alike; their source vocabularies may differ."""
    (expected, first_path), (found, path) = first, other
    if expected.language != found.language:
        message = f"{side} language {found.language}, but {first_path} has {expected.language}"
        raise UsageError(f"{path}: {message}")
    same = type(expected.tokenizer) is type(found.tokenizer)
    if not same or expected.tokenizer.model != found.tokenizer.model:
        raise UsageError(f"{path}: its {side} tokenizer is not that of {first_path}")


def _check_words(first: tuple[Scorer, str], other: tuple[Scorer, str]) -> None:
    """Members must know the same target words."""
    (expected, first_path), (found, path) = first, other
    differing = set(expected.target.vocabulary.tokens) ^ set(found.target.vocabulary.tokens)
    if differing:
        raise UsageError(
            f"{path}: its target vocabulary is not that of {first_path} ({len(differing)} words "
            f"differ, such as {min(differing)!r}); an ensemble needs the same target words"
        )
