"""Reports on n-best lists: tuned weights with their held-out gain, and the headroom (oracle)."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from s2st.jobs.progress import Progress
from s2st.rescoring.bleu_statistics import Floats, Statistics
from s2st.rescoring.feature_weights import BASELINE, MODEL, Weights, from_vector
from s2st.rescoring.metrics import Metric
from s2st.rescoring.oracle import (
    Interval,
    Resamples,
    best_by_corpus,
    best_by_sentence,
    gain_interval,
    picked,
    score_interval,
)
from s2st.rescoring.tuning_data import Collection
from s2st.rescoring.tuning_lists import (
    Indices,
    TunedWeights,
    Tuner,
    TuningList,
    better_or_start,
    choose,
    spreads,
)

SAMPLES = 1000  # bootstrap resamplings
SEED = 12345
CURVE = tuple(step / 10 for step in range(11))


def how(metric: Metric) -> str:
    """Return how a metric and its intervals are computed, as one line."""
    return (
        f"{metric.name} of rescoring is {metric.how}; [95 % intervals] from {SAMPLES} bootstrap "
        f"samples of the lists, seed {SEED}"
    )


@dataclass(frozen=True)
class TuningReport:
    """The result of tuning on the development lists.

    Attributes:
        weights: the tuned weights; the initial weights if no others gave a higher score.
        learned: whether tuning found weights with a higher score than the initial weights.
        lists: number of development lists.
        folds: number of folds of the held-out score.
        baseline: score of the baseline's choice.
        tuned: score of `weights` on the lists they were tuned on.
        held_out: score of all folds, each under weights tuned on the other folds.
        gain: held_out minus baseline, paired.
        missing: why nothing was learned, or why there is no held_out and no gain; else None.
        how: how the metric and its intervals are computed.
        metric: name of the metric. All scores are in percent, and larger is better.
    """

    weights: Weights
    learned: bool
    lists: int
    folds: int
    baseline: Interval
    tuned: Interval
    held_out: Interval | None
    gain: Interval | None
    missing: str | None
    how: str
    metric: str

    def lines(self) -> list[str]:
        """Return the report as lines of text."""
        what = "tuned on" if self.learned else "nothing learned, initial weights on"
        figures = f"{self.metric} {show(self.tuned)}, baseline {show(self.baseline)}"
        text = [f"{what} {lists_in_words(self.lists)}: {figures}"]
        if self.held_out is not None and self.gain is not None:
            held_out, gain = show(self.held_out), show(self.gain)
            text.append(f"held out ({self.folds} folds): {self.metric} {held_out}, gain {gain}")
        return text

    def warning(self) -> str | None:
        """Return a line if nothing was learned or the gain is unknown or insignificant."""
        if not self.learned:
            return f"tuning learned nothing: {self.missing}; the initial weights are kept"
        if self.gain is None:
            return f"no held-out {self.metric}: {self.missing}; the gain of tuning is unknown"
        if self.gain.low > 0:
            return None
        if self.gain.high < 0:
            return (
                f"tuning makes held-out lists worse ({show(self.gain)}): the weights overfit; use "
                "more development lists or fewer features"
            )
        return (
            "the gain of tuning is not significant on held-out lists "
            f"({show(self.gain)}); use more development lists or fewer features"
        )


@dataclass(frozen=True)
class HeadroomReport:
    """Scores of different choices from the lists.

    Attributes:
        rows: name of each choice, and its score with interval.
        curve: (weight of the models from 0 to 1, score), for features divided by their spreads.
        changed: number of lists in which the weights used choose another hypothesis than the
            baseline.
        lists: number of lists.
        gain: score of the weights used minus that of the baseline, paired.
        how: how the metric and its intervals are computed.
        metric: name of the metric. All scores are in percent, and larger is better.
    """

    rows: tuple[tuple[str, Interval], ...]
    curve: tuple[tuple[float, float], ...]
    changed: int
    lists: int
    gain: Interval
    how: str
    metric: str

    def lines(self) -> list[str]:
        """Return the report as lines of text."""
        width = max(len(name) for name, _ in self.rows)
        text = [f"{name:<{width}}  {show(interval)}" for name, interval in self.rows]
        curve = "  ".join(f"{share:.1f}: {score:.2f}" for share, score in self.curve)
        text.append(f"{self.metric} by weight of the models, at equal spreads: {curve}")
        text.append(f"{self.changed} of {self.lists} choices differ from the baseline's")
        text.append(f"gain of the weights used over the baseline, paired: {show(self.gain)}")
        return text


def lists_in_words(count: int) -> str:
    """Return "1 list", "12 lists"."""
    return f"{count:,} list" if count == 1 else f"{count:,} lists"


def show(interval: Interval) -> str:
    """Return a value with its interval as text."""
    return f"{interval.value:.2f} [{interval.low:.2f}, {interval.high:.2f}]"


@contextmanager
def shown(tuner: Tuner, folds: int, progress: Progress) -> Iterator[Tuner]:
    """Yield the tuner of `tune`; report its runs, one for all lists and one for each fold."""
    started, done = time.perf_counter(), 0

    def counted(lists: Sequence[TuningList], start: Floats, metric: Metric) -> TunedWeights:
        nonlocal done
        found = tuner(lists, start, metric)
        done += 1
        seconds = (time.perf_counter() - started) / done
        progress.update(done, f"tunings (all lists, then each fold), {seconds:.1f} s each")
        return found

    progress.start("tunings (all lists, then each fold)", folds + 1)
    try:
        yield counted
    finally:
        progress.stop(None)


def tune(
    collection: Collection,
    tuner: Tuner,
    start: Weights,
    initial: Weights,
    own_features: bool,
    folds: int,
    metric: Metric,
) -> TuningReport:
    """Tune the weights on all lists, and estimate their gain on held-out lists.

    Args:
        collection: the lists, with statistics of the metric.
        tuner: a tuner from the registry.
        start: starting point of the tuner.
        initial: weights to keep if tuning finds none with a higher score.
        own_features: whether to tune the baseline's own features instead of its total.
        folds: number of folds; list i belongs to fold i modulo `folds`.
        metric: what to maximize.
    """
    competing = collection.chosen(own_features)
    lists = competing.lists
    columns = competing.columns
    learn = _Learner(
        tuner, np.array(start.vector(columns)), np.array(initial.vector(columns)), metric
    )
    found = learn(lists)
    statistics = [item.statistics for item in lists]
    baseline = picked(statistics, baseline_choice(collection))
    draws = Resamples(len(lists), SAMPLES, SEED)
    held_out = gain = None
    missing = (
        _why_nothing(lists, metric) if found is None else _why_not_held_out(lists, folds, metric)
    )
    if missing is None:
        kept_out = picked(statistics, _choose_held_out(lists, learn, folds))
        held_out = score_interval(kept_out, draws, metric)
        gain = gain_interval(kept_out, baseline, draws, metric)
    used = learn.initial if found is None else found
    return TuningReport(
        weights=initial if found is None else from_vector(columns, found.tolist()),
        learned=found is not None,
        lists=len(lists),
        folds=folds,
        baseline=score_interval(baseline, draws, metric),
        tuned=score_interval(picked(statistics, choose(lists, used)), draws, metric),
        held_out=held_out,
        gain=gain,
        missing=missing,
        how=how(metric),
        metric=metric.name,
    )


@dataclass(frozen=True)
class _Learner:
    """A tuner with its starting point (F,) and the initial weights (F,) that it must surpass."""

    tuner: Tuner
    start: Floats
    initial: Floats
    metric: Metric

    def __call__(self, lists: Sequence[TuningList]) -> Floats | None:
        """Return the tuned weights (F,), None if their score is not above the initial weights'."""
        tuned = self.tuner(lists, self.start, self.metric)
        found = better_or_start(lists, self.initial, tuned, self.metric)
        return None if found.weights is self.initial else found.weights


