"""Tests of `s2st rescore-nbest` with weights files, normalising, tuning and reports."""

import json
import random
import statistics

import numpy as np
import pytest
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER

from s2st.jobs.text_metrics import tokenized_bleu
from s2st.rescoring.consensus import Consensus
from s2st.rescoring.feature_weights import read_weights
from s2st.text.nbest_lists import read_nbest

LISTS, SIZE = 12, 8


@pytest.fixture(scope="module")
def files(tmp_path_factory, world):
    """Made-up lists for the test sentences: references with words left out or swapped."""
    folder = tmp_path_factory.mktemp("tuning")
    rng = random.Random(5)
    references = world.target.read_text().split("\n")[:LISTS]
    lines = []
    for number, reference in enumerate(references):
        for _ in range(SIZE):
            words = reference.split()
            wrong = 0
            for position in range(len(words)):
                if rng.random() < 0.25:
                    words[position] = rng.choice(["le", "la", "chat", "."])
                    wrong += 1
            good = -0.3 * wrong + rng.gauss(0, 0.5)
            noise = rng.gauss(0, 1)
            lines.append(
                f"{number} ||| {' '.join(words)}  ||| LM0= {good:.4f} TM0= {noise:.4f} -1 ||| "
                f"{0.05 * good + 0.1 * noise - 0.02:.6f}"
            )
    (folder / "list").write_text("".join(line + "\n" for line in lines))
    (folder / "src").write_text(
        "".join(x + "\n" for x in world.source.read_text().split("\n")[:LISTS])
    )
    (folder / "ref").write_text("".join(x + "\n" for x in references))
    return folder


@pytest.fixture
def rescore(s2st, files, world):
    def run(*options, stdin=b"", name=None):
        return s2st(
            "rescore-nbest", name or files / "list", "--source", files / "src",
            "--checkpoint", world.reversed, "--threads", "1", *options, stdin=stdin,
        )  # fmt: skip

    return run


def entries(outcome):
    assert outcome.code == 0, outcome.err
    return [entry for group in read_nbest(outcome.lines, "out") for entry in group]


def bleu_of(lines, files):
    return tokenized_bleu(lines, [(files / "ref").read_text().split("\n")[:-1]]).score


def test_weights_file_equals_weights_by_hand(rescore, tmp_path):
    path = tmp_path / "w.ini"
    path.write_text("[weight]\nLM0= 0.5\nTM0= 0.2 0.1  # two values\nS2ST0= 0.3\n")
    for entry in entries(rescore("--weights", path, "--format", "nbest")):
        own = dict(entry.features)
        expected = 0.5 * own["LM0"][0] + 0.2 * own["TM0"][0] + 0.1 * own["TM0"][1]
        assert entry.total == pytest.approx(expected + 0.3 * own["S2ST0"][0], abs=1e-3)


def test_normalize_divides_by_the_spread_within_lists_and_centers(rescore):
    found = entries(rescore("--normalize", "list", "--format", "nbest"))
    groups = [[e for e in found if e.id == i] for i in range(LISTS)]
    spread = {}
    for name in ("Baseline", "S2ST0"):
        variances = [statistics.pvariance([dict(e.features)[name][0] for e in g]) for g in groups]
        spread[name] = statistics.fmean(variances) ** 0.5
    for group in groups:
        scaled = [
            sum(0.5 * dict(e.features)[name][0] / spread[name] for name in spread) for e in group
        ]
        mean = statistics.fmean(scaled)
        for entry, value in zip(group, scaled, strict=True):
            assert entry.total == pytest.approx(value - mean, abs=1e-3)
        assert [e.total for e in group] == sorted((e.total for e in group), reverse=True)


def test_lopsided_spreads_are_said_once_and_not_after_normalizing(rescore):
    plain = rescore()
    assert plain.err.count("nearly follows the model's choice alone") == 1
    assert "nearly" not in rescore("--normalize", "list").err
    assert "nearly" not in rescore("--baseline-features", "own").err  # each score counts equally


