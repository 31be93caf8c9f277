"""Sampling: words drawn at random from the model, with temperature, top-k and nucleus."""

import hashlib

import torch

from s2st.data.batch import SourceBatch, moved
from s2st.scoring.base import Scorer
from s2st.search.base import Hypothesis, Search
from s2st.search.registry import SamplingConfig
from s2st.search.single_path import walk


class SamplingSearch(Search):
    """Draws `nbest` hypotheses per sentence, ordered by the model's log-probability.

    Each draw of each sentence has its own generator, seeded by (seed, line, draw). So results do
    not depend on which sentences share a batch.
    """

    def __init__(self, config: SamplingConfig) -> None:
        self.config = config
        self.rows_per_sentence = config.nbest

    @torch.inference_mode()
    def __call__(self, scorer: Scorer, source: SourceBatch) -> list[list[Hypothesis]]:
        """The sampled hypotheses of each source."""
        draws = self.config.nbest
        sentences = torch.arange(len(source)).repeat_interleave(draws)
        generators = [
            self._generator(source.line_ids[sentence], draw % draws)
            for draw, sentence in enumerate(sentences.tolist())
        ]

        def pick(allowed: torch.Tensor, rows: list[int]) -> torch.Tensor:
            uniform = [
                torch.rand((), generator=generators[row], dtype=torch.float64) for row in rows
            ]
            return draw_words(allowed, moved(torch.stack(uniform), allowed.device), self.config)

        hypotheses = walk(scorer, source, sentences, self.config, pick)
        groups = [hypotheses[start : start + draws] for start in range(0, len(hypotheses), draws)]
        return [sorted(group, key=lambda h: -h.score) for group in groups]

    def _generator(self, line: int, draw: int) -> torch.Generator:
        text = f"{self.config.sampling_seed} {line} {draw}"
        digest = hashlib.sha256(text.encode()).digest()
        return torch.Generator().manual_seed(int.from_bytes(digest[:7], "little"))


def draw_words(
    log_probs: torch.Tensor, uniform: torch.Tensor, config: SamplingConfig
) -> torch.Tensor:
    """Draws one word per row: inverts the distribution function over words sorted by probability.

    Args:
        log_probs: (N, V); -inf for forbidden words.
        uniform: (N,) float64 draws in [0, 1).
        config: temperature, top_k and top_p (Holtzman et al. 2020: the smallest set of best
            words whose total probability reaches top_p).
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
    # a row of NaN has no positive one; its index does not matter: `check_finite` refuses its score
    last = ((probabilities > 0).sum(dim=-1, keepdim=True) - 1).clamp(min=0)
    return words.gather(1, torch.minimum(positions, last)).squeeze(1)
