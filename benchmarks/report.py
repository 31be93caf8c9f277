"""Results files of `benchmarks/all.py`, and the results section of docs/performance.md."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from s2st.process import durable_files

BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"


def file_name(day: str, machine: Mapping[str, Any]) -> str:
    """Name of a results file: DAY-PROCESSOR-N-cores.json."""
    words = re.findall(r"[a-z0-9]+", re.sub(r"\((r|tm)\)", "", str(machine["processor"]).lower()))
    kept = [word for word in words if word not in ("cpu", "processor")]
    return f"{day}-{'-'.join(kept[:4])}-{machine['cores']}-cores.json"


def read(path: Path) -> dict[str, Any]:
    """Read a results file; a missing file gives a record without parts."""
    if not path.exists():
        return {"parts": {}}
    record: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return record


def write(path: Path, record: Mapping[str, Any]) -> None:
    """Write a results file atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    durable_files.replace_file(
        path, (json.dumps(record, indent=1, ensure_ascii=False) + "\n").encode()
    )


def without_folders(text: str) -> str:
    """Shorten absolute paths to their last component; folders of this machine help no reader."""
    return re.sub(r"(?<![\w./])/(?:[\w.+@-]+/)*(?=[\w.+@-])", "", text)


def render(record: Mapping[str, Any], name: str) -> str:
    """Render the results section: the outcome of each benchmark, then the output of each."""
    facts = ", ".join(f"{fact} {value}" for fact, value in record["machine"].items())
    lines = [f"{record['day']}: {facts} ([all figures](../benchmarks/results/{name})).", ""]
    lines += ["| benchmark | outcome | minutes |", "|---|---|---|"]
    for part, result in record["parts"].items():
        minutes = f"{result['seconds'] / 60:.1f}" if "seconds" in result else ""
        state = result["state"] + (", short run" if result.get("short") else "")
        lines.append(f"| {part} | {state} | {minutes} |")
    for part, result in record["parts"].items():
        if result["state"] == "done":
            lines += ["", f"### {part}", "", f"`{result['command']}`", ""]
            lines += printed(result["output"])
    return "\n".join(lines) + "\n"


def printed(output: str) -> list[str]:
    """Convert the output of a benchmark to Markdown: keep tables, make other lines paragraphs."""
    lines: list[str] = []
    for line in output.strip().splitlines():
        if line.startswith("machine:"):
            continue  # `render` names the machine once
        table = line.startswith("|")
        if lines and lines[-1] and not (table and lines[-1].startswith("|")):
            lines.append("")
        if line.strip() or (lines and lines[-1]):
            lines.append(line.rstrip())
    while lines and not lines[-1]:
        lines.pop()
    return lines


def around(page: Path) -> tuple[str, str]:
    """Return the text before and after the markers; raise ValueError if they are missing."""
    before, begin, rest = page.read_text("utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page}: no {BEGIN} and {END} around the results")
    return before, after


def insert(page: Path, text: str) -> None:
    """Replace the text between the markers of a page; raise ValueError if they are missing."""
    before, after = around(page)
    durable_files.replace_file(page, f"{before}{BEGIN}\n{text}{END}{after}".encode())
