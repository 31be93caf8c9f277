"""Statistics and scores of the metrics against sacreBLEU's own, and against written-out counts."""

import random

import numpy as np
import pytest
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER

from s2st.errors import UsageError
from s2st.jobs.text_metrics import sacrebleu_words
from s2st.rescoring.bleu_statistics import ReferenceCounts
from s2st.rescoring.metrics import Bleu, Chrf, Ter, build_metric

KOREAN = ["고양이가 집에서 잔다 .", "강아지가 숲에서 뛴다 .", "오늘 날씨가 아주 좋습니다 ."]


def texts(seed, count=30, references=2):
    """Hypotheses and reference sets that share words, with repetitions and empty lines."""
    rng = random.Random(seed)
    words = ["the", "cat", "Sat", "on", "a", "mat", ".", "été", "dogs", "the"]

    def line():
        return " ".join(rng.choice(words) for _ in range(rng.randrange(0, 14)))

    hypotheses = [line() for _ in range(count)]
    changed = [
        [" ".join(w if rng.random() < 0.8 else rng.choice(words) for w in text.split()) or line()
         for text in hypotheses]
        for _ in range(references)
    ]  # fmt: skip
    return hypotheses, changed


def totals(metric, hypotheses, references):
    rows = zip(hypotheses, *references, strict=True)
    return sum(metric.statistics([h], r)[0] for h, *r in rows)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("references", [1, 3])
def test_corpus_scores_equal_sacrebleus(seed, references):
    hypotheses, sets = texts(seed, references=references)
    chrf = Chrf().corpus(totals(Chrf(), hypotheses, sets))
    assert chrf == pytest.approx(CHRF().corpus_score(hypotheses, sets).score)
    ter = Ter().corpus(totals(Ter(), hypotheses, sets))
    assert ter == pytest.approx(100 - TER().corpus_score(hypotheses, sets).score)
    metric = Bleu(sacrebleu_words("13a"), "13a")
    bleu = metric.corpus(totals(metric, hypotheses, sets))
    assert bleu == pytest.approx(BLEU(tokenize="13a").corpus_score(hypotheses, sets).score)


@pytest.mark.parametrize("seed", range(4))
def test_sentence_scores_equal_sacrebleus(seed):
    hypotheses, sets = texts(seed)
    for hypothesis, *references in zip(hypotheses, *sets, strict=True):
        chrf, ter = Chrf(), Ter()
        assert chrf.sentence(chrf.statistics([hypothesis], references))[0] == pytest.approx(
            CHRF().sentence_score(hypothesis, references).score
        )
        assert ter.sentence(ter.statistics([hypothesis], references))[0] == pytest.approx(
            100 - TER().sentence_score(hypothesis, references).score
        )


@pytest.mark.parametrize("seed", range(4))
def test_a_list_at_once_equals_each_hypothesis_alone(seed):
    """Also BLEU's written-out counts of one hypothesis with dictionaries."""
    hypotheses, sets = texts(seed)
    references = [lines[0] for lines in sets]
    for metric in (Bleu(), Chrf(), Ter()):
        table = metric.statistics(hypotheses, references)
        assert table.shape == (len(hypotheses), metric.columns)
        alone = [metric.statistics([text], references)[0] for text in hypotheses]
        assert np.array_equal(table, alone)
    counts = ReferenceCounts(references)
    rows = [counts.compare(text) for text in hypotheses]
    assert Bleu().statistics(hypotheses, references).tolist() == rows


@pytest.mark.parametrize("name", ["char", "zh", "intl"])
def test_tokenizers_are_sacrebleus(name):
    hypotheses = [line.replace("다", "요") for line in KOREAN]
    metric = build_metric("bleu", sacrebleu_words(name), name)
    score = float(metric.corpus(totals(metric, hypotheses, [KOREAN])))
    own = BLEU(tokenize=name, smooth_method="none").corpus_score(hypotheses, [KOREAN]).score
    assert score == pytest.approx(own)
    assert name in metric.how
    if name == "char":
        assert score > 0
        plain = build_metric("bleu", None, "none")
        assert plain.corpus(totals(plain, hypotheses, [KOREAN])) == 0


def test_ter_of_tokens():
    metric = build_metric("ter", sacrebleu_words("char"), "char")
    rows = metric.statistics(["ab cd"], ["ab ce"])
    # five characters with the blank gone are four tokens, of which one differs
    assert rows.tolist() == [[1, 4]]


def test_an_unknown_tokenizer_is_a_usage_error():
    with pytest.raises(UsageError, match="unknown sacreBLEU tokenizer 'korean'"):
        sacrebleu_words("korean")
