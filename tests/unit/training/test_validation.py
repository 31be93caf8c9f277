"""Which validation is the best, the limits of a training, and checkpoints that are kept."""

import math
import os
import threading

import pytest
from trainers import trainer

from s2st.jobs.training_result import TrainResult
from s2st.jobs.validation_decoding import ExchangeQueue
from s2st.jobs.work_queue import Task, in_order
from s2st.process.ranks import Ranks
from s2st.training.checkpoint import TrainingState, read_run
from s2st.training.options import TrainerConfig
from s2st.training.training_limits import TIME_IS_UP, reason_to_end, time_left, with_time_limit
from s2st.training.validation import BestMetric, Decoded

BLEU = BestMetric("bleu", larger_is_better=True)
TER = BestMetric("ter", larger_is_better=False)


@pytest.mark.parametrize(
    ("metric", "values", "best"),
    [
        (BestMetric(), [(3.0, 9), (2.0, 1), (2.5, 99), (2.0, 2)], [True, True, False, False]),
        (BLEU, [(3.0, 9), (2.0, 1), (2.5, 99), (2.0, 99)], [True, False, True, False]),
        (TER, [(3.0, 9), (2.0, 1), (2.5, 99), (2.0, 0.0)], [True, True, False, True]),
    ],
    ids=["perplexity", "bleu", "ter"],
)
def test_the_metric_decides_in_its_direction(metric, values, best):
    state, bad = TrainingState(), 0
    for update, ((nll, value), expected) in enumerate(zip(values, best, strict=True), start=1):
        state.update = update
        assert metric.judge(state, nll, {metric.name: value}) == expected
        bad = 0 if expected else bad + 1
        assert state.bad_validations == bad
        if expected:
            assert state.best_update == update
    assert state.best_nll == 2.0


def test_of_equal_values_the_lower_perplexity_is_the_best():
    """BLEU is often 0 at the beginning, while the perplexity falls."""
    state = TrainingState()
    for update, (nll, bleu, best) in enumerate(
        [(6.0, 0.0, True), (5.0, 0.0, True), (5.5, 0.0, False), (5.2, 0.1, True)], start=1
    ):
        state.update = update
        assert BLEU.judge(state, nll, {"bleu": bleu}) == best
        state.history.append({"update": update, "nll": nll, "metrics": {"bleu": bleu}})
    assert state.bad_validations == 0


def test_a_training_without_a_validation_names_its_last_checkpoint():
    stopped = TrainResult(3, 0, None, 0, "run", reason="time limit", resumable=True)
    assert stopped.describe().endswith("translate with --checkpoint run/checkpoint_last")
    ended = TrainResult(3, 1, 2.0, 3, "run", reason="epoch limit")
    assert ended.describe().endswith("translate with --checkpoint run/checkpoint_best")


def test_the_best_are_ranked_and_of_equal_ones_the_earlier_comes_first():
    rows = [(1, 3.0, 20.0), (2, 2.0, 10.0), (3, 2.5, 30.0), (4, 2.0, 20.0)]
    history = [{"update": u, "nll": nll, "metrics": {"bleu": bleu}} for u, nll, bleu in rows]
    assert BestMetric().ranked(history) == [2, 4, 3, 1]
    assert BLEU.ranked(history) == [3, 4, 1, 2]
    assert BLEU.ranked([*history, {**history[3], "update": 5}]) == [3, 4, 5, 1, 2]
    assert BLEU.ranked([{"update": 3, "train_nll": 1.0}]) == []


class Scripted:
    """A decoder whose metric is given; the loss decides nothing."""

    def __init__(self, values):
        self.values = iter(values)

    def __call__(self, gradients):
        return Decoded({"bleu": next(self.values)})


def scripted(folder, values, **options):
    run = trainer(folder, max_epoch=float(len(values)), **options)
    object.__setattr__(run.parts, "decoder", Scripted(values))
    object.__setattr__(run.parts, "best_metric", BLEU)
    return run


VALUES = [10.0, 30.0, 20.0, 25.0, 5.0, 1.0]  # after updates 6, 12, ...


def test_the_best_checkpoints_by_the_metric_are_kept_beside_the_last(tmp_path):
    state = scripted(tmp_path, VALUES, keep_best=3, keep_last=1).train()
    names = sorted(path.name for path in tmp_path.iterdir())
    kept = [f"checkpoint_{update:07d}" for update in (12, 18, 24, 36)]
    assert names == [*kept, "checkpoint_best", "checkpoint_last"]
    assert os.readlink(tmp_path / "checkpoint_best") == kept[0]
    assert (state.best_update, state.best_value, state.bad_validations) == (12, 30.0, 4)
    assert [row["metrics"]["bleu"] for row in state.history] == VALUES


