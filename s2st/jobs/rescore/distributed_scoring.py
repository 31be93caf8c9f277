"""Scoring of n-best lists on several ranks, which claim blocks of source lines.

A rank reads the id of every line of a file, and parses only the blocks that it claims.
"""

from collections.abc import Sequence

from s2st.jobs.options import RescoreConfig
from s2st.jobs.rescore.list_scorer import ListScorer
from s2st.jobs.rescore.sharding import BLOCK, shard_lines
from s2st.jobs.work_queue import WorkQueue
from s2st.scoring.nbest_features import ListFeature
from s2st.text.line_files import read_lines
from s2st.text.nbest_lists import read_nbest


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
        self._block = -1
        self._claimed = False

    def claim(self, identifier: int) -> bool:
        """Return whether this rank scores the list of an id; ids must rise."""
        if identifier >= self._count:
            return self._part.stop == self._count
        if identifier not in self._part:
            return False
        if identifier // BLOCK != self._block:
            self._block = identifier // BLOCK
            self._claimed = self._queue.claim(self._first_claim + self._block)
        return self._claimed


def score_share(
    config: RescoreConfig,
    features: Sequence[ListFeature],
    files: Sequence[tuple[str, str, str | None]],
    queue: WorkQueue,
) -> None:
    """Score this rank's share of all lists, and publish the scores in the queue.

    Args:
        config: options of the job.
        features: the models.
        files: for each file, path of the lists, path of their source, and shard. The numbers of a
            file's tasks and claims start at the number of source lines of the files before it.
        queue: the work queue that the ranks share.

    Raises:
        DataError: see ListScorer and read_nbest.
    """
    before = 0
    for path, source_path, shard in files:
        sources = list(read_lines(source_path, config.encoding_errors))
        claims = BlockClaims(queue, shard_lines(shard, len(sources)), len(sources), before)
        words = config.output == "words"
        scorer = ListScorer(features, sources, config.max_rows, path, queue, before, words)
        lines = read_lines(path, config.encoding_errors)
        lists = read_nbest(lines, path, claims.claim, config.nbest_format)
        for _ in scorer.score(lists):
            pass
        before += len(sources)
