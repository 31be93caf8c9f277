"""Any search among the words of each sentence's shortlist (`s2st/scoring/shortlist.py`)."""

from dataclasses import replace

import numpy as np
import torch

from s2st.data.batch import SourceBatch
from s2st.errors import UsageError
from s2st.scoring.base import Scorer
from s2st.scoring.shortlist import Shortlist, Shortlists, narrowed_source
from s2st.search.base import Hypothesis, Search


class ShortlistSearch(Search):
    """Runs a search over the scorer's shortlist, and returns hypotheses with the scorer's ids.

    Args:
        search: the search, which sees a scorer of fewer words.
        shortlists: makes the shortlists of a batch.
        scorer: the scorer that the search will be called with.

    Raises:
        UsageError: the scorer cannot be narrowed, or the search depends on the number of words.
    """

    def __init__(self, search: Search, shortlists: Shortlists, scorer: Scorer) -> None:
        if search.depends_on_vocabulary:
            raise UsageError(
                "--shortlist: this search draws a number for each word, so that the result of a "
                "sentence would depend on the other sentences of its batch; use another --search"
            )
        specials = torch.arange(scorer.target.vocabulary.first_word)
        scorer.narrowed(Shortlist(specials, torch.zeros(1, len(specials), dtype=torch.bool)))
        self._search = search
        self._shortlists = shortlists
        self.rows_per_sentence = search.rows_per_sentence
        self.gives_attention = search.gives_attention

    def __call__(self, scorer: Scorer, source: SourceBatch) -> list[list[Hypothesis]]:
        """The hypotheses of the search."""
        shortlist = self._shortlists.of(source)
        words = shortlist.words.numpy()
        groups = self._search(scorer.narrowed(shortlist), narrowed_source(source, shortlist))
        return [[_with_ids(hypothesis, words) for hypothesis in group] for group in groups]


def _with_ids(hypothesis: Hypothesis, words: "np.typing.NDArray[np.int64]") -> Hypothesis:
    places = np.array(hypothesis.tokens, dtype=np.int64)
    return replace(hypothesis, tokens=tuple(words[places].tolist()))
