"""Exhaustive search: scores every sequence up to the length limit. Tests compare with it."""

import math
from itertools import product

import torch

from s2st.data.batch import SourceBatch, make_batch
from s2st.errors import UsageError
from s2st.scoring.base import Scorer
from s2st.search.base import Hypothesis, Search
from s2st.search.registry import ExhaustiveConfig
from s2st.search.restrictions import Restrictions, restrictions
from s2st.search.single_path import check_finite
from s2st.text.vocabulary import PAD_ID, UNK_ID

MAX_HYPOTHESES = 200_000
CELLS = 1 << 22  # numbers in a table of log-probabilities


class ExhaustiveSearch(Search):
    """Enumerates all hypotheses and ranks them with `Scorer.score`, without steps."""

    gives_attention = False

    def __init__(self, config: ExhaustiveConfig) -> None:
        self.config = config

    @torch.inference_mode()
    def __call__(self, scorer: Scorer, source: SourceBatch) -> list[list[Hypothesis]]:
        """The true n best hypotheses of each source; raises UsageError if there are too many."""
        size = len(scorer.target.vocabulary)
        forbid = restrictions(self.config, source, scorer.device)
        results = []
        prefixes = source.prefixes or ((),) * len(source)
        for row, (limit, prefix) in enumerate(zip(forbid.limits.tolist(), prefixes, strict=True)):
            free = limit - len(prefix)
            if (size - UNK_ID) ** free > MAX_HYPOTHESES:
                raise UsageError(
                    f"exhaustive search over {size - UNK_ID} words and length {free} has too many "
                    "hypotheses; lower --max-len-a and --max-len-b, or use --search beam"
                )
            tokens = [
                prefix + sequence
                for length in range(free + 1)
                for sequence in product(range(UNK_ID, size), repeat=length)
            ]
            sentence = source.tokens[row, : int(source.lengths[row]) - 1].tolist()
            batch = make_batch([sentence] * len(tokens), tokens, [0] * len(tokens))
            scores = scorer.score(batch)
            totals = _masked_totals(forbid, row, batch.target_out.to(scorer.device), scores, size)
            hypotheses = []
            for sequence, log_probs, total in zip(
                tokens, scores.tolist(), totals.tolist(), strict=True
            ):
                if total == -math.inf:  # the scorer or a restriction rules it out
                    continue
                values = tuple(log_probs[: len(sequence) + 1])
                finished = len(sequence) < limit
                score = total if forbid.penalizes else sum(values)
                hypotheses.append(Hypothesis(sequence, values, sum(values), score, finished))
            check_finite(hypotheses[0].score if hypotheses else math.nan)
            hypotheses.sort(key=lambda h: -h.score)
            results.append(hypotheses[: self.config.nbest])
        return results


def _masked_totals(
    forbid: Restrictions, row: int, targets: torch.Tensor, log_probs: torch.Tensor, size: int
) -> torch.Tensor:
    """(N,) totals of targets (N, T) under the restrictions of a row; -inf for a forbidden one.

    Args:
        forbid: the restrictions of the first rows.
        row: the row of the sentence.
        targets: ids to EOS, then padding.
        log_probs: (N, T) their log-probabilities.
        size: number of words of the vocabulary.
    """
    totals = log_probs.new_zeros(len(targets))
    count = max(1, CELLS // size)
    for begin in range(0, len(targets), count):
        part = slice(begin, begin + count)
        places = torch.arange(len(targets[part]), device=targets.device)
        rules = forbid.select(torch.full_like(places, row))
        columns = zip(targets[part].unbind(dim=1), log_probs[part].unbind(dim=1), strict=True)
        for words, values in columns:
            table = log_probs.new_zeros((len(places), size))
            table[places, words] = values
            masked = rules(table)[places, words]
            totals[part] += masked.masked_fill(words == PAD_ID, 0)
            rules = rules.select(places, words)
    return totals
