"""Reports around n-best lists: tuned weights with their honest gain, and the headroom left."""

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
    """What tuning found on the development lists. BLEU and intervals as HOW says.

    Attributes:
        weights: the learned ones; the initial ones where none gave a higher BLEU.
        learned: whether tuning found weights with a higher BLEU than the initial ones.
        lists: how many the weights were tuned on.
        folds: of the held-out figure, as asked for.
        baseline: of the system's own choice.
        tuned: of `weights` on the lists they were tuned on.
        held_out: of each fold under weights tuned on the other folds.
        gain: held_out less baseline, paired.
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
        """The report as text."""
        what = "tuned on" if self.learned else "nothing learned, initial weights on"
        figures = f"BLEU {show(self.tuned)}, baseline {show(self.baseline)}"
        text = [f"{what} {lists_in_words(self.lists)}: {figures}"]
        if self.held_out is not None and self.gain is not None:
            held_out, gain = show(self.held_out), show(self.gain)
            text.append(f"held out ({self.folds} folds): BLEU {held_out}, gain {gain}")
        return text

    def warning(self) -> str | None:
        """A plain line where nothing was learned, or the gain may be chance or is not known."""
        if not self.learned:
            return f"tuning learned nothing: {self.missing}; the initial weights are kept"
        if self.gain is None:
            return f"no held-out BLEU: {self.missing}; so the gain of tuning is not known"
        if self.gain.low > 0:
            return None
        if self.gain.high < 0:
            return (
                f"tuning makes held-out lists worse ({show(self.gain)}): the weights fit these "
                "lists only; more development lists or fewer features help"
            )
        return (
            "the gain of tuning is not significant on held-out lists "
            f"({show(self.gain)}): more development lists or fewer features would tell more"
        )


@dataclass(frozen=True)
class HeadroomReport:
    """BLEU of choices from the lists, as HOW says.

    Attributes:
        rows: name and BLEU with interval.
        curve: (share of the models, BLEU): scores divided by their spreads and interpolated.
        changed, lists: lists whose choice differs from the baseline's, of how many.
        how: how BLEU and its intervals were computed.
    """

    rows: tuple[tuple[str, Interval], ...]
    curve: tuple[tuple[float, float], ...]
    changed: int
    lists: int
    how: str = HOW

    def lines(self) -> list[str]:
        """The report as text."""
        width = max(len(name) for name, _ in self.rows)
        text = [f"{name:<{width}}  {show(interval)}" for name, interval in self.rows]
        curve = "  ".join(f"{share:.1f}: {score:.2f}" for share, score in self.curve)
        text.append(f"share of the models, spreads equal: {curve}")
        text.append(f"{self.changed} of {self.lists} choices differ from the baseline's")
        return text


def lists_in_words(count: int) -> str:
    """ "1 list" or "12 lists"."""
    return f"{count:,} list" if count == 1 else f"{count:,} lists"


def show(interval: Interval) -> str:
    """A figure with its interval."""
    return f"{interval.value:.2f} [{interval.low:.2f}, {interval.high:.2f}]"


def tune(
    collection: Collection,
    tuner: Tuner,
    start: Weights,
    initial: Weights,
    own_features: bool,
    folds: int,
) -> TuningReport:
    """Learns weights on all lists, and what they gain on lists that they were not learned on.

    Args:
        collection: with BLEU statistics.
        tuner: from the registry.
        start: where it starts.
        initial: the weights without tuning, which stay where tuning finds none with a higher BLEU.
        own_features: the baseline's own features compete instead of its total.
        folds: list i belongs to fold i modulo this.
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
    """A tuner, where it starts, and the weights (F,) that it has to surpass."""

    tuner: Tuner
    start: Floats
    initial: Floats

    def __call__(self, lists: Sequence[TuningList]) -> Floats | None:
        """(F,) the weights learned, None where they give no higher BLEU than the initial ones."""
        found = better_or_start(lists, self.initial, self.tuner(lists, self.start))
        return None if found.weights is self.initial else found.weights


