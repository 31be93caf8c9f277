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
        assert row[1] == f"{math.exp(noted['nll']):.2f}"
        assert ("best" in row[2]) == (noted["update"] == state["best_update"])
        assert row[3] == f"{math.exp(noted['train_nll']):.2f}"
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
    """A training whose state is changed by a function, hashes fitting again; no metrics.jsonl."""

    def make(change):
        folder = tmp_path / "run"
        shutil.copytree(world.save_dir, folder, symlinks=True)
        path = folder / "checkpoint_last" / "training" / "state.json"
        content = json.loads(path.read_text())
        change(content["state"]["history"], content["identity"]["options"])
        (folder / "metrics.jsonl").unlink()  # as of a run of an older version
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
    assert [[row[1], row[5]] for row in rows] == [["", ""], ["", ""]]


def test_losses_beyond_any_number_are_shown(s2st, edited):
    outcome = s2st(
        "report", edited(lambda history, _: history[0].update(nll=1e6, train_nll=math.inf))
    )
    assert outcome.code == 0, outcome.err
    rows = cells(outcome.out, "Perplexity per target token at each validation")
    assert [rows[0][3], rows[0][1]] == ["", f"{math.exp(700):.3e}"]


def test_options_of_a_component_that_is_not_there_are_shown_without_defaults(s2st, edited):
    folder = edited(lambda _, options: options.update(optimizer="unheard-of"))
    outcome = s2st("report", folder)
    assert outcome.code == 0, outcome.err
    assert "unknown optimizer &#x27;unheard-of&#x27;" in outcome.out
    options = {row[0]: row[1:] for row in cells(outcome.out, "All options")}
    assert options["optimizer"] == ["unheard-of", ""]
    assert "Options that differ" not in outcome.out


# metrics.jsonl, and several trainings


@pytest.fixture
def logged(world, tmp_path):
    """A copy of a training with these records as its metrics.jsonl."""

    def make(records, name="run", of=world.save_dir):
        folder = tmp_path / name
        shutil.copytree(of, folder, symlinks=True)
        text = "".join(f"{one if isinstance(one, str) else json.dumps(one)}\n" for one in records)
        (folder / "metrics.jsonl").write_text(text)
        return folder

    return make


def report(update, nll, **more):
    return {"event": "update", "update": update, "epoch": update / 10, "nll": nll, **more}


def validation(update, nll, bleu, best=False):
    return {
        "event": "validation", "update": update, "epoch": update / 10, "nll": nll,
        "train_nll": nll + 1, "learning_rate": 0.5, "best": best, "metrics": {"bleu": bleu},
    }  # fmt: skip


RECORDS = [
    report(5, 5.0), report(10, 4.0), validation(10, 3.0, 12.5, best=True), report(15, 3.5),
    report(20, 3.25), validation(20, 2.5, 11.5),
]  # fmt: skip
VALIDATIONS = "Perplexity per target token at each validation"


def test_the_curve_is_drawn_from_the_file_on_a_logarithmic_axis(s2st, logged, monkeypatch):
    from s2st.analysis import training_figures

    drawn = []

    def draw(path, series, **options):
        drawn.append((series, options))
        return real(path, series, **options)

    real = training_figures.draw_curves
    monkeypatch.setattr(training_figures, "draw_curves", draw)
    outcome = s2st("report", logged(RECORDS))
    assert outcome.code == 0, outcome.err
    (curves, options), (metrics, plain) = drawn
    assert options["log_y"]
    assert not plain["log_y"]
    training, valid, best = curves
    assert list(training.x) == [0.5, 1.0, 1.5, 2.0]
    assert list(training.y) == [math.exp(nll) for nll in (5.0, 4.0, 3.5, 3.25)]
    assert (list(valid.x), list(valid.y)) == ([1.0, 2.0], [math.exp(3.0), math.exp(2.5)])
    assert (best.name, list(best.x)) == (f"best checkpoint: {math.exp(3):.2f}", [1.0])
    assert (list(metrics[0].x), list(metrics[0].y)) == ([1.0, 2.0], [12.5, 11.5])
    rows = cells(outcome.out, VALIDATIONS)
    assert [row[:4] for row in rows] == [
        ["10", f"{math.exp(3):.2f}", "12.50", "✓ best"], ["20", f"{math.exp(2.5):.2f}", "11.50", ""]
    ]  # fmt: skip


