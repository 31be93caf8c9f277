"""Features of n-best lists from models: one scorer gives one new feature of every hypothesis.

A direct model scores the hypothesis given the source, or without it (a language model). A channel
model, which translates in the other direction, scores the source given the hypothesis.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from s2st.data.batch import make_batch, make_source
from s2st.data.batch_planner import BatchingConfig, plan_in_order
from s2st.scoring.base import Scorer, TextSide
from s2st.scoring.prefix_sharing import score_lists

CHANNEL = BatchingConfig(batch_size=512, max_tokens=16384)  # pairs scored together


@dataclass(frozen=True)
class FeatureScores:
    """Log-probabilities of lists, in nats.

    Attributes:
        tokens: [list][hypothesis] -> one value per token, in the order of the text, EOS last.
        rows_stepped: number of computed positions.
        positions: number of positions that scoring without sharing would compute.
    """

    tokens: list[list[npt.NDArray[np.float32]]]
    rows_stepped: int
    positions: int


class ListFeature(ABC):
    """One new feature of hypotheses in lists.

    Attributes:
        name: name of the feature in the lists.
        scorer: the model or models that compute the feature.
    """

    def __init__(self, name: str, scorer: Scorer) -> None:
        self.name = name
        self.scorer = scorer

    @property
    @abstractmethod
    def source(self) -> TextSide:
        """The side of the model that reads the sources of the lists."""

    @property
    @abstractmethod
    def target(self) -> TextSide:
        """The side of the model that reads the hypotheses of the lists."""

    @abstractmethod
    def score(
        self, sources: Sequence[str], hypotheses: Sequence[Sequence[str]], max_rows: int
    ) -> FeatureScores:
        """Scores every hypothesis of every source.

        Args:
            sources: text of each list's source.
            hypotheses: text of each list's hypotheses, as tokenized by the system.
            max_rows: maximum number of rows computed together; bounds the memory.
        """


class DirectFeature(ListFeature):
    """log p(hypothesis | source): a translation model, a language model or an ensemble."""

    @property
    def source(self) -> TextSide:
        """The scorer's source side."""
        return self.scorer.source

    @property
    def target(self) -> TextSide:
        """The scorer's target side."""
        return self.scorer.target

    def score(
        self, sources: Sequence[str], hypotheses: Sequence[Sequence[str]], max_rows: int
    ) -> FeatureScores:
        """Encodes each source once, and steps each distinct prefix of its hypotheses once."""
        source, target = self.source, self.target
        rows = [source.ids(source.tokenizer.encode(text)) for text in sources]
        ids = [[target.ids(tokens_of(target, text)) for text in group] for group in hypotheses]
        batch = make_source(rows, range(len(rows)))
        found = score_lists(self.scorer, batch, ids, max_rows)
        tokens = found.token_log_probs
        if target.right_to_left:
            tokens = [[row[target.places(len(row))] for row in group] for group in tokens]
        return FeatureScores(tokens, found.rows_stepped, found.positions)


class ChannelFeature(ListFeature):
    """log p(source | hypothesis) by a model of the other direction, as in a noisy channel.

    A hypothesis has one value for each token of the source.
    """

    @property
    def source(self) -> TextSide:
        """The target side of the scorer, which predicts the sources of the lists."""
        return self.scorer.target

    @property
    def target(self) -> TextSide:
        """The source side of the scorer, which reads the hypotheses of the lists."""
        return self.scorer.source

    def score(
        self, sources: Sequence[str], hypotheses: Sequence[Sequence[str]], max_rows: int
    ) -> FeatureScores:
        """Encodes each distinct hypothesis once, in batches of similar length."""
        said, read = self.source, self.target
        wanted = [said.ids(said.tokenizer.encode(text)) for text in sources]
        pairs: dict[tuple[int, tuple[int, ...]], int] = {}
        places: list[list[int]] = []
        for index, group in enumerate(hypotheses):
            group_ids = (tuple(read.ids(tokens_of(read, text))) for text in group)
            places.append([pairs.setdefault((index, ids), len(pairs)) for ids in group_ids])
        keys = list(pairs)
        lengths = np.array([len(ids) + len(wanted[i]) for i, ids in keys], dtype=np.int64)
        config = replace(CHANNEL, batch_size=min(CHANNEL.limits()[0], max_rows))
        scores: dict[int, npt.NDArray[np.float32]] = {}
        for chosen in plan_in_order(lengths, config):
            batch = make_batch(
                [keys[k][1] for k in chosen], [wanted[keys[k][0]] for k in chosen], chosen.tolist()
            )
            table = self.scorer.score(batch).float().cpu().numpy()
            for k, row in zip(chosen.tolist(), table, strict=True):
                scores[k] = row[said.places(len(wanted[keys[k][0]]) + 1)]
        positions = sum(len(wanted[i]) + 1 for i, group in enumerate(hypotheses) for _ in group)
        stepped = sum(len(row) for row in scores.values())
        return FeatureScores([[scores[k] for k in group] for group in places], stepped, positions)


def tokens_of(side: TextSide, text: str) -> list[str]:
    """A hypothesis of an SMT system in the tokens of a model.

    The text is tokenized. A word model (tokenizer `none` or `moses`) takes the words unchanged; a
    subword model splits them.
    """
    if side.tokenizer.subword or side.absent:
        return side.tokenizer.encode(text)
    return text.split(" ") if text else []
