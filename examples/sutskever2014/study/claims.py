"""The paper's claims: the paper's figures, our figures, and a verdict for each.

A claim is a difference that should be above 0. It held if the 95 % interval of the difference is
above 0, it did not hold if the interval is below 0, and otherwise it is not significant.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from s2st.text.line_files import split_words
from study.expand import translation
from study.measures import Measured
from study.tables import RESCORERS, WEIGHTS, Figures, Item, depth_models, layers, oracle_rows

LONG_SHARE = 0.1  # share of the test set that counts as long sentences
MARKS = {"held": "good", "not held": "bad", "not significant": "unsure"}


@dataclass(frozen=True)
class Claim:
    """One claim.

    Attributes:
        text: the claim.
        paper: the paper's figures.
        ours: the two figures of the difference.
        gain: the difference that should be above 0; None if the verdict needs no bootstrap.
        unit: unit of the difference.
        verdict: the verdict if `gain` is None.
    """

    text: str
    paper: str
    ours: str
    gain: Measured | None
    unit: str = "BLEU"
    verdict: str = ""

    def outcome(self) -> str:
        """Return "held", "not held" or "not significant"."""
        if self.gain is None:
            return self.verdict
        own = self.gain.interval()
        return "held" if own.low > 0 else "not held" if own.high < 0 else "not significant"


def claims_table(figures: Figures) -> Item:
    """Return all claims as a table of the report."""
    rows = []
    for claim in claims(figures):
        gain = None
        if claim.gain is not None:
            own = claim.gain.interval()
            gain = f"{own.value:+.2f} [{own.low:+.2f}, {own.high:+.2f}] {claim.unit}"
        outcome = claim.outcome()
        verdict = {"text": outcome, "mark": MARKS[outcome]}
        rows.append([claim.text, verdict, claim.ours, gain, claim.paper or None])
    names = ("claim", "verdict", "here", "difference, 95 % interval", "the paper")
    columns = [{"name": name, "type": "text"} for name in names]
    caption = (
        "The paper's claims. A claim held if the 95 % interval of the difference (paired "
        "bootstrap over sentences, and over seeds if there are several) is above 0, and did not "
        "hold if the interval is below 0. Each ensemble, depth and rescoring was run once, so "
        "their intervals are over sentences only."
    )
    return {"kind": "table", "caption": caption, "columns": columns, "rows": rows}


def claims(figures: Figures) -> list[Claim]:
    """Return every claim that the files of the run can decide."""
    found = [*_models(figures), *_depth(figures), *_ensembles(figures), _batching(figures)]
    found += _splitting(figures)
    if figures.lists:
        found += _rescoring(figures)
    return [*found, _length(figures)]


def _pair(first: Measured, second: Measured) -> str:
    return f"{first.value:.2f} against {second.value:.2f}"


def _models(figures: Figures) -> Iterator[Claim]:
    beam = max(figures.plan.search.beams)
    for better, worse, text, paper in (
        ("forward", "rnn", "LSTM better than vanilla RNN", ("", "")),
        ("reversed", "forward", "reversed source better than forward",
         ("perplexity 4.7 against 5.8", "BLEU 30.59 against 26.17")),
    ):  # fmt: skip
        low, high = (figures.perplexity(*figures.names(role)) for role in (better, worse))
        yield Claim(f"{text}: perplexity", paper[0], _pair(low, high), high.less(low), "perplexity")
        one, other = figures.bleu(better, beam), figures.bleu(worse, beam)
        yield Claim(f"{text}: BLEU, beam {beam}", paper[1], _pair(one, other), one.less(other))


def _depth(figures: Figures) -> Iterator[Claim]:
    models = depth_models(figures.plan)
    for number in range(1, len(models)):
        (shallow, before), (deep, after) = models[number - 1 : number + 1]
        high, low = figures.perplexity(before), figures.perplexity(after)
        counts = [layers(figures.plan, model) for model in (deep, shallow)]
        text = f"{counts[0]} layers better than {counts[1]}: perplexity, one seed each"
        yield Claim(text, "almost 10 % a layer", _pair(low, high), high.less(low), "perplexity")


def _ensembles(figures: Figures) -> Iterator[Claim]:
    beams = sorted(figures.plan.search.beams)
    small, large = figures.label("small-ensemble"), figures.label("large-ensemble")
    top = beams[-1]
    one, two, five = (
        figures.bleu(role, top) for role in ("reversed", "small-ensemble", "large-ensemble")
    )
    yield Claim(
        f"{small} better than one, beam {top}",
        "33.27 against 30.59",
        _pair(two, one),
        two.less(one),
    )
    yield Claim(
        f"{large} better than {small}, beam {top}", "34.81 against 33.27", _pair(five, two),
        five.less(two),
    )  # fmt: skip
    if len(beams) < 3:
        return
    first, second, last = (
        figures.bleu("large-ensemble", beam) for beam in (beams[0], beams[1], top)
    )
    gain = second.less(first)
    yield Claim(
        f"beam {beams[1]} brings most of the gain: it is better than beam {beams[0]}, and by more "
        f"than beam {top} is better than it ({large}; the smaller of the two differences)",
        "33.00, 34.50, 34.81", f"{first.value:.2f}, {second.value:.2f}, {last.value:.2f}",
        gain.least(gain.less(last.less(second))),
    )  # fmt: skip
    single = figures.bleu("reversed", top)
    yield Claim(
        f"{large} at beam {beams[1]} better than one at beam {top}", "34.50 against 30.59",
        _pair(second, single), second.less(single),
    )  # fmt: skip


def _batching(figures: Figures) -> Claim:
    bucketed, random = (
        sum(figures.measures.words_per_second(f"batches-{kind}")) for kind in ("bucketed", "random")
    )
    ratio = bucketed / random
    return Claim(
        "bucketed batches twice as fast as random ones", "2 x",
        f"{ratio:.2f} x ({bucketed:,.0f} against {random:,.0f} words/s, both sides)", None,
        verdict="held" if ratio >= 2 else "not held",
    )  # fmt: skip


def _splitting(figures: Figures) -> Iterator[Claim]:
    split = figures.plan.split
    if split is None:
        return
    one, parts = (
        sum(figures.measures.words_per_second(f"speed-{kind}")) for kind in ("one", "split")
    )
    ratio = parts / one
    yield Claim(
        f"a model split over {split.processes} processes (on the same cores here) trains faster "
        "than in one", "3.7 x: 6,300 words/s on 8 GPUs against 1,700 on one",
        f"{ratio:.2f} x ({parts:,.0f} against {one:,.0f} words/s, both sides)", None,
        verdict="held" if ratio > 1 else "not held",
    )  # fmt: skip


def _rescoring(figures: Figures) -> Iterator[Claim]:
    base = figures.baseline()
    paper = {"forward": "35.61", "reversed": "35.85", "large-ensemble": "36.5"}
    for kind, name in WEIGHTS.items():
        for role in RESCORERS:
            own = figures.rescored(role, kind)
            yield Claim(
                f"lists rescored by {figures.label(role)}, {name}: better than the baseline",
                f"{paper[role]} against 33.30" if kind == "even" else "", _pair(own, base),
                own.less(base),
            )  # fmt: skip
        single, large = figures.rescored("reversed", kind), figures.rescored("large-ensemble", kind)
        yield Claim(
            f"lists rescored by {figures.label('large-ensemble')}: better than by one, {name}",
            "36.5 against 35.85" if kind == "even" else "", _pair(large, single),
            large.less(single),
        )  # fmt: skip
    oracle = dict(oracle_rows(figures))["oracle by corpus BLEU"]
    rescored = (figures.rescored(role, kind) for role in RESCORERS for kind in WEIGHTS)
    best = max(rescored, key=lambda own: own.value)
    yield Claim(
        "the oracle is far better than all: its interval is above that of the best rescored list",
        "about 45 against 36.5", f"{oracle.value:.2f} against {best.value:.2f}", None,
        verdict="held" if oracle.low > best.interval().high else "not held",
    )  # fmt: skip


def _length(figures: Figures) -> Claim:
    """Compare the ensemble's BLEU on the longest sentences with its BLEU on all others."""
    lengths = np.array([len(split_words(line)) for line in figures.measures.sources])
    long = lengths >= np.sort(lengths)[-max(1, int(len(lengths) * LONG_SHARE))]
    beam, target = figures.plan.analysis.beam, figures.plan.corpus.target
    path = translation(figures.plan.system(figures.plan.analysis.ensemble).name, beam, target)
    on_long, on_rest = (figures.measures.bleu([path], only) for only in (long, ~long))
    return Claim(
        f"no loss on long sentences: the longest tenth ({int(lengths[long].min())} words or more) "
        "not worse than the rest",
        "no loss under 35 words, a small one above", _pair(on_long, on_rest),
        on_long.less(on_rest),
    )  # fmt: skip
