"""The Search interface and what all searches share: records, length limits, banned words."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch

from s2st.data.batch import SourceBatch
from s2st.errors import UsageError
from s2st.scoring.base import Scorer
from s2st.search.registry import SearchConfig
from s2st.text.vocabulary import BOS_ID, EOS_ID, PAD_ID, UNK_ID

FREE = -1  # no word is prescribed


@dataclass(frozen=True)
class Hypothesis:
    """One translation.

    Attributes:
        tokens: ids without EOS.
        token_log_probs: one natural log-probability a word and, last, EOS's.
        log_prob: their sum.
        score: log_prob after length normalization; what hypotheses are ranked by.
        finished: False if the length limit forced EOS.
        attention: (T, S) how much each word, EOS last, attended to each position of the source,
            its EOS last; None of a model without attention.
    """

    tokens: tuple[int, ...]
    token_log_probs: tuple[float, ...]
    log_prob: float
    score: float
    finished: bool
    attention: npt.NDArray[np.float32] | None = field(default=None, compare=False)


class Search(ABC):
    """Finds hypotheses for sources.

    Attributes:
        rows_per_sentence: hypotheses that it may have open at once for each sentence; callers
            put fewer sentences together where it is large.
        gives_attention: whether hypotheses have that of a model that has some.
    """

    rows_per_sentence: int = 1
    gives_attention: bool = True

    @abstractmethod
    def __call__(self, scorer: Scorer, source: SourceBatch) -> list[list[Hypothesis]]:
        """For each source at most `nbest` hypotheses, best first; never an empty list."""


def length_limits(config: SearchConfig, source: SourceBatch) -> torch.Tensor:
    """(B,) the most words of each hypothesis; after so many only EOS may follow.

    Raises:
        UsageError: a limit is below the least length.
    """
    words = (source.lengths - 1).double()
    limits = (config.max_len_a * words + config.max_len_b).floor().long()
    if source.prefixes:
        limits += torch.tensor([len(prefix) for prefix in source.prefixes])
    short = (limits < config.min_len).nonzero().flatten().tolist()
    if short:
        raise UsageError(
            f"input line {source.line_ids[short[0]] + 1}: --min-len {config.min_len} contradicts "
            f"--max-len-a {config.max_len_a:g} and --max-len-b {config.max_len_b}, which allow "
            f"{int(limits[short[0]])} words there; raise --max-len-b, or lower --min-len"
        )
    return limits


def prefix_table(source: SourceBatch, device: torch.device) -> torch.Tensor:
    """(B, P + 1) the words that hypotheses begin with, then FREE."""
    prefixes = source.prefixes or ((),) * len(source)
    table = torch.full((len(prefixes), max(map(len, prefixes), default=0) + 1), FREE)
    for row, prefix in enumerate(prefixes):
        table[row, : len(prefix)] = torch.tensor(prefix, dtype=torch.int64)
    return table.to(device)


def prefix_words(table: torch.Tensor, sentences: torch.Tensor, step: int) -> torch.Tensor | None:
    """(N,) the word that must come at this step in rows of these sentences, FREE where any may.

    None where it is FREE in all.
    """
    if step + 1 >= table.shape[1]:
        return None
    return table[sentences, step]


def forbid(
    log_probs: torch.Tensor,
    config: SearchConfig,
    step: int,
    at_limit: torch.Tensor,
    prefix: torch.Tensor | None = None,
) -> torch.Tensor:
    """Sets words that may not follow to -inf, in place.

    Args:
        log_probs: (N, V) of the words at this position.
        config: min_len and unk.
        step: words before this position.
        at_limit: (N,) True where only EOS may follow.
        prefix: (N,) the one word that may follow, whatever the other rules say, or FREE.
    """
    held = None
    if prefix is not None:
        rows = torch.nonzero(prefix != FREE).squeeze(1)
        held = rows, prefix[rows], log_probs[rows, prefix[rows]]
    log_probs[:, PAD_ID] = -torch.inf
    log_probs[:, BOS_ID] = -torch.inf
    if not config.unk:
        log_probs[:, UNK_ID] = -torch.inf
    if step < config.min_len:
        log_probs[:, EOS_ID] = -torch.inf
    if bool(at_limit.any()):
        eos = log_probs[at_limit, EOS_ID]
        log_probs[at_limit] = -torch.inf
        log_probs[at_limit, EOS_ID] = eos
    if held is not None:
        rows, words, values = held
        log_probs[rows] = -torch.inf
        log_probs[rows, words] = values
    return log_probs
