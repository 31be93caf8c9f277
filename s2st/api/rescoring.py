"""Rescoring of lists in memory: records to entries of n-best lists, and back."""

import os
from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from typing import TYPE_CHECKING

from s2st.api.arguments import Path, lines_of, path_of, sources_of
from s2st.api.keywords import Option, refuse_names, resolved_keywords
from s2st.api.records import Candidate, Hypothesis, Rescoring
from s2st.errors import DataError, UsageError
from s2st.jobs.options import RESCORE_LISTS_SPEC
from s2st.jobs.rescore.job import rescore_lists
from s2st.options.option_fields import shown
from s2st.rescoring.feature_weights import Features
from s2st.text.line_files import split_words
from s2st.text.nbest_entries import NBestEntry

if TYPE_CHECKING:
    from s2st.api.arguments import Sources
    from s2st.jobs.load_models import LoadedModels
    from s2st.jobs.rescore.ranking import RankedList
    from s2st.scoring.base import Scorer

WHERE = "Model.rescore()"
SOURCES = "sources"  # name of the source lines in messages, as the argument's
# options about files, and those that are arguments of the method
REFUSED = (
    "channel_checkpoint", "dev_nbest", "dev_source", "encoding_errors", "explain", "format",
    "nbest_format", "report", "resume", "shard", "weight", "weights_out",
)  # fmt: skip
References = Sequence[str] | Sequence[Sequence[str]] | None


def rescore(
    models: "LoadedModels",
    sources: "Sources | None",
    lists: Sequence[Sequence[str | Candidate | Hypothesis]],
    tune: References,
    oracle: References,
    weights: Mapping[str, float | Sequence[float]] | Path | None,
    channel: "Sequence[tuple[str, Scorer]]",
    options: Mapping[str, Option],
) -> Rescoring:
    """Rescore lists; see `Model.rescore`.

    Args:
        models: the models.
        sources, lists, tune, oracle, weights, options: see `Model.rescore`.
        channel: path and scorer of each model of the opposite direction.
    """
    refuse_names(WHERE, options, REFUSED)
    entries = entries_of(lists)
    if sources is None:
        if not models.scorer.source.absent:
            raise UsageError("the model translates: sources are needed beside lists")
        sources = [""] * len(entries)
    texts = {SOURCES: sources_of(sources, models.scorer.source, SOURCES)}
    if len(texts[SOURCES]) != len(entries):
        raise DataError(
            f"lists must have one list for each of the {len(texts[SOURCES])} sources, "
            f"not {len(entries)}"
        )
    measured = _references("tune", tune), _references("oracle", oracle)
    if all(measured) and list(measured[0].values()) != list(measured[1].values()):
        raise UsageError("tune and oracle are different references of the same lists")
    texts |= {**measured[0], **measured[1]}
    given: dict[str, Option] = {
        **options, "tune": tuple(measured[0]), "oracle": tuple(measured[1]), **_weights(weights),
        "format": "words",  # keeps the scores of tokens
    }  # fmt: skip
    resolved = resolved_keywords(WHERE, RESCORE_LISTS_SPEC, given)
    ranked: dict[int, RankedList] = {}

    def keep(item: "RankedList") -> None:
        ranked[item.id] = item

    report = rescore_lists(resolved, models, entries, texts, keep, channel)
    found = [_candidates(ranked[i]) if i in ranked else () for i in range(len(entries))]
    final = {name: tuple(numbers) for name, numbers in report["weights"].items()}
    return Rescoring(tuple(found), final, report)


def entries_of(
    lists: Sequence[Sequence[str | Candidate | Hypothesis]],
) -> list[list[NBestEntry]]:
    """Return lists as entries, numbered from 0; raise UsageError for anything but lists."""
    if isinstance(lists, str | bytes) or not isinstance(lists, Iterable):
        raise UsageError(f"lists must be a list of n-best lists, not {shown(lists)}")
    made: list[list[NBestEntry]] = []
    count = 0
    for index, candidates in enumerate(lists):
        where = f"lists, list {index + 1}"
        if isinstance(candidates, str | bytes) or not isinstance(candidates, Iterable):
            raise UsageError(f"{where}: must be a list of hypotheses, not {shown(candidates)}")
        entries = []
        for candidate in candidates:
            count += 1
            entries.append(_entry(candidate, index, count, where))
        made.append(entries)
    return made


