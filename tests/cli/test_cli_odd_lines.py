"""Lines without words, of one word or of unknown words, by every search and every kind of model."""

import json
from dataclasses import replace
from math import fsum

import builders
import pytest

from s2st.data.store import Vocabulary
from s2st.models.model_files import write_manifest, write_model_files
from s2st.models.registry import ARCHITECTURES
from s2st.search.registry import SEARCHES
from s2st.text.line_files import split_words
from s2st.text.tokenizers import absent_side

INPUTS = {
    "no words at all": "\n \n",
    "unknown words alone": "zz\nzz yy\n",
    "all kinds": "a\n\nb\n \t \na b\nzz\n",
}
SIDES = {"left-to-right": False, "right-to-left": True}
LENGTHS = ["--max-len-a", "1", "--max-len-b", "1", "--threads", "1"]
MODELS = [
    *(f"{name} {side}" for name in builders.trainable() for side in SIDES),
    *(f"{kind} {side}" for kind in ("ensemble", "with-lm") for side in SIDES),
    "ngram left-to-right",
]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """The --checkpoint options of every kind of model, none of them trained."""
    folder = tmp_path_factory.mktemp("models")
    made = {}
    for side, reverse in SIDES.items():
        for name in builders.trainable():
            config = replace(builders.variants(name)[-1], reverse_target=reverse)
            path = folder / f"{name}-{side}"
            path.mkdir()
            base = ARCHITECTURES.get(name).base
            record = builders.record(base, config)
            if not config.reads_source:
                record = replace(
                    record, source_vocabulary=Vocabulary([], []), source_tokenizer=absent_side()
                )
            weights = builders.model(base, config, sizes=record.sizes).float().state_dict()
            write_model_files(path, record, weights)
            write_manifest(path, record, {})
            made[f"{name} {side}"] = ["--checkpoint", path]
        attention = made[f"lstm-attention {side}"]
        made[f"ensemble {side}"] = [*attention, *made[f"gru {side}"]]
        made[f"with-lm {side}"] = [*attention, *made[f"lstm-lm {side}"]]
    words = "".join(f"-1\t{word}\n" for word in ("<unk>", "</s>", *builders.TARGET_WORDS.split()))
    (folder / "ngram.arpa").write_text(
        f"\\data\\\nngram 1={3 + len(builders.TARGET_WORDS.split())}\n\n\\1-grams:\n"
        f"-99\t<s>\n{words}\n\\end\\\n"
    )
    made["ngram left-to-right"] = ["--checkpoint", folder / "ngram.arpa"]
    return made


def reads_source(model):
    return not model.startswith(("lstm-lm", "transformer-lm", "ngram"))


@pytest.mark.parametrize("search", SEARCHES.names())
@pytest.mark.parametrize("model", MODELS)
def test_every_search_and_model_answers_every_line(s2st, models, tmp_path, model, search):
    nbest = "1" if search == "greedy" else "2"
    for name, text in INPUTS.items():
        lines = text.split("\n")[:-1]
        (tmp_path / "in").write_text(text)
        run = ["generate", *models[model], "--search", search, *LENGTHS, tmp_path / "in"]
        plain = s2st(*run)
        assert plain.code == 0, (name, plain.err)
        assert len(plain.lines) == len(lines), name
        rows = s2st(*run, "--format", "json", "--nbest", nbest)
        assert rows.code == 0, (name, rows.err)
        records = [json.loads(line) for line in rows.lines]
        assert [record["line"] for record in records] == list(range(len(lines)))
        assert [record["source"] for record in records] == lines
        lists = s2st(*run, "--format", "moses", "--nbest", nbest)
        assert lists.code == 0, (name, lists.err)
        entries = [line.split(" ||| ") for line in lists.lines]
        for number, (line, answer, record) in enumerate(
            zip(lines, plain.lines, records, strict=True)
        ):
            own = [entry for entry in entries if entry[0] == str(number)]
            assert len(own) == len(record["hypotheses"])
            words = split_words(line)
            if reads_source(model) and not words:
                assert answer == ""
                assert [entry[1] for entry in own] == [""]
            for hypothesis in record["hypotheses"]:
                check_hypothesis(hypothesis, words, model)


def check_hypothesis(hypothesis, words, model):
    """Its numbers fit each other and its words; a prompt is where the model begins."""
    count = len(split_words(hypothesis["text"]))
    each = hypothesis["token_log_probs"]
    assert hypothesis["log_prob"] == pytest.approx(fsum(each), abs=1e-4)
    if words or not reads_source(model):
        assert len(each) == count + 1
    else:
        assert (each, count) == ([], 0)
    if not reads_source(model):
        said = split_words(hypothesis["text"])
        there = said[count - len(words) :] if model.endswith("right-to-left") else said
        assert there[: len(words)] == words