def test_tuning_raises_bleu_and_its_weights_give_the_same_choice_again(rescore, files, tmp_path):
    weights = tmp_path / "w"
    tuned = rescore("--tune", files / "ref", "--weights-out", weights, "--length-feature")
    assert tuned.code == 0, tuned.err
    plain = rescore()
    assert bleu_of(tuned.lines, files) >= bleu_of(plain.lines, files)
    assert "held out (5 folds)" in tuned.err
    again = rescore("--weights", weights, "--length-feature")
    assert again.lines == tuned.lines
    assert set(read_weights(str(weights)).values) == {"Baseline", "S2ST0", "S2STLength"}


def test_own_features_recover_the_baseline_and_can_be_tuned(rescore, files):
    found = entries(rescore("--baseline-features", "own", "--format", "nbest"))
    # LM0 and TM0 weigh 0.05 and 0.1 in the made-up totals; half of that beside half of the model
    for group in ([e for e in found if e.id == i] for i in range(LISTS)):
        by_spread = [e.total for e in group]
        assert by_spread == sorted(by_spread, reverse=True)
    tuned = rescore("--baseline-features", "own", "--tune", files / "ref")
    assert bleu_of(tuned.lines, files) >= bleu_of(rescore().lines, files)


def test_development_lists_apart_never_read_the_test_reference(rescore, files):
    apart = rescore(
        "--dev-nbest", files / "list", "--dev-source", files / "src", "--tune", files / "ref"
    )
    assert apart.code == 0, apart.err
    assert apart.lines == rescore("--tune", files / "ref").lines


@pytest.mark.parametrize("tuner", ["line-search", "mira", "pro"])
def test_tuners_by_name(rescore, files, tuner):
    outcome = rescore("--tune", files / "ref", "--tuner", tuner)
    assert outcome.code == 0, outcome.err
    assert bleu_of(outcome.lines, files) >= bleu_of(rescore().lines, files) - 1e-6


def test_oracle_report(rescore, files, tmp_path):
    report = tmp_path / "report.json"
    outcome = rescore("--oracle", files / "ref", "--report", report)
    values = json.loads(report.read_text())
    rows = {name: interval["value"] for name, interval in values["headroom"]["rows"]}
    assert rows["weights used"] == pytest.approx(bleu_of(outcome.lines, files))
    baseline = []
    for group in read_nbest((files / "list").read_text().split("\n")[:-1], "list"):
        baseline.append(max(group, key=lambda e: e.total).hypothesis)
    assert rows["baseline 1-best"] == pytest.approx(bleu_of(baseline, files))
    assert rows["oracle by corpus BLEU"] >= rows["oracle by sentence BLEU"] >= rows["weights used"]
    assert rows["worst by corpus BLEU"] <= rows["baseline 1-best"]
    gain = values["headroom"]["gain"]
    assert gain["value"] == pytest.approx(rows["weights used"] - rows["baseline 1-best"])
    assert gain["low"] <= gain["value"] <= gain["high"]
    assert values["headroom"]["lists"] == LISTS
    curve = dict(map(tuple, values["headroom"]["curve"]))
    assert curve[0.0] == pytest.approx(rows["baseline 1-best"])


def test_words_output_sums_to_the_feature(rescore, files):
    found = {
        (e.id, e.hypothesis): dict(e.features)["S2ST0"][0]
        for e in entries(rescore("--format", "nbest"))
    }
    for line in rescore("--format", "words").lines:
        record = json.loads(line)
        scores = record["token_log_probs"]["S2ST0"]
        assert len(scores) == len(record["hypothesis"].split()) + 1
        key = (record["id"], record["hypothesis"])
        assert sum(scores) == pytest.approx(found[key], rel=1e-4)


def test_two_passes_over_standard_input(rescore, files):
    data = (files / "list").read_bytes()
    piped = rescore("--normalize", "list", stdin=data, name="-")
    assert piped.lines == rescore("--normalize", "list").lines


