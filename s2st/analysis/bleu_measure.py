"""BLEU statistics per sentence, and corpus and sentence BLEU, as multi-bleu.perl or sacreBLEU.

Both count clipped n-grams and the closest reference length. They differ in tokenization and in the
treatment of a precision of 0.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from s2st.jobs.text_metrics import bleu_metric, sacrebleu_words, tokenized_bleu
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
    """The variant of BLEU.

    Attributes:
        tokenize: sacreBLEU's tokenizer; None is the tokenized BLEU of multi-bleu.perl, which the
            paper uses: lines are not tokenized again.
    """

    tokenize: str | None = None

    @property
    def name(self) -> str:
        """Name of the variant, for the axis of a figure."""
        return "tokenized BLEU" if self.tokenize is None else f"sacreBLEU ({self.tokenize})"

    def signature(self, references: int) -> str:
        """Return the signature, which must be equal for two scores to be comparable.

        Args:
            references: number of reference sets.

        Raises:
            UsageError: the tokenizer is unknown or cannot be loaded.
        """
        if self.tokenize is None:
            signature = tokenized_bleu(["a"], [["a"]] * references).signature
            return f"tokenized BLEU (multi-bleu.perl) {signature}"
        metric = bleu_metric(self.tokenize, lowercase=False)
        metric.corpus_score(["a"], [["a"]] * references)  # sets the number of references
        return f"BLEU {metric.get_signature().format()}"

    def tokens(self) -> Callable[[str], str]:
        """Return a function that separates the tokens of a line by single blanks.

        Raises:
            UsageError: the tokenizer is unknown or cannot be loaded.
        """
        if self.tokenize is None:
            return str
        words = sacrebleu_words(self.tokenize)
        # sacreBLEU splits at Python's white space, our statistics at ASCII white space only
        return lambda line: " ".join(words(line))

    def statistics(
        self, systems: Sequence[Sequence[str]], references: Sequence[Sequence[str]]
    ) -> list[Statistics]:
        """Return the BLEU statistics of each system's lines.

        Args:
            systems: the lines of each system.
            references: one sequence of lines per reference set; all have equal lengths.

        Returns:
            For each system (lines, 9), see s2st.rescoring.bleu_statistics.
        """
        tokens = self.tokens()
        rows: list[list[list[int]]] = [[] for _ in systems]
        for number in range(len(references[0])):
            counts = ReferenceCounts([tokens(lines[number]) for lines in references])
            for system, lines in zip(rows, systems, strict=True):
                system.append(counts.compare(tokens(lines[number])))
        return [np.array(system, dtype=np.int64) for system in rows]

    def corpus(self, totals: Statistics) -> Floats:
        """Return corpus BLEU in percent for summed statistics (..., 9)."""
        return bleu(totals if self.tokenize is None else _smoothed(totals))

    def sentences(self, rows: Statistics) -> Floats:
        """Return (n,) sentence BLEU in percent for statistics (n, 9); see SENTENCE_BLEU."""
        return sentence_bleu(rows)


def _smoothed(totals: Statistics) -> Floats:
    """Replace matches of 0 by 1/2, 1/4, ... as sacreBLEU does, unless nothing matches at all."""
    smoothed = totals.astype(np.float64)
    matches, counts = smoothed[..., :ORDERS], totals[..., ORDERS : 2 * ORDERS]
    zero = (matches == 0) & (counts > 0) & (matches > 0).any(axis=-1, keepdims=True)
    smoothed[..., :ORDERS] = np.where(zero, 0.5 ** zero.cumsum(axis=-1), matches)
    return smoothed