def test_one_best_is_kept_unless_more_are_wanted(tmp_path):
    scripted(tmp_path, VALUES, keep_last=2).train()
    names = sorted(path.name for path in tmp_path.glob("checkpoint_0*"))
    assert names == [f"checkpoint_{update:07d}" for update in (12, 30, 36)]


def test_patience_and_plateau_follow_the_metric(tmp_path):
    run = scripted(tmp_path, VALUES, patience=2, schedule="plateau", lr=0.1)
    state = run.train()
    assert state.update == 24
    assert run.ended == "patience (2 validations without improvement)"
    rates = [row["learning_rate"] for row in state.history]
    assert rates == pytest.approx([0.1, 0.1, 0.1, 0.05])  # halved after the third


def test_a_resumed_run_judges_by_the_best_before_the_stop(tmp_path):
    run = scripted(tmp_path, VALUES[:3])
    run.train()
    again = scripted(tmp_path, VALUES)
    object.__setattr__(again.parts, "decoder", Scripted(VALUES[3:]))
    again.restore(read_run(tmp_path / "checkpoint_last"))
    state = again.train()
    assert (state.best_update, state.best_value, state.bad_validations) == (12, 30.0, 4)
    assert [row["best"] for row in state.history] == [True, True, False, False, False, False]


# ranks


def test_ranks_share_the_tasks_and_give_what_one_process_gives():
    class Line:
        def __init__(self, line):
            self.line = line

    computed = [[], [], []]

    def chunks(rank):
        def compute(lines):
            computed[rank].append(lines)
            return [Line(line) for line in lines]

        yield [Task(lines, lambda lines=lines: compute(lines)) for lines in ([3, 0], [1], [2])]
        yield [Task(lines, lambda lines=lines: compute(lines)) for lines in ([5], [4, 6])]

    meeting, said, results = threading.Barrier(3), ["", "", ""], {}

    def work(rank):
        def exchange(text):
            said[rank] = text
            meeting.wait(30)
            return list(said)

        queue = ExchangeQueue(Ranks(rank, 3), exchange)
        results[rank] = list(in_order(chunks(rank), lambda answer: f"line {answer.line}", queue))

    threads = [threading.Thread(target=work, args=(rank,)) for rank in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert results == {0: [f"line {i}" for i in range(7)], 1: [], 2: []}
    assert computed == [[[3, 0], [5]], [[1], [4, 6]], [[2]]]


# limits


def test_the_time_limit_counts_from_the_start_and_signals_come_first():
    now, signals = [100.0], [0]
    stop = with_time_limit(lambda: signals[0], 0.5, lambda: now[0])
    now[0] += 1799
    assert stop() == 0
    now[0] += 1
    assert stop() == TIME_IS_UP
    signals[0] = 15
    assert stop() == 15
    assert with_time_limit(lambda: 7, None)() == 7


def test_why_a_training_ends():
    config = TrainerConfig(max_epoch=2.0, max_update=7, patience=3)
    state = TrainingState(update=6, bad_validations=2)
    assert reason_to_end(config, state, 1.9) == ""
    assert reason_to_end(config, state, 2.0) == "epoch limit (--max-epoch 2)"
    state.update = 7
    assert reason_to_end(config, state, 1.9) == "update limit (--max-update 7)"
    state.update, state.bad_validations = 6, 3
    assert reason_to_end(config, state, 1.9) == "patience (3 validations without improvement)"


def test_time_left_is_that_of_the_nearer_limit():
    config = TrainerConfig(max_epoch=4.0, max_update=100)
    assert time_left(config, 60, 2.0, 0.5) == (20.0, "update 100")  # 40 updates before 60
    assert time_left(config, 10, 2.0, 0.5) == (5.0, "epoch 4")
    assert time_left(TrainerConfig(max_epoch=None), 10, 2.0, 0.5) == (None, "")


def test_a_metric_that_never_was_computed_leaves_perplexity_in_charge(tmp_path):
    run = trainer(tmp_path, max_epoch=1.0)
    assert run.train().best_value is None
    assert math.isfinite(run.state.best_nll)
