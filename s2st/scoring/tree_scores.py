"""Scores of hypotheses whose model computes all distinct prefixes at once, without steps."""

import numpy as np
import numpy.typing as npt
import torch

from s2st.data.batch import moved
from s2st.models.base import DecoderState
from s2st.models.prefix_tree import BLOCK, PrefixTree
from s2st.scoring.base import Scorer
from s2st.text.vocabulary import BOS_ID

Matrix = npt.NDArray[np.int64]
MAX_POSITIONS = 1 << 15  # of the hypotheses that are computed at once: bounds the memory


def tree_scores(
    scorer: Scorer, start: DecoderState, table: Matrix, lengths: Matrix, first_difference: Matrix
) -> tuple[npt.NDArray[np.float32], int] | None:
    """Log-probabilities (R, T) of sorted hypotheses, and the number of distinct prefixes.

    Args:
        scorer: the scorer.
        start: its first state, a row for each source.
        table: (R, T + 1) row of the source, then words, EOS, -1 ...
        lengths: (R,) number of words of each row, EOS included.
        first_difference: (R,) column in which each row first differs from the row before.

    Returns:
        None if the scorer computes steps only.
    """
    width = table.shape[1] - 1
    columns = np.arange(width)
    alive = columns < lengths[:, np.newaxis]
    # a node ends with the word in its column, a question asks for the word in the next one
    nodes = _Numbered(alive & (first_difference[:, np.newaxis] <= columns))
    asked = _Numbered(alive & (first_difference[:, np.newaxis] <= columns + 1))
    new = np.flatnonzero(nodes.new)
    depths = new % width
    shown = np.flatnonzero(alive)
    last = np.zeros(len(new), dtype=np.int64)  # the last hypothesis through each node
    np.maximum.at(last, nodes.paths.ravel()[shown], shown // width)
    ends = np.cumsum(nodes.new.sum(axis=1))[last]
    tokens = np.where(depths == 0, BOS_ID, table[:, :-1].ravel()[new])
    tree = PrefixTree(
        tokens=torch.from_numpy(tokens),
        depths=torch.from_numpy(depths),
        sentences=torch.from_numpy(table[new // width, 0]),
        ends=torch.from_numpy(ends),
        paths=torch.from_numpy(nodes.paths),
        leaders=torch.from_numpy(new[::BLOCK] // width),
        heights=torch.from_numpy(depths[::BLOCK].copy()),
    )
    places = np.flatnonzero(asked.new)
    rows, words = nodes.paths.ravel()[places], table[:, 1:].ravel()[places]
    order = np.argsort(rows, kind="stable")
    features = scorer.tree_features(start, tree)
    if features is None:
        return None
    device = scorer.device
    found = scorer.pick(
        features,
        moved(torch.from_numpy(rows[order]), device),
        moved(torch.from_numpy(words[order]), device),
    )
    values = np.empty(len(order), dtype=np.float32)
    values[order] = found.float().cpu().numpy()
    return np.where(alive, values[asked.paths], np.float32(0)), len(new)


class _Numbered:
    """Places (R, T) that are new, numbered in order, and for each place the last number above it.

    Rows are sorted: a place that is not new stands for the same prefix as the place above.
    """

    def __init__(self, new: npt.NDArray[np.bool_]) -> None:
        self.new = new
        numbers = np.where(new, np.cumsum(new.ravel()).reshape(new.shape) - 1, 0)
        self.paths: Matrix = np.maximum.accumulate(numbers, axis=0).astype(np.int64)
