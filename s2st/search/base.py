"""The `Search` interface, and what all searches share: records, length limits, forbidden words."""

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

FREE = -1  # any word may come


@dataclass(frozen=True)
class Hypothesis:
    """One translation.

    Attributes:
        tokens: ids without EOS.
        token_log_probs: one natural log-probability per word, and last that of EOS.
        log_prob: their sum.
        score: log_prob after length normalization; hypotheses are ranked by it.
        finished: False if the length limit forced EOS.
        attention: (T, S) attention weights of each word (EOS last) over the source positions (EOS
            last); None for a model without attention.
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
        rows_per_sentence: maximum number of open hypotheses per sentence; the larger it is, the
            fewer sentences callers put in a batch.
        gives_attention: whether hypotheses have the attention of a model with attention.
    """

    rows_per_sentence: int = 1
    gives_attention: bool = True

    @abstractmethod
    def __call__(self, scorer: Scorer, source: SourceBatch) -> list[list[Hypothesis]]:
        """At most `nbest` hypotheses per source, best first; never an empty list."""


def length_limits(config: SearchConfig, source: SourceBatch) -> torch.Tensor:
    """(B,) maximum words of a hypothesis; after so many words only EOS may follow.

    Raises:
        UsageError: a limit is below `min_len`.
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
    """(B, P + 1) the words with which hypotheses must begin, then FREE."""
    prefixes = source.prefixes or ((),) * len(source)
    table = torch.full((len(prefixes), max(map(len, prefixes), default=0) + 1), FREE)
    for row, prefix in enumerate(prefixes):
        table[row, : len(prefix)] = torch.tensor(prefix, dtype=torch.int64)
    return table.to(device)


def prefix_words(table: torch.Tensor, sentences: torch.Tensor, step: int) -> torch.Tensor | None:
    """(N,) the word that must come at this step in rows of these sentences, or FREE.

    Returns None if any word may come in all rows.
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
    """Sets the log-probabilities of forbidden words to -inf, in place.

    Args:
        log_probs: (N, V) log-probabilities of the next word.
        config: the options min_len and unk.
        step: number of words before this position.
        at_limit: (N,) True in rows in which only EOS may follow.
        prefix: (N,) the only word that may follow, whatever the other rules say, or FREE.
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
