"""Tests of `s2st analyze lengths` and `s2st analyze rarity`."""

import gzip
import json
import sys
from xml.etree import ElementTree

import pytest

from s2st.jobs.text_metrics import tokenized_bleu

SOURCE = ["a a a", "a b", "a b c d e", "b", "c c d d", "e f g h i j"]
REFERENCE = [f"{i} un deux trois quatre" for i in range(6)]
GOOD = [line.replace("deux", "dix") if i % 2 else line for i, line in enumerate(REFERENCE)]
POOR = [f"{i} un deux cinq quatre" for i in range(6)]


@pytest.fixture
def files(tmp_path):
    """Source, reference and two systems in a folder."""
    for name, lines in (
        ("src.en", SOURCE), ("ref.fr", REFERENCE), ("good.out.fr", GOOD), ("poor.fr", POOR),
    ):  # fmt: skip
        (tmp_path / name).write_text("".join(line + "\n" for line in lines))
    return tmp_path


def options(files, *, source="src.en"):
    return "--ref", files / "ref.fr", "--source", files / source


def rows(outcome):
    assert outcome.code == 0, outcome.err
    names, *table = [line.split("\t") for line in outcome.lines]
    return [dict(zip(names, row, strict=True)) for row in table]


def test_the_table(s2st, files):
    systems = files / "good.out.fr", f"mine={files / 'poor.fr'}"
    outcome = s2st("analyze", "lengths", *systems, *options(files), "--buckets", 2)
    table = rows(outcome)
    assert [row["system"] for row in table] == ["good", "good", "mine", "mine"]
    # sorted by words: lines 4, 2, 1, 5 | 1, 5, 3, 6, the lengths 1 2 3 4 and 3 4 5 6
    assert [row["sentences"] for row in table] == ["4"] * 4
    assert [(row["words low"], row["words mean"], row["words high"]) for row in table[:2]] == [
        ("1", "2.50", "4"),
        ("3", "4.50", "6"),
    ]
    for row, lines, chosen in (
        (table[0], GOOD, [3, 1, 0, 4]),
        (table[1], GOOD, [0, 4, 2, 5]),
        (table[2], POOR, [3, 1, 0, 4]),
    ):
        picked = [[REFERENCE[i] for i in chosen]]
        assert row["BLEU"] == f"{tokenized_bleu([lines[i] for i in chosen], picked).score:.2f}"
        assert float(row["BLEU low"]) <= float(row["BLEU"]) <= float(row["BLEU high"])
    assert "tokenized BLEU (multi-bleu.perl) nrefs:1|" in outcome.err
    assert "smooth:none" in outcome.err


def test_json_and_a_tokenizer_of_sacrebleu(s2st, files):
    outcome = s2st(
        "analyze", "lengths", files / "good.out.fr", *options(files), "--ref", files / "poor.fr",
        "--buckets", 1, "--tokenize", "13a", "--samples", 10, "--format", "json",
    )  # fmt: skip
    (record,) = map(json.loads, outcome.lines)
    assert record["system"] == "good"
    assert (record["key_low"], record["key_mean"], record["key_high"]) == (1, 3.5, 6)
    assert record["metric"].startswith("BLEU nrefs:2|")
    assert "tok:13a" in record["metric"]


def test_the_same_seed_gives_the_same_interval(s2st, files):
    texts = files / "good.out.fr", *options(files)
    call = "analyze", "lengths", *texts, "--buckets", 2, "--samples", 3
    first, again, other = (s2st(*call, "--seed", seed) for seed in (1, 1, 2))
    assert first.out == again.out != other.out


def test_rarity_by_a_text_and_by_a_dict_file(s2st, files):
    # ranks by count, then code point: a 1 (5), b 2 (3), c 3 (3), d 4 (3), e 5 (2), f to j 6 to 10
    means = {1: 1, 2: 1.5, 3: 3, 4: 2, 5: 3.5, 6: 7.5}
    call = (
        "analyze",
        "rarity",
        files / "good.out.fr",
        *options(files),
        "--buckets",
        1,
        "--format",
        "json",
    )
    counted = s2st(*call, "--train-source", files / "src.en")
    (record,) = map(json.loads, counted.lines)
    assert (record["key_low"], record["key_high"]) == (1, 7.5)
    assert record["key_mean"] == pytest.approx(sum(means.values()) / 6)
    (files / "dict").write_text("a 5\nb 3\n")  # all others: rank 3
    (record,) = map(json.loads, s2st(*call, "--vocabulary", files / "dict").lines)
    assert record["key_mean"] == pytest.approx((1 + 1.5 + (1 + 2 + 9) / 5 + 2 + 3 + 3) / 6)


def test_rarity_by_a_store_or_a_checkpoint(s2st, world):
    call = "analyze", "rarity", world.target, "--ref", world.target, "--source", world.source
    by_store = s2st(*call, "--vocabulary", world.store, "--buckets", 3)
    by_model = s2st(*call, "--vocabulary", world.forward, "--buckets", 3)
    assert rows(by_store) == rows(by_model)
    assert rows(by_store)[0]["BLEU"] == "100.00"
    s2st(*call, "--vocabulary", world.folder).check_error(65, "neither a store nor a checkpoint")


