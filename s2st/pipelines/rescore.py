"""The job of `s2st rescore-nbest`: model features for SMT lists, averaged with the baseline.

The paper's way (section 3.3): the log-probability of every hypothesis under the model, an even
average with the system's own score, the best one wins.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from s2st.data.batch import make_source
from s2st.errors import DataError, UsageError
from s2st.scoring.base import Scorer
from s2st.scoring.lists import score_lists
from s2st.text.nbest import NBestEntry

BASELINE = "Baseline"
FEATURE = "S2ST"


@dataclass(frozen=True)
class RescoredList:
    """One list with its new features. Entries are in the order of the file.

    The baseline's total is kept as the feature `Baseline`; features of an earlier rescoring with
    the same names are replaced.

    Attributes:
        id: sentence number from 0.
        entries: the hypotheses with the new features and the new total.
        best: index of the entry with the highest total, the first of equals.
        rows_stepped, positions: work done and work that plain scoring would do.
    """

    id: int
    entries: tuple[NBestEntry, ...]
    best: int
    rows_stepped: int
    positions: int

    def sorted_entries(self) -> list[NBestEntry]:
        """Best first; equals stay in order."""
        return sorted(self.entries, key=lambda entry: -_key(entry.total))


def feature_names(count: int) -> list[str]:
    """Names of the new features; none holds "_", which Moses' tuner reads as sparse."""
    return [f"{FEATURE}{index}" for index in range(count)]


def parse_weights(given: Sequence[str], features: int) -> dict[str, float]:
    """Weights by name: Baseline and the new features.

    Left out altogether, they are the paper's even average: 1/2 for the baseline and 1/2 shared
    by the new features. A name that is left out of a list of weights has weight 0.

    Raises:
        UsageError: not NAME=VALUE, or a name that does not exist.
    """
    names = feature_names(features)
    if not given:
        return {BASELINE: 0.5, **dict.fromkeys(names, 0.5 / features)}
    weights = dict.fromkeys([BASELINE, *names], 0.0)
    for item in given:
        name, equals, text = item.partition("=")
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not equals or not math.isfinite(value):
            raise UsageError(f"--weight {item!r}: NAME=VALUE is needed, such as {BASELINE}=0.5")
        if name not in weights:
            known = ", ".join(weights)
            raise UsageError(f"--weight {item!r}: no feature {name!r}; there are {known}")
        weights[name] = value
    return weights


def rescore(
    scorers: Sequence[Scorer],
    lists: Iterable[list[NBestEntry]],
    sources: Sequence[str],
    weights: dict[str, float],
    max_rows: int,
    path: str,
) -> Iterator[RescoredList]:
    """Yields the lists with new features and totals, in order.

    Args:
        scorers: one new feature each.
        lists: from `read_nbest`; a list's hypotheses are words with spaces between.
        sources: text of source line i at index i.
        weights: from `parse_weights`.
        max_rows: prefixes stepped together.
        path: name of the n-best file, for messages.

    Raises:
        DataError: an id that no source line has, naming the line.
    """
    pending: list[list[NBestEntry]] = []
    waiting = 0
    for entries in lists:
        if entries[0].id >= len(sources):
            message = f"id {entries[0].id} but the source has {len(sources)} lines (ids from 0)"
            raise DataError(message, path, entries[0].line)
        pending.append(entries)
        waiting += len(entries)
        if waiting >= max_rows:
            yield from _rescore_together(scorers, pending, sources, weights, max_rows)
            pending, waiting = [], 0
    if pending:
        yield from _rescore_together(scorers, pending, sources, weights, max_rows)


def _rescore_together(
    scorers: Sequence[Scorer],
    lists: Sequence[list[NBestEntry]],
    sources: Sequence[str],
    weights: dict[str, float],
    max_rows: int,
) -> Iterator[RescoredList]:
    columns: list[list[list[float]]] = []  # [scorer][list][hypothesis]
    stepped = positions = 0
    ids = [entries[0].id for entries in lists]
    for scorer in scorers:
        encode = scorer.source.vocabulary.encode
        split = scorer.source.tokenizer.encode
        source = make_source([encode(split(sources[i])) for i in ids], ids)
        words = [
            [scorer.target.vocabulary.encode(target_words(scorer, e)) for e in entries]
            for entries in lists
        ]
        scores = score_lists(scorer, source, words, max_rows)
        stepped += scores.rows_stepped
        positions += scores.positions
        columns.append(
            [[float(row.sum(dtype="float64")) for row in group] for group in scores.token_log_probs]
        )
    names = feature_names(len(scorers))
    for index, entries in enumerate(lists):
        made = []
        for row, entry in enumerate(entries):
            values = [column[index][row] for column in columns]
            new = (
                (BASELINE, (entry.total,)),
                *((n, (v,)) for n, v in zip(names, values, strict=True)),
            )
            old = tuple(f for f in entry.features if f[0] != BASELINE and f[0] not in names)
            total = weights[BASELINE] * entry.total if weights[BASELINE] else 0.0
            total += sum(weights[n] * v for n, v in zip(names, values, strict=True))
            made.append(replace(entry, features=old + new, total=total))
        best = max(range(len(made)), key=lambda i: (_key(made[i].total), -i))
        share = (stepped, positions) if index == 0 else (0, 0)
        yield RescoredList(ids[index], tuple(made), best, *share)


def target_words(scorer: Scorer, entry: NBestEntry) -> list[str]:
    """A hypothesis in the model's own tokens.

    SMT lists are tokenised; a model of tokenised text (`none`, `moses`) takes their words as they
    are, a subword model cuts them, unless they are pieces already (our own `--format moses`).
    """
    from s2st.text.tokenizers import PIECE_START, SentencePieceTokenizer

    is_cut = PIECE_START in entry.hypothesis
    if isinstance(scorer.target.tokenizer, SentencePieceTokenizer) and not is_cut:
        return scorer.target.tokenizer.encode(entry.hypothesis)
    return entry.hypothesis.split(" ") if entry.hypothesis else []


def _key(total: float) -> float:
    """Totals that are not a number rank last."""
    return -math.inf if math.isnan(total) else total
