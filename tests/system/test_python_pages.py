"""The notebook of examples/python and the code of docs/python.md run from their first line on."""

import ast
import json
import logging
import re
from pathlib import Path

import pytest

import s2st as library

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "examples" / "python" / "tour.ipynb"
PAGE = ROOT / "docs" / "python.md"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SMALL = "pairs, epochs, hidden_size = 300, 1, 16"


@pytest.fixture(autouse=True)
def _logger_as_it_was():
    log = logging.getLogger("s2st")
    before = log.handlers[:], log.level
    yield
    for handler in set(log.handlers) - set(before[0]):
        handler.close()
    log.handlers[:] = before[0]
    log.setLevel(before[1])


def cells():
    return json.loads(NOTEBOOK.read_text("utf-8"))["cells"]


def imports_only_the_promise(code):
    """Pages for readers import `s2st` itself, and nothing below it."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom):
            assert not (node.module or "").startswith("s2st"), node.module
        elif isinstance(node, ast.Import):
            assert not any(alias.name.startswith("s2st.") for alias in node.names)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            assert node.value.id != "s2st" or node.attr in library.__all__, node.attr


def test_the_notebook_is_kept_without_outputs():
    for cell in cells():
        assert cell["cell_type"] == "markdown" or (cell["outputs"], cell["execution_count"]) == (
            [], None,
        )  # fmt: skip


@pytest.mark.slow
def test_the_notebook_runs(tmp_path, monkeypatch, capsys):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "notebook"}
    parameters = 0
    for number, cell in enumerate(cells()):
        if cell["cell_type"] != "code":
            continue
        code = "".join(cell["source"])
        imports_only_the_promise(code)
        if "parameters" in cell["metadata"].get("tags", []):
            assert [line.split("=")[0] for line in code.splitlines() if "=" in line] == [
                SMALL.split("=")[0]
            ]
            code, parameters = SMALL, parameters + 1
        exec(compile(code, f"cell {number}", "exec"), names)
    assert parameters == 1
    assert {path.name for path in tmp_path.iterdir()} == {"run"}
    out = capsys.readouterr().out
    assert "lines must be a list of lines" in out
    assert "did you mean max_epoch" in out
    assert names["found"].weights.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert names["places"].shape == (len(names["phrases"]), 2)
    matplotlib.pyplot.close("all")


@pytest.mark.slow
def test_the_code_of_the_page_runs_and_prints_what_it_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "page"}
    blocks = BLOCK.findall(PAGE.read_text("utf-8"))
    assert len(blocks) > 10
    for number, block in enumerate(blocks):
        imports_only_the_promise(block)
        exec(compile(block, f"block {number}", "exec"), names)
        printed = [line[2:] for line in block.splitlines() if line.startswith("# ")]
        assert capsys.readouterr().out.splitlines() == printed
    (readme,) = BLOCK.findall((ROOT / "README.md").read_text("utf-8"))
    imports_only_the_promise(readme)
    exec(compile(readme, "README.md", "exec"), names)  # with the model of the page
    assert len(names["hypotheses"][0]) == 10


def test_the_page_names_everything_that_is_promised():
    text = PAGE.read_text("utf-8")
    for name in library.__all__:
        assert f"`{name}" in text or f"s2st.{name}" in text, name
    methods = [name for name in vars(library.Model) if not name.startswith("_")]
    for name in methods:
        assert f".{name}" in text, name
