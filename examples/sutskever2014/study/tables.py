"""Tables of the report: the paper's two tables, and those of depth, seeds and batching."""

import math
from collections.abc import Sequence
from typing import Any

from s2st.rescoring.oracle import Interval
from study.expand import probabilities, rescored, translation
from study.measures import Measured, Measures
from study.plan import Model, Plan

# Sutskever et al. 2014, tables 1 and 2: WMT'14 test set, 12 M training pairs
PAPER_SINGLE_BEAM = 12
PAPER = {
    "forward": {12: 26.17},
    "reversed": {12: 30.59},
    "small-ensemble": {12: 33.27},
    "large-ensemble": {1: 33.00, 2: 34.50, 12: 34.81},
}
PAPER_RESCORED = {"forward": 35.61, "reversed": 35.85, "large-ensemble": 36.5}
PAPER_BASELINE = 33.30
PAPER_ORACLE = 45.0
# systems of others that the paper quotes in these tables
QUOTED_SINGLE = {"Bahdanau et al. 2014, as published": 28.45}
QUOTED_SMT = {"Cho et al. 2014, as published": 34.54, "best WMT'14 result, as published": 37.0}
Item = dict[str, Any]


class Figures:
    """BLEU and perplexity of the plan's systems by role; each is computed once."""

    def __init__(self, plan: Plan, measures: Measures, lists: bool) -> None:
        self.plan = plan
        self.measures = measures
        self.lists = lists
        self._known: dict[tuple[str, ...], Measured] = {}

    def names(self, role: str) -> list[str]:
        """Return the systems of a role: the seeds of a model, or an ensemble."""
        roles = self.plan.roles
        own = {
            "rnn": roles.rnn, "forward": roles.forward, "reversed": roles.reversed,
            "small-ensemble": roles.small_ensemble, "large-ensemble": roles.large_ensemble,
        }[role]  # fmt: skip
        if any(model.name == own for model in self.plan.models):
            return [f"{own}-{seed}" for seed in self.plan.model(own).seeds]
        return [own]

    def label(self, role: str) -> str:
        """Return the name of a role in tables."""
        name = self.names(role)[0]
        return self.plan.system(name).label.partition(", seed")[0]

    def bleu(self, role: str, beam: int) -> Measured:
        """Return BLEU of a role's systems, the mean over seeds."""
        target = self.plan.corpus.target
        return self._bleu(*(translation(name, beam, target) for name in self.names(role)))

    def rescored(self, role: str, kind: str) -> Measured:
        """Return BLEU of the lists rescored by a role's first system with a kind of weights."""
        return self._bleu(rescored(self.rescorer(role), kind))

    def rescorer(self, role: str) -> str:
        """Return the system of a role that rescored the lists."""
        own = [self.plan.system(name).name for name in self.plan.rescoring.systems]
        return next(name for name in self.names(role) if name in own)

    def baseline(self) -> Measured:
        """Return BLEU of the system that made the lists."""
        return self._bleu(translation("baseline", 0, self.plan.corpus.target))

    def perplexity(self, *names: str) -> Measured:
        """Return the test perplexity of systems, the mean over them."""
        key = ("perplexity", *names)
        if key not in self._known:
            self._known[key] = self.measures.perplexity([probabilities(name) for name in names])
        return self._known[key]

    def _bleu(self, *paths: str) -> Measured:
        if paths not in self._known:
            self._known[paths] = self.measures.bleu(paths)
        return self._known[paths]


ROLES = ("rnn", "forward", "reversed", "small-ensemble", "large-ensemble")
RESCORERS = ("forward", "reversed", "large-ensemble")
WEIGHTS = {
    "even": "even average",
    "scaled": "even average of scores with equal spread",
    "tuned": "tuned on the validation lists",
}


def table_1(figures: Figures) -> Item:
    """Return the table of all systems at every beam, with the paper's figure at beam 12."""
    beams = figures.plan.search.beams
    columns = [_text("system"), _number("seeds", 0), _number("test perplexity")]
    columns += [_number(f"BLEU, beam {beam}") for beam in beams]
    columns.append(_number(f"the paper, beam {PAPER_SINGLE_BEAM}"))
    rows = []
    for role in ROLES:
        names = figures.names(role)
        seeds = len(names) if "ensemble" not in role else None
        row = [figures.label(role), seeds, cell(figures.perplexity(*names))]
        row += [cell(figures.bleu(role, beam)) for beam in beams]
        rows.append([*row, PAPER.get(role, {}).get(PAPER_SINGLE_BEAM)])
    rows += [[name, *[None] * (len(columns) - 2), bleu] for name, bleu in QUOTED_SINGLE.items()]
    caption = (
        "Table 1. Translation of the test set: tokenized BLEU (mean over seeds) with 95 % "
        "intervals over sentences and seeds. The paper's figures are for WMT'14."
    )
    return _table(caption, columns, rows)


def seeds_table(figures: Figures) -> Item:
    """Every seed of the models of which there are several."""
    beams = figures.plan.search.beams
    columns = [_text("model"), _number("seed", 0), _number("test perplexity")]
    columns += [_number(f"BLEU, beam {beam}") for beam in beams]
    rows: list[list[Any]] = []
    target = figures.plan.corpus.target
    for role in ("forward", "reversed"):
        names = figures.names(role)
        values = []
        for name in names:
            bleus = [
                figures.measures.bleu([translation(name, beam, target)]).value for beam in beams
            ]
            values.append([figures.perplexity(name).value, *bleus])
            rows.append([figures.label(role), int(name.rpartition("-")[2]), *values[-1]])
        if len(names) > 1:
            rows.append([f"{figures.label(role)}, standard deviation", None, *_deviations(values)])
    return _table("Each seed by itself.", columns, rows)


