"""A search written from scratch against `Scorer`: histogram and threshold pruning.

PYTHONPATH=examples/plugin s2st generate --plugin threshold_search --search threshold ...

At each step it keeps the partial hypotheses of a sentence whose log-probability is at most
`threshold` below that of the best one, and at most `width`. Easy sentences then need few rows.
docs/interfaces.md explains the interfaces.
"""

from dataclasses import dataclass

import torch

from s2st.data.batch import SourceBatch
from s2st.errors import CheckpointError
from s2st.options.option_fields import option
from s2st.scoring.base import Scorer
from s2st.search.base import Hypothesis, Search
from s2st.search.registry import SEARCHES, SearchConfig
from s2st.search.restrictions import restrictions
from s2st.text.vocabulary import BOS_ID, EOS_ID


@dataclass(frozen=True)
class ThresholdConfig(SearchConfig):
    """Options of the search, besides those of all searches."""

    threshold: float = option(
        2.0, "drop a hypothesis this much below the best one", minimum=0, maximum=1000
    )
    width: int = option(20, "most hypotheses per sentence", minimum=1, maximum=10_000)


@dataclass(frozen=True)
class Path:
    """A partial hypothesis: its sentence, words and log-probabilities."""

    sentence: int
    tokens: tuple[int, ...] = ()
    log_probs: tuple[float, ...] = ()

    @property
    def total(self) -> float:
        return sum(self.log_probs)


@SEARCHES.registered("threshold", ThresholdConfig, "keeps what is nearly as good as the best")
class ThresholdSearch(Search):
    """The best complete hypotheses that the pruning lets pass."""

    def __init__(self, config: ThresholdConfig) -> None:
        self.config = config
        self.rows_per_sentence = config.width  # so callers make batches that fit the memory

    @torch.inference_mode()
    def __call__(self, scorer: Scorer, source: SourceBatch) -> list[list[Hypothesis]]:
        complete: list[list[Hypothesis]] = [[] for _ in range(len(source))]
        paths = [Path(sentence) for sentence in range(len(source))]  # one for each row
        state = scorer.start(source)
        forbid = restrictions(self.config, source, scorer.device)
        tokens = torch.full((len(source),), BOS_ID, device=scorer.device)
        while paths:
            found = forbid.candidates(
                scorer.step_best(tokens, state, self.config.width + 1, forbid)
            )
            own = forbid.scorer_log_probs(found.words, found.log_probs)
            forced, children = forbid.at_limit.tolist(), []
            for row, path in enumerate(paths):
                for word, value in zip(found.words[row].tolist(), own[row].tolist(), strict=True):
                    if value == -torch.inf:  # forbidden
                        continue
                    child = Path(path.sentence, (*path.tokens, word), (*path.log_probs, value))
                    if word != EOS_ID:
                        children.append((child, row))
                        continue
                    made = Hypothesis(
                        path.tokens, child.log_probs, child.total, child.total, not forced[row]
                    )
                    complete[path.sentence].append(made)
            children = [
                pair for s in range(len(source)) for pair in self.kept(s, children, complete)
            ]
            paths = [path for path, _ in children]
            rows = torch.tensor([row for _, row in children], dtype=torch.int64)
            words = torch.tensor([path.tokens[-1] for path in paths], dtype=torch.int64)
            rows, tokens = rows.to(scorer.device), words.to(scorer.device)
            state, forbid = found.state.select(rows), forbid.select(rows, tokens)
        if not all(complete):
            raise CheckpointError("the threshold search found no hypothesis that may end")
        return [sorted(group, key=lambda h: -h.score)[: self.config.nbest] for group in complete]

    def kept(self, sentence, children, complete):
        """The children of a sentence that pass the pruning and can still win."""
        own = sorted((c for c in children if c[0].sentence == sentence), key=lambda c: -c[0].total)
        scores = sorted((h.score for h in complete[sentence]), reverse=True)[: self.config.nbest]
        bound = scores[-1] if len(scores) == self.config.nbest else -float("inf")
        least = own[0][0].total - self.config.threshold if own else 0.0
        return [c for c in own if c[0].total >= least and c[0].total > bound][: self.config.width]
