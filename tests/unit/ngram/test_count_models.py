"""Count over count and add-k smoothing: the ARPA file gives what counting by hand gives."""

import math
from fractions import Fraction

import pytest
import torch
from ngram_models import random_text

from s2st.data.batch import make_source
from s2st.ngram.options import NGramConfig
from s2st.ngram.train import train_ngrams
from s2st.scoring.ngram_scorer import NGramScorer
from s2st.text.tokenizers import NoneConfig, TokenizerSpec
from s2st.text.vocabulary import BOS_ID, PAD_ID

TOKENIZER = TokenizerSpec("none", NoneConfig(), "en")
TEXT = random_text(60, words=12)


def trained(folder, text, **options):
    path = folder / "model.arpa"
    train_ngrams(text, path, NGramConfig(**options), TOKENIZER)
    scorer = NGramScorer(path, dtype=torch.float64)
    scorer._tables.kenlm = None  # which computes in float32
    return scorer


def distributions(scorer, words):
    """The log-probabilities of all words after <s>, after <s> and the first word, and so on."""
    state = scorer.start(make_source([[]], [0]))
    for token in [BOS_ID, *scorer.target.ids(words)]:
        step = scorer.step(torch.tensor([token]), state)
        state = step.state
        yield step.log_probs[0].tolist()


class Counts:
    """Occurrences of word sequences, counted by going through the text for each question."""

    def __init__(self, text):
        self.sentences = [["<s>", *line.split(), "</s>"] for line in text]

    def of(self, words):
        size = len(words)
        return sum(
            sentence[i : i + size] == words
            for sentence in self.sentences
            for i in range(len(sentence) - size + 1)
        )

    def before_a_word(self, words):
        """Occurrences as a context; every word but </s> is one."""
        if not words:
            return sum(len(sentence) - 1 for sentence in self.sentences)
        return 0 if words[-1] == "</s>" else self.of(words)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("k", [1, Fraction(1, 4)])
def test_add_k_is_its_formula_after_any_words(tmp_path, order, k):
    scorer = trained(tmp_path, TEXT, order=order, smoothing="add-k", add_k=float(k))
    counts, tokens = Counts(TEXT), scorer.target.vocabulary.tokens
    following = [token for i, token in enumerate(tokens) if i not in (PAD_ID, BOS_ID)]
    for line in (TEXT[0], "w3 w1 w1 w9 w2", "new w1 w2"):
        words = [word if word in tokens else "<unk>" for word in line.split()]
        for end, row in enumerate(distributions(scorer, words)):
            context = ["<s>", *words[:end]][-(order - 1) :] if order > 1 else []
            total = counts.before_a_word(context)
            for token, value in zip(tokens, row, strict=True):
                if token in ("<pad>", "<s>"):
                    assert value == -math.inf
                    continue
                expected = (counts.of([*context, token]) + k) / (total + k * len(following))
                assert value == pytest.approx(math.log(expected), rel=1e-6)
            assert sum(map(math.exp, row)) == pytest.approx(1)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_without_smoothing_a_probability_is_count_over_count(tmp_path, order):
    scorer = trained(tmp_path, TEXT, order=order, smoothing="none")
    counts, tokens = Counts(TEXT), scorer.target.vocabulary.tokens
    for line in (TEXT[0], TEXT[1], "w3 w1 w1 w9 w2"):
        words = line.split()
        for end, row in enumerate(distributions(scorer, words)):
            context = ["<s>", *words[:end]][-(order - 1) :] if order > 1 else []
            while not counts.before_a_word(context):  # 0 / 0: the longest end that occurs
                context = context[1:]
            total = counts.before_a_word(context)
            for token, value in zip(tokens, row, strict=True):
                count = counts.of([*context, token])
                if token in ("<pad>", "<s>") or not count:
                    assert value <= scorer.log_zero
                else:
                    assert value == pytest.approx(math.log(count / total), rel=1e-6)


def test_little_memory_makes_the_same_file(tmp_path):
    files = []
    for memory in ("64K", "512M"):
        for smoothing in ("none", "add-k"):
            trained(tmp_path, random_text(600), order=3, smoothing=smoothing, memory=memory)
            files.append((tmp_path / "model.arpa").read_bytes())
    assert files[:2] == files[2:]
    assert files[0] != files[1]
