"""Exhaustive search: scores every sequence up to the length limit. Tests compare with it."""

import math
from itertools import product

import torch

from s2st.data.batch import SourceBatch, make_batch
from s2st.errors import UsageError
from s2st.scoring.base import Scorer
from s2st.search.base import Hypothesis, Search, length_limits
from s2st.search.registry import ExhaustiveConfig
from s2st.search.single_path import check_finite
from s2st.text.vocabulary import UNK_ID

MAX_HYPOTHESES = 200_000


class ExhaustiveSearch(Search):
    """Enumerates all hypotheses and ranks them with `Scorer.score`, without steps."""

    gives_attention = False

    def __init__(self, config: ExhaustiveConfig) -> None:
        self.config = config

    @torch.inference_mode()
    def __call__(self, scorer: Scorer, source: SourceBatch) -> list[list[Hypothesis]]:
        """The true n best hypotheses of each source; raises UsageError if there are too many."""
        size = len(scorer.target.vocabulary)
        words = range(UNK_ID if self.config.unk else UNK_ID + 1, size)
        limits = length_limits(self.config, source).tolist()
        results = []
        prefixes = source.prefixes or ((),) * len(source)
        for row, (limit, prefix) in enumerate(zip(limits, prefixes, strict=True)):
            free = limit - len(prefix)
            if len(words) ** free > MAX_HYPOTHESES:
                raise UsageError(
                    f"exhaustive search over {len(words)} words and length {free} has too many "
                    "hypotheses; lower --max-len-a and --max-len-b, or use --search beam"
                )
            tokens = [
                prefix + sequence
                for length in range(max(0, self.config.min_len - len(prefix)), free + 1)
                for sequence in product(words, repeat=length)
            ]
            sentence = source.tokens[row, : int(source.lengths[row]) - 1].tolist()
            batch = make_batch([sentence] * len(tokens), tokens, [0] * len(tokens))
            scores = scorer.score(batch).tolist()
            hypotheses = []
            for sequence, log_probs in zip(tokens, scores, strict=True):
                values = tuple(log_probs[: len(sequence) + 1])
                total = sum(values)
                hypotheses.append(Hypothesis(sequence, values, total, total, len(sequence) < limit))
            hypotheses = [
                h for h in hypotheses if h.score != -math.inf
            ]  # hypotheses that the scorer rules out
            check_finite(hypotheses[0].score if hypotheses else math.nan)
            hypotheses.sort(key=lambda h: -h.score)
            results.append(hypotheses[: self.config.nbest])
        return results
