"""`s2st report`: folders of studies and of trainings, and what is neither."""

import json
import math
import os
import re
import shutil
import sys

import pytest
from safetensors import safe_open
from tampering import reseal

STUDY = {
    "format": "s2st-report",
    "version": 1,
    "title": "Été & hiver",
    "lead": "",
    "facts": [],
    "sections": [],
}


@pytest.fixture
def study(tmp_path):
    folder = tmp_path / "study"
    folder.mkdir()
    (folder / "report.json").write_text(json.dumps(STUDY, ensure_ascii=False), "utf-8")
    return folder


def test_a_study_goes_to_a_file_or_to_stdout(s2st, study, tmp_path):
    page = tmp_path / "page.html"
    outcome = s2st("report", study, "-o", page)
    assert (outcome.code, outcome.data, outcome.err) == (0, b"", f"s2st: wrote {page}\n")
    assert "<h1>Été &amp; hiver</h1>" in page.read_text("utf-8")
    assert s2st("report", study).data == s2st("report", study, "-o", "-").data == page.read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["page.html", "study"]


def test_what_is_no_report_ends_in_one_line(s2st, study, tmp_path):
    s2st("report", tmp_path / "none").check_error(66, "none: no such folder")
    s2st("report", study / "report.json").check_error(66, "report.json: not a folder")
    s2st("report", tmp_path).check_error(66, "holds neither report.json", "checkpoint_last")
    (study / "report.json").write_text(json.dumps({**STUDY, "lead": 3}))
    s2st("report", study).check_error(65, f"{study}/report.json: lead: is 3, not text")
    (study / "report.json").unlink()
    (study / "report.json").symlink_to("nowhere")
    s2st("report", study).check_error(66, "report.json: cannot be read")


def test_an_output_is_replaced_whole_or_not_at_all(s2st, study, tmp_path):
    page = tmp_path / "page.html"
    page.write_text("old")
    data = (study / "report.json").read_bytes()
    s2st("report", study, "-o", study / "report.json").check_error(2, "overwrite")
    s2st("report", study, "-o", tmp_path / "no" / "page.html").check_error(74, "page.html")
    (study / "report.json").write_bytes(b"{")
    s2st("report", study, "-o", page).check_error(65, "report.json, line 1: not JSON")
    assert page.read_text() == "old"
    (study / "report.json").write_bytes(data)
    assert s2st("report", study, "-o", page).code == 0
    assert page.read_text("utf-8").startswith("<!DOCTYPE html>")


def cells(page, caption):
    """Texts of the body's cells of the table with that caption, row by row."""
    (table,) = re.findall(rf"<caption[^>]*>{caption}</caption>(.*?)</table>", page, re.DOTALL)
    rows = table.partition("<tbody>")[2].split("</tr>")[:-1]
    plain = [[re.sub("<[^>]*>", "", c) for c in re.split("</t[hd]>", row)[:-1]] for row in rows]
    return [[cell.strip() for cell in row] for row in plain]


def test_a_training_shows_its_validations_sizes_and_options(s2st, world, tiny):
    outcome = s2st("report", world.save_dir)
    assert outcome.code == 0, outcome.err
    page = outcome.out
    state = json.loads((world.save_dir / "checkpoint_last/training/state.json").read_text())[
        "state"
    ]
    rows = cells(page, "Perplexity per target token at each validation")
    assert len(rows) == len(state["history"]) == 2
    for row, noted in zip(rows, state["history"], strict=True):
        assert row[0] == str(noted["update"])
        assert row[2] == f"{math.exp(noted['train_nll']):.2f}"
        assert row[3] == f"{math.exp(noted['nll']):.2f}"
        assert ("best" in row[5]) == (noted["update"] == state["best_update"])
    best = f"Best validation perplexity: {math.exp(state['best_nll']):.2f}"
    assert f'<p class="lead">{best}' in page

    with safe_open(world.forward / "weights.safetensors", "pt") as weights:
        shapes = [weights.get_slice(name).get_shape() for name in weights.keys()]  # noqa: SIM118
    parts = cells(page, "Parameters by part of the model")
    count = sum(int(cell.replace(",", "")) for cell in parts[-1][1:])
    assert parts[-1][0] == "total"
    assert count == sum(math.prod(shape) for shape in shapes)

    options = {row[0]: row[1:] for row in cells(page, "All options")}
    changed = {row[0]: row[1:] for row in cells(page, "Options that differ from the defaults")}
    assert options["optimizer"] == ["adam", "adam"]
    assert "optimizer" not in changed
    assert changed["lr"] == options["lr"] == ["0.05", "0.001"]
    assert changed["reverse-source"] == ["no", "yes"]
    assert changed["seed"] == ["2", "1"]
    assert changed["hidden-size"] == ["16", "by the corpus"]
    given = {flag[2:] for flag in tiny if flag.startswith("--")}
    assert set(changed) == {*given, "seed", "reverse-source"}
    assert str(world.folder) not in page
    assert 'src="data:image/svg+xml;base64,' in page
    assert s2st("report", world.save_dir).data == outcome.data


