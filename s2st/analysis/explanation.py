"""What a beam search of one sentence considered: its tree, other words, and the model's states."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from s2st.analysis.state_pca import principal_components
from s2st.data.batch import SourceBatch
from s2st.errors import UsageError
from s2st.scoring.base import Scorer
from s2st.search.base import Hypothesis, Search
from s2st.search.beam import BeamRun
from s2st.search.registry import BeamConfig
from s2st.text.vocabulary import BOS_ID, EOS_ID, UNK_ID

ROOT = -1  # parent of the tree's first node
Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Node:
    """A partial or complete hypothesis of the search.

    Attributes:
        parent: index of the node with one word less, ROOT for the first node.
        word: id of its last word.
        log_prob: log-probability of that word.
        total: log-probability of all words.
        score: the score of a complete hypothesis; None for a partial one.
        rank: place of a complete hypothesis in the n-best list, from 0; None if it has none.
    """

    parent: int
    word: int
    log_prob: float
    total: float
    score: float | None = None
    rank: int | None = None


@dataclass(frozen=True)
class Choice:
    """The model's distribution at one position of the best hypothesis.

    Attributes:
        words: ids of the k most probable words, best first.
        log_probs: their log-probabilities.
    """

    words: tuple[int, ...]
    log_probs: tuple[float, ...]


@dataclass(frozen=True)
class States:
    """How the model's state moves, in two dimensions.

    Attributes:
        read: position of each source token in the order of reading; R of them.
        words: ids of the W target tokens that the decoder reads, BOS first.
        places: (R + W, 2) principal components of the state after each of these tokens.
        explained: share of the variance along each of the two.
    """

    read: tuple[int, ...]
    words: tuple[int, ...]
    places: Matrix
    explained: tuple[float, float]


class TracedBeam(Search):
    """Beam search of one sentence that keeps what it considered.

    Args:
        config: options of the beam.
        prefix: ids with which each hypothesis begins, after a prompt.

    Attributes:
        source: the sentence; None until the search is called, which an empty line never does.
        found: its hypotheses in the order of the model.
        run: the finished search.
    """

    def __init__(self, config: BeamConfig, prefix: Sequence[int] = ()) -> None:
        self.config = config
        self.prefix = tuple(prefix)
        self.rows_per_sentence = config.beam
        self.source: SourceBatch | None = None
        self.found: list[Hypothesis] = []
        self.run: BeamRun | None = None

    @torch.inference_mode()
    def __call__(self, scorer: Scorer, source: SourceBatch) -> list[list[Hypothesis]]:
        """The hypotheses of the only sentence."""
        if self.prefix:
            (before,) = source.prefixes or ((),)
            source = replace(source, prefixes=((*before, *self.prefix),))
        self.source = source
        self.run = BeamRun(self.config, scorer, source)
        (self.found,) = self.run.run()
        return [self.found]

    def tree(self) -> list[Node]:
        """All hypotheses that the search kept, each after its parent, siblings best first.

        Hypotheses that could no longer win are not among them: the search drops them.
        """
        nodes = [Node(ROOT, BOS_ID, 0.0, 0.0)]
        if self.run is None:
            return nodes
        ranks = {found.tokens: rank for rank, found in enumerate(self.found)}
        paths: list[tuple[int, ...]] = [()]
        rows = [0]  # node of each live row
        for step, level in enumerate(self.run.levels):
            made: list[tuple[int | None, Node]] = []
            for ended in (one for one in self.run.ended if one.step == step):
                values, scores = ended.log_probs.tolist(), ended.scores.tolist()
                for row, value, score in zip(ended.parents.tolist(), values, scores, strict=True):
                    parent = rows[row]
                    total = nodes[parent].total + value
                    rank = ranks.get(paths[parent])
                    made.append((None, Node(parent, EOS_ID, value, total, score, rank)))
            words, values = level.tokens.tolist(), level.log_probs.tolist()
            for place, row in enumerate(level.parents.tolist()):
                parent, value = rows[row], values[place]
                total = nodes[parent].total + value
                made.append((place, Node(parent, words[place], value, total)))
            rows = [0] * len(level.parents)
            for row_after, node in sorted(made, key=lambda one: -one[1].total):
                if row_after is not None:
                    rows[row_after] = len(nodes)
                paths.append((*paths[node.parent], node.word))
                nodes.append(node)
        return nodes


def prefix_ids(scorer: Scorer, tokens: Sequence[str]) -> list[int]:
    """Return the ids of target tokens; raise UsageError for one that the model cannot write."""
    vocabulary = scorer.target.vocabulary
    unknown = vocabulary.tokens[UNK_ID]
    for token in tokens:
        if token not in vocabulary and token != unknown:
            raise UsageError(f"prefix: {token!r} is no token that the model can write")
    return vocabulary.encode(tokens)


@torch.inference_mode()
def choices_and_states(
    scorer: Scorer, source: SourceBatch, words: Sequence[int], count: int
) -> tuple[list[Choice], States | None]:
    """Compute the best words at each position of a hypothesis, and the states along it.

    Args:
        scorer: the model or ensemble.
        source: one sentence.
        words: ids of the hypothesis in the model's order, without EOS.
        count: words per position.

    Returns:
        A choice for each word and for EOS, and the states; None for a model that has no state of
        fixed size, such as a Transformer, or that cannot tell in which order it reads.
    """
    state = scorer.start(source)
    choices, vectors = [], []
    reads = [BOS_ID, *words]
    for word in reads:
        step = scorer.step(torch.tensor([word], device=scorer.device), state)
        state = step.state
        best = step.log_probs[0].topk(min(count, step.log_probs.shape[1]))
        choices.append(Choice(tuple(best.indices.tolist()), tuple(best.values.tolist())))
        vectors.append(scorer.state_vectors(state))
    kept = [vector for vector in vectors if vector is not None]
    if len(kept) < len(vectors):
        return choices, None
    read: tuple[int, ...] = ()
    if not scorer.source.absent:
        reading = scorer.reading(source)
        first = None if reading is None else scorer.state_vectors(reading.state)
        if reading is None or first is None:
            return choices, None
        read, kept = reading.places, [first, *kept]
    places, explained = principal_components(torch.cat(kept).double().cpu().numpy())
    return choices, States(read, tuple(reads), places, explained)
