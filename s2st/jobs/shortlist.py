"""The shortlist of `generate`: from the options to a search over fewer words."""

import logging
from typing import TYPE_CHECKING

from s2st.errors import UsageError
from s2st.jobs.options import ShortlistConfig

if TYPE_CHECKING:
    from s2st.scoring.base import Scorer
    from s2st.search.base import Search

log = logging.getLogger("s2st")


def with_shortlist(search: "Search", scorer: "Scorer", config: ShortlistConfig) -> "Search":
    """Return the search over the shortlists that the options ask for, or the search itself.

    Raises:
        UsageError: the models or the search do not allow a shortlist.
        InputMissingError, DataError: the lexicon cannot be read.
    """
    if config.shortlist is None:
        return search
    from s2st.lexicon.lexicon_files import read_lexicon
    from s2st.scoring.shortlist import Shortlists
    from s2st.search.shortlist_search import ShortlistSearch

    if scorer.source.absent:
        raise UsageError("--shortlist needs a model with a source; a language model has none")
    if scorer.source.tokenizer.vector_size:
        raise UsageError("--shortlist needs a source of words; this model reads vectors")
    source, target = scorer.source.vocabulary, scorer.target.vocabulary
    lexicon = read_lexicon(config.shortlist, source, target)
    shortlists = Shortlists(
        lexicon, source, target,
        config.shortlist_first, config.shortlist_best, config.shortlist_prune,
    )  # fmt: skip
    words = len(source) - source.first_word
    if shortlists.covered < words / 2:
        log.warning(
            "%s: has translations of only %s of the %s source words; translations will lack words",
            config.shortlist, f"{shortlists.covered:,}", f"{words:,}",
        )  # fmt: skip
    return ShortlistSearch(search, shortlists, scorer)