ATTENTIVE = [
    model
    for model in MODELS
    if model.split()[0] in ("lstm-attention", "gru-attention", "transformer", "with-lm")
]


@pytest.mark.parametrize("search", ["beam", "greedy", "sampling"])
@pytest.mark.parametrize("model", ATTENTIVE)
def test_alignments_and_unknown_words_of_odd_lines(s2st, models, tmp_path, model, search):
    for name, text in INPUTS.items():
        lines = text.split("\n")[:-1]
        (tmp_path / "in").write_text(text)
        for kind in ("text", "moses", "json"):
            outcome = s2st(
                "generate", *models[model], "--search", search, *LENGTHS, tmp_path / "in",
                "--alignments", tmp_path / "links", "--replace-unk", "--format", kind,
            )  # fmt: skip
            assert outcome.code == 0, (name, kind, outcome.err)
            links = (tmp_path / "links").read_text().split("\n")[:-1]
            assert len(links) == len(lines), (name, kind)
            if kind != "text":
                continue
            for line, answer, own in zip(lines, outcome.lines, links, strict=True):
                assert "<unk>" not in answer
                pairs = [tuple(map(int, pair.split("-"))) for pair in own.split()]
                assert [target for _, target in pairs] == list(range(len(split_words(answer))))
                assert all(source < len(split_words(line)) for source, _ in pairs)


def test_what_cannot_have_attention_says_so_for_an_empty_line_too(s2st, models, tmp_path):
    (tmp_path / "in").write_text("\n")
    for model in ("lstm right-to-left", "lstm-lm right-to-left", "ngram left-to-right"):
        for option in (["--alignments", tmp_path / "links"], ["--replace-unk"]):
            outcome = s2st("generate", *models[model], *option, tmp_path / "in")
            outcome.check_error(2, option[0])


@pytest.mark.parametrize("model", MODELS)
def test_pairs_and_lists_of_odd_lines_are_scored(s2st, models, tmp_path, model):
    """Every line has its log-probability, one a word and EOS; -inf where the model cannot have it.

    The pairs are equally long, for the architecture that has no others.
    """
    text = INPUTS["all kinds"]
    lines = text.split("\n")[:-1]
    (tmp_path / "text").write_text(text)
    own = ["--source", tmp_path / "text"] if reads_source(model) else []
    outcome = s2st("score", *models[model], *own, "--target", tmp_path / "text", "--format", "json")
    assert outcome.code == 0, outcome.err
    records = [json.loads(line) for line in outcome.lines]
    for line, record in zip(lines, records, strict=True):
        assert record["tokens"] == [*split_words(line), "</s>"]
        assert len(record["token_log_probs"]) == len(record["tokens"])
        assert record["log_prob"] == pytest.approx(fsum(record["token_log_probs"]), abs=1e-4)
    lists = "".join(f"{i} ||| {line} ||| A= 1 ||| -1\n" for i, line in enumerate(lines))
    (tmp_path / "lists").write_text(lists)
    rescored = s2st(
        "rescore-nbest", *models[model], "--source", tmp_path / "text", tmp_path / "lists",
        "--format", "nbest",
    )  # fmt: skip
    assert rescored.code == 0, rescored.err
    for line, record in zip(rescored.lines, records, strict=True):
        found = float(line.split("S2ST0= ")[1].split()[0])
        assert found == pytest.approx(record["log_prob"], rel=1e-4, abs=1e-4)


@pytest.mark.parametrize(("source", "target"), [("\n \n", "a\n\n"), ("a\n\n", "\n\n")])
def test_held_out_text_without_words_is_a_warning(s2st, tmp_path, source, target):
    for name, text in {"t.x": "a b\n", "t.y": "c d\n", "v.x": source, "v.y": target}.items():
        (tmp_path / name).write_text(text)
    prefixes = ("--trainpref", tmp_path / "t", "--validpref", tmp_path / "v")
    done = s2st("preprocess", "-s", "x", "-t", "y", *prefixes, "--destdir", tmp_path / "bin")
    assert done.code == 0
    warnings = [line for line in done.err.splitlines() if "is empty" in line]
    side = "y" if source.strip() else "x"
    assert warnings == [f"s2st: warning: every {side} line of valid is empty"]
