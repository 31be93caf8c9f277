"""Tests of `s2st rescore-nbest` on the lists of several systems."""

import json
import random

import pytest

from s2st.jobs.text_metrics import tokenized_bleu
from s2st.text.nbest_lists import read_nbest

LISTS = 12


@pytest.fixture(scope="module")
def files(tmp_path_factory, world):
    """Two systems, each good at other sentences; half of the second system's hypotheses are new."""
    folder = tmp_path_factory.mktemp("merging")
    rng = random.Random(3)
    references = world.target.read_text().split("\n")[:LISTS]
    systems = {"a": [], "b": []}
    for number, reference in enumerate(references):
        shared = [corrupted(reference, rng, 0.3) for _ in range(3)]
        for name, rows in systems.items():
            rate = 0.1 if (number % 2 == 0) == (name == "a") else 0.5
            for text, wrong in [*shared, *(corrupted(reference, rng, rate) for _ in range(4))]:
                value = -0.3 * wrong + rng.gauss(0, 0.2)
                scale = 1 if name == "a" else 50
                rows.append(f"{number} ||| {text} ||| LM0= {value:.4f} ||| {scale * value:.4f}")
    for name, rows in systems.items():
        (folder / name).write_text("".join(f"{row}\n" for row in rows))
    source = world.source.read_text().split("\n")[:LISTS]
    (folder / "src").write_text("".join(f"{x}\n" for x in source))
    (folder / "ref").write_text("".join(f"{x}\n" for x in references))
    return folder


def corrupted(reference, rng, rate):
    words = [rng.choice(["le", "x"]) if rng.random() < rate else w for w in reference.split()]
    return " ".join(words), sum(a != b for a, b in zip(words, reference.split(), strict=True))


@pytest.fixture
def rescore(s2st, files, world):
    def run(*words):
        return s2st(
            "rescore-nbest", *words, "--source", files / "src", "--checkpoint", world.reversed,
            "--threads", "1",
        )  # fmt: skip

    return run


def entries(outcome):
    assert outcome.code == 0, outcome.err
    return [entry for group in read_nbest(outcome.lines, "out") for entry in group]


def bleu_of(outcome, files):
    assert outcome.code == 0, outcome.err
    reference = [(files / "ref").read_text().split("\n")[:-1]]
    return tokenized_bleu(outcome.lines, reference).score


def test_merged_lists_have_every_hypothesis_once_with_the_models_score(rescore, files):
    found = entries(rescore(files / "a", files / "b", "--format", "nbest"))
    alone = {name: entries(rescore(files / name, "--format", "nbest")) for name in "ab"}
    keys = [(e.id, e.hypothesis) for e in found]
    assert len(keys) == len(set(keys))
    assert set(keys) == {(e.id, e.hypothesis) for name in "ab" for e in alone[name]}
    scores = {(e.id, e.hypothesis): dict(e.features)["S2ST0"][0] for n in "ab" for e in alone[n]}
    for entry in found:
        features = dict(entry.features)
        key = (entry.id, entry.hypothesis)
        assert features["S2ST0"][0] == pytest.approx(scores[key], rel=1e-4)
        for index, name in enumerate("ab"):
            has = any((e.id, e.hypothesis) == key for e in alone[name])
            assert features[f"System{index}Has"] == (float(has),)


def test_merged_systems_tuned_together_choose_better_than_each(rescore, files, tmp_path):
    tune = ["--tune", files / "ref"]
    merged = rescore(files / "a", files / "b", *tune, "--weights-out", tmp_path / "w")
    single = [bleu_of(rescore(files / name, *tune), files) for name in "ab"]
    assert bleu_of(merged, files) >= max(single)
    again = rescore(files / "a", files / "b", "--weights", tmp_path / "w")
    assert again.lines == merged.lines
    own = rescore(files / "a", files / "b", *tune, "--baseline-features", "own")
    assert bleu_of(own, files) >= max(single) - 2


