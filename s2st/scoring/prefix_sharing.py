"""Scores lists of hypotheses with shared prefixes: each distinct prefix is stepped once.

Hypotheses, with EOS, are sorted, so that those with a common prefix are neighbors. Each row of a
decoding step stands for a run of neighbors. Every `Scorer` works: only `step_words` and `select`
are used. A scorer that computes all prefixes at once is not stepped (`tree_scores.py`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from s2st.data.batch import SourceBatch
from s2st.models.base import DecoderState
from s2st.scoring.base import Scorer
from s2st.scoring.tree_scores import MAX_POSITIONS, tree_scores
from s2st.text.vocabulary import BOS_ID, EOS_ID

MAX_CELLS = 1 << 25  # cells in a table of words: bounds the memory of very long hypotheses
MAX_PADDED_SOURCE = 1 << 16  # padded source tokens that callers should encode together at most
Matrix = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ListScores:
    """Log-probabilities of the hypotheses of each source.

    Attributes:
        token_log_probs: [source][hypothesis] -> one value per word, EOS last, in nats.
        rows_stepped: number of distinct prefixes that were computed.
        positions: words of all hypotheses, EOS included: the work without sharing.
    """

    token_log_probs: list[list[npt.NDArray[np.float32]]]
    rows_stepped: int
    positions: int


def score_lists(
    scorer: Scorer,
    source: SourceBatch,
    hypotheses: Sequence[Sequence[Sequence[int]]],
    max_rows: int,
) -> ListScores:
    """Scores every hypothesis of every source.

    Args:
        scorer: one model or an ensemble.
        source: B sources; each is encoded once.
        hypotheses: for each source its hypotheses as ids without EOS.
        max_rows: maximum rows per step; bounds the memory (max_rows x V log-probabilities).

    Returns:
        The scores in the given order; equal hypotheses of a source are computed once.
    """
    flat = [(i, hypothesis) for i, group in enumerate(hypotheses) for hypothesis in group]
    if not flat:
        return ListScores([[] for _ in hypotheses], 0, 0)
    start = scorer.start(source)
    found: dict[int, npt.NDArray[np.float32]] = {}
    stepped = 0
    for part in _parts([len(hypothesis) for _, hypothesis in flat]):
        rows, count = _score_part(scorer, start, [flat[i] for i in part], max_rows)
        found.update(zip(part, rows, strict=True))
        stepped += count
    result: list[list[npt.NDArray[np.float32]]] = [[] for _ in hypotheses]
    for position, (index, _) in enumerate(flat):
        result[index].append(found[position])
    return ListScores(result, stepped, sum(len(hypothesis) + 1 for _, hypothesis in flat))


def _parts(lengths: Sequence[int]) -> Iterator[Sequence[int]]:
    """Parts of the hypotheses: one part, unless a very long one makes the table too large."""
    if len(lengths) * (max(lengths) + 2) <= MAX_CELLS:
        yield range(len(lengths))
        return
    part: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: lengths[i]):
        if part and (len(part) + 1) * (lengths[index] + 2) > MAX_CELLS:
            yield part
            part = []
        part.append(index)
    yield part


def _score_part(
    scorer: Scorer,
    start: DecoderState,
    flat: Sequence[tuple[int, Sequence[int]]],
    max_rows: int,
) -> tuple[list[npt.NDArray[np.float32]], int]:
    """Scores of (source, hypothesis) pairs, in their order, and the number of steps' rows."""
    # by source, then word by word; numpy's lexsort would take kilobytes per column, and there may
    # be a million columns
    order = sorted(range(len(flat)), key=lambda i: (flat[i][0], tuple(flat[i][1])))
    table, lengths = _table([flat[i] for i in order])
    scores, stepped = _table_scores(scorer, start, table, lengths, max_rows)
    back = np.empty(len(flat), dtype=np.int64)
    back[order] = np.arange(len(flat))
    return [scores[back[i], : len(words) + 1] for i, (_, words) in enumerate(flat)], stepped


