"""Tests of `s2st analyze states`."""

import json
import math
import re
import sys

import numpy as np
import pytest

PHRASES = """\
order\tcat and dog\tthe cat sees the dog
order\tdog and cat\tthe dog sees the cat
voice\tcat and dog\tthe zyx sees the dog
order\tcat and dog\tthe cat sees a dog
voice\tcat and dog\tthe dog is seen by the cat
voice\tdog and cat\tthe cat is seen by the dog
"""


@pytest.fixture
def phrases(tmp_path):
    path = tmp_path / "phrases.tsv"
    path.write_text(PHRASES)
    return path


def command(*checkpoints):
    named = [x for checkpoint in checkpoints for x in ("--checkpoint", checkpoint)]
    return ["analyze", "states", *named, "--threads", 1]


def test_each_line_comes_back_with_its_place(s2st, world, phrases):
    outcome = s2st(*command(world.reversed), phrases)
    assert outcome.code == 0, outcome.err
    for line, given in zip(outcome.lines, PHRASES.splitlines(), strict=True):
        text, x, y = line.rsplit("\t", 2)
        assert text == given
        assert math.isfinite(float(x) + float(y))
    from_pipe = s2st(*command(world.reversed), stdin=PHRASES.encode())
    assert from_pipe.out == outcome.out
    plain = "".join(line.split("\t")[2] + "\n" for line in PHRASES.splitlines())
    alone = s2st(*command(world.reversed), "-", stdin=plain.encode())
    assert alone.code == 0, alone.err
    assert [line.count("\t") for line in alone.lines] == [2] * 6
    assert "distance" not in alone.err


def test_json_holds_vectors_and_the_numbers_of_stderr(s2st, world, phrases):
    outcome = s2st(*command(world.reversed), phrases, "--format", "json", "--vectors")
    assert outcome.code == 0, outcome.err
    rows = [json.loads(line) for line in outcome.lines]
    assert [row["phrase"] for row in rows[:6]] == [
        line.split("\t")[2] for line in PHRASES.splitlines()
    ]
    assert [row["panel"] for row in rows[6:]] == ["order", "voice"]
    for summary in rows[6:]:
        own = [row for row in rows[:6] if row["panel"] == summary["panel"]]
        data = np.array([row["vector"] for row in own])
        assert data.shape == (3, 2 * 16) == (summary["phrases"], summary["numbers"])
        spread = np.linalg.svd(data - data.mean(0), compute_uv=False) ** 2
        assert summary["explained"] == pytest.approx((spread / spread.sum())[:2].tolist())
        assert np.var([row["x"] for row in own]) * 3 == pytest.approx(spread[0])
        share = summary["explained"][0]
        said = f"{summary['panel']}: 3 phrases with states of 32 numbers; x holds {share:.1%}"
        assert said in outcome.err
    order = rows[6]["distances"]
    assert order["different"]["count"] == 2
    assert order["different_reordered"]["count"] == 1
    (line,) = re.findall(r"order: mean cosine distance, different meaning: .*", outcome.err)
    shown = re.fullmatch(
        r".*: (\S+) \(n = 2\); same words (\S+) \(n = 1\), other words (\S+) \(n = 1\)", line
    )
    means = [order[f"different{kind}"]["distance"] for kind in ("", "_reordered", "_reworded")]
    assert [float(text) for text in shown.groups()] == pytest.approx(means, abs=1e-4)
    assert f"order: phrases of different meaning are {order['ratio']:.2f} times" in outcome.err
    assert f"for {order['neighbors']:.1%} of the phrases (by chance 50.0%)" in outcome.err


def test_unknown_words_are_named(s2st, world, phrases):
    outcome = s2st(*command(world.reversed), phrases, "--format", "json")
    unknown = {row["panel"]: row["unknown"] for row in map(json.loads, outcome.lines[6:])}
    assert "zyx" in unknown["voice"]
    assert "zyx" not in unknown["order"]
    (warning,) = re.findall(r"warning: voice: the model does not know .*", outcome.err)
    assert "zyx" in warning


def test_an_ensemble_and_a_part_of_its_state(s2st, world, phrases):
    wide = s2st(*command(world.forward, world.gru), phrases)
    assert "states of 48 numbers" in wide.err  # 2 x 16 and 16
    narrow = s2st(*command(world.forward, world.gru), phrases, "--part", "cell")
    assert "states of 16 numbers" in narrow.err
    assert narrow.out != wide.out


def test_figures_one_a_panel(s2st, world, phrases, tmp_path):
    pytest.importorskip("matplotlib")
    outcome = s2st(*command(world.reversed), phrases, "--figure", tmp_path / "map.png")
    assert outcome.code == 0, outcome.err
    assert {path.name for path in tmp_path.iterdir()} == {
        "phrases.tsv", "map-order.svg", "map-order.png", "map-voice.svg", "map-voice.png"
    }  # fmt: skip
    assert "the cat sees the dog" in (tmp_path / "map-order.svg").read_text()


def test_wrong_use_is_one_clear_line(s2st, world, phrases, tmp_path, monkeypatch):
    good = command(world.reversed)
    s2st(*command(), phrases).check_error(2, "--checkpoint")
    s2st(*good, phrases, "--vectors").check_error(2, "--vectors needs --format json")
    s2st(*good, phrases, "--part", "top").check_error(2, "hidden, cell, all")
    s2st(*good, tmp_path / "none").check_error(66, "none: cannot be read")
    s2st(*good, stdin=b"a\n\nb\n").check_error(65, "standard input, line 2: an empty line")
    s2st(*good, stdin=b"").check_error(65, "standard input: 0 phrases")
    s2st(*command(tmp_path), phrases).check_error(66, str(tmp_path))
    there = "--figure", tmp_path / "no" / "folder"
    s2st(*good, phrases, *there).check_error(74, "folder.svg: cannot be written")
    for name in ("matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, name, None)
    drawn = s2st(*good, phrases, "--figure", tmp_path / "map")
    drawn.check_error(2, "figures need matplotlib: run pip install 's2st[analysis]'")