def test_an_infinite_total_never_wins(rescore, files, tmp_path):
    lines = (files / "list").read_text().split("\n")[:-1]
    lines[3] = lines[3].rpartition(" ||| ")[0] + " ||| inf"
    (tmp_path / "list").write_text("".join(line + "\n" for line in lines))
    wrong = lines[3].split(" ||| ")[1].strip()
    assert rescore("--weight", "Baseline=1", name=tmp_path / "list").lines[0] != wrong


def test_not_finite_totals_are_left_out_of_tuning_and_said(rescore, files, tmp_path):
    lines = (files / "list").read_text().split("\n")[:-1]
    lines[3] = lines[3].rpartition(" ||| ")[0] + " ||| nan"
    (tmp_path / "list").write_text("".join(line + "\n" for line in lines))
    outcome = rescore("--tune", files / "ref", name=tmp_path / "list")
    assert outcome.code == 0, outcome.err
    assert len(outcome.lines) == LISTS
    assert "1 hypotheses have a total or feature that is not finite" in outcome.err


@pytest.mark.parametrize(
    ("options", "code", "part"),
    [
        (["--weights", "missing.ini"], 66, "missing.ini"),
        (["--weight", "S2ST4=1"], 2, "S2ST4"),
        (["--weight", "Baseline=1", "--weights", "missing.ini"], 2, "not both"),
        (["--dev-nbest", "x"], 2, "--dev-source"),
        (["--tuner", "perceptron"], 2, "perceptron"),
        (["--weight", "Basline=1"], 2, "there are Baseline, LM0, TM0, S2ST0"),
        (["--weights", "missing.ini", "--normalize", "list"], 2, "leave out --normalize"),
        (["--mira-c", "1"], 2, "--mira-c needs --tuner mira"),
        (["--oracle", "missing"], 66, "missing"),
    ],
)
def test_wrong_options(rescore, options, code, part):
    rescore(*options).check_error(code, part)


def test_a_reference_of_another_length_names_file_and_line(rescore, files, tmp_path):
    (tmp_path / "ref").write_text("un\ndeux\n")
    rescore("--tune", tmp_path / "ref").check_error(65, "line 3", "2 lines")


@pytest.mark.parametrize(
    "text", ["LM0= 1\n", "[weight]\nLM0 1\n", "[weight]\nLM0= x\n", "[weight]\nLM0= 1\nLM0= 2\n"]
)
def test_malformed_weights_files(rescore, tmp_path, text):
    (tmp_path / "w").write_text(text)
    rescore("--weights", tmp_path / "w").check_error(65, str(tmp_path / "w"))


def test_cased_lists_are_warned_about_with_figures(rescore, files, tmp_path):
    text = (files / "list").read_text()
    (tmp_path / "list").write_text(
        "".join(
            " ||| ".join([f[0], f[1].upper(), *f[2:]]) + "\n"
            for f in (line.split(" ||| ") for line in text.split("\n")[:-1])
        )
    )
    outcome = rescore(name=tmp_path / "list")
    assert "lowercase the text" in outcome.err
    assert "%" in outcome.err


def test_a_reference_that_shares_no_4_gram_is_warned_about(rescore, files, tmp_path):
    """Words shared, but no four in a row: BLEU is 0 whatever is chosen."""
    (tmp_path / "ref").write_text("un chat lit\n" * LISTS)
    outcome = rescore("--tune", tmp_path / "ref")
    assert outcome.code == 0, outcome.err
    assert "tuning learned nothing: BLEU is 0" in outcome.err
    assert "tuning learned nothing" not in rescore("--tune", files / "ref").err


