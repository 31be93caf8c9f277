"""n-best lists dealt over several processes, in blocks of source lines that are scored apart.

A rank looks at the id of every line of the file, and reads further only the blocks that it claims.
"""

from collections.abc import Container, Sequence
from itertools import groupby

from s2st.pipelines.dealt import Parts, PieceName
from s2st.pipelines.journal import journal_lines
from s2st.pipelines.options import RescoreConfig
from s2st.pipelines.rescore import BLOCK, ListScorer, shard_lines
from s2st.scoring.features import ListFeature
from s2st.text.lines import read_lines
from s2st.text.nbest import read_nbest


class ClaimedIds(Container[int]):
    """The ids that are this rank's: a block is claimed when the first of its ids is asked for.

    Args:
        parts: where blocks are claimed.
        part: source lines whose lists are wanted.
        count: of the source's lines. Ids beyond them are everybody's: they are an error.
        before: pieces of files before this one.

    Attributes:
        seen: the blocks that were asked for, in order, whoever computes them.
    """

    def __init__(self, parts: Parts, part: range, count: int, before: int) -> None:
        self.seen: list[PieceName] = []
        self._parts = parts
        self._part = part
        self._count = count
        self._before = before
        self._block = -1
        self._mine = False

    def piece(self, block: int) -> PieceName:
        """What a block is called among the job's pieces."""
        return PieceName(self._before + block, min(BLOCK, self._count - block * BLOCK))

    def __contains__(self, identifier: object) -> bool:
        assert isinstance(identifier, int)
        if identifier >= self._count:
            return self._part.stop == self._count
        if identifier not in self._part:
            return False
        if identifier // BLOCK != self._block:
            self._block = identifier // BLOCK
            self.seen.append(self.piece(self._block))
            self._mine = self._parts.claim(self.seen[-1])
        return self._mine


def deal_lists(
    config: RescoreConfig, features: Sequence[ListFeature], nbest: str, source: str, parts: Parts
) -> list[PieceName]:
    """Scores this rank's share of the development lists, where there are any, and of the lists.

    Returns:
        All pieces, whoever computes them: joined, they are the lines of a journal.

    Raises:
        DataError: as ListScorer and read_nbest.
    """
    files = [(nbest, source, config.shard)]
    if config.tune and config.dev_nbest is not None and config.dev_source is not None:
        files.insert(0, (config.dev_nbest, config.dev_source, None))
    pieces: list[PieceName] = []
    before = 0
    for path, source_path, shard in files:
        sources = list(read_lines(source_path, config.encoding_errors))
        claimed = ClaimedIds(parts, shard_lines(shard, len(sources)), len(sources), before)
        scorer = ListScorer(features, sources, config.max_rows, path)
        lists = read_nbest(read_lines(path, config.encoding_errors), path, claimed)
        for block, own in groupby(lists, key=lambda entries: entries[0].id // BLOCK):
            scored = list(scorer.score(own))
            lines = journal_lines(scored, sources, config.output == "words")
            parts.publish(claimed.piece(block), lines)
        pieces += claimed.seen
        before += -(-len(sources) // BLOCK)
    return pieces
