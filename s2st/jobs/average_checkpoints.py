"""The job of `s2st average`: the mean of several checkpoints' weights as a new checkpoint.

The mean of a run's last checkpoints depends less on the last batches than each of them
(Junczys-Dowmunt et al. 2016; Vaswani et al. 2017, section 6.1).
"""

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from s2st.errors import InputMissingError, OutputError, UsageError
from s2st.models.model_files import SavedModel, load_saved, write_manifest, write_model_files
from s2st.models.model_record import ModelRecord
from s2st.models.weight_files import weights_hash
from s2st.options.option_fields import config_values, shown
from s2st.process import durable_folders
from s2st.process.consistent_reads import MAX_TRIES, ReplacedError
from s2st.text.vocabulary import Vocabulary
from s2st.training.checkpoint_folder import likely_save_folder, numbered_checkpoints


def average(paths: Sequence[str], weights: Sequence[float], release: str) -> None:
    """Write the mean of the checkpoints' weights, computed in float64, to a new folder.

    Args:
        paths: the checkpoints, read one after the other.
        weights: one weight per checkpoint; empty for equal weights.
        release: the new folder.

    Raises:
        UsageError: the weights are wrong, or the checkpoints are of different models.
        CheckpointError, InputMissingError: a checkpoint cannot be used.
        OutputError: the folder exists or cannot be written.
    """
    final = Path(release)
    if os.path.lexists(final):
        raise OutputError(f"{final}: already exists; name a new folder")
    factors = _factors(weights, len(paths))
    facts: list[dict[str, Any]] = []
    record, mean = _mean(paths, factors, facts)
    with durable_folders.new_folder(final) as folder:
        write_model_files(folder, record, mean)
        write_manifest(folder, record, {"mean_of": facts})


def average_last(save_dir: str, count: int, weights: Sequence[float], release: str) -> list[str]:
    """Average the last numbered checkpoints of a training run, which may still be running.

    If the training removes one of them meanwhile, s2st looks for the last ones again.

    Args:
        save_dir: the run's save folder.
        count: number of checkpoints to average.
        weights, release: as in `average`.

    Returns:
        Paths of the checkpoints that were averaged.

    Raises:
        S2STError: as `average` and `last_checkpoints`.
    """
    for _ in range(MAX_TRIES - 1):
        paths = last_checkpoints(save_dir, count)
        try:
            average(paths, weights, release)
            return paths
        except (InputMissingError, ReplacedError):
            if all(map(os.path.isdir, paths)):
                raise
    paths = last_checkpoints(save_dir, count)
    average(paths, weights, release)
    return paths


def last_checkpoints(save_dir: str, count: int) -> list[str]:
    """Return the last `count` numbered checkpoints of a save folder, oldest first.

    Raises:
        InputMissingError: the folder has fewer.
    """
    found = numbered_checkpoints(Path(save_dir))
    names = dict(reversed(found))  # of two saves of one update, take the one without "+"
    if len(names) < count:
        raise InputMissingError(
            f"{save_dir}: contains {len(names)} numbered checkpoints, not {count}; `s2st train "
            f"--keep-last {count}` keeps {count}{likely_save_folder(Path(save_dir))}"
        )
    return [str(names[update]) for update in sorted(names)[-count:]]


def _factors(weights: Sequence[float], count: int) -> list[float]:
    """Return the factor of each checkpoint; the caller divides by the sum of the factors."""
    if not weights:
        return [1.0] * count
    if len(weights) != count:
        raise UsageError(
            f"{len(weights)} times --weight for {count} checkpoints: give one for each"
        )
    for weight in weights:
        if not (math.isfinite(weight) and weight > 0):
            raise UsageError(f"--weight {weight:g}: give a number above 0")
    return list(weights)


def _mean(
    paths: Sequence[str], factors: Sequence[float], facts: list[dict[str, Any]]
) -> tuple[ModelRecord, dict[str, torch.Tensor]]:
    """Return the first record, and the weighted mean of each tensor in the tensor's data type.

    Only one model is in memory at a time.

    Args:
        paths: the checkpoints.
        factors: one factor per checkpoint.
        facts: receives one record of each checkpoint for the manifest.
    """
    first: SavedModel | None = None
    sums: dict[str, torch.Tensor] = {}
    kinds: dict[str, torch.dtype] = {}
    for path, factor in zip(paths, factors, strict=True):
        saved, model = load_saved(path, torch.device("cpu"))
        first = first or saved
        _check_alike(first, saved)
        tensors = model.state_dict()
        facts.append(
            {
                "checkpoint": str(saved.place.resolve()),
                "update": saved.summary.get("update"),
                "weight": factor,
                "weights_hash": weights_hash(tensors),
            }
        )
        for name, tensor in tensors.items():
            scaled = tensor.double().mul_(factor)
            sums[name] = sums[name].add_(scaled) if name in sums else scaled
            kinds[name] = tensor.dtype
    total = math.fsum(factors)
    assert first is not None
    mean = {name: sums.pop(name).div_(total).to(kinds[name]) for name in list(sums)}
    return first.record, mean


def _check_alike(first: SavedModel, other: SavedModel) -> None:
    """Check that two checkpoints are of one model.

    Raises:
        UsageError: they are not; the message names the first difference and both checkpoints.
    """
    found = next(_differences(first.record, other.record), None)
    if found is not None:
        text, left, right = found
        raise UsageError(
            f"{first.folder} and {other.folder} cannot be averaged: {text} is {left} in the first, "
            f"{right} in the second"
        )


def _differences(first: ModelRecord, other: ModelRecord) -> Iterator[tuple[str, str, str]]:
    """Yield (what differs, value in the first, value in the other) for two records."""
    if first.architecture != other.architecture:
        yield "the architecture", first.architecture, other.architecture
        return
    yield from _values("--{}", config_values(first.config), config_values(other.config))
    pairs = [_languages_of(record) for record in (first, other)]
    yield from _values("{}", *pairs)
    if pairs[0] != pairs[1]:
        return
    names = [side.tokenizer.language for side in first.sides]
    if first.languages is None:
        names = ["source", "target"]
    for side, *sides in zip(names, first.sides, other.sides, strict=True):
        specs = [item.tokenizer for item in sides]
        left, right = ({**s.record(), **s.record()["options"], "options": 0} for s in specs)
        yield from _values(f"the {side} tokenizer's {{}}", left, right)
        if specs[0].model != specs[1].model:
            yield f"the {side} tokenizer's model", "one file", "another"
        yield from _words(f"the {side} vocabulary", *(item.vocabulary for item in sides))


def _languages_of(record: ModelRecord) -> dict[str, Any]:
    """Return the pairs of a model for several, and its decoders; empty for a model of one pair."""
    if record.languages is None:
        return {}
    pairs = [" to ".join(pair) for pair in record.languages.pairs]
    return {"the language pairs": pairs, "--decoders": record.languages.decoders}


def _values(
    text: str, left: Mapping[str, Any], right: Mapping[str, Any]
) -> Iterator[tuple[str, str, str]]:
    for name in {**left, **right}:
        if left.get(name) != right.get(name):
            what = text.format(name.replace("_", "-"))
            yield what, shown(left.get(name)), shown(right.get(name))


def _words(text: str, left: Vocabulary, right: Vocabulary) -> Iterator[tuple[str, str, str]]:
    for index, (one, two) in enumerate(zip(left.tokens, right.tokens, strict=False)):
        if one != two:
            yield f"word {index} of {text}", shown(one), shown(two)
    if len(left) != len(right):
        yield text, f"{len(left):,} words", f"{len(right):,} words"
