"""Metrics that tuning maximizes: BLEU, chrF and TER, from statistics that add up over sentences.

A metric turns hypotheses and references into rows of whole numbers. The corpus score is a function
of the summed rows, so tuners and bootstrap samples never see text. Larger is better for every
metric; TER is therefore 100 - TER.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from s2st.rescoring.bleu_statistics import ORDERS, Floats, Statistics, bleu, sentence_bleu
from s2st.rescoring.ngram_occurrences import character_rows, count_occurrences, word_rows
from s2st.text.line_files import split_words

if TYPE_CHECKING:
    from sacrebleu.metrics.ter import TER

CHARACTER_ORDERS = 6
BETA_SQUARED = 4  # chrF2 weighs recall twice
CHARACTERS_PER_WORD = 6  # with its space; only the size of MIRA's steps depends on it
Tokenize = Callable[[str], Sequence[str]]


class Metric(ABC):
    """A corpus metric of summed statistics.

    Attributes:
        name: name in reports.
        how: how the metric is computed, in words.
        columns: number of statistics of a hypothesis.
        zero_reason: what the user should check if no hypothesis scores above 0.
    """

    name: str
    how: str
    columns: int
    zero_reason: str

    @abstractmethod
    def statistics(self, hypotheses: Sequence[str], references: Sequence[str]) -> Statistics:
        """Return (n, columns) the statistics of n hypotheses of one sentence.

        Args:
            hypotheses: n texts.
            references: at least one text.
        """

    @abstractmethod
    def corpus(self, totals: Statistics | Floats) -> Floats:
        """Return the score in percent of summed statistics (..., columns)."""

    @abstractmethod
    def sentence(self, rows: Statistics | Floats) -> Floats:
        """Return (n,) the score in percent of single sentences (n, columns)."""

    @abstractmethod
    def words(self, rows: Statistics | Floats) -> Floats:
        """Return (...,) the reference length in words of statistics (..., columns)."""

    def is_zero(self, rows: Statistics) -> bool:
        """Whether none of the hypotheses (n, columns) scores above 0."""
        return not bool((self.corpus(rows) > 0).any())


class Bleu(Metric):
    """BLEU of order 4 without smoothing (Papineni et al. 2002).

    The statistics are those of `bleu_statistics`. Sentence BLEU is smoothed by 1.

    Args:
        tokenize: cuts a text into words.
        tokenizer: its name in reports; None for words separated by spaces.
    """

    name = "BLEU"
    columns = 2 * ORDERS + 1
    zero_reason = (
        "BLEU is 0, because no hypothesis shares a 4-gram with its reference; check that the "
        "references belong to the lists and have the same tokenization, or use --tokenize or "
        "--metric chrf"
    )

    def __init__(self, tokenize: Tokenize = split_words, tokenizer: str | None = None) -> None:
        self._tokenize = tokenize
        self.how = "that of multi-bleu.perl: tokens split at white space, cased, no smoothing"
        if tokenizer is not None:
            self.how = f"on tokens of sacreBLEU's tokenizer {tokenizer}, cased, no smoothing"

    def statistics(self, hypotheses: Sequence[str], references: Sequence[str]) -> Statistics:
        """Return matches and n-grams of order 1 to 4, and the closest reference length."""
        count = len(hypotheses)
        words = [self._tokenize(text) for text in (*hypotheses, *references)]
        lengths = np.array([len(row) for row in words], dtype=np.int64)
        table = np.zeros((count, self.columns), dtype=np.int64)
        for index, found in enumerate(count_occurrences(word_rows(words), ORDERS)):
            of_reference = found.rows >= count
            present = np.zeros(found.size)
            present[found.keys[of_reference]] = 1
            table[:, index] = found.sums(present)[:count]
            table[:, ORDERS + index] = found.counts()[:count]
        known = np.sort(lengths[count:])  # of two equally close lengths, the shorter
        distances = np.abs(known[None, :] - lengths[:count, None])
        table[:, -1] = known[distances.argmin(axis=1)]
        return table

    def corpus(self, totals: Statistics | Floats) -> Floats:
        """Return corpus BLEU; 0 if a precision is 0."""
        return bleu(totals)

    def sentence(self, rows: Statistics | Floats) -> Floats:
        """Return BLEU with 1 added to counts above order 1 (Lin & Och 2004)."""
        return sentence_bleu(rows)

    def words(self, rows: Statistics | Floats) -> Floats:
        """Return the reference length."""
        return rows[..., -1].astype(np.float64)

    def is_zero(self, rows: Statistics) -> bool:
        """Whether no hypothesis has a matching 4-gram."""
        return not rows[:, ORDERS - 1].any()


class Chrf(Metric):
    """sacreBLEU's chrF2: F-score of character n-grams up to order 6 (Popovic 2015).

    A row has the numbers of n-grams in the hypothesis, in the reference, and of matches, for each
    order. As in sacreBLEU, the best reference of several counts.
    """

    name = "chrF"
    how = "sacreBLEU's chrF2: character n-grams up to order 6, cased, without white space"
    columns = 3 * CHARACTER_ORDERS
    zero_reason = (
        "chrF is 0, because no hypothesis shares a character with its reference; check that the "
        "references belong to the lists"
    )

    def statistics(self, hypotheses: Sequence[str], references: Sequence[str]) -> Statistics:
        """Return the n-grams of hypothesis, reference and both, order by order."""
        count = len(hypotheses)
        rows = character_rows([*hypotheses, *references])
        tables = np.zeros((len(references), count, self.columns), dtype=np.int64)
        for order, found in enumerate(count_occurrences(rows, CHARACTER_ORDERS)):
            counts = found.counts()
            for index in range(len(references)):
                present = np.zeros(found.size)
                present[found.keys[found.rows == count + index]] = 1
                known = counts[count + index]
                tables[index, :, 3 * order] = counts[:count] if known else 0
                tables[index, :, 3 * order + 1] = known
                tables[index, :, 3 * order + 2] = found.sums(present)[:count]
        best = self.corpus(tables).argmax(axis=0)
        chosen: Statistics = tables[best, np.arange(count)]
        return chosen

    def corpus(self, totals: Statistics | Floats) -> Floats:
        """Return chrF2: the F-score of mean precision and mean recall over the orders present."""
        hypothesis, reference, matches = (totals[..., i::3].astype(np.float64) for i in range(3))
        present = (hypothesis > 0) & (reference > 0)
        orders = np.maximum(present.sum(axis=-1), 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            precision = np.where(present, matches / hypothesis, 0.0).sum(axis=-1) / orders
            recall = np.where(present, matches / reference, 0.0).sum(axis=-1) / orders
            score = (1 + BETA_SQUARED) * precision * recall / (BETA_SQUARED * precision + recall)
        return np.where(precision + recall > 0, 100 * score, 0.0)

    def sentence(self, rows: Statistics | Floats) -> Floats:
        """Return chrF of each sentence; it needs no smoothing."""
        return self.corpus(rows)

    def words(self, rows: Statistics | Floats) -> Floats:
        """Return the characters of the reference, divided by those of a usual word."""
        return rows[..., 1].astype(np.float64) / CHARACTERS_PER_WORD


class Ter(Metric):
    """100 - TER, by sacreBLEU's translation edit rate (Snover et al. 2006).

    A row has the fewest edits over the references, times the number of references, and the
    references' total length.
    """

    name = "100 - TER"
    columns = 2
    zero_reason = ""  # a TER of 100 or more can still become lower

    def __init__(self, tokenize: Tokenize = split_words, tokenizer: str | None = None) -> None:
        self._tokenize = tokenize
        self.how = "by sacreBLEU's TER: tokens split at white space, uncased"
        if tokenizer is not None:
            self.how = f"by sacreBLEU's TER on tokens of its tokenizer {tokenizer}, uncased"

    def statistics(self, hypotheses: Sequence[str], references: Sequence[str]) -> Statistics:
        """Return edits and reference length, both times the number of references."""
        wanted = [" ".join(self._tokenize(text)) for text in references]
        metric = _ter()
        known: dict[str, tuple[int, int]] = {}
        for text in hypotheses:
            if text not in known:
                found = metric.sentence_score(" ".join(self._tokenize(text)), wanted)
                edits = round(found.num_edits * len(wanted))
                known[text] = (edits, round(found.ref_length * len(wanted)))
        return np.array([known[text] for text in hypotheses], dtype=np.int64).reshape(-1, 2)

    def corpus(self, totals: Statistics | Floats) -> Floats:
        """Return 100 - TER; as in sacreBLEU, TER of an empty reference is 0 or 100."""
        edits, length = totals[..., 0].astype(np.float64), totals[..., 1].astype(np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            rate = np.where(length > 0, edits / length, (edits > 0).astype(np.float64))
        score: Floats = 100 - 100 * rate
        return score

    def sentence(self, rows: Statistics | Floats) -> Floats:
        """Return 100 - TER of each sentence."""
        return self.corpus(rows)

    def words(self, rows: Statistics | Floats) -> Floats:
        """Return the references' total length."""
        return rows[..., 1].astype(np.float64)

    def is_zero(self, rows: Statistics) -> bool:
        """Return False: no TER is so high that another choice cannot lower it."""
        return False


@lru_cache(maxsize=1)
def _ter() -> "TER":
    from sacrebleu.metrics.ter import TER

    return TER()


def build_metric(name: str, tokenize: Tokenize | None, tokenizer: str) -> Metric:
    """Return a metric by its name in `--metric`.

    Args:
        name: "bleu", "chrf" or "ter".
        tokenize: cuts a text into words; None for words separated by spaces. chrF ignores it.
        tokenizer: name of `tokenize` for reports.
    """
    if name == "chrf":
        return Chrf()
    kind = {"bleu": Bleu, "ter": Ter}[name]
    return kind() if tokenize is None else kind(tokenize, tokenizer)
