"""Tests of `s2st rescore-nbest --explain`: figures against the lists, order, escaping."""

import html
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from sacrebleu.metrics.chrf import CHRF

from s2st.jobs.rescore.explanation import scores_of_words
from s2st.text.nbest_lists import read_nbest

LISTS = 6


@pytest.fixture(scope="module")
def files(tmp_path_factory, world):
    """The baseline prefers the wrong hypothesis of most lists; texts that HTML must escape."""
    folder = tmp_path_factory.mktemp("explain")
    references = world.target.read_text().split("\n")[:LISTS]
    lines = []
    for number, reference in enumerate(references):
        odd = '<script>alert(1)</script> &lt; "x" |' if number == 0 else "x " * (number + 1)
        lines.append(f"{number} ||| {odd.strip()} {reference} ||| LM0= -1 TM0= -2 -3 ||| -1")
        lines.append(f"{number} ||| {reference} ||| LM0= -4 TM0= -1 -{number} ||| -1.5")
    (folder / "list").write_text("".join(f"{line}\n" for line in lines))
    source = world.source.read_text().split("\n")[:LISTS]
    (folder / "src").write_text("".join(f"{x}\n" for x in source))
    (folder / "ref").write_text("".join(f"{x}\n" for x in references))
    return folder


@pytest.fixture
def explain(s2st, files, world, tmp_path):
    def run(name, *options, models=(world.reversed, world.gru)):
        checkpoints = [x for model in models for x in ("--checkpoint", model)]
        outcome = s2st(
            "rescore-nbest", files / "list", "--source", files / "src", *checkpoints, "--threads",
            "1", "--feature-per", "member", "--explain", tmp_path / name, *options,
        )  # fmt: skip
        assert outcome.code == 0, outcome.err
        return outcome, (tmp_path / name).read_text()

    return run


def test_every_figure_of_the_json_belongs_to_the_lists(explain, files, s2st, world, tmp_path):
    oracle = ["--oracle", files / "ref", "--metric", "chrf"]
    _, text = explain("why.json", *oracle)
    found = json.loads(text)
    again, _ = explain("more.json", *oracle, "--format", "nbest")
    lists = {g[0].id: {e.hypothesis: e for e in g} for g in read_nbest(again.lines, "out")}
    words, _ = explain("words.json", *oracle, "--format", "words")
    records = [json.loads(line) for line in words.lines]
    scores = {(r["id"], r["hypothesis"]): r["token_log_probs"] for r in records}
    assert found["lists"] == LISTS
    assert found["changed"] == found["shown"] == len(found["sentences"]) > 0
    assert found["metric"] == "chrF"
    assert found["models"] == ["S2ST0", "S2ST1"]
    changes = [abs(s["metric_change"]) for s in found["sentences"]]
    assert changes == sorted(changes, reverse=True)
    references = (files / "ref").read_text().split("\n")
    for sentence in found["sentences"]:
        own = lists[sentence["id"]]
        old, new = own[sentence["baseline"]], own[sentence["new"]]
        assert new.total == max(e.total for e in own.values())
        assert dict(old.features)["Baseline"][0] == -1
        assert sentence["margin"] == pytest.approx(new.total - old.total, abs=1e-2)
        shares = [f["share"] for f in sentence["features"]]
        assert sum(shares) == pytest.approx(sentence["margin"])
        assert np.abs(shares).tolist() == sorted(np.abs(shares), reverse=True)
        for feature in sentence["features"]:
            values = [dict(e.features)[feature["name"]][0] for e in (old, new)]
            assert [feature["baseline"], feature["new"]] == pytest.approx(values, rel=1e-4)
            assert feature["share"] == pytest.approx(
                feature["weight"] * (feature["new"] - feature["baseline"])
            )
        reference = references[sentence["id"]]
        for name in ("baseline", "new"):
            score = CHRF().sentence_score(sentence[name], [reference]).score
            assert sentence[f"metric_{name}"] == pytest.approx(score)
            differs = sentence[f"{name}_differs"]
            assert len(differs) == len(sentence[name].split())
        assert any(sentence["baseline_differs"])
        assert not any(sentence["new_differs"])  # the reference is inside the baseline's choice
        keys = [(word["choice"], word["position"]) for word in sentence["words"]]
        assert len(set(keys)) == len(keys)
        apart = [word["disagreement"] for word in sentence["words"]]
        assert apart == sorted(apart, reverse=True)
        for word in sentence["words"]:
            text = sentence[word["choice"].replace("both", "new")]
            assert [*text.split(), "</s>"][word["position"]] == word["word"]
            if word["choice"] == "both":
                assert (
                    sentence["baseline"].split()[: word["position"]]
                    == text.split()[: word["position"]]
                )
            own_scores = scores[sentence["id"], text]
            expected = {name: row[word["position"]] for name, row in own_scores.items()}
            assert word["log_probs"] == pytest.approx(expected, rel=1e-4)
            values = word["log_probs"].values()
            assert word["disagreement"] == pytest.approx(max(values) - min(values))