@pytest.mark.parametrize("tuner", ["line-search", "mira"])
@pytest.mark.parametrize("dev", [True, False])
def test_where_nothing_is_learned_the_initial_weights_stay(rescore, files, tmp_path, tuner, dev):
    (tmp_path / "ref").write_text("un chat lit\n" * LISTS)
    paths = {"--weights-out": tmp_path / "w", "--report": tmp_path / "report"}
    options = [x for pair in paths.items() for x in pair]
    if dev:
        options += ["--dev-nbest", files / "list", "--dev-source", files / "src"]
    outcome = rescore("--tune", tmp_path / "ref", "--tuner", tuner, *options)
    assert outcome.code == 0, outcome.err
    assert outcome.lines == rescore().lines
    assert read_weights(str(tmp_path / "w")).values == {"Baseline": (0.5,), "S2ST0": (0.5,)}
    assert "the initial weights are kept" in outcome.err
    assert "tuned on" not in outcome.err
    assert "held out" not in outcome.err
    tuning = json.loads((tmp_path / "report").read_text())["tuning"]
    assert tuning["learned"] is False
    assert tuning["held_out"] is tuning["gain"] is None
    # given weights are the initial ones
    given = rescore(
        "--tune", tmp_path / "ref", "--tuner", tuner, *options, "--weight", "Baseline=3"
    )
    assert given.code == 0, given.err
    assert read_weights(str(tmp_path / "w")).values == {"Baseline": (3.0,)}