def test_lists_of_one_system_twice_give_that_systems_result(rescore, files):
    """Every hypothesis is in both, so the merged total orders as the system's own."""
    weight = ["--weight", "Baseline=1"]
    alone = rescore(files / "a", *weight)
    assert rescore(files / "a", files / "a", *weight).lines == alone.lines
    tune = ["--tune", files / "ref"]
    once, twice = (rescore(*names, *tune) for names in ([files / "a"], [files / "a"] * 2))
    assert bleu_of(twice, files) >= bleu_of(once, files) - 1e-6


def test_scored_lists_are_merged_without_a_model(rescore, s2st, files, tmp_path):
    for name in "ab":
        rescore(files / name, "--format", "nbest", "-o", tmp_path / name)
    direct = rescore(files / "a", files / "b")
    again = s2st("rescore-nbest", tmp_path / "a", tmp_path / "b", "--source", files / "src")
    assert again.code == 0, again.err
    assert again.lines == direct.lines


def test_development_lists_are_merged_in_the_same_way(rescore, files, tmp_path):
    dev = [
        "--dev-nbest", files / "a", "--dev-nbest", files / "b", "--dev-source", files / "src",
        "--tune", files / "ref",
    ]  # fmt: skip
    apart = rescore(files / "a", files / "b", *dev, "--consensus", "chrf")
    here = rescore(files / "a", files / "b", "--tune", files / "ref", "--consensus", "chrf")
    assert apart.code == 0, apart.err
    assert apart.lines == here.lines
    rescore(files / "a", *dev).check_error(2, "2 --dev-nbest for 1 NBEST")


def test_shards_of_merged_lists_add_up(rescore, files, tmp_path):
    whole = rescore(files / "a", files / "b")
    parts = [rescore(files / "a", files / "b", "--shard", f"{i}/2") for i in (1, 2)]
    assert [line for part in parts for line in part.lines] == whole.lines


def test_merged_lists_are_written_to_a_file_by_tasks(rescore, files, tmp_path):
    out = tmp_path / "out"
    assert rescore(files / "a", files / "b", "-o", out).code == 0
    assert out.read_text().split("\n")[:-1] == rescore(files / "a", files / "b").lines


def test_consensus_of_merged_lists_and_the_report(s2st, files, tmp_path):
    outcome = s2st(
        "rescore-nbest", files / "a", files / "b", "--source", files / "src", "--consensus",
        "bleu", "--tune", files / "ref", "--report", tmp_path / "report",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    spread = json.loads((tmp_path / "report").read_text())["spread_within_lists"]
    assert {"System0Total", "System1Has", "S2STConsensus"} <= set(spread)


def test_files_of_different_sources_are_merged_with_a_warning(s2st, files, tmp_path):
    """The second file of each pair is another system's, one line late, or has half of the lists."""
    rows = (files / "b").read_text().splitlines()
    late = [f"{int(row.split(' ')[0]) + 1}{row[row.index(' ') :]}" for row in rows]
    (tmp_path / "late").write_text("".join(f"{row}\n" for row in late if not row.startswith("12")))
    half = [row for row in rows if int(row.split(" ")[0]) < LISTS // 2]
    (tmp_path / "half").write_text("".join(f"{row}\n" for row in half))

    def warnings(*names):
        given = [*names, "--source", files / "src", "--consensus", "bleu"]
        outcome = s2st("rescore-nbest", *given, "--weight", "S2STConsensus=1")
        assert outcome.code == 0, outcome.err
        return [line for line in outcome.err.splitlines() if "warning" in line]

    assert warnings(files / "a", files / "b") == []
    assert warnings(files / "a", files / "a") == []
    assert warnings(files / "a") == []
    missing, different = warnings(files / "a", tmp_path / "late")
    assert f"{tmp_path / 'late'} has no list for 1 of the 12 ids" in missing
    assert f"{tmp_path / 'late'} is not more similar to the list of {files / 'a'}" in different
    (missing,) = warnings(files / "a", tmp_path / "half")
    assert "half has no list for 6 of the 12 ids" in missing