def test_lines_without_words_have_no_rank(s2st, files):
    (files / "gap.en").write_text("a\n\nb\n \nc\nd\n")
    outcome = s2st(
        "analyze", "rarity", files / "poor.fr", *options(files, source="gap.en"),
        "--train-source", files / "src.en", "--buckets", 1,
    )  # fmt: skip
    assert [row["sentences"] for row in rows(outcome)] == ["4"]
    assert "gap.en: 2 lines have no words and are left out; the first is line 2" in outcome.err


def test_the_figure(s2st, files):
    outcome = s2st(
        "analyze", "lengths", files / "good.out.fr", f"my $system$={files / 'poor.fr'}",
        *options(files), "--buckets", 2, "--figure", files / "curves.svg", "--title", "a title",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    root = ElementTree.parse(files / "curves.svg").getroot()
    found = {element.text for element in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"good", "my $system$", "source words", "tokenized BLEU", "a title"} <= found
    assert (files / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert "curves.svg" in outcome.err


def test_a_figure_that_cannot_be_made_is_refused_before_the_work(s2st, files, monkeypatch):
    call = "analyze", "lengths", files / "missing", *options(files), "--figure"
    s2st(*call, files / "no" / "figure").check_error(74, "cannot be written")
    (files / "src.svg").write_text("a\n")
    shared = "analyze", "lengths", files / "poor.fr", "--ref", files / "ref.fr"
    overwritten = s2st(*shared, "--source", files / "src.svg", "--figure", files / "src")
    overwritten.check_error(2, "would overwrite")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    s2st(*call, files / "figure").check_error(
        2, "figures need matplotlib: run pip install 's2st[analysis]'"
    )


def test_labels(s2st, files, monkeypatch):
    monkeypatch.chdir(files)
    (files / "a=b.fr").write_text("".join(line + "\n" for line in POOR))
    call = "analyze", "lengths", *options(files), "--buckets", 1
    assert rows(s2st(*call, "a=b.fr"))[0]["system"] == "a=b"
    assert rows(s2st(*call, "x=a=b.fr"))[0]["system"] == "x"
    piped = s2st(*call, "-", stdin=(files / "poor.fr").read_bytes())
    assert rows(piped)[0]["system"] == "standard input"
    assert rows(s2st(*call, "p=-", stdin=(files / "poor.fr").read_bytes()))[0]["system"] == "p"
    for poor in ("=poor.fr", "x="):
        s2st(*call, poor).check_error(2, "give FILE or label=FILE")
    s2st(*call, "poor.fr", "poor=good.out.fr").check_error(2, "two systems have the label poor")
    s2st(*call, "x=poor").check_error(66, "poor: cannot be read")


def test_compressed_files(s2st, files):
    (files / "poor.fr.gz").write_bytes(gzip.compress((files / "poor.fr").read_bytes()))
    call = "analyze", "lengths", *options(files), "--buckets", 1
    assert s2st(*call, files / "poor.fr.gz").out == s2st(*call, files / "poor.fr").out


def test_wrong_use_is_one_clear_line(s2st, files):
    poor = files / "poor.fr"
    call = "analyze", "lengths", poor
    s2st(*call, "--source", files / "src.en").check_error(2, "--ref FILE")
    s2st(*call, "--ref", files / "ref.fr").check_error(2, "--source")
    s2st(*call, *options(files), "--buckets", 7).check_error(2, "7 buckets over 6 sentences")
    s2st(*call, *options(files), "--tokenize", "x").check_error(2, "unknown sacreBLEU tokenizer")
    shared = s2st(*call, "x=-", "--ref", files / "ref.fr", "--source", "-", stdin=b"a\n")
    shared.check_error(2, "only one input can be standard input")
    (files / "short").write_text("one\n")
    s2st("analyze", "lengths", files / "short", *options(files)).check_error(
        65, "short, line 2: 1 lines, but", "ref.fr has 6"
    )
    s2st(*call, *options(files, source="short")).check_error(65, "short, line 2")
    (files / "empty").write_text("")
    s2st("analyze", "lengths", files / "empty", *options(files)).check_error(
        65, "empty: the file is empty"
    )
    (files / "bad").write_bytes(b"\xff\n" * 6)
    s2st("analyze", "lengths", files / "bad", *options(files)).check_error(65, "bad, line 1: not")
    rarity = "analyze", "rarity", poor, *options(files)
    s2st(*rarity).check_error(2, "either --vocabulary PATH or --train-source FILE")
    both = "--vocabulary", poor, "--train-source", poor
    s2st(*rarity, *both).check_error(2, "either --vocabulary PATH or --train-source FILE")
    s2st(*rarity, "--train-source", "-").check_error(2, "standard input")
    s2st(*rarity, "--vocabulary", poor).check_error(65, "poor.fr, line 1: expected `token count`")


def test_names_in_korean_make_no_flood_of_warnings(s2st, files, capfd):
    system = f"한국어={files / 'poor.fr'}"
    outcome = s2st(
        "analyze", "lengths", system, *options(files), "--buckets", 2, "--figure", files / "f"
    )
    assert outcome.code == 0, outcome.err
    printed = outcome.err + capfd.readouterr().err
    assert "Glyph" not in printed
    assert printed.count("boxes for") <= 1  # none on a machine that has a font
    assert "한국어" in (files / "f.svg").read_text("utf-8")
