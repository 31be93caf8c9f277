"""`s2st train-lexicon`, and `s2st generate --shortlist` with its lexicon and others."""

import gzip
import json
import math

import pytest

SHORT = ["--max-len-a", "0", "--max-len-b", "6", "--threads", "1"]


@pytest.fixture(scope="module")
def lexicon(s2st, world, tmp_path_factory):
    path = tmp_path_factory.mktemp("lexicon") / "lexicon.tsv"
    outcome = s2st("train-lexicon", world.store, "-o", path)
    assert outcome.code == 0, outcome.err
    assert f"wrote {path}" in outcome.err
    return path


@pytest.fixture
def generate(s2st, world, lexicon):
    def run(*options: object, model=world.forward, shortlist=lexicon):
        model = ["--checkpoint", model, "--shortlist", shortlist]
        return s2st("generate", *model, *SHORT, *options, world.source)

    return run


def test_a_lexicon_has_the_translations_of_the_words(s2st, lexicon, world, tmp_path):
    rows = [line.split("\t") for line in lexicon.read_text("utf-8").splitlines()]
    best = {}
    for source, target, probability in rows:
        assert 0.001 <= float(probability) <= 1
        best.setdefault(source, target)
    assert (best["is"], best["not"]) == ("est", "pas")
    more = tmp_path / "more.gz"
    assert s2st("train-lexicon", world.store, "-o", more, "--min-probability", 0).code == 0
    assert len(gzip.decompress(more.read_bytes()).splitlines()) > len(rows)
    piped = s2st("train-lexicon", world.store, "-o", "-")
    assert piped.data == lexicon.read_bytes()
    again = tmp_path / "again"
    few = s2st("train-lexicon", world.store, "-o", again, "--iterations", 1)
    assert "iteration 1: perplexity" in few.err
    assert "iteration 2" not in few.err
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_what_cannot_be_a_lexicon_or_its_store(s2st, world, generate, tmp_path):
    s2st("train-lexicon", tmp_path / "none", "-o", tmp_path / "x").check_error(66, "none")
    s2st("train-lexicon", world.store, "-o", tmp_path / "no" / "x").check_error(74, "no")
    s2st("train-lexicon", world.store, "-o", tmp_path / "x", "--target-lang", "de").check_error(
        2, "en-fr", "--target-lang"
    )
    bad = tmp_path / "bad"
    bad.write_text("le le 0.5\nla\n")
    generate(shortlist=bad).check_error(65, f"{bad}, line 2", "TAB")
    bad.write_text("est\tis\t0.5\n")
    generate(shortlist=bad).check_error(65, str(bad), "none of its word pairs")
    bad.write_text("is\test\t0.5\n")
    outcome = generate(shortlist=bad)
    assert outcome.code == 0
    assert "has translations of only 1 of the" in outcome.err
    generate("--search", "stochastic-beam").check_error(2, "--shortlist", "--search")


def test_a_language_model_has_no_shortlist(s2st, lexicon, tmp_path, world):
    arpa = tmp_path / "m.arpa"
    options = ("--order", 2, "--discount-fallback")
    assert s2st("train-ngram", world.target, "-o", arpa, *options).code == 0
    one = s2st("generate", "--checkpoint", arpa, "--shortlist", lexicon, world.source)
    one.check_error(2, "--shortlist", "source")
    two = ["--checkpoint", arpa, "--checkpoint", world.forward]
    assert s2st("train-ngram", world.target, "-o", arpa, *options, "--dict", world.forward,
                "--lang", "fr").code == 0  # fmt: skip
    outcome = s2st("generate", *two, "--shortlist", lexicon, world.source)
    outcome.check_error(2, "--shortlist", "n-gram")


def test_all_words_in_the_shortlist_change_nothing(generate, s2st, world):
    for search in ("beam", "greedy", "sampling", "diverse-beam", "mbr"):
        options = ("--format", "json", "--search", search)
        plain = s2st("generate", "--checkpoint", world.forward, *SHORT, *options, world.source)
        narrow = generate("--shortlist-first", 1000, *options)
        for one, other in zip(narrow.lines, plain.lines, strict=True):
            (ours,), (expected,) = (json.loads(line)["hypotheses"] for line in (one, other))
            assert ours["text"] == expected["text"]
            assert ours["log_prob"] == pytest.approx(expected["log_prob"], abs=1e-4)


@pytest.mark.parametrize("search", ["beam", "greedy", "sampling", "diverse-beam", "mbr"])
def test_batches_do_not_matter(generate, world, search):
    for model in (world.forward, world.gru):
        options = ("--search", search, "--shortlist-first", 5, "--shortlist-best", 3)
        expected = generate(*options, model=model).data
        for size in (1, 3):
            assert generate(*options, "--batch-size", size, model=model).data == expected


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "int8"])
def test_words_come_from_the_shortlist_and_probabilities_are_larger(
    generate, s2st, world, lexicon, precision
):
    options = ("--format", "json", "--precision", precision)
    sizes = ("--shortlist-first", 3, "--shortlist-best", 2)
    narrow = generate(*sizes, *options)
    table: dict[str, list[str]] = {}
    for line in lexicon.read_text("utf-8").splitlines():
        source, target, _ = line.split("\t")
        table.setdefault(source, []).append(target)
    dictionary = (world.store / "dict.fr.txt").read_text("utf-8").splitlines()
    frequent = {line.split()[0] for line in dictionary[:3]}
    for line in narrow.lines:
        record = json.loads(line)
        source = record["source"].split()
        allowed = frequent | set(source) | {word for s in source for word in table.get(s, [])[:2]}
        (found,) = record["hypotheses"]
        assert set(found["text"].split()) - {"<unk>"} <= allowed
        assert math.isfinite(found["log_prob"])


def test_an_ensemble_of_models_has_a_shortlist(generate, s2st, world, lexicon):
    both = ("--checkpoint", world.reversed)
    for mode in ("probability", "log-probability"):
        outcome = generate(*both, "--ensemble-mode", mode, "--batch-size", 2)
        assert outcome.code == 0, outcome.err
        assert generate(*both, "--ensemble-mode", mode).data == outcome.data
