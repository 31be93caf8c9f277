"""Loads scorers from the user's paths: checkpoint folders, ensemble files and ARPA files."""

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
from s2st.process.manifest import MANIFEST
from s2st.scoring.base import Scorer, TextSide
from s2st.scoring.ensemble_scorer import EnsembleScorer
from s2st.scoring.model_scorer import ModelScorer
from s2st.scoring.ngram_scorer import NGramScorer

MAX_DEPTH = 4  # levels of ensemble files that name ensemble files


def load_scorer(
    paths: Sequence[str],
    device: torch.device,
    precision: str = "float32",
    weights: Sequence[float] = (),
    mode: str = "probability",
) -> Scorer:
    """One scorer for all paths: a single model for one path, an ensemble for several.

    Args:
        paths: checkpoint folders, TOML files with the options of the architecture `ensemble`, or
            ARPA files of n-gram models.
        device, precision: device and data type of the computation.
        weights, mode: options of the ensemble, if there are several paths.

    Raises:
        InputMissingError, CheckpointError, ConfigError: a path cannot be used.
        UsageError: the members do not fit together.
    """
    members = load_members(paths, device, precision)
    if len(members) == 1 and len(weights) <= 1:
        return members[0]
    return join(members, paths, weights, mode)


def load_members(paths: Sequence[str], device: torch.device, precision: str) -> list[Scorer]:
    """One scorer per path. They must fit together only if `join` is called."""
    return [_load(Path(path), device, precision, 0) for path in paths]


def fingerprints(paths: Sequence[str]) -> list[str]:
    """For each path a hash of the files of the checkpoint or of the ensemble.

    Raises:
        InputMissingError, ConfigError: a path cannot be used.
    """
    return [_fingerprint(Path(path), 0) for path in paths]


def _fingerprint(path: Path, depth: int) -> str:
    if path.suffix == ".toml" and not path.is_dir():
        _check_depth(path, depth)
        members = read_ensemble(path).members
        inner = []
        for member in members:
            with _named(path, member):
                inner.append(_fingerprint(path.parent / member, depth + 1))
        return sha256(" ".join([durable_files.sha256_of(path), *inner]).encode()).hexdigest()
    try:
        if is_arpa(path):
            return durable_files.sha256_of(path)
        return durable_files.sha256_of(path / MANIFEST)  # which holds the hashes of the other files
    except OSError as error:
        raise InputMissingError(f"{path}: cannot be read: {error.strerror}") from error


def join(
    members: Sequence[Scorer], paths: Sequence[str], weights: Sequence[float], mode: str
) -> EnsembleScorer:
    """An ensemble of scorers; raises UsageError that names a path that does not fit."""
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
    """Raises UsageError unless the channel model translates in the opposite direction."""
    if scorer.source.absent:
        raise UsageError(
            f"{path}: --channel-checkpoint needs a model of the other direction, "
            "but this one reads no source"
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
    """Reads the options of an ensemble file; raises ConfigError or InputMissingError."""
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


def _load(path: Path, device: torch.device, precision: str, depth: int) -> Scorer:
    try:
        if path.suffix == ".toml" and not path.is_dir():
            _check_depth(path, depth)
            config = read_ensemble(path)
            return build_ensemble(config, path.parent, device, precision, depth + 1, path)
        if is_arpa(path):
            return NGramScorer(path, device)
        saved = read_saved(path, whole=False)
    except OSError as error:  # such as a name that no file can have
        raise InputMissingError(f"{path}: cannot be read: {error.strerror}") from error
    source, target = text_sides(saved.record)
    return ModelScorer(saved.load(device), source, target, precision)


def _check_depth(path: Path, depth: int) -> None:
    if depth >= MAX_DEPTH:
        raise UsageError(f"{path}: ensemble files name each other more than {MAX_DEPTH} deep")


def build_ensemble(
    config: EnsembleConfig,
    folder: Path,
    device: torch.device,
    precision: str = "float32",
    depth: int = 1,
    file: Path | None = None,
) -> EnsembleScorer:
    """The architecture `ensemble`. Paths of members are relative to `folder`, that of the file.

    Args:
        depth: number of ensemble files that lead to this one, to stop at a cycle.
        file: the ensemble file, for messages.
    """
    paths = [folder / member for member in config.members]
    members = []
    for member, path in zip(config.members, paths, strict=True):
        with _named(file, member):
            members.append(_load(path, device, precision, depth))
    with _named(file):
        return join(members, [str(path) for path in paths], config.weights, config.mode)


@contextmanager
def _named(file: Path | None, member: str | None = None) -> Iterator[None]:
    """Prefixes errors with the ensemble file and the member that led to them."""
    try:
        yield
    except S2STError as error:
        if file is not None:
            where = str(file) if member is None else f"{file}, member {shown(member)}"
            error.args = (f"{where}: {error}",)
        raise


def text_sides(record: ModelRecord) -> tuple[TextSide, TextSide]:
    """The source and the target side of a model, with tokenizers ready to use."""
    source, target = record.source_tokenizer, record.target_tokenizer
    right_to_left = bool(getattr(record.config, "reverse_target", False))
    return (
        TextSide(source.language, source.build(), record.source_vocabulary),
        TextSide(target.language, target.build(), record.target_vocabulary, right_to_left),
    )


def _check_side(side: str, first: tuple[TextSide, str], other: tuple[TextSide, str]) -> None:
    """Raises UsageError if two members tokenize differently; source vocabularies may differ."""
    (expected, first_path), (found, path) = first, other
    if expected.language != found.language:
        message = f"{side} language {found.language}, but {first_path} has {expected.language}"
        raise UsageError(f"{path}: {message}")
    same = type(expected.tokenizer) is type(found.tokenizer)
    if not same or expected.tokenizer.model != found.tokenizer.model:
        raise UsageError(f"{path}: its {side} tokenizer is not that of {first_path}")


def _check_words(first: tuple[Scorer, str], other: tuple[Scorer, str]) -> None:
    """Raises UsageError if two members have different target words."""
    (expected, first_path), (found, path) = first, other
    differing = set(expected.target.vocabulary.tokens) ^ set(found.target.vocabulary.tokens)
    if differing:
        raise UsageError(
            f"{path}: its target vocabulary is not that of {first_path} ({len(differing)} words "
            f"differ, such as {min(differing)!r}); an ensemble needs the same target words"
        )
