"""Tests of what the command line does with attention: alignments, unknown words, maps, reports."""

import json
from pathlib import Path

import pytest

from s2st.text.nbest_lists import read_nbest

SHORT = ["--max-len-a", "0", "--max-len-b", "6", "--min-len", "4", "--threads", "1"]
LINES = "the cat sleeps .\n\nthe zebra sees qqq .\nshe reads a book .\n"


@pytest.fixture
def generate(s2st, attending, tmp_path):
    source = tmp_path / "in"
    source.write_text(LINES)

    def run(*options: object):
        model = attending / "checkpoint_best"
        return s2st("generate", "--checkpoint", model, *SHORT, *options, source)

    return run


def test_alignments_are_the_same_in_every_format(generate, tmp_path):
    files = {}
    for form in ("text", "moses", "json"):
        path = tmp_path / form
        outcome = generate("--format", form, "--alignments", path)
        assert outcome.code == 0, outcome.err
        files[form] = outcome.lines, path.read_text().split("\n")[:-1]
    text, links = files["text"]
    assert len(links) == 4
    assert links[1] == ""
    for line, words, row in zip(LINES.split("\n"), text, links, strict=False):
        pairs = [tuple(map(int, pair.split("-"))) for pair in row.split()]
        assert all(0 <= source < len(line.split()) for source, _ in pairs)
        if line:
            assert [target for _, target in pairs] == list(range(len(words.split())))
    moses, same = files["moses"]
    assert same == links
    for entries in read_nbest(moses, "moses"):
        assert entries[0].extra == ((links[entries[0].id],) if links[entries[0].id] else ())
    records, same = files["json"]
    assert same == links
    for record, row in zip(map(json.loads, records), links, strict=True):
        best = record["hypotheses"][0]
        if not record["source"]:
            assert "attention" not in best
            continue
        assert record["source_tokens"] == record["source"].split()
        weights = best["attention"]
        assert len(weights) == len(best["tokens"]) + 1
        argmax = [max(range(len(w) - 1), key=w.__getitem__) for w in weights[:-1]]
        for found, target, weight in zip(argmax, range(len(argmax)), weights, strict=False):
            source = int(row.split()[target].split("-")[0])
            assert weight[source] == pytest.approx(weight[found], abs=1e-4)  # rounded in JSON


def test_no_unknown_word_is_left_and_others_stay(generate, tmp_path):
    dictionary = tmp_path / "dictionary"
    dictionary.write_text("qqq\tQQQ\nzebra ZEBRA\n")
    plain = generate().lines
    copied = generate("--replace-unk").lines
    looked_up = generate("--replace-unk", "--unk-dictionary", dictionary).lines
    dictionary.write_text("qqq\tQQQ\t0.5\nqqq\tother\t0.4\nzebra\tZEBRA\t1\n")  # a lexicon
    assert generate("--replace-unk", "--unk-dictionary", dictionary).lines == looked_up
    assert "<unk>" in " ".join(plain)
    for source, old, copy, new in zip(LINES.split("\n"), plain, copied, looked_up, strict=False):
        for was, word, translated in zip(old.split(), copy.split(), new.split(), strict=True):
            if was != "<unk>":
                assert word == translated == was
            else:
                assert word in source.split()
                assert translated == {"qqq": "QQQ", "zebra": "ZEBRA"}.get(word, word)


@pytest.mark.parametrize("tasks", [1, 2, 3])
def test_a_stopped_run_goes_on_with_its_alignments_too(generate, tmp_path, monkeypatch, tasks):
    from s2st.jobs.folder_queue import FolderQueue

    output, links = tmp_path / "out", tmp_path / "links"
    options = ("-o", output, "--alignments", links, "--batch-size", "1")
    assert generate(*options).code == 0
    whole = output.read_bytes(), links.read_bytes()
    publish, count = FolderQueue.publish, iter(range(10**6))

    def failing(self, task, result):
        if next(count) == tasks:
            raise OSError(28, "No space left on device")
        publish(self, task, result)

    with monkeypatch.context() as patch:
        patch.setattr(FolderQueue, "publish", failing)
        assert generate(*options).code == 74
    outcome = generate(*options, "--resume")
    assert outcome.code == 0, outcome.err
    assert (output.read_bytes(), links.read_bytes()) == whole