def _table_scores(
    scorer: Scorer, start: DecoderState, table: Matrix, lengths: Matrix, max_rows: int
) -> tuple[npt.NDArray[np.float32], int]:
    """Scores (R, T) of the sorted rows of a table, and the number of steps' rows.

    Members of an ensemble walk by themselves if they can: each one needs the softmax of some words
    only, and those that compute trees are not held up by those that step.
    """
    members = scorer.members_apart(start)
    if members:
        found = [
            _table_scores(m.scorer, m.state, _with_ids(table, m.ids), lengths, max_rows)
            for m in members
        ]
        together = scorer.combined([torch.from_numpy(scores) for scores, _ in found])
        alive = np.arange(table.shape[1] - 1) < lengths[:, np.newaxis]
        return together.numpy() * alive, max(stepped for _, stepped in found)
    scores = np.zeros((len(table), table.shape[1] - 1), dtype=np.float32)
    stepped = 0
    if scorer.computes_trees:
        max_rows = max(1, min(max_rows, MAX_POSITIONS // table.shape[1]))
    for first in range(0, len(table), max_rows):
        part = slice(first, first + max_rows)
        walk = _Walk(scorer, table[part], lengths[part])
        scores[part, : walk.width], rows = walk.run(start)
        stepped += rows
    return scores, stepped


def _with_ids(table: Matrix, ids: torch.Tensor | None) -> Matrix:
    """The table with a member's ids, in the same order of rows: equal prefixes stay neighbors."""
    if ids is None:
        return table
    words = table[:, 1:]
    return np.concatenate([table[:, :1], np.where(words < 0, -1, ids.numpy()[words])], axis=1)


def _table(flat: Sequence[tuple[int, Sequence[int]]]) -> tuple[Matrix, Matrix]:
    """Rows `source, words, EOS, -1 ...`, and the number of words, EOS included."""
    lengths = np.array([len(hypothesis) + 1 for _, hypothesis in flat], dtype=np.int64)
    table = np.full((len(flat), int(lengths.max()) + 1), -1, dtype=np.int64)
    for row, (index, hypothesis) in enumerate(flat):
        table[row, 0] = index
        table[row, 1 : len(hypothesis) + 1] = hypothesis
        table[row, len(hypothesis) + 1] = EOS_ID
    return table, lengths


class _Walk:
    """A breadth-first walk over the prefixes of some sorted rows of the table."""

    def __init__(self, scorer: Scorer, table: Matrix, lengths: Matrix) -> None:
        self.scorer = scorer
        self.lengths = lengths
        self.width = int(lengths.max())
        self.table = table[:, : self.width + 1]
        # column in which each row first differs from the row before: the two rows share every
        # prefix that ends before it. Equal rows get a column after the last.
        differs = self.table[1:] != self.table[:-1]
        first = np.where(differs.any(axis=1), differs.argmax(axis=1), self.width + 1)
        self.first_difference = np.concatenate([[0], first])

    @torch.inference_mode()
    def run(self, start: DecoderState) -> tuple[npt.NDArray[np.float32], int]:
        """(rows, width) log-probabilities, and the number of prefixes that were stepped."""
        at_once = tree_scores(self.scorer, start, self.table, self.lengths, self.first_difference)
        if at_once is not None:
            return at_once
        device = self.scorer.device
        scores = np.zeros((len(self.table), self.width), dtype=np.float32)
        parent_of_row = self.table[:, 0]  # at depth 0 the parent is the source's own row
        state = start
        stepped = 0
        for depth in range(self.width):
            alive = np.flatnonzero(self.lengths > depth)
            first, group = self._runs(alive, depth)
            leaders = alive[first]
            parents = torch.from_numpy(parent_of_row[leaders]).to(device)
            tokens = np.full(len(leaders), BOS_ID) if depth == 0 else self.table[leaders, depth]
            # a word that follows the same prefix in several hypotheses is looked up once
            asked, pair = self._runs(alive, depth + 1)
            words = self.table[alive[asked], depth + 1]
            result = self.scorer.step_words(
                torch.from_numpy(tokens).to(device),
                state.select(parents),
                torch.from_numpy(group[asked]).to(device),
                torch.from_numpy(words).to(device),
            )
            scores[alive, depth] = result.log_probs.float().cpu().numpy()[pair]
            parent_of_row = np.zeros(len(self.table), dtype=np.int64)
            parent_of_row[alive] = group
            state = result.state
            stepped += len(leaders)
        return scores, stepped

    def _runs(self, alive: Matrix, length: int) -> tuple[Matrix, Matrix]:
        """Runs of rows with equal prefixes of `length` words: their first rows, each row's run."""
        prefix = np.cumsum(self.first_difference <= length)[alive]
        starts = np.concatenate([[True], prefix[1:] != prefix[:-1]])
        return np.flatnonzero(starts), np.cumsum(starts) - 1
