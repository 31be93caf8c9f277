"""Tests of `s2st score` for text against references and for checkpoints."""

import json
import math
import re

import pytest
import sacrebleu


@pytest.fixture
def hypotheses(world, tmp_path):
    """Two outputs for the test text: one nearly right, one with words swapped."""
    lines = world.target.read_text().splitlines()
    good = [line.replace(" le ", " la ") for line in lines]
    poor = [" ".join(reversed(line.split())) for line in lines]
    for name, text in (("good", good), ("poor", poor)):
        (tmp_path / name).write_text("".join(line + "\n" for line in text))
    return tmp_path / "good", tmp_path / "poor"


def test_bleu_is_sacrebleus_with_its_signature(s2st, world, hypotheses):
    outcome = s2st("score", hypotheses[0], "--ref", world.target, "--ter")
    assert outcome.code == 0, outcome.err
    lines = hypotheses[0].read_text().splitlines()
    reference = [world.target.read_text().splitlines()]
    metric = sacrebleu.BLEU()
    expected = metric.corpus_score(lines, reference)
    signature = str(metric.get_signature())
    assert outcome.lines[0].startswith(f"BLEU (sacreBLEU, {signature}) = {expected.score:.2f} ")
    assert re.match(
        r"BLEU \(multi-bleu\.perl, tokens split at white space, cased\) = \d+\.\d\d, [\d./]+ \(BP=",
        outcome.lines[1],
    )
    chrf = sacrebleu.CHRF().corpus_score(lines, reference).score
    assert f"= {chrf:.2f}" in outcome.lines[2]
    ter = sacrebleu.TER().corpus_score(lines, reference).score
    assert f"= {ter:.2f}" in outcome.lines[3]


def test_perfect_output_from_standard_input(s2st, world):
    outcome = s2st("score", "--ref", world.target, stdin=world.target.read_bytes())
    assert outcome.code == 0
    assert " = 100.00, 100.0/100.0/100.0/100.0 (BP=1.000" in outcome.lines[1]


def test_every_line_of_text_says_its_metric_and_how_it_was_computed(s2st, world, hypotheses):
    """A program and a signature, or the way that tokens and case are treated, in every line."""
    for options, case in (([], "cased"), (["--lowercase"], "A to Z lowercased")):
        outcome = s2st(
            "score", *hypotheses, "--ref", world.target, "--ter", "--samples", 10, *options
        )
        figures = [line for line in outcome.lines if " = " in line]
        assert len(figures) == 2 * 4 + 2 * 3  # two systems; BLEU, chrF and TER are compared
        for line in figures:
            metric, _, how = line.split(" = ")[0].partition(" (")
            assert metric.split()[-1] in ("BLEU", "chrF2", "TER")
            if how.startswith("sacreBLEU, "):
                signature = how.removeprefix("sacreBLEU, ")
                assert "nrefs:1|" in signature
                assert f"version:{sacrebleu.__version__}" in signature
            else:
                assert how.startswith("multi-bleu.perl")
                assert "tokens split at white space" in how
                assert case in how
        compared = figures[8:]
        assert all("|bs:10|seed:12345|" in line for line in compared)
        bleu = [line for line in figures if " BLEU (sacre" in " " + line]
        assert len(bleu) == 4
        assert all(("case:lc" in line) == bool(options) for line in bleu)
        found = s2st("score", hypotheses[0], "--ref", world.target, "--format", "json", *options)
        record = json.loads(found.lines[0])
        assert f"BLEU ({record['BLEU']['how']})" in outcome.lines[1]
        assert f"BLEU ({record['tokenized BLEU']['how']})" in outcome.lines[2]
        assert record["tokenized BLEU"]["signature"].count("case:lc") == bool(options)


def test_trainings_log_says_what_its_perplexity_is(s2st, world, tiny, tmp_path):
    outcome = s2st("train", world.store, *tiny, "--save-dir", tmp_path / "m", "--max-update", 1)
    assert outcome.code == 0, outcome.err
    start, _, rest = outcome.err.partition("ppl: perplexity per target token, including")
    assert "ppl" in rest
    assert "ppl" not in start


def test_lowercase_lowers_both_sides_of_both_bleus(s2st, tmp_path):
    (tmp_path / "h").write_text("THE Cat sat on a MAT\nil LIT un livre\n")
    (tmp_path / "r").write_text("the cat SAT on a mat\nIl lit UN Livre\n")
    outcome = s2st("score", tmp_path / "h", "--ref", tmp_path / "r", "--lowercase")
    for line in outcome.lines[:2]:
        assert " = 100.0" in line
    for line in s2st("score", tmp_path / "h", "--ref", tmp_path / "r").lines[:2]:
        assert " = 100.0" not in line


