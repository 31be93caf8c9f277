"""The Python code of docs/interfaces.md runs and prints what the page says."""

import re
from pathlib import Path

import pytest

from s2st.search.utilities import UTILITIES

PAGE = Path(__file__).resolve().parents[3] / "docs" / "interfaces.md"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_code_of_the_page(capsys, monkeypatch):
    monkeypatch.setattr(UTILITIES, "_entries", dict(UTILITIES._entries))
    names: dict[str, object] = {"__name__": "interfaces"}
    for block in BLOCK.findall(PAGE.read_text("utf-8")):
        exec(compile(block, str(PAGE), "exec"), names)
        printed = [line[2:] for line in block.splitlines() if line.startswith("# ")]
        assert capsys.readouterr().out.splitlines() == printed
    best = names["best"]
    assert best.score == pytest.approx(best.log_prob)
