"""Reports on n-best lists: tuned weights with their held-out gain, and the headroom (oracle)."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from s2st.rescoring.bleu_statistics import ORDERS, Statistics, bleu
from s2st.rescoring.feature_weights import BASELINE, MODEL, Weights, from_vector
from s2st.rescoring.line_search import (
    Floats,
    Indices,
    TunedWeights,
    TuningList,
    better_or_start,
    choose,
    spreads,
)
from s2st.rescoring.oracle import (
    Interval,
    best_by_corpus,
    best_by_sentence,
    bleu_interval,
    gain_interval,
    picked,
    resamples,
)
from s2st.rescoring.tuning_data import Collection

SAMPLES = 1000  # bootstrap resamplings
SEED = 12345
HOW = (
    "BLEU of rescoring is that of multi-bleu.perl: tokens split at white space, cased, no "
    f"smoothing; [95 % intervals] from {SAMPLES} bootstrap samples of the lists, seed {SEED}"
)
CURVE = tuple(step / 10 for step in range(11))
Tuner = Callable[[Sequence[TuningList], Any], TunedWeights]


@dataclass(frozen=True)
class TuningReport:
    """The result of tuning on the development lists. HOW explains BLEU and its intervals.

    Attributes:
        weights: the tuned weights; the initial weights if no others gave a higher BLEU.
        learned: whether tuning found weights with a higher BLEU than the initial weights.
        lists: number of development lists.
        folds: number of folds of the held-out BLEU.
        baseline: BLEU of the baseline's choice.
        tuned: BLEU of `weights` on the lists they were tuned on.
        held_out: BLEU of all folds, each under weights tuned on the other folds.
        gain: held_out minus baseline, paired.
        missing: why nothing was learned, or why there is no held_out and no gain; else None.
        how: how BLEU and its intervals were computed.
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
    how: str = HOW

    def lines(self) -> list[str]:
        """Return the report as lines of text."""
        what = "tuned on" if self.learned else "nothing learned, initial weights on"
        figures = f"BLEU {show(self.tuned)}, baseline {show(self.baseline)}"
        text = [f"{what} {lists_in_words(self.lists)}: {figures}"]
        if self.held_out is not None and self.gain is not None:
            held_out, gain = show(self.held_out), show(self.gain)
            text.append(f"held out ({self.folds} folds): BLEU {held_out}, gain {gain}")
        return text

    def warning(self) -> str | None:
        """Return a line if nothing was learned or the gain is unknown or insignificant."""
        if not self.learned:
            return f"tuning learned nothing: {self.missing}; the initial weights are kept"
        if self.gain is None:
            return f"no held-out BLEU: {self.missing}; the gain of tuning is unknown"
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
    """BLEU of different choices from the lists. HOW explains BLEU and its intervals.

    Attributes:
        rows: name of each choice, and its BLEU with interval.
        curve: (weight of the models from 0 to 1, BLEU), for scores divided by their spreads.
        changed: number of lists in which the weights used choose another hypothesis than the
            baseline.
        lists: number of lists.
        how: how BLEU and its intervals were computed.
    """

    rows: tuple[tuple[str, Interval], ...]
    curve: tuple[tuple[float, float], ...]
    changed: int
    lists: int
    how: str = HOW

    def lines(self) -> list[str]:
        """Return the report as lines of text."""
        width = max(len(name) for name, _ in self.rows)
        text = [f"{name:<{width}}  {show(interval)}" for name, interval in self.rows]
        curve = "  ".join(f"{share:.1f}: {score:.2f}" for share, score in self.curve)
        text.append(f"BLEU by weight of the models, at equal spreads: {curve}")
        text.append(f"{self.changed} of {self.lists} choices differ from the baseline's")
        return text


def lists_in_words(count: int) -> str:
    """Return "1 list", "12 lists"."""
    return f"{count:,} list" if count == 1 else f"{count:,} lists"


def show(interval: Interval) -> str:
    """Return a value with its interval as text."""
    return f"{interval.value:.2f} [{interval.low:.2f}, {interval.high:.2f}]"