def _entry(
    candidate: str | Candidate | Hypothesis, index: int, number: int, where: str
) -> NBestEntry:
    if isinstance(candidate, str):
        candidate = Candidate(candidate)
    elif isinstance(candidate, Hypothesis):
        log_prob = {"LogProb": (candidate.log_prob,)}
        candidate = Candidate(candidate.text, candidate.score, log_prob)
    if not isinstance(candidate, Candidate):
        raise UsageError(
            f"{where}: a hypothesis must be text, a Candidate or a Hypothesis, not "
            f"{shown(candidate)}"
        )
    (text,) = lines_of([candidate.text], where)
    words = " ".join(split_words(text))
    extra = tuple(lines_of(candidate.extra, f"{where}: extra"))
    total = _number(candidate.total, f"{where}: total")
    return NBestEntry(index, words, _features(candidate, where), total, extra, number)


def _features(candidate: Candidate, where: str) -> Features:
    """Return the features of a candidate as those of an entry; raise UsageError."""
    features: object = candidate.features
    if not isinstance(features, Mapping):
        raise UsageError(f"{where}: features must be a mapping, not {shown(features)}")
    made = []
    for name, values in features.items():
        if not isinstance(name, str) or split_words(name) != [name] or "|||" in name:
            raise UsageError(f"{where}: {shown(name)} is no name of a feature")
        numbers = (
            values if isinstance(values, Sequence) and not isinstance(values, str) else [values]
        )
        made.append((name, tuple(_number(number, f"{where}: {name}") for number in numbers)))
    return tuple(made)


def _number(value: object, where: str) -> float:
    if not isinstance(value, Real):
        raise UsageError(f"{where} must be a number, not {shown(value)}")
    return float(value)


def _candidates(item: "RankedList") -> tuple[Candidate, ...]:
    """Return a ranked list as records, best first."""
    made = []
    for index in item.order():
        entry = item.entries[index]
        tokens = {
            name: model[index].astype(float)
            for name, model in zip(item.scored.names, item.scored.token_scores, strict=True)
        }
        made.append(candidate_of(entry, tokens))
    return tuple(made)


def candidate_of(entry: NBestEntry, tokens: Mapping[str, "object"] | None = None) -> Candidate:
    """Return an entry of a list as a record."""
    scores: dict[str, object] = dict(tokens or {})
    return Candidate(entry.hypothesis, entry.total, dict(entry.features), entry.extra, scores)  # type: ignore[arg-type]


def _references(name: str, references: References) -> dict[str, list[str]]:
    """Return references by name: one list of lines, or several."""
    if references is None:
        return {}
    if isinstance(references, str | bytes) or not isinstance(references, Sequence):
        raise UsageError(f"{name} must be a list of lines, not {shown(references)}")
    several = len(references) > 0 and all(
        isinstance(one, Sequence) and not isinstance(one, str | bytes) for one in references
    )
    rows = list(references) if several else [references]
    return {
        name if number == 1 else f"{name} {number}": lines_of(row, name)  # type: ignore[arg-type]
        for number, row in enumerate(rows, start=1)
    }


def _weights(
    weights: Mapping[str, float | Sequence[float]] | Path | None,
) -> dict[str, Option]:
    """Return weights as the option `--weight` or `--weights`."""
    if weights is None:
        return {}
    if not isinstance(weights, Mapping):
        if not isinstance(weights, str | os.PathLike):
            raise UsageError(
                f"weights must be a mapping of features to numbers, or a path, not {shown(weights)}"
            )
        return {"weights": path_of(weights, "weights")}
    items = []
    for name, value in weights.items():
        numbers = value if isinstance(value, Sequence) else [value]
        try:
            shown_numbers = ",".join(repr(float(number)) for number in numbers)
        except (TypeError, ValueError) as error:
            raise UsageError(f"weights: {name!r} must be a number, not {shown(value)}") from error
        items.append(f"{name}={shown_numbers}")
    return {"weight": tuple(items)}