def test_what_cannot_be_done_is_said_at_once(s2st, world, generate, tmp_path):
    links = tmp_path / "links"
    outcome = s2st("generate", "--checkpoint", world.gru, "--alignments", links, world.source)
    outcome.check_error(2, "--alignments needs a model with attention")
    assert not links.exists()
    outcome = s2st("generate", "--checkpoint", world.gru, "--replace-unk", world.source)
    outcome.check_error(2, "--replace-unk needs a model with attention")
    generate("--alignments", "-").check_error(2, "--alignments needs a file")
    generate("--unk-dictionary", links).check_error(2, "--unk-dictionary needs --replace-unk")
    generate("--alignments", links, "-o", links).check_error(2, "would overwrite")
    bad = tmp_path / "bad"
    bad.write_text("one\n")
    outcome = generate("--replace-unk", "--unk-dictionary", bad)
    outcome.check_error(65, "bad", "line 1", "source target")


def test_a_map_is_a_table_whose_rows_sum_to_one(s2st, world, attending, tmp_path):
    pytest.importorskip("matplotlib")
    arguments = [
        "--checkpoint",
        attending / "checkpoint_best",
        "--source",
        world.source,
        "--line",
        2,
    ]
    forced = s2st("analyze", "attention", *arguments, "--target", world.target, "--threads", 1)
    assert forced.code == 0, forced.err
    rows = [line.split("\t") for line in forced.lines]
    source, target = (Path(p).read_text().split("\n")[1].split() for p in (world.source,
                                                                         world.target))  # fmt: skip
    labels = [label.removesuffix(" (unk)") for label in rows[0]]
    assert labels == ["", *source, "</s>"]
    assert [row[0].removesuffix(" (unk)") for row in rows[1:]] == [*target, "</s>"]
    for row in rows[1:]:
        assert sum(map(float, row[1:])) == pytest.approx(1, abs=1e-3 * len(row))
    figure = tmp_path / "map"
    found = s2st("analyze", "attention", *arguments, *SHORT, "--format", "json", "--figure", figure)
    assert found.code == 0, found.err
    record = json.loads(found.out)
    assert len(record["attention"]) == len(record["target"])
    svg = Path(f"{figure}.svg").read_text()
    for word in record["target"][:-1] + record["source"][:-1]:
        assert word.replace("<", "&lt;").replace(">", "&gt;") in svg
    assert Path(f"{figure}.png").read_bytes().startswith(b"\x89PNG")


def test_maps_that_cannot_be_made(s2st, world, attending, tmp_path):
    model = attending / "checkpoint_best"
    empty = tmp_path / "empty"
    empty.write_text("\n")
    run = ["analyze", "attention", "--checkpoint"]
    s2st(*run, model, "--source", empty).check_error(2, "no words")
    s2st(*run, model, "--source", empty, "--line", 7).check_error(2, "no line 7")
    s2st(*run, world.gru, "--source", world.source).check_error(2, "no attention")
    s2st(*run, model, "--target", world.target).check_error(2, "--source FILE")
    encoder = "--part", "encoder"
    s2st(*run, model, "--source", world.source, *encoder).check_error(2, "has only cross")


def test_a_report_shows_maps_where_it_is_asked_to(s2st, world, attending, tmp_path):
    pytest.importorskip("matplotlib")
    page, files = tmp_path / "page.html", (world.source, world.target)
    outcome = s2st("report", attending, "-o", page, "--attention", *files)
    assert outcome.code == 0, outcome.err
    with_maps = page.read_text()
    assert s2st("report", attending, "-o", page).code == 0
    assert with_maps.count("data:image/svg+xml") == page.read_text().count("data:image/svg+xml") + 2
    outcome = s2st("report", world.save_dir, "--attention", *files)
    outcome.check_error(2, "no attention")
