"""Greedy search: the best word at every step, finished sentences leaving the batch."""

import torch

from s2st.data.batch import SourceBatch
from s2st.scoring.base import Scorer
from s2st.search.base import Hypothesis, Search, check_finite, forbid, length_limits
from s2st.search.registry import GreedyConfig
from s2st.text.vocabulary import BOS_ID, EOS_ID


class GreedySearch(Search):
    """One hypothesis a sentence, equal to beam search with a beam of 1."""

    def __init__(self, config: GreedyConfig) -> None:
        self.config = config

    @torch.inference_mode()
    def __call__(self, scorer: Scorer, source: SourceBatch) -> list[list[Hypothesis]]:
        """The greedy hypothesis of each source."""
        limits = length_limits(self.config, source).to(scorer.device)
        state = scorer.start(source)
        sentences = torch.arange(len(source), device=scorer.device)
        tokens = torch.full_like(sentences, BOS_ID)
        words: list[list[int]] = [[] for _ in range(len(source))]
        log_probs: list[list[float]] = [[] for _ in range(len(source))]
        finished = [True] * len(source)
        step = 0
        while len(sentences):
            result = scorer.step(tokens, state)
            at_limit = limits[sentences] <= step
            values, tokens = forbid(result.log_probs, self.config, step, at_limit).max(dim=1)
            rows = zip(
                sentences.tolist(), tokens.tolist(), values.tolist(), at_limit.tolist(), strict=True
            )
            for sentence, token, value, forced in rows:
                check_finite(value)
                log_probs[sentence].append(value)
                if token == EOS_ID:
                    finished[sentence] = not forced
                else:
                    words[sentence].append(token)
            keep = torch.nonzero(tokens != EOS_ID).squeeze(1)
            sentences, tokens = sentences[keep], tokens[keep]
            state = result.state.select(keep)
            step += 1
        return [[_hypothesis(*parts)] for parts in zip(words, log_probs, finished, strict=True)]


def _hypothesis(words: list[int], log_probs: list[float], finished: bool) -> Hypothesis:
    total = sum(log_probs)
    return Hypothesis(tuple(words), tuple(log_probs), total, total, finished)