def depth_table(figures: Figures) -> Item:
    """Return the table of perplexity by depth, and the change by one more layer."""
    columns = [
        _number("layers", 0), _number("test perplexity"), _number("change by the last layer, %", 1),
        _number("valid perplexity"), _number("training, minutes", 1),
    ]  # fmt: skip
    rows = []
    before: Measured | None = None
    for model, name in depth_models(figures.plan):
        own = figures.perplexity(name)
        change = None
        if before is not None:
            part = Measured(
                100 * (own.value / before.value - 1), 100 * (own.samples / before.samples - 1)
            )
            change = cell(part)
        valid = min(row["nll"] for row in figures.measures.history(name))
        seconds = figures.measures.json(f"steps/train-{name}.json")["seconds"]
        rows.append([layers(figures.plan, model), cell(own), change, math.exp(valid), seconds / 60])
        before = own
    caption = (
        "Depth of the reversed LSTM, one seed each, the same epochs for all. In the paper each "
        "layer lowers perplexity by almost 10 %. Minutes are beside other trainings."
    )
    return _table(caption, columns, rows)


def depth_models(plan: Plan) -> list[tuple[Model, str]]:
    """Return (model, name of its first seed) pairs by increasing depth."""
    models = [plan.model(name) for name in plan.roles.depth]
    return [(model, f"{model.name}-{model.seeds[0]}") for model in models]


def layers(plan: Plan, model: Model) -> int:
    """Return the number of layers of a model."""
    return int({**plan.train, **model.options}.get("layers", 1))


def batching_table(figures: Figures) -> Item:
    """Return the table of words/s with bucketed and with random batches."""
    rates = {kind: figures.measures.words_per_second(f"batches-{kind}") for kind in
             ("bucketed", "random")}  # fmt: skip
    slow = sum(rates["random"])
    rows = [[kind, *own, sum(own) / slow] for kind, own in rates.items()]
    columns = [
        _text("batches"), _number("source words/s", 0), _number("target words/s", 0),
        _number("times random"),
    ]  # fmt: skip
    caption = (
        "Batches of sentences of equal length against random batches: medians, all cores, nothing "
        "else running. In the paper: twice as fast. s2st never computes padding."
    )
    return _table(caption, columns, rows)


def table_2(figures: Figures) -> Item:
    """Return the table of rescored lists: even averages, and tuned weights."""
    label = figures.plan.lists.label
    base = figures.baseline()
    rows: list[list[Any]] = [[f"{label}, its own choice", cell(base), None, PAPER_BASELINE]]
    for role in RESCORERS:
        for kind, name in WEIGHTS.items():
            own = figures.rescored(role, kind)
            paper = PAPER_RESCORED[role] if kind == "even" else None
            text = f"rescored by {article(figures.label(role))}, {name}"
            rows.append([text, cell(own), cell(own.less(base)), paper])
    for name, value in oracle_rows(figures):
        rows.append(
            [
                name,
                _interval(value),
                None,
                PAPER_ORACLE if name == "oracle by corpus BLEU" else None,
            ]
        )
    rows += [[name, None, None, bleu] for name, bleu in QUOTED_SMT.items()]
    columns = [
        _text("system"), _number("BLEU"), _number("gain over the lists' own choice"),
        _number("the paper"),
    ]  # fmt: skip
    caption = (
        "Table 2. The n-best lists of the test set, rescored: tokenized BLEU and its gain, with "
        "95 % intervals (paired bootstrap over sentences). Single models have the first seed. The "
        "paper uses the even average."
    )
    return _table(caption, columns, rows)


def oracle_rows(figures: Figures) -> list[tuple[str, Interval]]:
    """Return (name, BLEU) of the best and worst choices from the lists."""
    report = figures.measures.json(rescored(figures.rescorer(RESCORERS[0]), "report"))
    wanted = ("oracle by sentence BLEU", "oracle by corpus BLEU", "worst by corpus BLEU")
    rows = dict(report["headroom"]["rows"])
    return [(name, Interval(**rows[name])) for name in wanted]


def article(label: str) -> str:
    """ "forward LSTM" -> "a forward LSTM"; "5 reversed LSTMs" stays."""
    return label if label[0].isdigit() else f"a {label}"


def cell(measured: Measured) -> Item:
    """Return a table cell with a value and its interval."""
    return _interval(measured.interval())


def _interval(own: Interval) -> Item:
    return {"value": own.value, "low": own.low, "high": own.high}


def _deviations(values: Sequence[Sequence[float]]) -> list[float]:
    columns = list(zip(*values, strict=True))
    means = [sum(own) / len(own) for own in columns]
    return [
        (sum((v - mean) ** 2 for v in own) / (len(own) - 1)) ** 0.5
        for own, mean in zip(columns, means, strict=True)
    ]


def _table(caption: str, columns: list[Item], rows: list[list[Any]]) -> Item:
    return {"kind": "table", "caption": caption, "columns": columns, "rows": rows}


def _text(name: str) -> Item:
    return {"name": name, "type": "text"}


def _number(name: str, digits: int = 2) -> Item:
    return {"name": name, "type": "number", "digits": digits}