def _choose_held_out(lists: Sequence[TuningList], learn: _Learner, folds: int) -> Indices:
    """Return (lists,) the choice from each list under weights tuned on the other folds."""
    chosen = np.zeros(len(lists), dtype=np.int64)
    for fold in range(folds):
        found = learn([item for i, item in enumerate(lists) if i % folds != fold])
        outside = range(fold, len(lists), folds)
        chosen[outside] = choose(
            [lists[i] for i in outside], learn.initial if found is None else found
        )
    return chosen


def _why_nothing(lists: Sequence[TuningList], metric: Metric) -> str:
    """Return why no weights give a higher score on the lists."""
    reason = _no_lesson(lists, metric)
    return reason or f"no weights were found that give a higher {metric.name} than these"


def _why_not_held_out(lists: Sequence[TuningList], folds: int, metric: Metric) -> str | None:
    """Return why the folds cannot estimate the gain of tuning, None if they can."""
    if len(lists) < folds:
        return f"{lists_in_words(len(lists))} cannot fill {folds} folds (--folds)"
    for fold in range(folds):
        where = f"fold {fold + 1} of {folds} (--folds)"
        reason = _no_lesson([item for i, item in enumerate(lists) if i % folds != fold], metric)
        if reason is not None:
            return f"{where}: in the lists of the other folds {reason}"
        if not any(_differs(item.features) for item in lists[fold::folds]):
            return f"{where}: all hypotheses of each of its lists have equal features"
    return None


