"""Reports around n-best lists: tuned weights with their honest gain, and the headroom left."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from s2st.rescoring.collection import Collection
from s2st.rescoring.oracle import (
    Interval,
    best_by_corpus,
    best_by_sentence,
    bleu_interval,
    gain_interval,
    picked,
    resamples,
)
from s2st.rescoring.statistics import Statistics, bleu
from s2st.rescoring.tuning import Indices, TunedWeights, TuningList, choose, spreads
from s2st.rescoring.weights import BASELINE, MODEL, Weights, from_vector

SAMPLES = 1000  # bootstrap resamplings
SEED = 12345
CURVE = tuple(step / 10 for step in range(11))
Tuner = Callable[[Sequence[TuningList], Any], TunedWeights]


@dataclass(frozen=True)
class TuningReport:
    """What tuning found on the development lists. BLEU in percent, tokenised, intervals 95 %.

    Attributes:
        baseline: of the system's own choice.
        tuned: of the tuned weights on the lists they were tuned on.
        held_out: of each fold under weights tuned on the other folds.
        gain: held_out less baseline, paired.
    """

    weights: Weights
    lists: int
    folds: int
    baseline: Interval
    tuned: Interval
    held_out: Interval
    gain: Interval

    def lines(self) -> list[str]:
        """The report as text."""
        return [
            f"tuned on {self.lists} lists: BLEU {show(self.tuned)}, baseline {show(self.baseline)}",
            f"held out ({self.folds} folds): BLEU {show(self.held_out)}, gain {show(self.gain)}",
        ]

    def warning(self) -> str | None:
        """A plain line where nothing could be learned, or the gain may be chance."""
        if self.tuned.value == 0:
            return (
                "tuning learned nothing: BLEU is 0, since no choice from the lists shares a 4-gram "
                "with its reference; are these the lists' references, tokenised as the lists are?"
            )
        if self.gain.low > 0:
            return None
        return (
            "the gain of tuning is not significant on held-out lists "
            f"({show(self.gain)}): more development lists or fewer features would tell more"
        )


@dataclass(frozen=True)
class HeadroomReport:
    """BLEU (percent, tokenised) of choices from the lists.

    Attributes:
        rows: name and BLEU with interval.
        curve: (share of the models, BLEU): scores divided by their spreads and interpolated.
        changed, lists: lists whose choice differs from the baseline's, of how many.
    """

    rows: tuple[tuple[str, Interval], ...]
    curve: tuple[tuple[float, float], ...]
    changed: int
    lists: int

    def lines(self) -> list[str]:
        """The report as text."""
        width = max(len(name) for name, _ in self.rows)
        text = [f"{name:<{width}}  {show(interval)}" for name, interval in self.rows]
        curve = "  ".join(f"{share:.1f}: {score:.2f}" for share, score in self.curve)
        text.append(f"share of the models, spreads equal: {curve}")
        text.append(f"{self.changed} of {self.lists} choices differ from the baseline's")
        return text


def show(interval: Interval) -> str:
    """A figure with its interval."""
    return f"{interval.value:.2f} [{interval.low:.2f}, {interval.high:.2f}]"


def tune(
    collection: Collection, tuner: Tuner, start: Weights, own_features: bool, folds: int
) -> TuningReport:
    """Learns weights on all lists, and what they gain on lists that they were not learned on.

    Args:
        collection: with BLEU statistics.
        tuner: from the registry.
        start: where it starts.
        own_features: the baseline's own features compete instead of its total.
        folds: list i belongs to fold i modulo this.
    """
    competing = collection.chosen(own_features)
    lists = competing.lists
    vector = np.array(start.vector(competing.columns))
    folds = min(folds, len(lists))
    held_out = np.zeros(len(lists), dtype=np.int64)
    for fold in range(folds):
        inside = [item for i, item in enumerate(lists) if i % folds != fold]
        outside = [i for i in range(len(lists)) if i % folds == fold]
        weights = tuner(inside or lists, vector).weights
        held_out[outside] = choose([lists[i] for i in outside], weights)
    found = tuner(lists, vector)
    statistics = [item.statistics for item in lists]
    baseline = picked(statistics, baseline_choice(collection))
    draws = resamples(len(lists), SAMPLES, SEED)
    kept_out = picked(statistics, held_out)
    return TuningReport(
        weights=from_vector(competing.columns, found.weights.tolist()),
        lists=len(lists),
        folds=folds,
        baseline=bleu_interval(baseline, draws),
        tuned=bleu_interval(picked(statistics, choose(lists, found.weights)), draws),
        held_out=bleu_interval(kept_out, draws),
        gain=gain_interval(kept_out, baseline, draws),
    )


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
