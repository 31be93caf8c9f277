"""The documentation builds as a site without a warning, and the tutorial's commands run."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

import s2st

ROOT = Path(__file__).parents[2]
# the tutorial on a little of its text, with a small model: seconds instead of an hour
SMALLER = [
    ("--only-data", "--only-data --train-size 300 --test-size 20"),
    ("--sentencepiece-vocab-size 2000", "--sentencepiece-vocab-size 120"),
    ("--arch transformer --max-epoch 6", "--arch transformer --max-epoch 3 --hidden-size 8"),
    ("train bin --max-epoch 6", "train bin --max-epoch 1 --hidden-size 8"),
]


def shell_blocks(page):
    """The commands of a page, also those that belong to a list."""
    found = re.findall(r"(?ms)^```sh\n(.*?)^```$|((?:^ {8}[^\n]*\n)+)", page)
    return "".join(fenced or re.sub(r"(?m)^ {8}", "", indented) for fenced, indented in found)


@pytest.mark.slow
@pytest.mark.parametrize("page", ["docs/tutorial.md", "docs/ko/tutorial.md"])
def test_the_commands_of_the_tutorial_run(page, tmp_path):
    commands = shell_blocks((ROOT / page).read_text())
    assert commands.count("s2st ") > 12
    for theirs, ours in SMALLER:
        assert theirs in commands
        commands = commands.replace(theirs, ours)
    program = tmp_path / "bin" / "s2st"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m s2st_cli "$@"\n')
    program.chmod(0o755)
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", commands], cwd=tmp_path, text=True,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert "BLEU" in done.stdout
    assert len((tmp_path / "tutorial" / "ensemble.fr").read_text().splitlines()) == 20
    assert done.stdout.splitlines()[-1].strip() != "" or "release" in done.stderr


class Links(HTMLParser):
    """The places on other servers that a page loads something from."""

    def __init__(self):
        super().__init__()
        self.loaded = []

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        source = values.get("src") or (values.get("href") if tag == "link" else None)
        if source and re.match(r"(https?:)?//", source):
            self.loaded.append((tag, source))


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path):
    pytest.importorskip("mkdocs")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", tmp_path / "site"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    pages = {path.relative_to(tmp_path / "site").as_posix() for path in tmp_path.rglob("*.html")}
    assert {"index.html", "tutorial.html", "reference/commands.html", "glossary.html"} <= pages
    reference = (tmp_path / "site/reference/python.html").read_text()
    for name in s2st.__all__[1:]:
        assert f"s2st.{name}" in reference
    commands = (tmp_path / "site/reference/commands.html").read_text()
    for flag in ("--finetune-from", "--diverse-beam-groups", "--attention-heads", "--restarts"):
        assert flag in commands
    for page in pages:
        links = Links()
        links.feed((tmp_path / "site" / page).read_text())
        assert links.loaded == [], page