def test_several_systems_are_compared_by_paired_bootstrap(s2st, world, hypotheses):
    outcome = s2st("score", *hypotheses, "--ref", world.target, "--samples", 50)
    assert outcome.code == 0, outcome.err
    (start,) = [i for i, line in enumerate(outcome.lines) if line.startswith("paired bootstrap")]
    rows = outcome.lines[start + 1 :]
    assert len(rows) == 4  # two systems, BLEU and chrF2
    assert [str(hypotheses[1]) in row and "p = " in row for row in rows] == [False, True] * 2


def test_json_output_is_json_on_every_line(s2st, world, hypotheses):
    outcome = s2st("score", *hypotheses, "--ref", world.target, "--format", "json", "--samples", 20)
    rows = [json.loads(line) for line in outcome.lines]
    assert [row["system"] for row in rows[:2]] == [str(path) for path in hypotheses]
    assert rows[0]["BLEU"]["score"] > rows[1]["BLEU"]["score"]
    assert {row["metric"] for row in rows[2:]} == {"BLEU", "chrF2"}


def test_several_references(s2st, world, hypotheses):
    outcome = s2st("score", hypotheses[1], "--ref", world.target, "--ref", hypotheses[1])
    assert " = 100.00, " in outcome.lines[1]


def pair_arguments(world, *models):
    named = [x for model in models for x in ("--checkpoint", model)]
    return ["score", *named, "--source", world.source, "--target", world.target, "--threads", "1"]


def test_perplexity_is_that_of_the_token_log_probs(s2st, world):
    plain = s2st(*pair_arguments(world, world.forward))
    detailed = s2st(*pair_arguments(world, world.forward), "--format", "json")
    assert plain.code == detailed.code == 0
    rows = [json.loads(line) for line in detailed.lines]
    targets = world.target.read_text().splitlines()
    assert [row["tokens"] for row in rows] == [[*line.split(), "</s>"] for line in targets]
    values = [value for row in rows for value in row["token_log_probs"]]
    assert len(values) == sum(len(line.split()) + 1 for line in targets)
    for row, line in zip(rows, plain.lines, strict=True):
        assert math.fsum(row["token_log_probs"]) == pytest.approx(row["log_prob"], abs=1e-4)
        assert float(line) == pytest.approx(row["log_prob"], abs=1e-4)
    perplexity = math.exp(-math.fsum(values) / len(values))
    (said,) = re.findall(r"perplexity ([\d.]+)", plain.err)
    assert float(said) == pytest.approx(perplexity, rel=1e-4)


def test_empty_sides_have_a_score_too(s2st, world, tmp_path):
    (tmp_path / "s").write_text("\nthe cat\n\n")
    (tmp_path / "t").write_text("\n\nle chat\n")
    outcome = s2st(
        "score", "--checkpoint", world.reversed, "--source", tmp_path / "s",
        "--target", tmp_path / "t", "--format", "json",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert [len(json.loads(line)["token_log_probs"]) for line in outcome.lines] == [1, 1, 3]


def test_score_of_generated_text_is_the_searchs(s2st, world, tmp_path):
    options = ["--search", "greedy", "--no-unk", "--format", "json", "--threads", "1"]
    made = s2st("generate", "--checkpoint", world.forward, *options, world.source)
    best = [json.loads(line)["hypotheses"][0] for line in made.lines]
    (tmp_path / "t").write_text("".join(h["text"] + "\n" for h in best))
    scored = s2st(
        "score", "--checkpoint", world.forward, "--source", world.source,
        "--target", tmp_path / "t", "--format", "json",
    )  # fmt: skip
    for hypothesis, line in zip(best, scored.lines, strict=True):
        values = json.loads(line)["token_log_probs"][: len(hypothesis["token_log_probs"])]
        assert values == pytest.approx(hypothesis["token_log_probs"], abs=1e-4)


def test_an_ensembles_probability_is_the_mean(s2st, world):
    def rows(*models):
        outcome = s2st(*pair_arguments(world, *models), "--format", "json")
        assert outcome.code == 0, outcome.err
        return [json.loads(line)["token_log_probs"] for line in outcome.lines]

    members = [rows(world.forward), rows(world.gru)]
    for one, two, both in zip(*members, rows(world.forward, world.gru), strict=True):
        for a, b, c in zip(one, two, both, strict=True):
            assert c == pytest.approx(math.log((math.exp(a) + math.exp(b)) / 2), abs=1e-4)