def _choose_held_out(lists: Sequence[TuningList], learn: _Learner, folds: int) -> Indices:
    """(lists,) the choice from each list under weights learned on the other folds."""
    chosen = np.zeros(len(lists), dtype=np.int64)
    for fold in range(folds):
        found = learn([item for i, item in enumerate(lists) if i % folds != fold])
        outside = range(fold, len(lists), folds)
        chosen[outside] = choose(
            [lists[i] for i in outside], learn.initial if found is None else found
        )
    return chosen


def _why_nothing(lists: Sequence[TuningList]) -> str:
    """Why no weights give a higher BLEU on the lists."""
    return _no_lesson(lists) or "no weights were found that give a higher BLEU than these"


def _why_not_held_out(lists: Sequence[TuningList], folds: int) -> str | None:
    """Why the folds cannot say what tuning gains, None where they can."""
    if len(lists) < folds:
        return f"{lists_in_words(len(lists))} cannot fill {folds} folds (--folds)"
    for fold in range(folds):
        where = f"fold {fold + 1} of {folds} (--folds)"
        reason = _no_lesson([item for i, item in enumerate(lists) if i % folds != fold])
        if reason is not None:
            return f"{where}: in the lists of the other folds {reason}"
        if not any(_differs(item.features) for item in lists[fold::folds]):
            return f"{where}: its lists have nothing to choose between"
    return None


def _no_lesson(lists: Sequence[TuningList]) -> str | None:
    """Why no tuner can learn from the lists, None where one may."""
    if not any(item.statistics[:, ORDERS - 1].any() for item in lists):
        return (
            "BLEU is 0, since no choice from the lists shares a 4-gram with its reference; are "
            "these the lists' references, tokenised as the lists are?"
        )
    if not any(_differs(item.features) and _differs(item.statistics) for item in lists):
        return "no list has two hypotheses that differ in both features and BLEU"
    return None


def _differs(rows: Floats | Statistics) -> bool:
    """Whether a row of (n, k) differs from the first."""
    return bool((rows != rows[0]).any())


def headroom(collection: Collection, even: Weights, used: Weights) -> HeadroomReport:
    """What choices from the lists reach: the baseline's, ours, the oracle's, the worst."""
    lists = collection.lists
    statistics = [item.statistics for item in lists]
    draws = resamples(len(lists), SAMPLES, SEED)

    def row(name: str, chosen: Indices) -> tuple[str, Interval]:
        return name, bleu_interval(picked(statistics, chosen), draws)

    baseline = baseline_choice(collection)
    ours = choose(lists, np.array(used.vector(collection.columns)))
    rows = [
        row("baseline 1-best", baseline),
        row("even average of raw scores", choose(lists, np.array(even.vector(collection.columns)))),
        row("weights used", ours),
        row("oracle by sentence BLEU", best_by_sentence(statistics)),
        row("oracle by corpus BLEU", best_by_corpus(statistics)),
        row("worst by corpus BLEU", best_by_corpus(statistics, worst=True)),
    ]
    return HeadroomReport(
        rows=tuple(rows),
        curve=tuple(_curve(collection, statistics)),
        changed=int((ours != baseline).sum()),
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
    """(lists,) the hypothesis with the system's highest total, the first of equals."""
    vector = [float(column.name == BASELINE) for column in collection.columns]
    return choose(collection.lists, np.array(vector))


def report_values(
    tuning: TuningReport | None, found: HeadroomReport | None, weights: Weights, spread: Any
) -> dict[str, Any]:
    """Everything as plain JSON values."""
    return {
        "weights": {name: list(own) for name, own in weights.values.items()},
        "spread_within_lists": spread,
        "tuning": None if tuning is None else _plain(tuning),
        "headroom": None if found is None else asdict(found),
    }


def _plain(report: TuningReport) -> dict[str, Any]:
    values = {name: value for name, value in asdict(report).items() if name != "weights"}
    values["weights"] = {name: list(own) for name, own in report.weights.values.items()}
    return values