def tune(
    collection: Collection,
    tuner: Tuner,
    start: Weights,
    initial: Weights,
    own_features: bool,
    folds: int,
) -> TuningReport:
    """Tune the weights on all lists, and estimate their gain on held-out lists.

    Args:
        collection: the lists, with BLEU statistics.
        tuner: a tuner from the registry.
        start: starting point of the tuner.
        initial: weights to keep if tuning finds none with a higher BLEU.
        own_features: whether to tune the baseline's own features instead of its total.
        folds: number of folds; list i belongs to fold i modulo `folds`.
    """
    competing = collection.chosen(own_features)
    lists = competing.lists
    columns = competing.columns
    learn = _Learner(tuner, np.array(start.vector(columns)), np.array(initial.vector(columns)))
    found = learn(lists)
    statistics = [item.statistics for item in lists]
    baseline = picked(statistics, baseline_choice(collection))
    draws = resamples(len(lists), SAMPLES, SEED)
    held_out = gain = None
    missing = _why_nothing(lists) if found is None else _why_not_held_out(lists, folds)
    if missing is None:
        kept_out = picked(statistics, _choose_held_out(lists, learn, folds))
        held_out = bleu_interval(kept_out, draws)
        gain = gain_interval(kept_out, baseline, draws)
    used = learn.initial if found is None else found
    return TuningReport(
        weights=initial if found is None else from_vector(columns, found.tolist()),
        learned=found is not None,
        lists=len(lists),
        folds=folds,
        baseline=bleu_interval(baseline, draws),
        tuned=bleu_interval(picked(statistics, choose(lists, used)), draws),
        held_out=held_out,
        gain=gain,
        missing=missing,
    )


@dataclass(frozen=True)
class _Learner:
    """A tuner with its starting point (F,) and the initial weights (F,) that it must surpass."""

    tuner: Tuner
    start: Floats
    initial: Floats

    def __call__(self, lists: Sequence[TuningList]) -> Floats | None:
        """Return the tuned weights (F,), None if their BLEU is not above the initial weights'."""
        found = better_or_start(lists, self.initial, self.tuner(lists, self.start))
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


def _why_nothing(lists: Sequence[TuningList]) -> str:
    """Return why no weights give a higher BLEU on the lists."""
    return _no_lesson(lists) or "no weights were found that give a higher BLEU than these"


def _why_not_held_out(lists: Sequence[TuningList], folds: int) -> str | None:
    """Return why the folds cannot estimate the gain of tuning, None if they can."""
    if len(lists) < folds:
        return f"{lists_in_words(len(lists))} cannot fill {folds} folds (--folds)"
    for fold in range(folds):
        where = f"fold {fold + 1} of {folds} (--folds)"
        reason = _no_lesson([item for i, item in enumerate(lists) if i % folds != fold])
        if reason is not None:
            return f"{where}: in the lists of the other folds {reason}"
        if not any(_differs(item.features) for item in lists[fold::folds]):
            return f"{where}: all hypotheses of each of its lists have equal features"
    return None


def _no_lesson(lists: Sequence[TuningList]) -> str | None:
    """Return why no tuner can learn from the lists, None if one may."""
    if not any(item.statistics[:, ORDERS - 1].any() for item in lists):
        return (
            "BLEU is 0, because no hypothesis shares a 4-gram with its reference; check that the "
            "references belong to the lists and have the same tokenization"
        )
    if not any(_differs(item.features) and _differs(item.statistics) for item in lists):
        return "no list has two hypotheses that differ in both features and BLEU"
    return None


def _differs(rows: Floats | Statistics) -> bool:
    """Whether any row of (n, k) differs from the first."""
    return bool((rows != rows[0]).any())


def headroom(collection: Collection, even: Weights, used: Weights) -> HeadroomReport:
    """Compute the BLEU of choices from the lists: baseline, weights used, oracle, worst.

    Args:
        collection: the lists, with BLEU statistics.
        even: weights of an equal average of raw scores.
        used: the weights of the job.
    """
    lists = collection.lists
    statistics = [item.statistics for item in lists]
    draws = resamples(len(lists), SAMPLES, SEED)

    def row(name: str, chosen: Indices) -> tuple[str, Interval]:
        return name, bleu_interval(picked(statistics, chosen), draws)

    baseline = baseline_choice(collection)
    chosen = choose(lists, np.array(used.vector(collection.columns)))
    rows = [
        row("baseline 1-best", baseline),
        row("even average of raw scores", choose(lists, np.array(even.vector(collection.columns)))),
        row("weights used", chosen),
        row("oracle by sentence BLEU", best_by_sentence(statistics)),
        row("oracle by corpus BLEU", best_by_corpus(statistics)),
        row("worst by corpus BLEU", best_by_corpus(statistics, worst=True)),
    ]
    return HeadroomReport(
        rows=tuple(rows),
        curve=tuple(_curve(collection, statistics)),
        changed=int((chosen != baseline).sum()),
        lists=len(lists),
    )


def _curve(collection: Collection, statistics: Sequence[Statistics]) -> list[tuple[float, float]]:
    names = [column.name for column in collection.columns]
    baseline = np.array([float(name == BASELINE) for name in names])
    models = np.array([float(name.startswith(MODEL) and name[-1].isdigit()) for name in names])
    models /= max(1.0, models.sum())
    scale = spreads(collection.lists)
    points = []
    for share in CURVE:
        chosen = choose(collection.lists, ((1 - share) * baseline + share * models) / scale)
        points.append((share, float(bleu(picked(statistics, chosen).sum(axis=0)))))
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
