"""A search written from scratch against `Scorer`: beam search, one sentence at a time.

PYTHONPATH=examples/plugin s2st generate --plugin simple_beam --search simple-beam ...

It keeps the rule of `--search beam`, so both give the same translations; this one is shorter and
slower. `docs/interfaces.md` explains each call.
"""

from dataclasses import dataclass

import torch

from s2st.data.batch import SourceBatch
from s2st.models.base import DecoderState
from s2st.options.option_fields import option
from s2st.scoring.base import Scorer
from s2st.search.base import Hypothesis, Search
from s2st.search.registry import SEARCHES, SearchConfig
from s2st.search.restrictions import Restrictions, restrictions
from s2st.text.vocabulary import BOS_ID, EOS_ID


@dataclass(frozen=True)
class SimpleBeamConfig(SearchConfig):
    """Options of the search, beside those that every search has."""

    beam: int = option(5, "partial hypotheses kept per sentence", minimum=1, maximum=1000)


@dataclass(frozen=True)
class Open:
    """A partial hypothesis: its words, the scorer's log-probabilities, and the total to rank by."""

    words: tuple[int, ...] = ()
    log_probs: tuple[float, ...] = ()
    total: float = 0.0


class SimpleBeamSearch(Search):
    """Keep the best partial hypotheses of each sentence until none can win."""

    gives_attention = False

    def __init__(self, config: SimpleBeamConfig) -> None:
        self.config = config

    @torch.inference_mode()
    def __call__(self, scorer: Scorer, source: SourceBatch) -> list[list[Hypothesis]]:
        start = scorer.start(source)  # a row per sentence
        forbid = restrictions(self.config, source, scorer.device)
        rows = torch.arange(len(source), device=scorer.device).split(1)
        return [self._search(scorer, start.select(row), forbid.select(row)) for row in rows]

    def _search(
        self, scorer: Scorer, state: DecoderState, forbid: Restrictions
    ) -> list[Hypothesis]:
        beam, complete = [Open()], list[Hypothesis]()
        tokens = torch.full((1,), BOS_ID, device=scorer.device)
        while beam:
            step = scorer.step(tokens, state)
            masked = forbid(step.log_probs)  # (N, V), -inf for words that must not follow
            totals = torch.tensor([row.total for row in beam], dtype=torch.float64)
            table = totals.to(masked.device).unsqueeze(1) + masked
            best, places = table.flatten().topk(min(self.config.beam, table.numel()))
            parents, words = places // table.shape[1], places % table.shape[1]
            values = forbid.scorer_log_probs(*_columns(words, masked))
            limits, kept, next_beam = forbid.at_limit.tolist(), [], []
            found = zip(best.tolist(), parents.tolist(), words.tolist(), strict=True)
            for place, (total, parent, word) in enumerate(found):
                if total == -torch.inf:
                    continue
                old = beam[parent]
                log_probs = (*old.log_probs, float(values[parent, place]))
                if word == EOS_ID:
                    finished = not limits[parent]
                    log_prob = sum(log_probs)
                    complete.append(Hypothesis(old.words, log_probs, log_prob, total, finished))
                else:
                    next_beam.append(Open((*old.words, word), log_probs, total))
                    kept.append(place)
            complete = sorted(complete, key=lambda h: -h.score)[: self.config.nbest]
            if len(complete) == self.config.nbest:  # a total only falls: can an open one still win?
                wins = [i for i, row in enumerate(next_beam) if row.total > complete[-1].score]
                next_beam, kept = [next_beam[i] for i in wins], [kept[i] for i in wins]
            beam, chosen = next_beam, torch.tensor(kept, dtype=torch.int64, device=scorer.device)
            tokens, rows = words[chosen], parents[chosen]
            state, forbid = step.state.select(rows), forbid.select(rows, tokens)
        return complete


def _columns(words: torch.Tensor, masked: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the K chosen words as columns of every row, (N, K), and their masked values."""
    columns = words.expand(len(masked), -1)
    return columns, masked.gather(1, columns)


SEARCHES.register(
    "simple-beam", SimpleBeamConfig, SimpleBeamSearch, "beam search from scratch, for readers"
)
