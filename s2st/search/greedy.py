"""Greedy search: the best word at every step; finished sentences leave the batch."""

from dataclasses import fields

from s2st.data.batch import SourceBatch
from s2st.errors import UsageError
from s2st.scoring.base import Scorer
from s2st.search.base import Hypothesis, Search
from s2st.search.beam import BeamSearch
from s2st.search.registry import BeamConfig, GreedyConfig


class GreedySearch(Search):
    """One hypothesis per sentence, by beam search with a beam of 1.

    Raises:
        UsageError: `nbest` is more than 1.
    """

    def __init__(self, config: GreedyConfig) -> None:
        if config.nbest > 1:
            raise UsageError(
                f"--nbest {config.nbest}: greedy search has one hypothesis a sentence; "
                "use --search beam or --search sampling"
            )
        options = {f.name: getattr(config, f.name) for f in fields(GreedyConfig)}
        self._search = BeamSearch(BeamConfig(beam=1, **options))

    def __call__(self, scorer: Scorer, source: SourceBatch) -> list[list[Hypothesis]]:
        """The greedy hypothesis of each source."""
        return self._search(scorer, source)
