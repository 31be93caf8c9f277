"""Greedy search: the best word at every step, finished sentences leaving the batch."""

import torch

from s2st.data.batch import SourceBatch
from s2st.errors import UsageError
from s2st.scoring.base import Scorer
from s2st.search.base import Hypothesis, Search
from s2st.search.registry import GreedyConfig
from s2st.search.walk import walk


class GreedySearch(Search):
    """One hypothesis a sentence, equal to beam search with a beam of 1.

    Raises:
        UsageError: more than one is asked for.
    """

    def __init__(self, config: GreedyConfig) -> None:
        if config.nbest > 1:
            raise UsageError(
                f"--nbest {config.nbest}: greedy search has one hypothesis a sentence; "
                "beam search and sampling have several"
            )
        self.config = config

    @torch.inference_mode()
    def __call__(self, scorer: Scorer, source: SourceBatch) -> list[list[Hypothesis]]:
        """The greedy hypothesis of each source."""
        sentences = torch.arange(len(source))
        made = walk(scorer, source, sentences, self.config, lambda allowed, _: allowed.argmax(1))
        return [[hypothesis] for hypothesis in made]
