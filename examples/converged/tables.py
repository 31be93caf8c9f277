"""The tables of the converged systems, as Markdown."""

import json
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from typing import Any

from expansion import DEV, SOURCE, TARGET, Plan, evaluation, length_penalty, translation, tunings
from study.measures import Measured, Measures
from study.steps import Step

from s2st.text.line_files import read_lines

LABELS = {"BLEU": "BLEU", "chrF2": "chrF"}


def evaluation_steps(plan: Plan) -> Iterator[Step]:
    """Yield the steps that score all translations of a test set, with intervals."""
    for name in plan.sets:
        outputs = [translation(system, name) for system, _ in plan.systems()]
        reference = f"data/{name}.{TARGET}"
        words = ("score", *outputs, "--ref", reference, "--tokenize", "none", "--format", "json")
        yield Step(
            f"evaluate-{name}", words, (*outputs, reference), (evaluation(name),),
            stdout=evaluation(name),
        )  # fmt: skip


def systems_table(plan: Plan, run: Path) -> str:
    """Render BLEU and chrF of every system on every set; ± half of a 95 % interval.

    A row with several seeds has the mean over them, the mean half width, and the range.
    """
    heads = [f"{LABELS[metric]}, {name}" for name in plan.sets for metric in LABELS]
    lines = ["| system | epochs | length penalty | " + " | ".join(heads) + " |"]
    lines.append("|---|---:|---:" + "|---:" * len(heads) + "|")
    found = {name: _evaluations(run / evaluation(name)) for name in plan.sets}
    for model in plan.models:
        epochs = " ".join(f"{_epochs(run, member):.0f}" for member in model.members())
        cells = [
            _mean([found[name][translation(member, name), metric] for member in model.members()])
            for name in plan.sets
            for metric in LABELS
        ]
        label = f"{model.label}, mean of {len(model.seeds)}" if model.seeds[1:] else model.label
        lengths = " ".join(f"{length_penalty(run, member):g}" for member in model.members())
        lines.append(f"| {label} | {epochs} | {lengths} | " + " | ".join(cells) + " |")
    for own in plan.ensembles:
        cells = [
            _mean([found[name][translation(own.name, name), metric]])
            for name in plan.sets
            for metric in LABELS
        ]
        lines.append(
            f"| {own.label} | | {length_penalty(run, own.name):g} | " + " | ".join(cells) + " |"
        )
    return "\n".join(lines) + "\n"


def _evaluations(path: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """Read `s2st score`'s rows that have an interval: {(system, metric): row}."""
    rows = [json.loads(line) for line in read_lines(str(path))]
    return {(row["system"], row["metric"]): row for row in rows if "half_width" in row}


def _mean(rows: list[dict[str, Any]]) -> str:
    scores = [row["score"] for row in rows]
    text = f"{fmean(scores):.2f} ± {fmean(row['half_width'] for row in rows):.2f}"
    return text + (f" ({min(scores):.2f}–{max(scores):.2f})" if rows[1:] else "")


def _epochs(run: Path, member: str) -> float:
    state = json.loads((run / f"models/{member}/checkpoint_last/training/state.json").read_text())
    return float(state["state"]["history"][-1]["epoch"])


def rescoring_table(plan: Plan, run: Path) -> str:
    """Render BLEU of the lists rescored by each member, by all, and by all but one."""
    test = plan.sets[0]
    lines = [
        f"| lists of {test} rescored by | BLEU | gain over the lists' own choice | "
        f"difference from all members | held-out gain on {DEV} |",
        "|---|---:|---:|---:|---:|",
    ]
    reports = {
        choice: json.loads((run / f"rescored/{choice}.json").read_text())
        for choice in tunings(plan)
    }
    rows = dict(reports["all"]["headroom"]["rows"])
    lines.append(f"| nothing: their own choice | {_cell(rows['baseline 1-best'])} | | | |")
    measures = Measures(run, SOURCE, TARGET, test)
    whole = measures.bleu([f"rescored/all.{TARGET}"])
    for choice, report in reports.items():
        own = dict(report["headroom"]["rows"])["weights used"]
        less = measures.bleu([f"rescored/{choice}.{TARGET}"]).less(whole)
        held_out = report["tuning"]["gain"]
        lines.append(
            f"| {_label(plan, choice)} | {_cell(own)} | {_cell(report['headroom']['gain'])} | "
            f"{'' if choice == 'all' else _measured(less)} | "
            f"{'none' if held_out is None else _cell(held_out)} |"
        )
    lines.append(f"| oracle by corpus BLEU | {_cell(rows['oracle by corpus BLEU'])} | | | |")
    return "\n".join(lines) + "\n"


def _label(plan: Plan, choice: str) -> str:
    kind, _, member = choice.partition("-")
    if kind == "all":
        return f"all {len(plan.members)} members" + (f", with {member}" if member else "")
    return f"{member} alone" if kind == "only" else f"all but {member}"


def _cell(interval: dict[str, float]) -> str:
    return f"{interval['value']:.2f} [{interval['low']:.2f}, {interval['high']:.2f}]"


def _measured(own: Measured) -> str:
    found = own.interval()
    return f"{found.value:+.2f} [{found.low:+.2f}, {found.high:+.2f}]"
