"""The `Search` interface, and what all searches share: records and length limits."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch

from s2st.data.batch import SourceBatch
from s2st.errors import UsageError
from s2st.scoring.base import Scorer
from s2st.search.registry import SearchConfig


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
        depends_on_vocabulary: whether words of probability 0 change the result, for example by
            a random draw for each word; then `generate --shortlist` refuses the search.
    """

    rows_per_sentence: int = 1
    gives_attention: bool = True
    depends_on_vocabulary: bool = False

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
