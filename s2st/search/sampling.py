"""Sampling: words drawn at random from the model, by temperature, top-k and nucleus."""

import hashlib

import torch

from s2st.data.batch import SourceBatch
from s2st.scoring.base import Scorer
from s2st.search.base import Hypothesis, Search, check_finite, forbid, length_limits
from s2st.search.registry import SamplingConfig
from s2st.text.vocabulary import BOS_ID, EOS_ID


class SamplingSearch(Search):
    """Draws `nbest` hypotheses a sentence, best first by the model's own log-probability.

    Each draw of each sentence has a generator of its own, seeded by (seed, line, draw): results
    do not depend on which sentences share a batch.
    """

    def __init__(self, config: SamplingConfig) -> None:
        self.config = config

    @torch.inference_mode()
    def __call__(self, scorer: Scorer, source: SourceBatch) -> list[list[Hypothesis]]:
        """The sampled hypotheses of each source."""
        draws = self.config.nbest
        device = scorer.device
        rows = torch.arange(len(source)).repeat_interleave(draws)
        generators = [
            self._generator(source.line_ids[sentence], draw % draws)
            for draw, sentence in enumerate(rows.tolist())
        ]
        limits = length_limits(self.config, source)[rows].to(device)
        state = scorer.start(source).select(rows.to(device))
        alive = torch.arange(len(rows), device=device)
        tokens = torch.full_like(alive, BOS_ID)
        words: list[list[int]] = [[] for _ in rows]
        log_probs: list[list[float]] = [[] for _ in rows]
        finished = [True] * len(rows)
        step = 0
        while len(alive):
            result = scorer.step(tokens, state)
            at_limit = limits[alive] <= step
            model = result.log_probs
            allowed = forbid(model.clone(), self.config, step, at_limit)
            uniform = torch.stack(
                [torch.rand((), generator=generators[row], dtype=torch.float64) for row in alive]
            ).to(device)
            tokens = draw_words(allowed, uniform, self.config)
            values = model.gather(1, tokens.unsqueeze(1)).squeeze(1)
            for row, token, value, forced in zip(
                alive.tolist(), tokens.tolist(), values.tolist(), at_limit.tolist(), strict=True
            ):
                check_finite(value)
                log_probs[row].append(value)
                if token == EOS_ID:
                    finished[row] = not forced
                else:
                    words[row].append(token)
            keep = torch.nonzero(tokens != EOS_ID).squeeze(1)
            alive, tokens = alive[keep], tokens[keep]
            state = result.state.select(keep)
            step += 1
        made = [
            Hypothesis(tuple(w), tuple(p), sum(p), sum(p), f)
            for w, p, f in zip(words, log_probs, finished, strict=True)
        ]
        groups = [made[start : start + draws] for start in range(0, len(made), draws)]
        return [sorted(group, key=lambda h: -h.score) for group in groups]

    def _generator(self, line: int, draw: int) -> torch.Generator:
        text = f"{self.config.sampling_seed} {line} {draw}"
        digest = hashlib.sha256(text.encode()).digest()
        return torch.Generator().manual_seed(int.from_bytes(digest[:7], "little"))


def draw_words(
    log_probs: torch.Tensor, uniform: torch.Tensor, config: SamplingConfig
) -> torch.Tensor:
    """One word a row by inverting the distribution function over words sorted by probability.

    Args:
        log_probs: (N, V), -inf where forbidden.
        uniform: (N,) float64 draws in [0, 1).
        config: temperature, top_k and top_p (Holtzman et al. 2020: the smallest set of best
            words whose probability reaches top_p).
    """
    probabilities = (log_probs.double() / config.temperature).softmax(dim=-1)
    probabilities, words = probabilities.sort(dim=-1, descending=True, stable=True)
    if config.top_k is not None:
        probabilities[:, config.top_k :] = 0
    if config.top_p is not None:
        before = probabilities.cumsum(dim=-1) - probabilities
        cut = before >= config.top_p
        cut[:, 0] = False
        probabilities[cut] = 0
    cumulative = probabilities.cumsum(dim=-1)
    target = (uniform * cumulative[:, -1]).unsqueeze(1)
    positions = torch.searchsorted(cumulative, target, right=True)
    # a row of NaN has none; any index does for it, as its score is refused afterwards
    last = ((probabilities > 0).sum(dim=-1, keepdim=True) - 1).clamp(min=0)
    return words.gather(1, torch.minimum(positions, last)).squeeze(1)