def test_a_single_list_has_no_held_out_figure(rescore, files, world, s2st, tmp_path):
    for name, count in (("list", SIZE), ("src", 1), ("ref", 1)):
        lines = (files / name).read_text().split("\n")[:count]
        (tmp_path / name).write_text("".join(line + "\n" for line in lines))
    outcome = s2st(
        "rescore-nbest", tmp_path / "list", "--source", tmp_path / "src", "--threads", "1",
        "--checkpoint", world.reversed, "--tune", tmp_path / "ref", "--weight", "S2ST0=-1",
        "--report", tmp_path / "report",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert "tuned on 1 list:" in outcome.err
    assert "no held-out BLEU: 1 list cannot fill 5 folds (--folds)" in outcome.err
    assert "held out (" not in outcome.err
    assert "gain [" not in outcome.err
    tuning = json.loads((tmp_path / "report").read_text())["tuning"]
    assert tuning["held_out"] is tuning["gain"] is None


def test_given_weights_are_normalized_in_every_use(rescore, files):
    """--normalize list divides given weights by the spreads, also where own features compete."""
    weight = ["--weight", "Baseline=0.5", "--weight", "S2ST0=0.5"]
    for options in ([], ["--baseline-features", "own"]):
        given = rescore("--normalize", "list", *weight, *options, "--format", "nbest")
        assert given.code == 0, given.err
        assert given.lines == rescore("--normalize", "list", "--format", "nbest").lines


def test_development_lists_without_a_list_are_named(rescore, files, tmp_path):
    (tmp_path / "none").write_text("")
    rescore(
        "--dev-nbest", tmp_path / "none", "--dev-source", files / "src", "--tune", files / "ref"
    ).check_error(65, f"{tmp_path / 'none'}: no lists")


def test_lists_from_standard_input_that_are_read_twice_have_its_name(rescore, files):
    data = (files / "list").read_bytes() + b"11 ||| \xff ||| ||| 0\n"
    line = data.count(b"\n")
    for options in ([], ["--normalize", "list"]):
        outcome = rescore(*options, stdin=data, name="-")
        assert outcome.code == 65
        assert f"standard input, line {line}: not UTF-8" in outcome.err


@pytest.mark.parametrize("kind", ["bleu", "chrf"])
def test_consensus_is_a_feature_that_can_be_tuned_and_applied(rescore, files, tmp_path, kind):
    options = ["--consensus", kind, "--consensus-scale", "2"]
    tuned = rescore("--tune", files / "ref", "--weights-out", tmp_path / "w", *options)
    assert tuned.code == 0, tuned.err
    assert bleu_of(tuned.lines, files) >= bleu_of(rescore().lines, files)
    assert "S2STConsensus" in read_weights(str(tmp_path / "w")).values
    again = rescore("--weights", tmp_path / "w", *options)
    assert again.lines == tuned.lines
    rescore("--weights", tmp_path / "w").check_error(65, "this feature needs --consensus")


def test_consensus_needs_no_model_and_equals_its_values(s2st, files):
    """The baseline's totals alone; the lists' order by the feature is that of Consensus."""
    plain = s2st(
        "rescore-nbest", files / "list", "--source", files / "src", "--consensus", "bleu",
        "--weight", "S2STConsensus=1", "--format", "nbest",
    )  # fmt: skip
    found = entries(plain)
    for group in read_nbest((files / "list").read_text().split("\n")[:-1], "list"):
        texts = [entry.hypothesis for entry in group]
        values = Consensus("bleu", 1.0).values(texts, np.array([entry.total for entry in group]))
        ours = [entry for entry in found if entry.id == group[0].id]
        assert sorted(e.total for e in ours) == pytest.approx(sorted(values), rel=1e-4)
        assert ours[0].hypothesis == texts[int(np.argmax(values))]
    s2st(
        "rescore-nbest", files / "list", "--source", files / "src",
    ).check_error(2, "--checkpoint")  # fmt: skip


@pytest.mark.parametrize(
    ("metric", "tokenize", "expected"),
    [
        ("chrf", "none", lambda h, r: CHRF().corpus_score(h, r).score),
        ("ter", "none", lambda h, r: 100 - TER().corpus_score(h, r).score),
        ("bleu", "char", lambda h, r: BLEU(tokenize="char").corpus_score(h, r).score),
    ],
)
def test_reports_show_sacrebleus_value_of_the_tuned_metric(
    rescore, files, tmp_path, metric, tokenize, expected
):
    outcome = rescore(
        "--tune", files / "ref", "--oracle", files / "ref", "--metric", metric,
        *(["--tokenize", tokenize] if tokenize != "none" else []), "--report", tmp_path / "report",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    values = json.loads((tmp_path / "report").read_text())
    reference = [(files / "ref").read_text().split("\n")[:-1]]
    score = expected(outcome.lines, reference)
    assert values["tuning"]["tuned"]["value"] == pytest.approx(score)
    rows = {name: interval["value"] for name, interval in values["headroom"]["rows"]}
    assert rows["weights used"] == pytest.approx(score)
    assert score >= expected(rescore().lines, reference) - 1e-9
    assert values["tuning"]["metric"] in outcome.err


def test_korean_lists_are_tuned_on_characters_where_words_give_nothing(s2st, tmp_path):
    """Two short Korean sentences share no four words with their references."""
    references = ["고양이가 집에서 잔다", "강아지가 숲에서 뛴다"] * 3
    lines = []
    for i, text in enumerate(references):
        lines.append(f"{i} ||| {text.replace('다', '요')} ||| A= -1 B= -{i % 2} ||| -1")
        lines.append(f"{i} ||| {text[::-1]} ||| A= -2 B= 0 ||| 0")
    for name, rows in (("list", lines), ("ref", references), ("src", references)):
        (tmp_path / name).write_text("".join(f"{row}\n" for row in rows))

    def run(*options):
        return s2st(
            "rescore-nbest", tmp_path / "list", "--source", tmp_path / "src", "--tune",
            tmp_path / "ref", "--baseline-features", "own", "--consensus", "chrf", *options,
        )  # fmt: skip

    plain = run()
    assert "BLEU is 0" in plain.err
    assert "--tokenize" in plain.err
    for options in (["--tokenize", "char"], ["--metric", "chrf"]):
        tuned = run(*options, "--folds", "2")
        assert "tuned on 6 lists" in tuned.err
        assert tuned.lines == [text.replace("다", "요") for text in references]
    run("--tokenize", "korean").check_error(2, "unknown sacreBLEU tokenizer 'korean'")


def test_numbers_in_a_file_give_the_same_result(rescore, files, tmp_path):
    """--tuning-memory 0 keeps features, statistics and scores in a temporary file."""
    options = ["--tune", files / "ref", "--oracle", files / "ref", "--consensus", "bleu"]
    options += ["--baseline-features", "own", "--folds", "3"]
    inside = rescore(*options, "--report", tmp_path / "inside")
    outside = rescore(*options, "--report", tmp_path / "outside", "--tuning-memory", "0")
    assert inside.code == 0, inside.err
    assert outside.lines == inside.lines
    assert (tmp_path / "outside").read_text() == (tmp_path / "inside").read_text()