def _no_lesson(lists: Sequence[TuningList], metric: Metric) -> str | None:
    """Return why no tuner can learn from the lists, None if one may."""
    if all(metric.is_zero(item.statistics) for item in lists):
        return metric.zero_reason
    if not any(_differs(item.features) and _differs(item.statistics) for item in lists):
        return f"no list has two hypotheses that differ in both features and {metric.name}"
    return None


def _differs(rows: Floats | Statistics) -> bool:
    """Whether any row of (n, k) differs from the first."""
    return bool((rows != rows[0]).any())


def headroom(
    collection: Collection, even: Weights, used: Weights, metric: Metric
) -> HeadroomReport:
    """Compute the scores of choices from the lists: baseline, weights used, oracle, worst.

    Args:
        collection: the lists, with statistics of the metric.
        even: weights of an equal average of raw scores.
        used: the weights of the job.
        metric: the metric of the statistics.
    """
    lists = collection.lists
    statistics = [item.statistics for item in lists]
    draws = Resamples(len(lists), SAMPLES, SEED)

    def row(name: str, chosen: Indices) -> tuple[str, Interval]:
        return name, score_interval(picked(statistics, chosen), draws, metric)

    baseline = baseline_choice(collection)
    first = picked(statistics, baseline)
    chosen = choose(lists, np.array(used.vector(collection.columns)))
    rows = [
        row("baseline 1-best", baseline),
        row("even average of raw scores", choose(lists, np.array(even.vector(collection.columns)))),
        row("weights used", chosen),
        row(f"oracle by sentence {metric.name}", best_by_sentence(statistics, metric)),
        row(f"oracle by corpus {metric.name}", best_by_corpus(statistics, metric)),
        row(f"worst by corpus {metric.name}", best_by_corpus(statistics, metric, worst=True)),
    ]
    return HeadroomReport(
        rows=tuple(rows),
        curve=tuple(_curve(collection, statistics, metric)),
        changed=int((chosen != baseline).sum()),
        lists=len(lists),
        gain=gain_interval(picked(statistics, chosen), first, draws, metric),
        how=how(metric),
        metric=metric.name,
    )


def _curve(
    collection: Collection, statistics: Sequence[Statistics], metric: Metric
) -> list[tuple[float, float]]:
    names = [column.name for column in collection.columns]
    baseline = np.array([float(name == BASELINE) for name in names])
    models = np.array([float(name.startswith(MODEL) and name[-1].isdigit()) for name in names])
    models /= max(1.0, models.sum())
    scale = spreads(collection.lists)
    points = []
    for share in CURVE:
        chosen = choose(collection.lists, ((1 - share) * baseline + share * models) / scale)
        points.append((share, float(metric.corpus(picked(statistics, chosen).sum(axis=0)))))
    return points


def baseline_choice(collection: Collection) -> Indices:
    """Return (lists,) the hypothesis with the baseline's highest total, the first on a tie."""
    vector = [float(column.name == BASELINE) for column in collection.columns]
    return choose(collection.lists, np.array(vector))


def report_values(
    tuning: TuningReport | None, found: HeadroomReport | None, weights: Weights, spread: Any
) -> dict[str, Any]:
    """Return weights and reports as JSON values."""
    return {
        "weights": {name: list(numbers) for name, numbers in weights.values.items()},
        "spread_within_lists": spread,
        "tuning": None if tuning is None else _plain(tuning),
        "headroom": None if found is None else asdict(found),
    }


def _plain(report: TuningReport) -> dict[str, Any]:
    values = {name: value for name, value in asdict(report).items() if name != "weights"}
    values["weights"] = {name: list(numbers) for name, numbers in report.weights.values.items()}
    return values
