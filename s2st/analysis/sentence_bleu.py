"""The measuring corner of analysis: BLEU as sums over sentences, by multi-bleu.perl or sacreBLEU.

Both count alike (clipped n-grams, closest reference length); they differ in what a token is and in
what a precision of 0 does.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from s2st.jobs.text_metrics import bleu_metric, tokenized_bleu
from s2st.rescoring.bleu_statistics import (
    ORDERS,
    Floats,
    ReferenceCounts,
    Statistics,
    bleu,
    sentence_bleu,
)

SENTENCE_BLEU = "sentence BLEU, 1 added to the counts above order 1 (Lin and Och 2004)"


@dataclass(frozen=True)
class Measure:
    """Which BLEU.

    Attributes:
        tokenize: sacreBLEU's tokenizer; None is the tokenised BLEU of multi-bleu.perl, the paper's:
            tokens as they stand.
    """

    tokenize: str | None = None

    @property
    def name(self) -> str:
        """What to call it on an axis."""
        return "tokenised BLEU" if self.tokenize is None else f"sacreBLEU ({self.tokenize})"

    def signature(self, references: int) -> str:
        """What has to be equal for two figures to be compared; raises UsageError."""
        if self.tokenize is None:
            signature = tokenized_bleu(["a"], [["a"]] * references).signature
            return f"tokenised BLEU (multi-bleu.perl) {signature}"
        metric = bleu_metric(self.tokenize, lowercase=False)
        metric.corpus_score(["a"], [["a"]] * references)  # it learns the number of references
        return f"BLEU {metric.get_signature().format()}"

    def tokens(self) -> Callable[[str], str]:
        """What puts one blank between the tokens of a line; raises UsageError."""
        if self.tokenize is None:
            return str
        tokenizer = bleu_metric(self.tokenize, lowercase=False).tokenizer
        # sacreBLEU splits at all of Python's white space, the statistics at ASCII's
        return lambda line: " ".join(tokenizer(line.rstrip()).split())

    def statistics(
        self, systems: Sequence[Sequence[str]], references: Sequence[Sequence[str]]
    ) -> list[Statistics]:
        """For each system (lines, 9): the rows of statistics of s2st.rescoring.bleu_statistics.

        Args:
            systems: one sequence of lines each.
            references: one sequence of lines per reference set; all are equally long.
        """
        tokens = self.tokens()
        rows: list[list[list[int]]] = [[] for _ in systems]
        for number in range(len(references[0])):
            counts = ReferenceCounts([tokens(lines[number]) for lines in references])
            for system, lines in zip(rows, systems, strict=True):
                system.append(counts.compare(tokens(lines[number])))
        return [np.array(system, dtype=np.int64) for system in rows]

    def corpus(self, totals: Statistics) -> Floats:
        """Corpus BLEU in percent of summed statistics (..., 9)."""
        return bleu(totals if self.tokenize is None else _smoothed(totals))

    def sentences(self, rows: Statistics) -> Floats:
        """(n,) sentence BLEU in percent of n rows, see SENTENCE_BLEU."""
        return sentence_bleu(rows)


def _smoothed(totals: Statistics) -> Floats:
    """Statistics in which precisions of 0 are sacreBLEU's 1/2, 1/4, ... of a match.

    Where nothing at all matches, all stays 0.
    """
    smoothed = totals.astype(np.float64)
    matches, counts = smoothed[..., :ORDERS], totals[..., ORDERS : 2 * ORDERS]
    zero = (matches == 0) & (counts > 0) & (matches > 0).any(axis=-1, keepdims=True)
    smoothed[..., :ORDERS] = np.where(zero, 0.5 ** zero.cumsum(axis=-1), matches)
    return smoothed
