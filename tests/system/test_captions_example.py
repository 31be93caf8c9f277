"""Captions say what the pictures show, and the example runs at toy size."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parents[2] / "examples" / "captions"


@pytest.fixture
def scenes(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    import scenes

    yield scenes
    del sys.modules["scenes"]


def test_captions_follow_the_grammar(scenes):
    thing = scenes.Thing
    cases = [
        ([thing("red", "circle", 4)], "a red circle in the middle"),
        (
            [thing("red", "circle", 0), thing("blue", "cross", 2)],
            "a red circle to the left of a blue cross",
        ),
        (
            [thing("red", "circle", 1), thing("blue", "cross", 7)],
            "a red circle above a blue cross",
        ),
        (
            [thing("red", "circle", 0), thing("red", "cross", 8)],
            "a red circle at the top left and a red cross at the bottom right",
        ),
        (
            [thing("red", "cross", 0), thing("red", "cross", 2)],
            "two red crosses , one at the top left and one at the top right",
        ),
    ]
    for things, text in cases:
        assert scenes.caption(things) == text


def test_a_picture_has_its_objects_colors_where_they_are(scenes):
    rng = np.random.default_rng(1)
    for _ in range(60):
        things = scenes.draw_things(rng)
        picture = scenes.draw_picture(things, rng)
        by_place = {thing.place: thing for thing in things}
        for place in range(9):
            row, column = divmod(place, 3)
            cell = picture[8 * row : 8 * row + 8, 8 * column : 8 * column + 8]
            color = cell[3:5, 3:5].mean(axis=(0, 1))  # every shape covers the center
            thing = by_place.get(place)
            expected = (0.95, 0.95, 0.95) if thing is None else scenes.COLORS[thing.color]
            assert np.abs(color - expected).max() < 0.15


def test_patches_are_the_picture(scenes):
    pictures, captions = scenes.make_scenes(5, 7)
    again, same = scenes.make_scenes(5, 7)
    np.testing.assert_array_equal(pictures, again)
    assert captions == same
    found = scenes.patches(pictures[0])
    assert found.shape == (36, 48)
    for number in (0, 5, 6, 35):
        y, x = divmod(number, 6)
        part = pictures[0][4 * y : 4 * y + 4, 4 * x : 4 * x + 4].reshape(-1)
        np.testing.assert_allclose(found[number], 2 * part - 1, atol=1e-6)


@pytest.mark.extensive
def test_the_example_runs(tmp_path):
    command = [
        sys.executable, str(FOLDER / "run.py"), "--run", str(tmp_path / "run"), "--scenes", "60",
        "--epochs", "1", "--model", "gru-attention",
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    head, _, row = ([c.strip() for c in r.strip("|").split("|")] for r in done.stdout.splitlines())
    assert head[0] == "model"
    assert row[0] == "gru-attention"
    assert 0 <= float(row[2]) <= 100
    assert done.stderr.count("$ s2st ") == 4  # preprocess, train, generate, score
    assert (tmp_path / "run" / "gru-attention.png").read_bytes().startswith(b"\x89PNG")
    again = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert again.returncode == 1
    assert "already exists" in again.stderr
