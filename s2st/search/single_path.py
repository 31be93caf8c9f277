"""A search that follows one word per row to the end: the loop of sampling."""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from s2st.data.batch import SourceBatch, moved
from s2st.errors import CheckpointError
from s2st.scoring.base import Scorer
from s2st.search.base import Hypothesis
from s2st.search.registry import SearchConfig
from s2st.search.restrictions import restrictions
from s2st.text.vocabulary import BOS_ID, EOS_ID

# (log-probabilities (N, V), -inf for forbidden words; number of each row) -> words (N,)
Pick = Callable[[torch.Tensor, list[int]], torch.Tensor]


def walk(
    scorer: Scorer, source: SourceBatch, sentences: torch.Tensor, config: SearchConfig, pick: Pick
) -> list[Hypothesis]:
    """Extends every row by the word that `pick` chooses, until that is EOS.

    Args:
        scorer, source: the scorer and the sentences.
        sentences: (R,) the sentence of each row.
        config: length limits and forbidden words.
        pick: chooses a word for each row that is still open.

    Returns:
        One hypothesis per row, with the scorer's log-probabilities.
    """
    device = scorer.device
    rows_of = moved(sentences, device)
    forbid = restrictions(config, source, device).select(rows_of)
    state = scorer.start(source).select(rows_of)
    rows = list(range(len(sentences)))  # that are still open
    tokens = torch.full((len(rows),), BOS_ID, device=device)
    words: list[list[int]] = [[] for _ in sentences]
    log_probs: list[list[float]] = [[] for _ in sentences]
    attention: list[list[npt.NDArray[np.float32]]] = [[] for _ in sentences]
    finished, ended = [True] * len(sentences), [False] * len(sentences)
    while rows:
        result = scorer.step(tokens, state)
        allowed = forbid(result.log_probs)
        tokens = pick(allowed, rows)
        chosen = tokens.unsqueeze(1)
        values = forbid.scorer_log_probs(chosen, allowed.gather(1, chosen)).squeeze(1)
        told = torch.stack([tokens.double(), values.double(), forbid.at_limit.double()])
        for row, token, value, forced in zip(rows, *told.tolist(), strict=True):  # waits for a GPU
            check_finite(value)
            log_probs[row].append(value)
            ended[row] = token == EOS_ID
            if ended[row]:
                finished[row] = not forced
            else:
                words[row].append(int(token))
        if result.attention is not None:
            for row, weights in zip(rows, result.attention.float().cpu().numpy(), strict=True):
                attention[row].append(weights)
        open_places = [i for i, row in enumerate(rows) if not ended[row]]
        rows = [rows[i] for i in open_places]
        keep = moved(torch.tensor(open_places, dtype=torch.int64), device)
        tokens = tokens[keep]
        state = result.state.select(keep)
        forbid = forbid.select(keep, tokens)
    lengths = source.lengths[sentences].tolist()
    return [
        Hypothesis(tuple(w), tuple(p), sum(p), sum(p), f, np.array(a)[:, :s] if a else None)
        for w, p, f, a, s in zip(words, log_probs, finished, attention, lengths, strict=True)
    ]


def check_finite(log_prob: float) -> None:
    """Raises CheckpointError unless the log-probability of a chosen word is finite."""
    if not math.isfinite(log_prob):
        raise CheckpointError(
            "the model gives no finite probability to any allowed word: its weights are damaged "
            "(NaN?), or it cannot satisfy all of --min-len, --max-len-a, --max-len-b, "
            "--no-repeat-ngram, a prefix and constraints"
        )
