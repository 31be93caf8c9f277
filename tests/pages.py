"""The code blocks of the documents, and a shell that runs those of a page in order.

A block says by its language what it is: `sh` is run, `python` is run, `toml` and `json` are files,
`text` is output. An HTML comment in the line before a block says more:

- `<!-- not run: REASON -->`: a test cannot run the block;
- `<!-- file: NAME -->`: the block is the content of this file, which the next blocks use.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
FENCED = re.compile(
    r"^(?:<!-- (?P<kind>not run|file): (?P<value>[^\n]+?) -->\n)?"
    r"(?P<indent> *)```(?P<language>\w*)\n(?P<body>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A fenced block. `line` counts from 1; `reason` and `file` are "" without a comment."""

    page: str
    line: int
    language: str
    body: str
    reason: str = ""
    file: str = ""

    @property
    def name(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(page: str) -> list[Block]:
    """The fenced blocks of a page, whose path is relative to the repository."""
    text = (ROOT / page).read_text("utf-8")
    found = []
    for match in FENCED.finditer(text):
        body = re.sub(rf"(?m)^{match['indent']}", "", match["body"])
        line = text.count("\n", 0, match.start("language")) + 1
        notes = {"reason" if match["kind"] == "not run" else "file": match["value"] or ""}
        found.append(Block(page, line, match["language"], body, **notes))
    return found


def one_epoch(commands: str) -> str:
    """The commands with each training limited to one epoch, unless they say how long it is."""
    lines = commands.replace("\\\n", " ").split("\n")
    for number, line in enumerate(lines):
        if not re.search("--max-epoch|--print-config", line):
            lines[number] = re.sub(r"(s2st|s2st_cli) train ", r"\1 train --max-epoch 1 ", line)
    return "\n".join(lines)


def script(page_blocks: Iterable[Block]) -> str:
    """One shell script of the blocks; stderr names each block before it runs."""
    parts = []
    for block in page_blocks:
        parts.append(f"echo '@ {block.name}' >&2\n")
        if block.reason:
            continue
        if block.file:
            parts.append(f"cat > {block.file} <<'END OF FILE'\n{block.body}END OF FILE\n")
        elif block.language == "sh":
            parts.append(one_epoch(block.body))
        elif block.language == "python":
            parts.append(f"python - <<'END OF CODE'\n{block.body}END OF CODE\n")
    return "".join(parts)


def programs(folder: Path) -> Path:
    """A folder for PATH: `s2st`, `python` and `torchrun` of this interpreter and this checkout."""
    folder.mkdir()
    for name, call in (
        ("s2st", "-m s2st_cli"),
        ("python", ""),
        ("torchrun", "-m torch.distributed.run"),
    ):
        path = f"PYTHONPATH={ROOT}${{PYTHONPATH:+:$PYTHONPATH}}"
        (folder / name).write_text(f'#!/bin/sh\n{path} exec {sys.executable} {call} "$@"\n')
        (folder / name).chmod(0o755)
    return folder


def run_shell(
    commands: str, folder: Path, path: Path, timeout: float = 170
) -> subprocess.CompletedProcess[str]:
    """Run commands in a folder, with the programs in `path`; the first failure ends them."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"PATH": f"{path}{os.pathsep}{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", commands], cwd=folder, env=environment,
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=timeout,
    )  # fmt: skip
