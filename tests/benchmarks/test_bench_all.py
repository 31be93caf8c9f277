"""`make bench`: what it runs, keeps, reports and writes into the page, with stand-in benchmarks."""

import importlib
import json
import os
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
GOOD = """
import json, sys
print("machine: said once")
print("S: two ways")
print()
print("| way | rate |")
print("|---|---|")
print("| ours |", " ".join(sys.argv[1:-2]), "|")
with open("runs", "a") as stream:
    stream.write("good\\n")
with open("arguments", "w") as stream:
    stream.write(" ".join(sys.argv[1:-2]))
json.dump({"machine": {}, "results": [1, 2]}, open(sys.argv[-1], "w"))
"""
PAGE = "Before.\n<!-- results:begin -->\nold\n<!-- results:end -->\nAfter.\n"


@pytest.fixture
def report(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("report")


@pytest.fixture
def bench(report, monkeypatch, tmp_path):
    """The command over a good, a failing, an absent benchmark and one without its input."""
    module = importlib.import_module("all")
    for name, text in (("good", GOOD), ("bad", "import nowhere_at_all"), ("unfed", GOOD)):
        (tmp_path / f"{name}.py").write_text(text)
    (tmp_path / "page.md").write_text(PAGE)
    parts = (
        module.Part("bad"),
        module.Part("absent"),
        module.Part("unfed", {"--lists": "lists"}),
        module.Part(
            "good",
            {"--source": "test.en", "-m": "models"},
            ("opennmt",),
            ("--toy",),
            options=("--always",),
            full=("--many",),
            short=("--few",),
            minutes=(9, 1.5),
        ),
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "HERE", tmp_path)
    monkeypatch.setattr(module, "PARTS", parts)
    inputs = {"test.en": ("/some/where/test.en",), "models": ("/a", "/b")}
    monkeypatch.setattr(module, "own_inputs", lambda *_: inputs)
    monkeypatch.setattr(module, "toy_inputs", lambda *_: inputs)

    def run(*options):
        own = ["--data", "here", "--page", "page.md", "--results", "results", *options]
        monkeypatch.setattr(sys, "argv", ["all.py", *own])
        module.main()
        (path,) = Path("results").iterdir()
        return json.loads(path.read_text())["parts"]

    return run


def test_each_outcome_is_reported_and_the_others_go_on(bench):
    parts = bench("--opennmt", "/of/a/peer/python")
    assert parts["absent"]["state"] == "absent: there is no such benchmark yet"
    assert parts["unfed"]["state"] == "not run: no lists"
    assert parts["bad"]["state"].startswith("failed with 1: ModuleNotFoundError")
    good = parts["good"]
    assert (good["state"], good["results"]) == ("done", [1, 2])
    options = "--source test.en -m a -m b --opennmt python --always --many"
    assert good["command"] == f"python benchmarks/good.py {options}"
    assert f"| ours | {options} |" in good["output"]
    assert Path("arguments").read_text() == (
        "--source /some/where/test.en -m /a -m /b --opennmt /of/a/peer/python --always --many"
    )
    page = Path("page.md").read_text()
    assert page.startswith("Before.\n<!-- results:begin -->\n")
    assert page.endswith("<!-- results:end -->\nAfter.\n")
    assert "| absent | absent: there is no such benchmark yet |  |" in page
    assert "| unfed | not run: no lists |  |" in page
    assert "| ours |" in page
    assert "old" not in page
    assert "said once" not in page


def test_resume_keeps_what_is_finished(bench):
    bench()
    os.rename("bad.py", "away.py")
    parts = bench("--resume")
    assert Path("runs").read_text() == "good\n"
    assert parts["bad"]["state"].startswith("absent")  # what failed is tried each time
    assert bench()["good"]["state"] == "done"
    assert Path("runs").read_text() == "good\n" * 2


def test_resume_goes_on_after_midnight_but_not_two_days_later(bench, monkeypatch):
    module = importlib.import_module("all")

    class Day(module.datetime.date):
        days = 0

        @classmethod
        def today(cls):
            return cls(2026, 11, 28) + module.datetime.timedelta(days=cls.days)

    monkeypatch.setattr(module.datetime, "date", Day)
    bench()
    Day.days = 1
    bench("--resume")  # in the same file, or `bench` would find two
    assert Path("runs").read_text() == "good\n"
    Day.days = 3
    with pytest.raises(ValueError, match="too many values"):
        bench("--resume")
    assert Path("runs").read_text() == "good\n" * 2


def test_a_complete_run_replaces_a_short_one(bench):
    good = bench("--short")["good"]
    assert good["command"].endswith("--always --few")
    assert "| good | done, short run |" in Path("page.md").read_text()
    bench("--short", "--resume")
    assert Path("runs").read_text() == "good\n"
    good = bench("--resume")["good"]
    assert good["command"].endswith("--always --many")
    bench("--short", "--resume")  # a complete run is more than enough
    assert Path("runs").read_text() == "good\n" * 2


def test_the_expected_minutes_are_said(bench, capsys):
    bench("--short")
    assert "about 2 minutes to go, 1.5 now\ngood:" in capsys.readouterr().out


def test_names_are_distinct_and_short_runs_fit_in_45_minutes(report):
    parts = importlib.import_module("all").PARTS
    assert len({part.name for part in parts}) == len(parts)
    assert sum(part.minutes[1] for part in parts) <= 45


def test_only_runs_what_is_named(bench):
    assert list(bench("--only", "absent", "unfed")) == ["absent", "unfed"]


def test_quick_runs_take_toy_options_and_leave_page_and_results(bench, monkeypatch):
    module = importlib.import_module("all")
    assert bench("--quick")["good"]["command"].endswith("--toy")
    monkeypatch.setattr(module, "PAGE", Path("page.md"))
    Path("page.md").write_text(PAGE)
    monkeypatch.setattr(sys, "argv", ["all.py", "--quick"])
    before = sorted(Path().rglob("*.json"))
    module.main()
    assert Path("page.md").read_text() == PAGE
    assert sorted(Path().rglob("*.json")) == before
    monkeypatch.setattr(sys, "argv", ["all.py", "--data", "here"])
    module.main()
    assert "--toy" not in Path("page.md").read_text()
    assert "| good | done |" in Path("page.md").read_text()


def test_a_handmade_record_renders(report, tmp_path):
    machine = {"processor": "Intel(R) Xeon(R) Platinum 8375C CPU @ 2.90GHz", "cores": 8}
    name = report.file_name("2026-11-21", machine)
    assert name == "2026-11-21-intel-xeon-platinum-8375c-8-cores.json"
    output = "machine: x\n\nS: text\nmore\n\n| a |\n|---|\n| 1 |\nafter\n"
    parts = {
        "one": {"state": "done", "seconds": 90.0, "command": "python one.py", "output": output},
        "two": {"state": "failed with 2: no memory", "seconds": 6.0},
        "three": {"state": "absent"},
    }
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    record = {"day": "2026-11-21", "machine": machine, "parts": parts}
    report.insert(page, report.render(record, name))
    assert (
        page.read_text()
        == f"""Before.
<!-- results:begin -->
2026-11-21: processor {machine["processor"]}, cores 8 ([all figures](../benchmarks/results/{name})).

| benchmark | outcome | minutes |
|---|---|---|
| one | done | 1.5 |
| two | failed with 2: no memory | 0.1 |
| three | absent |  |

### one

`python one.py`

S: text

more

| a |
|---|
| 1 |

after
<!-- results:end -->
After.
"""
    )


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("| 5,000 words/s | 0.5 / 7 | 250/100 |", "| 5,000 words/s | 0.5 / 7 | 250/100 |"),
        ("not installed for /tmp/a-b/c.d/python; not run", "not installed for python; not run"),
        ("a=/x b.py --json /y/z ", "a=x b.py --json z "),
        ("plot: benchmarks/results/scale.svg", "plot: benchmarks/results/scale.svg"),
        ("https://example.org/a/b", "https://example.org/a/b"),
    ],
)
def test_folders_of_this_machine_are_left_out(report, text, short):
    assert report.without_folders(text) == short


def test_a_page_without_a_place_is_refused_before_the_work(bench):
    Path("page.md").write_text("nothing\n")
    with pytest.raises(ValueError, match="no <!-- results:begin"):
        bench()
    assert not Path("results").exists()


def test_a_page_without_markers_is_refused(report, tmp_path):
    page = tmp_path / "page.md"
    page.write_text("text <!-- results:begin -->\n")
    with pytest.raises(ValueError, match=r"page\.md: no .*results:end"):
        report.insert(page, "new")
    assert page.read_text() == "text <!-- results:begin -->\n"


def test_the_page_of_the_docs_has_its_place(report, tmp_path):
    page = tmp_path / "page.md"
    page.write_text((BENCHMARKS.parent / "docs" / "performance.md").read_text("utf-8"), "utf-8")
    report.insert(page, "new\n")
    assert "\nnew\n" in page.read_text("utf-8")
