"""Tests of the study's figures against sacreBLEU, brute force and sums by hand."""

import json
import math
import random
from types import SimpleNamespace

import numpy as np
import pytest
from study.claims import Claim, _ensembles
from study.measures import SAMPLES, Measured, Measures

from s2st.jobs.text_metrics import tokenized_bleu

WORDS = ["un", "homme", "une", "femme", "chien", "court", "dort", "rouge", "dans", "la", "rue", "."]


@pytest.fixture
def run(tmp_path):
    rng = random.Random(1)
    references = [" ".join(rng.choices(WORDS, k=rng.randint(5, 12))) for _ in range(40)]
    (tmp_path / "data").mkdir()
    (tmp_path / "data/test.en").write_text("".join("a b c\n" for _ in references))
    (tmp_path / "data/test.fr").write_text("".join(f"{line}\n" for line in references))
    for name, share in (("good", 0.95), ("fair", 0.85), ("poor", 0.6)):
        lines = [
            " ".join(w if rng.random() < share else rng.choice(WORDS) for w in line.split())
            for line in references
        ]
        (tmp_path / name).write_text("".join(f"{line}\n" for line in lines))
        rows = [
            {"token_log_probs": [math.log(share)] * 3, "log_prob": 3 * math.log(share)}
            for _ in references
        ]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def bleu(run, name, lines=None):
    hypotheses = (run / name).read_text().splitlines()
    references = (run / "data/test.fr").read_text().splitlines()
    chosen = range(len(references)) if lines is None else lines
    return tokenized_bleu([hypotheses[i] for i in chosen], [[references[i] for i in chosen]]).score


def test_bleu_is_sacrebleus_and_over_seeds_their_mean(run):
    measures = Measures(run, "en", "fr")
    assert measures.bleu(["good"]).value == pytest.approx(bleu(run, "good"))
    mean = (bleu(run, "good") + bleu(run, "poor")) / 2
    assert measures.bleu(["good", "poor"]).value == pytest.approx(mean)
    only = np.arange(40) < 10
    assert measures.bleu(["good"], only).value == pytest.approx(bleu(run, "good", range(10)))


def test_a_sample_is_the_bleu_of_a_test_set_drawn_with_replacement(run):
    measures = Measures(run, "en", "fr")
    own = measures.bleu(["fair"])
    assert own.samples.shape == (SAMPLES,)
    for sample in (0, 17):
        lines = np.repeat(np.arange(40), measures._draws[sample])
        assert len(lines) == 40
        assert own.samples[sample] == pytest.approx(bleu(run, "fair", lines))


def test_over_seeds_samples_are_wider_than_over_one(run):
    measures = Measures(run, "en", "fr")
    one, both = measures.bleu(["good"]).interval(), measures.bleu(["good", "poor"]).interval()
    assert both.high - both.low > one.high - one.low
    assert both.low < both.value < both.high


def test_the_spread_over_seeds_is_that_of_a_mean_of_so_many(run):
    # each seed's perplexity is the same in every draw of sentences: all spread is the seeds'
    own = Measures(run, "en", "fr").perplexity(["good.jsonl", "poor.jsonl"])
    a, b = 1 / 0.95, 1 / 0.6
    variance = (a - (a + b) / 2) ** 2 + (b - (a + b) / 2) ** 2  # over n - 1 = 1
    assert own.samples.mean() == pytest.approx((a + b) / 2, abs=0.03)
    assert own.samples.var() == pytest.approx(variance / 2, rel=0.15)


def test_the_smaller_of_two_is_so_in_every_sample():
    own = Measured(2.0, np.array([1.0, 4.0])).least(Measured(1.5, np.array([3.0, -1.0])))
    assert (own.value, own.samples.tolist()) == (1.5, [1.0, -1.0])


def test_perplexity_is_that_of_the_tokens(run):
    measures = Measures(run, "en", "fr")
    assert measures.perplexity(["good.jsonl"]).value == pytest.approx(1 / 0.95)
    assert measures.perplexity(["good.jsonl"]).samples == pytest.approx(1 / 0.95)
    mean = (1 / 0.95 + 1 / 0.6) / 2
    assert measures.perplexity(["good.jsonl", "poor.jsonl"]).value == pytest.approx(mean)


def test_words_per_second_are_medians_without_the_first_fifth(run):
    (run / "logs").mkdir()
    rates = [(1, 2), (5, 6), (1_007, 1_008), (9, 10), (7, 8)]
    (run / "logs/t.log").write_text(
        "".join(f"s2st: x, {a:,} source + {b:,} target words/s, 0:01 left\n" for a, b in rates)
    )
    assert Measures(run, "en", "fr").words_per_second("t") == (8, 9)


def test_a_language_model_has_no_source_words_per_second(run):
    (run / "logs").mkdir()
    (run / "logs/lm.log").write_text("s2st: x, 1,078 words/s, 0:01 left\n")
    assert Measures(run, "en", "fr").words_per_second("lm") == (0, 1078)


@pytest.mark.parametrize(("samples", "verdict"), [
    ([0.1, 0.2, 0.3], "held"), ([-0.1, 0.2, 0.3], "not significant"),
    ([-0.1, -0.2, -0.3], "not held"), ([0.0, 0.0, 0.0], "not significant"),
])  # fmt: skip
def test_a_claim_held_if_the_whole_interval_is_above_0(samples, verdict):
    own = Measured(float(np.mean(samples)), np.array(samples))
    assert Claim("text", "", "", own).outcome() == verdict


class Ensembles:
    """Figures of merit by beam, each the same in all samples."""

    def __init__(self, **by_beam):
        self.plan = SimpleNamespace(search=SimpleNamespace(beams=[int(b[1:]) for b in by_beam]))
        self.by_beam = by_beam

    def label(self, role):
        return role

    def bleu(self, role, beam):
        value = self.by_beam[f"b{beam}"]
        return Measured(value, np.full(3, value))


@pytest.mark.parametrize(("by_beam", "verdict"), [
    ({"b1": 33.0, "b2": 34.5, "b12": 34.8}, "held"),
    ({"b1": 33.0, "b2": 34.5, "b12": 34.2}, "held"),
    ({"b1": 33.0, "b2": 33.4, "b12": 34.8}, "not held"),
    ({"b1": 33.0, "b2": 32.9, "b12": 32.0}, "not held"),  # no gain, though the rest loses more
    ({"b1": 33.0, "b2": 34.5, "b5": 36.9, "b12": 34.8}, "held"),
])  # fmt: skip
def test_beam_2_brings_most_of_the_gain_only_where_there_is_one(by_beam, verdict):
    found = [
        claim for claim in _ensembles(Ensembles(**by_beam)) if "most of the gain" in claim.text
    ]
    assert [claim.outcome() for claim in found] == [verdict]


def test_a_better_system_is_better_in_a_paired_difference(run):
    measures = Measures(run, "en", "fr")
    good, poor = measures.bleu(["good"]), measures.bleu(["poor"])
    own = good.less(poor)
    assert own.value == pytest.approx(bleu(run, "good") - bleu(run, "poor"))
    assert own.samples == pytest.approx(good.samples - poor.samples)
    assert own.interval().low > 0
