"""Write tables, claims, figures and samples of the study to report.json and results.md."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from s2st.process import durable_files
from s2st.text.line_files import split_words
from study.claims import claims_table
from study.expand import rescored, translation
from study.measures import Measures
from study.pictures import draw_all, figure_item
from study.plan import Plan
from study.steps import Step, machine, versions
from study.tables import (
    Figures,
    Item,
    batching_table,
    depth_table,
    seeds_table,
    table_1,
    table_2,
)

SAMPLES = 8


def write_report(plan: Plan, run: Path, steps: Sequence[Step], lists: bool, command: str) -> None:
    """Write RUN/report.json, RUN/results.md and the figures that no step draws."""
    measures = Measures(run, plan.corpus.source, plan.corpus.target)
    figures = Figures(plan, measures, lists)
    drawn = {item["path"].split("/")[1].partition(".")[0]: item for item in draw_all(figures)}
    translating = [
        table_1(figures), drawn["beam-bleu"], drawn["beam-time"], seeds_table(figures),
    ]  # fmt: skip
    training = [depth_table(figures), drawn["training"], drawn["depth"], batching_table(figures)]
    sections = [_section("Claims", [claims_table(figures)]), _section("Translation", translating)]
    if lists:
        sections.append(_section("Rescoring", [table_2(figures), drawn["weights"]]))
    sections += [
        _section("Training", training),
        _section("BLEU by length and rarity", _analysis(plan)),
        _section("States of phrases", _states(figures)),
        _section("Samples", [_samples(figures)]),
        _section("Commands", [_commands(steps)]),
    ]
    report = {
        "format": "s2st-report",
        "version": 1,
        "title": plan.title,
        "lead": plan.lead.strip(),
        "facts": _facts(plan, figures, steps, command),
        "sections": sections,
    }
    text = json.dumps(report, ensure_ascii=False, indent=1) + "\n"
    durable_files.replace_file(run / "report.json", text.encode())
    durable_files.replace_file(run / "results.md", markdown(report).encode())


def _section(title: str, items: Sequence[Item], text: Sequence[str] = ()) -> Item:
    return {"title": title, "text": list(text), "items": list(items)}


def _facts(plan: Plan, figures: Figures, steps: Sequence[Step], command: str) -> list[list[str]]:
    run = figures.measures.run
    stamps = [figures.measures.json(f"steps/{step.name}.json") for step in steps]
    seconds = [stamp["seconds"] for stamp in stamps]
    machines = {stamp.get("machine", machine()) for stamp in stamps}
    used = {stamp.get("versions", versions()) for stamp in stamps}
    with open(run / f"data/train.{plan.corpus.source}", "rb") as lines:
        pairs = sum(1 for _ in lines)
    return [
        ["command", command],
        ["machine", "; ".join(sorted(machines))],
        ["versions", "; ".join(sorted(used))],
        ["text", f"{pairs:,} training pairs, {len(figures.measures.references):,} test sentences"],
        ["steps", f"{len(steps)}, {sum(seconds) / 3600:.2f} hours in total (sum over the steps)"],
    ]  # fmt: skip


def _analysis(plan: Plan) -> list[Item]:
    beam = plan.analysis.beam
    return [
        figure_item(
            "lengths",
            f"BLEU by length of the source sentence, beam {beam}; bands are 95 % intervals of each "
            "window.",
        ),
        figure_item(
            "rarity",
            "BLEU by mean frequency rank of the source sentence's words (rare words on the right), "
            f"beam {beam}.",
        ),
    ]


def _states(figures: Figures) -> list[Item]:
    captions = {
        "order": "Hidden states of phrases, first two principal components: the same words in "
        "different roles.",
        "voice": "Hidden states of active and passive sentences.",
        "adverbial": "Hidden states of sentences with an adverbial at the start or at the end.",
        "rewording": "Hidden states of paraphrases.",
    }
    plan = figures.plan
    items = [
        figure_item(f"states-{panel}", captions.get(panel, panel)) for panel in plan.analysis.panels
    ]
    columns: list[Item] = [{"name": "panel", "type": "text"}]
    columns += [{"name": name, "type": "number", "digits": 3} for name in _DISTANCES]
    rows = []
    for row in figures.measures.json_lines("analysis/states.jsonl"):
        if "distances" in row:
            own = row["distances"]
            rows.append([row["panel"], *(_distance(own, key) for key in _DISTANCES.values())])
    caption = (
        "Mean cosine distance between the states of two phrases, and the share of phrases whose "
        "nearest neighbor has the same meaning."
    )
    table = {"kind": "table", "caption": caption, "columns": columns, "rows": rows}
    return [*items, table]


_DISTANCES = {
    "same meaning": "same",
    "other meaning, same words in other order": "different_reordered",
    "other meaning, other words": "different_reworded",
    "nearest neighbor has the same meaning": "neighbors",
    "by chance": "chance",
}


def _distance(summary: Item, key: str) -> float | None:
    value = summary[key]
    found: float | None = value["distance"] if isinstance(value, dict) else value
    return found


def _samples(figures: Figures) -> Item:
    """The longest test sentences, as the paper's table 3."""
    plan, measures = figures.plan, figures.measures
    own, target = plan.analysis, plan.corpus.target
    single, ensemble = plan.system(own.single), plan.system(own.ensemble)
    texts = {
        "source": measures.sources,
        "reference": measures.references,
        single.label: measures.texts(translation(single.name, own.beam, target)),
        ensemble.label: measures.texts(translation(ensemble.name, own.beam, target)),
    }
    if figures.lists:
        texts[plan.lists.label] = measures.texts(translation("baseline", 0, target))
        name = f"{plan.lists.label}, rescored"
        texts[name] = measures.texts(rescored(ensemble.name, "tuned"))
    lengths = [len(split_words(line)) for line in measures.sources]
    longest = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))[:SAMPLES]
    rows = [
        {
            "note": f"line {index + 1}, {lengths[index]} words",
            "texts": [lines[index] for lines in texts.values()],
        }
        for index in longest
    ]
    caption = f"The {len(rows)} longest sentences of the test set, not selected by quality."
    return {"kind": "samples", "caption": caption, "columns": list(texts), "rows": rows}


