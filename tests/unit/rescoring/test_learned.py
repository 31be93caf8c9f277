"""What tuning reports: initial weights where none are better; held-out figures or why not."""

import dataclasses

import numpy as np
import pytest
from nbest_lists import random_lists

from s2st.jobs.progress import Progress
from s2st.jobs.rescore.tuning import report_values, shown, tune
from s2st.rescoring.batch_mira import Mira
from s2st.rescoring.bleu_statistics import bleu
from s2st.rescoring.feature_weights import BASELINE, Column, Weights, even_average
from s2st.rescoring.line_search import LineSearch
from s2st.rescoring.metrics import Bleu
from s2st.rescoring.pairwise_ranking import Pro
from s2st.rescoring.registry import LineSearchConfig, MiraConfig, ProConfig
from s2st.rescoring.tuning_data import Collection
from s2st.rescoring.tuning_lists import TunedWeights, TuningList

BLEU = Bleu()

COLUMNS = (Column(BASELINE, 0), Column("S2ST0", 0))
EVEN = even_average(["S2ST0"])
TUNERS = {
    "line-search": LineSearch(LineSearchConfig()),
    "mira": Mira(MiraConfig()),
    "pro": Pro(ProConfig()),
}


def collected(lists):
    return Collection(COLUMNS, tuple(lists), 0)


def without_4_grams(lists):
    return [TuningList(x.features, np.where(np.arange(9) == 3, 0, x.statistics)) for x in lists]


def single(lists):
    return [TuningList(x.features[:1], x.statistics[:1]) for x in lists]


def best_already(lists):
    """The first feature is the exact quality, so weights that take it alone are the best."""
    made = []
    for item in lists:
        order = np.argsort(-item.statistics[:, 0] / item.statistics[:, 4])
        top = item.statistics[order[0]]
        statistics = np.array([top, *([top * np.array([0] * 4 + [1] * 5)] * 3)])
        made.append(TuningList(np.array([[3.0, 0], [2, 0], [1, 0], [0, 0]]), statistics))
    return made


@pytest.mark.parametrize("tuner", TUNERS)
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (without_4_grams, "BLEU is 0"),
        (single, "no list has two hypotheses"),
        (best_already, "no weights were found that give a higher BLEU"),
    ],
)
@pytest.mark.parametrize("start", [EVEN, Weights({BASELINE: (3.0,), "S2ST0": (0.25,)})])
def test_no_improvement_means_the_initial_weights(tuner, change, reason, start):
    lists = change(random_lists(1, 2, lists=20))
    report = tune(collected(lists), TUNERS[tuner], start, EVEN, False, 5, BLEU)
    assert report.weights == EVEN
    assert not report.learned
    assert "tuned on" not in "\n".join(report.lines())
    assert reason in report.warning()
    assert "initial weights are kept" in report.warning()
    assert report.held_out is report.gain is None
    values = report_values(report, None, report.weights, {})["tuning"]
    assert values["learned"] is False
    assert values["weights"] == {BASELINE: [0.5], "S2ST0": [0.5]}
    assert values["held_out"] is values["gain"] is None
    assert reason in values["missing"]


@pytest.mark.parametrize("tuner", TUNERS)
@pytest.mark.parametrize("start", [[0.5, 0.5], [0.0, 0.0], [3.0, -1.0]])
def test_a_tuner_that_finds_nothing_returns_its_start_as_it_is(tuner, start):
    found = TUNERS[tuner](without_4_grams(random_lists(2, 2)), np.array(start), BLEU)
    assert found.weights.tolist() == start
    assert found.score == 0


def test_a_tuners_own_claim_is_not_believed():
    lists = random_lists(4, 2, lists=20)
    for weights in ([0.0, 0.0], [np.nan, 1.0], [np.inf, 1.0], [-1.0, 0.0]):
        report = tune(
            collected(lists), lambda _, __, ___, w=weights: TunedWeights(np.array(w), 99.0),
            EVEN, EVEN, False, 5, BLEU,
        )  # fmt: skip
        assert report.weights == EVEN
        assert not report.learned


def test_a_start_that_is_better_than_the_initial_weights_is_learned():
    """A tuner may start elsewhere; what it has to surpass are the weights without tuning."""
    lists = random_lists(3, 2, lists=30)
    noise, quality = Weights({"S2ST0": (1.0,)}), Weights({BASELINE: (1.0,)})

    def stays(_lists, start, _metric):
        return TunedWeights(start, 0.0)

    assert tune(collected(lists), stays, quality, noise, False, 5, BLEU).learned
    assert not tune(collected(lists), stays, noise, quality, False, 5, BLEU).learned


def to_quality(_lists, _start, _metric):
    """A tuner that always finds the first feature, which tells quality."""
    return TunedWeights(np.array([1.0, 0.0]), 0.0)


