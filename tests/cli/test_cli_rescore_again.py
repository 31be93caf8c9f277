"""Tests of `s2st rescore-nbest` on lists that it wrote before.

Without --checkpoint it uses their scores. With --checkpoint it scores anew. In both cases the
baseline's totals are the original ones.
"""

import json
import random

import pytest

LISTS, SIZE = 10, 6


@pytest.fixture(scope="module")
def files(tmp_path_factory, world):
    """Made-up lists whose totals are of the size of log-probabilities."""
    folder = tmp_path_factory.mktemp("again")
    rng = random.Random(3)
    references = world.target.read_text().split("\n")[:LISTS]
    lines = []
    for number, reference in enumerate(references):
        for _ in range(SIZE):
            words = [
                w if rng.random() < 0.8 else rng.choice(["le", "chat"]) for w in reference.split()
            ]
            lines.append(f"{number} ||| {' '.join(words)} ||| LM0= {rng.gauss(-9, 2):.3f} ||| "
                         f"{rng.gauss(-20, 5):.4f}")  # fmt: skip
    (folder / "list").write_text("".join(line + "\n" for line in lines))
    sources = world.source.read_text().split("\n")[:LISTS]
    (folder / "src").write_text("".join(f"{line}\n" for line in sources))
    (folder / "ref").write_text("".join(f"{line}\n" for line in references))
    return folder


@pytest.fixture
def rescore(s2st, files):
    def run(name, *options):
        return s2st("rescore-nbest", files / name, "--source", files / "src", *options)

    return run


@pytest.fixture
def scored(rescore, files, world):
    """The lists after a rescoring by two models, each a feature of its own."""
    models = ("--checkpoint", world.reversed, "--checkpoint", world.forward)
    options = ("--feature-per", "member", "--threads", "1")
    outcome = rescore("list", *models, *options, "--format", "nbest", "-o", files / "scored")
    assert outcome.code == 0, outcome.err
    return (*models, *options)


@pytest.mark.parametrize("options", [
    ("--weight", "Baseline=0.2", "--weight", "S2ST1=0.8"),
    ("--normalize", "list"),
    ("--tune", "ref", "--length-feature"),
])  # fmt: skip
def test_weights_over_earlier_scores_choose_as_scoring_anew(rescore, files, scored, options):
    options = [files / o if o == "ref" else o for o in options]
    anew = rescore("list", *scored, *options)
    again = rescore("scored", *options)
    assert anew.code == again.code == 0, again.err
    assert again.out == anew.out
    assert again.out.count("\n") == LISTS


def test_the_even_average_of_earlier_scores_is_the_default_and_the_baseline_is_kept(
    rescore, files, scored
):
    even = rescore("list", *scored)
    again = rescore("scored", "--report", files / "report", "--oracle", files / "ref")
    assert again.out == even.out
    first = rescore("list", "--weight", "Baseline=1", *scored)  # the system's own choice
    assert rescore("scored", "--weight", "Baseline=1").out == first.out
    assert set(json.loads((files / "report").read_text())["weights"]) == {
        "Baseline", "S2ST0", "S2ST1",
    }  # fmt: skip


def test_resorted_again_the_lists_keep_their_scores(rescore, files, scored):
    outcome = rescore("scored", "--weight", "S2ST0=1", "--format", "nbest", "-o", files / "twice")
    assert outcome.code == 0, outcome.err

    def facts(name):
        found = {}
        for line in (files / name).read_text().splitlines():
            number, text, features, _ = line.split(" ||| ")
            found.setdefault((number, text), set()).add(features)
        return found

    assert facts("twice") == facts("scored")


def test_lists_without_scores_need_a_checkpoint(rescore, files, scored):
    outcome = rescore("list")
    assert (outcome.code, outcome.out) == (2, "")
    assert "--checkpoint" in outcome.err
    lines = (files / "scored").read_text().split("\n")
    lines[SIZE + 1] = lines[SIZE + 1].replace("S2ST1=", "Other=")
    (files / "torn").write_text("\n".join(lines))
    outcome = rescore("torn")
    assert outcome.code == 65
    assert f"{SIZE + 2}" in outcome.err
    assert "no feature S2ST1" in outcome.err
    outcome = rescore("scored", "--format", "words")
    assert outcome.code == 2
    assert "--checkpoint" in outcome.err
    outcome = rescore("scored", "--weight", "S2ST2=1")
    assert outcome.code == 2
    assert "S2ST2" in outcome.err


@pytest.fixture
def rewritten(rescore, files):
    """Write a rescoring of "list" that orders it by something else; return its name."""
    weights = ("--consensus", "chrf", "--weight", "S2STConsensus=9", "--weight", "Baseline=-3")
    outcome = rescore("list", *weights, "--format", "nbest", "-o", files / "rewritten")
    assert outcome.code == 0, outcome.err
    return "rewritten"


def test_scored_anew_rescored_lists_have_the_original_totals(rescore, files, scored, rewritten):
    """Whatever wrote the lists: models, or the consensus alone."""

    def facts(name, *options):
        outcome = rescore(name, *scored, "--format", "nbest", *options)
        assert outcome.code == 0, outcome.err
        return sorted(outcome.lines), outcome.err.count("Baseline=")

    weights = ("--weight", "Baseline=0.7", "--weight", "S2ST0=0.3")
    expected = facts("list", *weights)
    assert facts("scored", *weights) == expected
    assert facts(rewritten, *weights) == expected


def test_development_lists_and_merged_systems_have_the_original_totals(
    rescore, s2st, files, scored, rewritten
):
    def tuned(name):
        dev = ("--dev-nbest", files / name, "--dev-source", files / "src", "--tune", files / "ref")
        outcome = rescore("list", *scored, *dev, "--weights-out", files / "weights")
        assert outcome.code == 0, outcome.err
        text = (files / "weights").read_text()
        return outcome.out, [float(word) for word in text.split() if word[-1].isdigit()]

    chosen, weights = tuned("list")
    for name in (rewritten, "scored"):  # other order of hypotheses, so other rounding
        assert tuned(name) == (chosen, pytest.approx(weights, rel=1e-9))

    def merged(*names):
        paths = [files / name for name in names]
        outcome = s2st(
            "rescore-nbest", *paths, "--source", files / "src", *scored, "--format", "nbest"
        )
        assert outcome.code == 0, outcome.err
        return sorted(outcome.lines)

    assert merged("list", rewritten) == merged("list", "list")


def test_a_score_that_the_first_hypothesis_lacks_is_not_ignored(rescore, files, scored):
    lines = (files / "scored").read_text().split("\n")
    features = [word for word in lines[0].split() if word == "S2ST1="]
    assert features  # the file is what the test takes it for
    lines[0] = lines[0].replace("S2ST1=", "Other=")
    (files / "headless").write_text("\n".join(lines))
    outcome = rescore("headless")
    assert (outcome.code, outcome.out) == (65, "")
    assert "line 2: feature 'S2ST1' has 1 value" in outcome.err
