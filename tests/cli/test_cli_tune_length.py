"""`s2st tune-length`: every row is what `generate --lenpen` and `score` give."""

import json

import pytest

from s2st.jobs.options import TuneLengthConfig

SHORT = ["--max-len-a", "1", "--max-len-b", "8", "--threads", "1"]


@pytest.fixture
def tune(s2st, world):
    def run(*options, models=(world.forward,)):
        named = [word for model in models for word in ("--checkpoint", model)]
        return s2st(
            "tune-length", *named, "--source", world.source, "--ref", world.target, *SHORT, *options
        )

    return run


@pytest.mark.parametrize("options", [[], ["--length-normalization", "wu", "--beam", 3]])
@pytest.mark.parametrize("ensemble", [False, True])
def test_each_row_is_the_score_of_its_translations(s2st, world, tune, tmp_path, options, ensemble):
    models = [world.forward, world.gru] if ensemble else [world.forward]
    outcome = tune(
        "--format", "json", "--max-lenpen", 1.5, "--lenpen-step", 0.5, *options, models=models
    )
    assert outcome.code == 0, outcome.err
    rows = [json.loads(line) for line in outcome.lines]
    assert [row["lenpen"] for row in rows] == [0, 0.5, 1, 1.5]
    named = [word for model in models for word in ("--checkpoint", model)]
    for row in rows:
        own = options if row["lenpen"] else options[2:]  # the form needs a penalty
        path = tmp_path / str(row["lenpen"])
        made = s2st("generate", *named, *SHORT, *own, "--lenpen", row["lenpen"],
                    world.source, "-o", path)  # fmt: skip
        assert made.code == 0, made.err
        scored = json.loads(
            s2st("score", path, "--ref", world.target, "--format", "json").lines[0]
        )["BLEU"]
        assert row["bleu"] == pytest.approx(scored["score"], abs=1e-9)
        assert row["ratio"] > 0
    best = max(rows, key=lambda row: row["bleu"])
    differ = len({f"{row['bleu']:.2f}" for row in rows}) > 1
    assert [row["best"] for row in rows] == [row is best and differ for row in rows]


def test_the_table_marks_the_best(tune, world):
    outcome = tune("--max-lenpen", 1, models=(world.gru,))
    assert outcome.code == 0, outcome.err
    assert len(outcome.lines) == 12  # a heading, and 0 to 1 in steps of 0.1
    (best,) = [line for line in outcome.lines if line.endswith("<- best")]
    penalty = best.split()[0]
    assert f"use --lenpen {float(penalty):g}: BLEU {best.split()[1]}" in outcome.err


def test_equal_penalties_have_no_best(s2st, world, tmp_path):
    """References without a word of the translations: BLEU is 0 under every penalty."""
    (tmp_path / "ref").write_text("zzz\n" * len(world.source.read_text().splitlines()))
    outcome = s2st("tune-length", "--checkpoint", world.forward, "--source", world.source,
                   "--ref", tmp_path / "ref", *SHORT, "--max-lenpen", 0.5)  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert "<- best" not in outcome.out
    records = s2st("tune-length", "--checkpoint", world.forward, "--source", world.source,
                   "--ref", tmp_path / "ref", *SHORT, "--max-lenpen", 0.5,
                   "--format", "json")  # fmt: skip
    assert not any(json.loads(line)["best"] for line in records.lines)
    assert records.err == outcome.err
    assert "BLEU is 0.00 under every length penalty: nothing to choose" in outcome.err
    assert "use --lenpen" not in outcome.err


@pytest.mark.parametrize(
    ("most", "step", "expected"),
    [(1, 0.4, [0, 0.4, 0.8, 1]), (1, 5, [0, 1]), (0.3, 0.1, [0, 0.1, 0.2, 0.3]), (0, 0.1, [0])],
)
def test_the_largest_penalty_is_tried_whatever_the_step(most, step, expected):
    assert TuneLengthConfig(max_lenpen=most, lenpen_step=step).lenpens() == expected


def test_what_it_needs(s2st, world, tmp_path):
    s2st("tune-length", "--source", world.source, "--ref", world.target).check_error(2, "no model")
    model = ["tune-length", "--checkpoint", world.forward]
    s2st(*model, "--ref", world.target).check_error(2, "--source FILE")
    s2st(*model, "--source", world.source).check_error(2, "--ref FILE")
    (tmp_path / "short").write_text("le chat\n")
    outcome = s2st(*model, "--source", world.source, "--ref", tmp_path / "short")
    outcome.check_error(65, "ends after 1 lines")
    (tmp_path / "empty").touch()
    outcome = s2st(*model, "--source", tmp_path / "empty", "--ref", tmp_path / "empty")
    outcome.check_error(65, "no lines")