def test_without_matplotlib_the_curve_is_left_out_and_said(s2st, world, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    outcome = s2st("report", world.save_dir)
    assert outcome.code == 0, outcome.err
    assert "<img" not in outcome.out
    assert "need matplotlib" in outcome.out
    assert len(cells(outcome.out, "Perplexity per target token at each validation")) == 2


def test_a_damaged_training_is_refused(s2st, world, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(world.save_dir, folder, symlinks=True)
    path = folder / "checkpoint_last" / "training" / "state.json"
    path.write_bytes(path.read_bytes()[:-1] + b" ")
    s2st("report", folder).check_error(65, "state.json", "checksum")
    (folder / "checkpoint_last").unlink()
    (folder / "checkpoint_last").symlink_to("nowhere")
    s2st("report", folder).check_error(66, "checkpoint_last")


@pytest.fixture
def edited(world, tmp_path):
    """A training whose state is changed by a function, hashes fitting again."""

    def make(change):
        folder = tmp_path / "run"
        shutil.copytree(world.save_dir, folder, symlinks=True)
        path = folder / "checkpoint_last" / "training" / "state.json"
        content = json.loads(path.read_text())
        change(content["state"]["history"], content["identity"]["options"])
        path.write_text(json.dumps(content))
        reseal(folder / "checkpoint_last")
        return folder

    return make


@pytest.mark.parametrize(
    "row",
    [{"nll": "low"}, {"nll": None}, {"epoch": math.nan}, {"update": 1.5}, {"train_nll": True}],
)
def test_a_history_that_no_run_could_have_is_refused(s2st, edited, row):
    folder = edited(lambda history, _: history[0].update(row))
    s2st("report", folder).check_error(65, "state.json", "damaged training history")


def test_a_training_without_validation_data_is_shown(s2st, edited):
    def change(history, _):
        for row in history:
            del row["nll"], row["learning_rate"], row["best"]

    outcome = s2st("report", edited(change))
    assert outcome.code == 0, outcome.err
    assert "no validation data" in outcome.out
    rows = cells(outcome.out, "Perplexity per target token at each validation")
    assert [row[3:5] for row in rows] == [["", ""], ["", ""]]


def test_losses_beyond_any_number_are_shown(s2st, edited):
    outcome = s2st(
        "report", edited(lambda history, _: history[0].update(nll=1e6, train_nll=math.inf))
    )
    assert outcome.code == 0, outcome.err
    rows = cells(outcome.out, "Perplexity per target token at each validation")
    assert rows[0][2:4] == ["", f"{math.exp(700):.3e}"]


def test_options_of_a_component_that_is_not_there_are_shown_without_defaults(s2st, edited):
    folder = edited(lambda _, options: options.update(optimizer="unheard-of"))
    outcome = s2st("report", folder)
    assert outcome.code == 0, outcome.err
    assert "unknown optimizer &#x27;unheard-of&#x27;" in outcome.out
    options = {row[0]: row[1:] for row in cells(outcome.out, "All options")}
    assert options["optimizer"] == ["unheard-of", ""]
    assert "Options that differ" not in outcome.out
