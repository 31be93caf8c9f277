"""The results file of `benchmarks/all.py`, and the part of docs/performance.md made from it."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from s2st.process import durable_files

BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"


def file_name(day: str, machine: Mapping[str, Any]) -> str:
    """DATE-MACHINE.json, the machine being its processor and cores."""
    words = re.findall(r"[a-z0-9]+", re.sub(r"\((r|tm)\)", "", str(machine["processor"]).lower()))
    kept = [word for word in words if word not in ("cpu", "processor")]
    return f"{day}-{'-'.join(kept[:4])}-{machine['cores']}-cores.json"


def read(path: Path) -> dict[str, Any]:
    """A results file; without parts where there is none."""
    if not path.exists():
        return {"parts": {}}
    record: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return record


def write(path: Path, record: Mapping[str, Any]) -> None:
    """Writes a results file whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    durable_files.replace_file(
        path, (json.dumps(record, indent=1, ensure_ascii=False) + "\n").encode()
    )


def without_folders(text: str) -> str:
    """The text with absolute paths cut to their last names: the rest means nothing elsewhere."""
    return re.sub(r"(?<![\w./])/(?:[\w.+@-]+/)*(?=[\w.+@-])", "", text)


def render(record: Mapping[str, Any], name: str) -> str:
    """What is between the markers: how each part ended, then what each one printed."""
    facts = ", ".join(f"{fact} {value}" for fact, value in record["machine"].items())
    lines = [f"{record['day']}: {facts} ([all figures](../benchmarks/results/{name})).", ""]
    lines += ["| benchmark | outcome | minutes |", "|---|---|---|"]
    for part, result in record["parts"].items():
        minutes = f"{result['seconds'] / 60:.1f}" if "seconds" in result else ""
        lines.append(f"| {part} | {result['state']} | {minutes} |")
    for part, result in record["parts"].items():
        if result["state"] == "done":
            lines += ["", f"### {part}", "", f"`{result['command']}`", ""]
            lines += printed(result["output"])
    return "\n".join(lines) + "\n"


def printed(output: str) -> list[str]:
    """What a benchmark printed, as Markdown: tables stay, other lines are paragraphs."""
    lines: list[str] = []
    for line in output.strip().splitlines():
        if line.startswith("machine:"):
            continue  # said once for all
        table = line.startswith("|")
        if lines and lines[-1] and not (table and lines[-1].startswith("|")):
            lines.append("")
        if line.strip() or (lines and lines[-1]):
            lines.append(line.rstrip())
    while lines and not lines[-1]:
        lines.pop()
    return lines


def around(page: Path) -> tuple[str, str]:
    """What a page has before and after the markers; raises ValueError where it lacks them."""
    before, begin, rest = page.read_text("utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page}: no {BEGIN} and {END} around a place for results")
    return before, after


def insert(page: Path, text: str) -> None:
    """Replaces what a page has between the markers; raises ValueError where it lacks them."""
    before, after = around(page)
    durable_files.replace_file(page, f"{before}{BEGIN}\n{text}{END}{after}".encode())
