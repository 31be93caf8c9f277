"""examples/languages runs as its README says, on little data, and resumes."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parents[2] / "examples" / "languages"
SUBJECTS = {"dog": ("chien", "개"), "cat": ("chat", "고양이"), "horse": ("cheval", "말")}
VERBS = {"runs": ("court", "달린다"), "sleeps": ("dort", "잔다"), "eats": ("mange", "먹는다")}
PLACES = {"here": ("ici", "여기"), "outside": ("dehors", "밖"), "today": ("aujourd'hui", "오늘")}


def write_corpora(folder: Path) -> None:
    """A toy language of three words a sentence, with its French and Korean."""
    rng = np.random.default_rng(1)
    for column, target in enumerate(("fr", "ko")):
        corpus = folder / f"toy-en-{target}"
        corpus.mkdir(parents=True)
        for split, count in (("train", 420), ("valid", 20)):
            rows = []
            for _ in range(count):
                parts = [
                    list(words.items())[rng.integers(len(words))]
                    for words in (SUBJECTS, VERBS, PLACES)
                ]
                rows.append((" ".join(p[0] for p in parts), " ".join(p[1][column] for p in parts)))
            for side, language in enumerate(("en", target)):
                text = "".join(row[side] + "\n" for row in rows)
                (corpus / f"{split}.{language}").write_text(text, "utf-8")


@pytest.mark.extensive
def test_the_three_systems_are_compared_and_a_second_call_trains_nothing(tmp_path):
    write_corpora(tmp_path / "data")
    arguments = ["--data", "data", "--corpus", "toy", "--run", "run", "--pairs", "120"]
    arguments += ["--pieces", "60", "--beam", "2", "--train"]
    arguments += ["-a gru-attention --hidden-size 32 --embedding-size 32 --max-epoch 12"]
    command = [sys.executable, str(FOLDER / "run.py"), *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def run(*more: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [*command, *more], cwd=tmp_path, env=environment, capture_output=True, text=True,
            timeout=900, check=False,
        )  # fmt: skip

    done = run()
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("$ s2st train ") == 4
    scores, views = done.stdout.strip().split("\n\n")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in scores.split("\n")]
    assert [row[0] for row in rows[2:]] == ["fr"] * 3 + ["ko"] * 3
    for row in rows[2:]:
        value, sign, width = row[4].split(" ")
        assert sign == "±"
        assert 0 <= float(width) <= float(value) + 100
    shared = [cell.strip() for cell in views.split("\n")[3].strip("|").split("|")]
    assert shared[:2] == ["one encoder, two decoders", "1.000"]  # the encoder is one
    for line in views.split("\n")[2:]:
        assert all(0 <= float(cell) <= 1 for cell in line.strip("|").split("|")[1:])
    assert (tmp_path / "run/results.md").read_text("utf-8") == done.stdout
    assert sorted(path.name for path in (tmp_path / "run").glob("views-*.svg")) == [
        "views-alone.svg", "views-shared.svg", "views-tags.svg",
    ]  # fmt: skip
    again = run()
    assert again.stdout == done.stdout
    assert "$ s2st train" not in again.stderr
    other = run("--beam", "3")
    assert other.returncode == 1
    assert "name another --run" in other.stderr


def test_cka_by_its_definition(monkeypatch):
    """Kornblith et al. (2019), with centered Gram matrices; it ignores rotation and scale."""
    monkeypatch.syspath_prepend(str(FOLDER))
    from views import cka

    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(30, 6)), rng.normal(size=(30, 4))
    center = np.eye(30) - 1 / 30
    k, m = center @ x @ x.T @ center, center @ y @ y.T @ center
    expected = np.trace(k @ m) / np.sqrt(np.trace(k @ k) * np.trace(m @ m))
    assert cka(x, y) == pytest.approx(expected)
    rotation, _ = np.linalg.qr(rng.normal(size=(6, 6)))
    assert cka(x, 3 * x @ rotation + 1) == pytest.approx(1)
