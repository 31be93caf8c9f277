"""Scoring of n-best lists on several ranks, which claim blocks of source lines.

A rank reads the id of every line of a file, and parses only the blocks that it claims.
"""

from collections.abc import Sequence

from s2st.jobs.options import RescoreConfig
from s2st.jobs.rescore.list_files import ListFiles, keeps_words
from s2st.jobs.rescore.list_scorer import ListScorer
from s2st.jobs.rescore.sharding import BLOCK, shard_lines
from s2st.jobs.work_queue import WorkQueue
from s2st.scoring.nbest_features import ListFeature
from s2st.text.line_files import read_lines


class BlockClaims:
    """The blocks of source lines that this rank claims, each at its first list.

    Args:
        queue: the work queue that holds the claims.
        part: the source lines of the shard.
        count: number of source lines. Every rank reads ids beyond them, to report an error.
        first_claim: number of the claim of block 0.
    """

    def __init__(self, queue: WorkQueue, part: range, count: int, first_claim: int) -> None:
        self._queue = queue
        self._part = part
        self._count = count
        self._first_claim = first_claim
        self._claimed: dict[int, bool] = {}  # by block; several files ask for the same blocks

    def claim(self, identifier: int) -> bool:
        """Return whether this rank scores the list of an id."""
        if identifier >= self._count:
            return self._part.stop == self._count
        if identifier not in self._part:
            return False
        block = identifier // BLOCK
        if block not in self._claimed:
            self._claimed[block] = self._queue.claim(self._first_claim + block)
        return self._claimed[block]


def score_share(
    config: RescoreConfig,
    features: Sequence[ListFeature],
    files: Sequence[tuple[ListFiles, str, str | None]],
    queue: WorkQueue,
) -> None:
    """Score this rank's share of all lists, and publish the scores in the queue.

    Args:
        config: options of the job.
        features: the models.
        files: for each set of lists, their files, path of their source, and shard. The numbers of a
            set's tasks and claims start at the number of source lines of the sets before it.
        queue: the work queue that the ranks share.

    Raises:
        DataError: see ListScorer and read_nbest.
    """
    before = 0
    for lists_files, source_path, shard in files:
        sources = list(read_lines(source_path, config.encoding_errors))
        claims = BlockClaims(queue, shard_lines(shard, len(sources)), len(sources), before)
        words = keeps_words(config)
        name = lists_files.name
        scorer = ListScorer(features, sources, config.max_rows, name, queue, before, words)
        for _ in scorer.score(lists_files.read(claims.claim)):
            pass
        before += len(sources)