def test_without_references_the_margin_sorts(explain):
    _, text = explain("why.json")
    found = json.loads(text)
    assert found["metric"] is None
    assert found["sorted_by"] == "margin"
    margins = [sentence["margin"] for sentence in found["sentences"]]
    assert margins == sorted(margins, reverse=True)
    assert found["sentences"][0]["metric_change"] is None


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []
        self.text = []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text.append(data)


def test_the_page_escapes_all_text_and_loads_nothing(explain, files):
    _, page = explain("why.html", "--oracle", files / "ref")
    tags = Tags()
    tags.feed(page)
    assert [attrs for tag, attrs in tags.found if tag == "script"] == [{}]  # the page's own
    assert "alert(1)" in html.unescape(page)
    assert "<script>alert" not in page
    for tag, attrs in tags.found:
        for name in ("src", "href"):
            assert attrs.get(name, "#").startswith(("#", "data:")), (tag, attrs)
    assert "default-src 'none'" in page
    assert "<mark>x</mark>" in page
    assert not re.search(r"url\(", page)
    text = " ".join("".join(tags.text).split())
    for figure in ("Weight:", "Mean share:", "Decided:", "Margin:", "BLEU:", "Words:", "Features:"):
        assert figure in text, figure


def test_one_model_and_lists_with_scores_alone(explain, s2st, files, world, tmp_path):
    outcome, text = explain("why.json", "--format", "nbest", models=[world.reversed])
    for sentence in json.loads(text)["sentences"]:
        for word in sentence["words"]:
            assert word["disagreement"] == pytest.approx(-word["log_probs"]["S2ST0"])
    (tmp_path / "scored").write_text("".join(f"{line}\n" for line in outcome.lines))
    again = s2st(
        "rescore-nbest", tmp_path / "scored", "--source", files / "src", "--explain",
        tmp_path / "again.json",
    )  # fmt: skip
    assert again.code == 0, again.err
    assert f"wrote {tmp_path / 'again.json'}" in again.err
    found = json.loads((tmp_path / "again.json").read_text())
    assert found["models"] == []
    assert found["changed"] == json.loads(text)["changed"]
    assert all(sentence["words"] == [] for sentence in found["sentences"])
    page = s2st(
        "rescore-nbest", tmp_path / "scored", "--source", files / "src", "--weight", "Baseline=1",
        "--explain", tmp_path / "none.html",
    )  # fmt: skip
    assert page.code == 0, page.err
    assert "in 0 (0.0 %)" in (tmp_path / "none.html").read_text()


def test_another_suffix_is_refused(s2st, files, world, tmp_path):
    s2st(
        "rescore-nbest", files / "list", "--source", files / "src", "--checkpoint", world.reversed,
        "--explain", tmp_path / "why.txt",
    ).check_error(2, ".html or .json")  # fmt: skip


def test_scores_of_the_parts_of_a_word_are_added():
    words = ["ab", "cde", "f"]
    assert scores_of_words(words, words, [-1, -2, -3, -4]) == [-1, -2, -3, -4]
    pieces = ["\u2581a", "b", "\u2581", "cd", "e", "\u2581f"]
    assert scores_of_words(words, pieces, [-1, -2, -4, -8, -16, -32, -64]) == [-3, -28, -32, -64]
    assert scores_of_words(words, ["ab", "c@@", "de", "f"], [-1, -2, -4, -8, -16]) == [
        -1, -6, -8, -16,
    ]  # fmt: skip
    # the model reads other text: normalized or unknown characters
    assert scores_of_words(words, ["\u2581ab", "\u2581x"], [-1, -2, -3]) is None
    assert scores_of_words([], [], [-1]) == [-1]
