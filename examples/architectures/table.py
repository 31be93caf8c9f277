"""The table of the comparison, as Markdown."""

import json
from pathlib import Path

from comparison import TOGETHER, Plan, Row, checkpoint
from study.measures import Measured, Measures
from study.steps import StudyError

from s2st.models.base import parameters_by_part
from s2st.models.model_building import hollow_model
from s2st.models.model_files import read_saved
from s2st.text.line_files import read_lines

HEAD = (
    "| system | parameters | words/s in training | test perplexity | BLEU, beam 5 | "
    "BLEU of the rescored lists |"
)


def render(plan: Plan, run: Path, lists: bool) -> str:
    """Render one row per system; [] hold 95 % intervals over test sentences.

    Args:
        plan: the plan that was run.
        run: the folder of the run.
        lists: whether lists were rescored.
    """
    measures = Measures(run, "en", "fr")
    lines = [HEAD, "|---|---:|---:|---:|---:|---:|"]
    if lists:
        own = measures.bleu(["out/baseline.fr"])
        lines.append(f"| the lists' own choice | | | | | {_cell(own)} |")
    for row in plan.rows:
        cells = [row.label, _parameters(row, run), _speed(row, measures)]
        scores = row.kind != "lexicon"
        perplexity = [f"out/{row.name}.scores.jsonl"]
        cells.append(_cell(measures.perplexity(perplexity)) if scores else "")
        translated = row.kind in ("translation", "lexicon")
        cells.append(_cell(measures.bleu([f"out/{row.name}.fr"])) if translated else "")
        cells.append(_cell(measures.bleu([f"rescored/{row.name}.fr"])) if lists and scores else "")
        lines.append("| " + " | ".join(cells) + " |")
    if lists:
        own = measures.bleu([f"rescored/{TOGETHER}.fr"])
        label = f"{len(plan.together)} of these, a channel model and the length, tuned together"
        lines.append(f"| {label} | | | | | {_cell(own)} |")
        lines.append(f"\nGain over the lists' own choice: {_gains(plan, measures)}.")
    return "\n".join(lines) + "\n"


def _gains(plan: Plan, measures: Measures) -> str:
    base = measures.bleu(["out/baseline.fr"])
    names = {row.name: row.label for row in plan.rows if row.kind != "lexicon"} | {
        TOGETHER: "together"
    }
    found = ((label, measures.bleu([f"rescored/{n}.fr"]).less(base)) for n, label in names.items())
    return "; ".join(f"{label} {_cell(gain)}" for label, gain in found)


def _parameters(row: Row, run: Path) -> str:
    """Count weights and biases, n-grams of an n-gram model, or word pairs of a lexicon."""
    path = run / checkpoint(row)
    if row.kind == "lexicon":
        return f"{sum(1 for _ in read_lines(str(path))):,} word pairs"
    if row.kind == "ngram":
        with open(path, encoding="utf-8") as stream:
            heads = [line for _, line in zip(range(12), stream, strict=False)]
        count = sum(int(line.partition("=")[2]) for line in heads if line.startswith("ngram "))
        return f"{count:,} n-grams"
    record = read_saved(path, whole=False).record
    model = hollow_model(record.architecture, record.config, record.sizes)
    return f"{sum(map(sum, parameters_by_part(model).values())):,}"


def _speed(row: Row, measures: Measures) -> str:
    """Return training words/s, source and target together; of a model of counts the time."""
    if row.kind in ("ngram", "lexicon"):
        seconds = json.loads((measures.run / f"steps/train-{row.name}.json").read_text())["seconds"]
        return f"({seconds:.0f} s in all)"
    source, target = measures.words_per_second(f"speed-{row.name}")
    if row.kind == "language":
        return f"{target:,.0f} (target)"
    if not source + target:
        raise StudyError(f"{row.name}: no words")
    return f"{source + target:,.0f}"


def _cell(measured: Measured) -> str:
    own = measured.interval()
    return f"{own.value:.2f} [{own.low:.2f}, {own.high:.2f}]"
