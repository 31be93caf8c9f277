"""Modified Kneser-Ney straight from its formulas, in fractions: what n-gram training must equal.

The model shares nothing with s2st/ngram: n-grams are tuples of words, sums run over all of them.
"""

import math
import tempfile
from collections import Counter, defaultdict
from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
import torch

from s2st.scoring.ngram_scorer import NGramScorer

NGram = tuple[str, ...]


def random_text(lines: int, words: int = 250, seed: int = 0) -> list[str]:
    """Sentences of w0, w1, ...: few are frequent, many rare, and what follows is uneven.

    Some are empty, some repeat an earlier one, so that long n-grams occur once, twice and so on.
    """
    rng = np.random.default_rng(seed)
    chances = 1 / np.arange(1, words + 1)
    text: list[str] = []
    for _ in range(lines):
        if text and rng.random() < 0.2:
            text.append(text[rng.integers(len(text))])
            continue
        word, sentence = 0, []
        for _ in range(rng.integers(0, 9)):
            follows = rng.random() < 0.5
            word = (
                (word * 3 + 1) % words if follows else rng.choice(words, p=chances / chances.sum())
            )
            sentence.append(f"w{word}")
        text.append(" ".join(sentence))
    return text


class KneserNey:
    """Chen and Goodman (1998) in the form of Heafield et al. (2013).

    Args:
        text: sentences.
        order: of the longest n-grams.
        thresholds: for each order, n-grams that occur so often or less are pruned.
        words: the vocabulary; other words are <unk>. By default that of the text.
    """

    def __init__(
        self,
        text: Sequence[str],
        order: int,
        thresholds: Sequence[int] = (),
        words: Sequence[str] | None = None,
    ) -> None:
        self.order = order
        sentences = [line.split() for line in text]
        known = {w for s in sentences for w in s} if words is None else set(words)
        self.words = [*sorted(known), "<unk>", "</s>"]
        self.counts: list[Counter[NGram]] = [Counter() for _ in range(order + 1)]
        for sentence in sentences:
            mapped = [word if word in known else "<unk>" for word in sentence]
            padded = ["<s>", *mapped, "</s>"]
            for size in range(1, order + 1):
                for begin in range(len(padded) - size + 1):
                    self.counts[size][tuple(padded[begin : begin + size])] += 1
        del self.counts[1][("<s>",)]
        self.adjusted: list[dict[NGram, int]] = [{}]
        for size in range(1, order + 1):
            before = defaultdict(set)
            if size < order:
                for ngram in self.counts[size + 1]:
                    before[ngram[1:]].add(ngram[0])
            self.adjusted.append(
                {
                    ngram: count if size == order or ngram[0] == "<s>" else len(before[ngram])
                    for ngram, count in self.counts[size].items()
                }
            )
        least = [*thresholds, *[thresholds[-1] if thresholds else 0] * order]
        self.kept = [
            {ngram for ngram, count in self.counts[size].items() if count > least[size - 1]}
            for size in range(1, order + 1)
        ]
        self.discounts = [self._discounts(adjusted.values()) for adjusted in self.adjusted]
        self.after: dict[NGram, list[NGram]] = defaultdict(list)
        for adjusted in self.adjusted[1:]:
            for ngram in adjusted:
                self.after[ngram[:-1]].append(ngram)
        self.prob = cache(self.prob)  # type: ignore[method-assign]

    @staticmethod
    def _discounts(counts) -> tuple[Fraction, ...]:
        n = [sum(1 for count in counts if count == i) for i in range(5)]
        if not all(n[1:4]):
            return Fraction(0), Fraction(1, 2), Fraction(1), Fraction(3, 2)
        y = Fraction(n[1], n[1] + 2 * n[2])
        return Fraction(0), *(i - (i + 1) * y * Fraction(n[i + 1], n[i]) for i in (1, 2, 3))

    def _lost(self, ngram: NGram) -> Fraction:
        """What an n-gram's count gives to shorter contexts."""
        count = self.adjusted[len(ngram)][ngram]
        if ngram not in self.kept[len(ngram) - 1]:
            return Fraction(count)
        return self.discounts[len(ngram)][min(count, 3)]

    def backoff(self, context: NGram) -> Fraction:
        """The weight of the shorter context; 1 for a context never seen."""
        followers = self.after.get(context, [])
        total = sum(self.adjusted[len(context) + 1][ngram] for ngram in followers)
        return sum(map(self._lost, followers), Fraction(0)) / total if followers else Fraction(1)

    def prob(self, context: NGram, word: str) -> Fraction:
        """p(word | context), the context of at most order - 1 words."""
        size = len(context) + 1
        shorter = self.prob(context[1:], word) if context else Fraction(1, len(self.words))
        followers = self.after.get(context, [])
        if not followers:
            return shorter
        total = sum(self.adjusted[size][ngram] for ngram in followers)
        own = Fraction(0)
        ngram = (*context, word)
        if ngram in self.adjusted[size]:
            own = self.adjusted[size][ngram] - self._lost(ngram)
        return own / total + self.backoff(context) * shorter

    def arpa(self) -> str:
        """The model as an ARPA file, in all digits of a double."""
        orders = [self.kept[size] for size in range(self.order)]
        orders[0] = {*((word,) for word in self.words), ("<s>",)}
        lines = ["\\data\\"]
        lines += [f"ngram {n}={len(ngrams)}" for n, ngrams in enumerate(orders, start=1)]
        for size, ngrams in enumerate(orders, start=1):
            lines += ["", f"\\{size}-grams:"]
            for ngram in sorted(ngrams):
                sure = ngram == ("<s>",)
                log_prob = -99.0 if sure else math.log10(self.prob(ngram[:-1], ngram[-1]))
                fields = [repr(log_prob), " ".join(ngram)]
                if size < self.order:
                    fields.append(repr(math.log10(self.backoff(ngram))))
                lines.append("\t".join(fields))
        return "\n".join([*lines, "", "\\end\\", ""])


def ngram_scorer(model: KneserNey) -> NGramScorer:
    """The model as a Scorer in float64, by its ARPA file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.arpa"
        path.write_text(model.arpa())
        made = NGramScorer(path, dtype=torch.float64)
        made._tables.kenlm = None  # which computes in float32
        assert made._orders  # read now, while the file is there
        return made


def tiny_ngrams(words: str) -> NGramScorer:
    """A model of trigrams over a few words."""
    rng = np.random.default_rng(0)
    names = words.split()
    text = [" ".join(rng.choice(names, rng.integers(1, 5))) for _ in range(12)]
    return ngram_scorer(KneserNey(text, 3, words=names))
