"""Loads scorers from the user's paths: checkpoint folders, ensemble files and ARPA files."""

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import torch

from s2st.errors import UsageError
from s2st.models.configs import EnsembleConfig
from s2st.models.languages import ANY, LanguageChoice
from s2st.models.model_files import load_saved
from s2st.models.model_record import ModelRecord
from s2st.ngram.arpa_files import is_arpa
from s2st.process import durable_files
from s2st.process.bounded_read import unreadable
from s2st.process.consistent_reads import note_path, once, remember, steady
from s2st.process.folder_manifest import MANIFEST
from s2st.scoring.base import Scorer, TextSide
from s2st.scoring.ensemble_files import ModelTree, naming, read_trees
from s2st.scoring.ensemble_scorer import EnsembleScorer
from s2st.scoring.model_scorer import ModelScorer
from s2st.scoring.ngram_scorer import NGramScorer


def load_scorer(
    paths: Sequence[str],
    device: torch.device,
    precision: str = "float32",
    weights: Sequence[float] = (),
    mode: str = "probability",
    languages: LanguageChoice = ANY,
) -> Scorer:
    """One scorer for all paths: a single model for one path, an ensemble for several.

    Args:
        paths: checkpoint folders, TOML files with the options of the architecture `ensemble`, or
            ARPA files of n-gram models.
        device, precision: device and data type of the computation.
        weights, mode: options of the ensemble, if there are several paths.
        languages: the languages to translate from and to, for models with several.

    Raises:
        InputMissingError, CheckpointError, ConfigError: a path cannot be used.
        UsageError: the members do not fit together.
    """
    return combined(load_members(paths, device, precision, languages), paths, weights, mode)


def combined(
    members: Sequence[Scorer], paths: Sequence[str], weights: Sequence[float], mode: str
) -> Scorer:
    """Return the only member, or an ensemble of several; see `load_scorer`."""
    if len(members) == 1 and len(weights) <= 1:
        return members[0]
    return join(members, paths, weights, mode)


def load_members(
    paths: Sequence[str],
    device: torch.device,
    precision: str,
    languages: LanguageChoice = ANY,
) -> list[Scorer]:
    """One scorer a path; they need not fit together unless they are joined."""
    # read_trees finds wrong paths before a model takes memory
    return [_load(tree, device, precision, languages) for tree in read_trees(paths)]


def fingerprints(paths: Sequence[str]) -> list[str]:
    """For each path a hash of the files of the checkpoint or of the ensemble.

    Raises:
        InputMissingError, ConfigError: a path cannot be used.
    """
    return [_fingerprint(tree) for tree in read_trees(paths)]


def _fingerprint(tree: ModelTree) -> str:
    return once("fingerprint", tree.path, lambda: _computed(tree))


def _computed(tree: ModelTree) -> str:
    path = tree.path
    if tree.config is not None:
        inner = []
        for name, member in zip(tree.config.members, tree.members, strict=True):
            with naming(path, name):
                inner.append(_fingerprint(member))
        return sha256(" ".join([tree.digest, *inner]).encode()).hexdigest()
    try:
        if is_arpa(path):
            note_path(path)
            return durable_files.sha256_of(path)
        # the manifest holds the hashes of the other files
        return steady(path, lambda place: durable_files.sha256_of(place / MANIFEST), pin=True)
    except OSError as error:
        raise unreadable(path, error) from error


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


def _load(
    tree: ModelTree, device: torch.device, precision: str, languages: LanguageChoice
) -> Scorer:
    if tree.config is not None:
        return _ensemble(tree, device, precision, languages)
    path = tree.path
    try:
        if is_arpa(path):
            return NGramScorer(path, device)
        saved, model = load_saved(path, device, pin=True, choice=languages)
    except OSError as error:  # a name that no file can have
        raise unreadable(path, error) from error
    remember("fingerprint", path, saved.digest)
    source, target = text_sides(saved.record)
    return ModelScorer(model, source, target, precision, saved.record.tag)


def _ensemble(
    tree: ModelTree, device: torch.device, precision: str, languages: LanguageChoice
) -> EnsembleScorer:
    assert tree.config is not None
    members = []
    for name, member in zip(tree.config.members, tree.members, strict=True):
        with naming(tree.path, name):
            members.append(_load(member, device, precision, languages))
    with naming(tree.path):
        paths = [str(member.path) for member in tree.members]
        return join(members, paths, tree.config.weights, tree.config.mode)


def build_ensemble(
    config: EnsembleConfig, folder: Path, device: torch.device, precision: str = "float32"
) -> EnsembleScorer:
    """The architecture `ensemble`: its members are found from `folder`, where its file is."""
    paths = [str(folder / member) for member in config.members]
    return join(load_members(paths, device, precision), paths, config.weights, config.mode)


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
