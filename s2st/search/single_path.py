"""A search that follows one word per row to the end: the loop of sampling."""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from s2st.data.batch import SourceBatch
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
    rows_of = sentences.to(device)
    forbid = restrictions(config, source, device).select(rows_of)
    state = scorer.start(source).select(rows_of)
    alive = torch.arange(len(sentences), device=device)
    tokens = torch.full_like(alive, BOS_ID)
    words: list[list[int]] = [[] for _ in sentences]
    log_probs: list[list[float]] = [[] for _ in sentences]
    attention: list[list[npt.NDArray[np.float32]]] = [[] for _ in sentences]
    finished = [True] * len(sentences)
    while len(alive):
        result = scorer.step(tokens, state)
        allowed = forbid(result.log_probs)
        rows = alive.tolist()
        tokens = pick(allowed, rows)
        chosen = tokens.unsqueeze(1)
        values = forbid.scorer_log_probs(chosen, allowed.gather(1, chosen)).squeeze(1)
        for row, token, value, forced in zip(
            rows, tokens.tolist(), values.tolist(), forbid.at_limit.tolist(), strict=True
        ):
            check_finite(value)
            log_probs[row].append(value)
            if token == EOS_ID:
                finished[row] = not forced
            else:
                words[row].append(token)
        if result.attention is not None:
            for row, weights in zip(rows, result.attention.float().cpu().numpy(), strict=True):
                attention[row].append(weights)
        keep = torch.nonzero(tokens != EOS_ID).squeeze(1)
        alive, tokens = alive[keep], tokens[keep]
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