def _commands(steps: Sequence[Step]) -> Item:
    lines = [
        f"s2st {' '.join(step.command)}" + (f" > {step.stdout}" if step.stdout else "")
        for step in steps
    ]
    return {"kind": "commands", "caption": "All commands, run in the run folder.", "lines": lines}


def markdown(report: dict[str, Any]) -> str:
    """Render the facts and tables of a report as Markdown."""
    lines = [f"# {report['title']}", ""]
    lines += [f"- {name}: {text}" for name, text in report["facts"]]
    for section in report["sections"]:
        for item in section["items"]:
            if item["kind"] == "table":
                lines += ["", item["caption"], "", *_markdown_table(item)]
    return "\n".join(lines) + "\n"


def _markdown_table(item: Item) -> list[str]:
    names = [column["name"] for column in item["columns"]]
    rows = [
        [_shown(value, column) for value, column in zip(row, item["columns"], strict=True)]
        for row in item["rows"]
    ]
    rules = ["---:" if column["type"] == "number" else "---" for column in item["columns"]]
    return [f"| {' | '.join(row)} |" for row in (names, rules, *rows)]


def _shown(value: Any, column: Item) -> str:
    digits = column.get("digits", 2)
    if value is None:
        return ""
    if isinstance(value, dict) and "value" in value:
        low, high = (f"{value[end]:,.{digits}f}" for end in ("low", "high"))
        return f"{value['value']:,.{digits}f} [{low}, {high}]"
    if isinstance(value, dict):
        return str(value["text"])
    return f"{value:,.{digits}f}" if isinstance(value, int | float) else str(value)
