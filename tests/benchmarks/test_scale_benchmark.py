"""benchmarks/scale.py at toy size: its statements on corpora and searches are true."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from s2st.data.store import Store
from s2st.text.line_files import read_aligned

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
PAIRS = (150, 700)
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it reads /proc")


@pytest.fixture
def module(monkeypatch):
    """Imports a module of the benchmarks' folder."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module


def run(folder: Path, *options: str) -> tuple[str, dict[str, list[dict]]]:
    """What the command printed and its results; matplotlib cannot be imported."""
    (folder / "matplotlib.py").write_text("raise ImportError('not here')\n")
    path = f"{folder}{os.pathsep}{BENCHMARKS.parent}"
    done = subprocess.run(
        [sys.executable, BENCHMARKS / "scale.py", "--repeats", "1", "--peak-size", "64",
         "--json", folder / "found.json", "--plot", folder / "plot", "--folder", folder, *options],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path},
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads((folder / "found.json").read_text())["results"]


@pytest.mark.extensive
@linux
def test_corpora_of_the_table(tmp_path, module):
    sizes = [str(pairs) for pairs in PAIRS]
    output, results = run(
        tmp_path, "--part", "preprocess", "opening", "--workers", "1", "--pairs", *sizes
    )
    generated = module("generated")
    for pairs, row in zip(PAIRS, results["preprocess"], strict=True):
        generated.write_text(tmp_path / "again", pairs)
        files = [tmp_path / f"again.{language}" for language in ("en", "fr")]
        size = sum(path.stat().st_size for path in files)
        words = sum(len(set(path.read_text("utf-8").split())) for path in files)
        assert (row["pairs"], row["workers"], row["bytes"], row["words"]) == (pairs, 1, size, words)
        (seconds,) = row["seconds"]
        assert row["mb_per_second"] == pytest.approx(size / seconds / 1e6)
        # an interpreter with numpy, and not the benchmark's own process with torch beside it
        assert 20 < row["peak_mib"] < 150
        assert f"| {pairs:,} | {size / 1e6:.1f} | {words:,} | 1 |" in output
    for pairs, row in zip(PAIRS, results["opening"], strict=True):
        parts = [row["steps"][name] for name in ("Store", "split", "loader", "plan", "load")]
        assert row["pairs"] == pairs
        assert sum(parts) == pytest.approx(row["seconds"][0])
    assert "plot left out" in output
    left = {path.name for path in tmp_path.iterdir()} - {"__pycache__"}
    assert left == {"again.en", "again.fr", "found.json", "matplotlib.py"}


@pytest.mark.slow
def test_searches_of_the_table(tmp_path):
    output, results = run(
        tmp_path, "--part", "search", "--lengths", "3", "--beams", "2", "--members", "1", "2",
        "--length", "4", "--beam", "3", "--sentences", "2", "--layers", "1", "--width", "16",
        "--target-words", "50",
    )  # fmt: skip
    length, beam, one, two = results["search"]
    assert [(r["length"], r["beam"], r["members"]) for r in results["search"]] == [
        (3, 3, 1), (4, 2, 1), (4, 3, 1), (4, 3, 2),
    ]  # fmt: skip
    # 5 source words with EOS; 1 + 4 x 2 rows; 8 x 16 x 16 recurrent weights, 16 x 50 of the output
    assert beam["operations"] == 2 * 2 * (5 * 2048 + 9 * (2048 + 800))
    assert two["operations"] == 2 * one["operations"]
    assert length["operations"] == 2 * 2 * (4 * 2048 + 10 * (2048 + 800))
    assert "\n| 4 | 3 | 2 | " in output


def test_as_many_rows_are_stepped_as_are_counted(module, monkeypatch):
    scale = module("scale")
    arguments = scale.argparse.Namespace(sentences=2, layers=1, width=16, target_words=50)
    scorer = scale.random_scorer(arguments, 1)
    step, rows = scorer.model.step, []

    def counted(tokens, state):
        rows.append(len(tokens))
        return step(tokens, state)

    monkeypatch.setattr(scorer.model, "step", counted)
    scale.search_work(arguments, scorer, length=4, beam=3)()
    assert sum(rows) == 2 * (1 + 4 * 3)


def test_generated_text(tmp_path, module):
    generated = module("generated")
    size = generated.write_text(tmp_path / "a", 3000)
    assert size == sum(path.stat().st_size for path in tmp_path.iterdir())
    pairs = list(read_aligned([tmp_path / "a.en", tmp_path / "a.fr"]))
    lengths = np.array([[len(line.split(" ")) for line in pair] for pair in pairs])
    assert lengths.shape == (3000, 2)
    assert lengths.min() >= 1
    assert lengths.max() <= 240
    np.testing.assert_allclose(lengths.mean(axis=0), 25, atol=1.5)
    assert np.corrcoef(lengths.T)[0, 1] > 0.9
    tokens = [pair[1].split() for pair in pairs]
    half = {word for row in tokens[:1500] for word in row}
    assert len({word for row in tokens for word in row}) > 1.3 * len(half)  # words keep coming
    generated.write_text(tmp_path / "b", 3000)
    assert (tmp_path / "b.fr").read_bytes() == (tmp_path / "a.fr").read_bytes()
    generated.write_text(tmp_path / "c", 3000, words=40)
    assert len(set((tmp_path / "c.en").read_text().split())) == 40
    assert len({generated.spelled(rank, "fr") for rank in range(5000)}) == 5000


def test_a_generated_store_is_whole(tmp_path, module):
    generated = module("generated")
    generated.write_store(tmp_path / "store", 500, words=60)
    store = Store(tmp_path / "store")
    store.verify()
    corpus = store.split("train")
    assert len(corpus) == 500
    assert (int(corpus.source.ids.min()), int(corpus.source.ids.max())) == (4, 63)


def test_the_plot(tmp_path, module):
    pytest.importorskip("matplotlib")
    scale = module("scale")
    rows = [{"pairs": 10**i, "workers": 1, "seconds": [1.0 * i]} for i in (2, 3)]
    search = [{"varied": "beam", "value": n, "seconds": [2.0 * n], "sentences": 4} for n in (1, 10)]
    lines = list(scale.curves({"preprocess": rows, "search": search}))
    assert [line[2] for line in lines] == [[(100, 2.0), (1000, 3.0)], [(1, 0.5), (10, 5.0)]]
    scale.plot({"preprocess": rows, "search": search}, tmp_path / "new")
    assert (tmp_path / "new" / "scale.svg").read_text("utf-8").count("<svg") == 1
    assert (tmp_path / "new" / "scale.png").read_bytes().startswith(b"\x89PNG")