def test_the_lead_names_the_best_value_of_the_metric_that_decides(s2st, logged):
    folder = logged(RECORDS)
    path = folder / "checkpoint_last" / "training" / "state.json"
    content = json.loads(path.read_text())
    content["identity"]["options"]["best_checkpoint_metric"] = "bleu"
    path.write_text(json.dumps(content))
    reseal(folder / "checkpoint_last")
    page = s2st("report", folder).out
    lead = (
        f"Best validation bleu: 12.50 with perplexity {math.exp(3):.2f}, at update 10 (epoch 1.00)"
    )
    assert f'<p class="lead">{lead}' in page


@pytest.mark.parametrize(
    "bad",
    [
        "{", "[]", report(20, "low"), {"event": "update", "update": 1}, validation(True, 1.0, 2.0),
        validation(20, 1.0, "high"), {**validation(20, 1.0, 2.0), "metrics": 3},
        {**validation(20, 1.0, 2.0), "epoch": 1e999},
    ],
)  # fmt: skip
def test_a_damaged_file_of_metrics_is_refused_by_its_line(s2st, logged, bad):
    folder = logged([*RECORDS[:2], bad, RECORDS[3]])
    s2st("report", folder).check_error(65, f"{folder}/metrics.jsonl, line 3: not a report")


def test_a_line_that_is_being_written_is_left_out(s2st, logged):
    whole, torn = logged(RECORDS), logged(RECORDS, "torn")
    with open(torn / "metrics.jsonl", "a") as stream:
        stream.write('{"event": "upd')
    pages = [s2st("report", folder).out for folder in (whole, torn)]
    assert cells(pages[0], VALIDATIONS) == cells(pages[1], VALIDATIONS)


def test_a_long_curve_is_thinned_to_means():
    from s2st.analysis.training_history import thinned

    points = [(float(x), float(x % 2)) for x in range(1000)]
    thin = thinned(points, 250)
    assert len(thin) == 250
    assert thin[0] == (3.0, 0.5)
    assert thinned(points[:10]) == points[:10]


def test_several_trainings_are_compared_on_one_page(s2st, world):
    runs = [world.folder / name for name in ("forward", "reversed", "gru")]
    outcome = s2st("report", *runs)
    assert outcome.code == 0, outcome.err
    page = outcome.out
    states = [
        json.loads((run / "checkpoint_last/training/state.json").read_text())["state"]
        for run in runs
    ]
    winner = min(range(3), key=lambda index: states[index]["best_nll"])
    rows = cells(page, "Values at each training&#x27;s best checkpoint")
    for index, (row, run, state) in enumerate(zip(rows, runs, states, strict=True)):
        assert row[:4] == [
            run.name, f"{math.exp(state['best_nll']):.2f}", "✓ best" if index == winner else "",
            str(state["best_update"]),
        ]  # fmt: skip
    best = f"{runs[winner].name}: Best validation perplexity: {rows[winner][1]}"
    assert f'<p class="lead">{best}' in page
    differing = {row[0]: row[1:] for row in cells(page, "Options that differ")}
    assert differing["arch"] == ["lstm", "lstm", "gru"]
    assert differing["seed"] == ["2", "1", "1"]
    assert differing["reverse-source"][:2] == ["no", "yes"]
    assert "lr" not in differing
    assert page.count('src="data:image/svg+xml;base64,') == 2
    assert str(world.folder) not in page
    assert s2st("report", *runs).data == outcome.data


def test_trainings_on_other_data_have_no_common_best(s2st, world):
    outcome = s2st("report", world.folder / "forward", world.folder / "other")
    assert outcome.code == 0, outcome.err
    assert "✓ best" not in outcome.out
    assert "their best values are not compared" in outcome.out
    assert cells(outcome.out, "Options that differ")[0][0] == "data (sha256)"


def test_runs_of_one_name_get_the_ends_of_their_paths(s2st, logged, tmp_path):
    from s2st.analysis.training_comparison import run_names

    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    runs = [logged(RECORDS, "a/run"), logged(RECORDS, "b/run")]
    assert run_names(runs) == ["a/run", "b/run"]
    s2st("report", runs[0], runs[1], runs[0]).check_error(2, "this training is given twice")


def test_studies_and_attention_go_alone(s2st, study, world):
    run, gru = world.folder / "forward", world.folder / "gru"
    s2st("report", run, study).check_error(2, "holds report.json (a study); report it alone")
    attention = ("--attention", world.source, world.target)
    s2st("report", run, gru, *attention).check_error(2, "--attention needs one training")
    s2st("report").check_error(2, "RUN_DIR")