def test_fewer_lists_than_folds_have_no_held_out_figure():
    lists = random_lists(5, 2, lists=12)
    start = Weights({BASELINE: (-1.0,)})  # the worst choices
    for count, folds in ((1, 2), (1, 5), (4, 5), (11, 12)):
        report = tune(collected(lists[:count]), to_quality, start, start, False, folds, BLEU)
        assert report.learned
        assert report.held_out is report.gain is None
        assert f"cannot fill {folds} folds (--folds)" in report.warning()
        assert "held out" not in "\n".join(report.lines())
        assert report_values(report, None, start, {})["tuning"]["gain"] is None
    report = tune(collected(lists), to_quality, start, start, False, 12, BLEU)
    assert report.held_out is not None


def test_held_out_choices_are_those_of_weights_that_did_not_see_them():
    """By hand: fold i is every third list from i; its weights are learned on the others."""
    lists = random_lists(6, 2, lists=9)
    of_fold = [[1.0, 0.3], [1.0, 0.0], [1.0, -0.3]]

    def tuner(own, _start, _metric):
        seen = {id(item.statistics) for item in own}
        unseen = [i % 3 for i, x in enumerate(lists) if id(x.statistics) not in seen]
        return TunedWeights(np.array(of_fold[unseen[0]] if unseen else [1.0, 0.0]), 0.0)

    noise = Weights({"S2ST0": (1.0,)})
    report = tune(collected(lists), tuner, noise, noise, False, 3, BLEU)
    rows = []
    for index, item in enumerate(lists):
        scores = item.features @ of_fold[index % 3]
        rows.append(item.statistics[int(np.argmax(scores))])
    assert report.held_out.value == pytest.approx(float(bleu(np.sum(rows, axis=0))))
    assert report.held_out.value != report.tuned.value


def test_a_loss_on_held_out_lists_is_called_one():
    """Full lists teach quality, the folds its opposite."""
    lists = random_lists(10, 2, lists=200)
    worst = Weights({BASELINE: (-1.0,), "S2ST0": (-9.0,)})

    def tuner(own, _start, _metric):
        return TunedWeights(np.array([1.0, 0.0] if len(own) == 200 else [-1.0, 0.0]), 0.0)

    report = tune(collected(lists), tuner, worst, worst, False, 4, BLEU)
    assert report.learned
    assert report.gain.high < 0
    assert "tuning makes held-out lists worse" in report.warning()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (single, "fold 2 of 3 (--folds): all hypotheses of each of its lists"),
        (without_4_grams, None),
    ],
)
def test_a_fold_whose_lists_offer_no_choice_is_named(change, reason):
    lists = random_lists(7, 2, lists=9)
    for index in (1, 4, 7):
        lists[index] = change([lists[index]])[0]
    start = Weights({"S2ST0": (1.0,)})
    report = tune(collected(lists), TUNERS["line-search"], start, start, False, 3, BLEU)
    assert (report.held_out is None) == (reason is not None)
    if reason is not None:
        assert reason in report.warning()


@pytest.mark.parametrize("change", [single, without_4_grams])
def test_a_fold_that_no_other_list_teaches_is_named(change):
    """Only lists of the first fold can be learned from."""
    lists = random_lists(8, 2, lists=9)
    lists = [x if i % 3 == 0 else change([x])[0] for i, x in enumerate(lists)]
    start = Weights({"S2ST0": (1.0,)})
    report = tune(collected(lists), TUNERS["line-search"], start, start, False, 3, BLEU)
    assert report.learned
    assert report.gain is None
    assert "fold 1 of 3 (--folds): in the lists of the other folds" in report.warning()


def test_reports_say_how_they_were_computed():
    lists = random_lists(9, 2, lists=9)
    report = tune(collected(lists), TUNERS["line-search"], EVEN, EVEN, False, 3, BLEU)
    how = report_values(report, None, EVEN, {})["tuning"]["how"]
    for part in ("multi-bleu.perl", "white space", "cased", "1000 bootstrap samples", "12345"):
        assert part in how
    assert dataclasses.asdict(report)["how"] == how


class Counts(Progress):
    def __init__(self):
        self.total, self.done, self.stopped = 0, [], False

    def start(self, label, total, done=0):
        self.total = total

    def update(self, done, text):
        self.done.append(done)

    def stop(self, summary):
        self.stopped = True


def test_progress_counts_the_tunings_of_all_lists_and_of_each_fold():
    counts = Counts()
    lists = collected(random_lists(1, 2, lists=20))
    with shown(TUNERS["line-search"], 4, counts) as tuner:
        tune(lists, tuner, EVEN, EVEN, False, 4, BLEU)
    assert counts.done == [1, 2, 3, 4, 5]
    assert counts.total == 5
    assert counts.stopped
