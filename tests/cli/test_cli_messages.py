"""What commands say of their work: files they wrote, time left, models without a source."""

import re

import pytest
from options_of import without

LIST = "0 ||| le chat ||| A= 1 ||| -1\n0 ||| le ||| A= 2 ||| -2\n"


@pytest.fixture
def files(tmp_path, world):
    (tmp_path / "lists").write_text(LIST)
    (tmp_path / "text").write_text("le chat dort .\n" * 4)
    (tmp_path / "phrases").write_text("the dog\na dog\nthe cat\n")
    return {
        "tmp": tmp_path, "model": world.forward, "src": world.source, "ref": world.target,
        "run": world.save_dir, "prefix": world.folder / "train", "valid": world.folder / "valid",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("command", "names"),
    [
        ("generate --checkpoint {model} {src} --search greedy -o {tmp}/o", ["o"]),
        ("generate --checkpoint {model} {src} --search greedy -o {tmp}/o.gz", ["o.gz"]),
        ("score --checkpoint {model} --source {src} --target {ref} -o {tmp}/o", ["o"]),
        (
            "rescore-nbest {tmp}/lists --checkpoint {model} --source {src} -o {tmp}/o "
            "--weights-out {tmp}/w --report {tmp}/r --explain {tmp}/e.html",
            ["o", "w", "r", "e.html"],
        ),
        ("convert-nbest {tmp}/lists -o {tmp}/o", ["o"]),
        ("analyze vectors {tmp}/phrases --checkpoint {model} --npy {tmp}/o.npy", ["o.npy"]),
        ("report {run} -o {tmp}/o", ["o"]),
        ("export {model} {tmp}/o", ["o"]),
        ("average {model} -o {tmp}/o", ["o"]),
        ("train-ngram {tmp}/text -o {tmp}/o.arpa --order 2 --discount-fallback", ["o.arpa"]),
        ("train-lexicon {run}/../store -o {tmp}/o.gz", ["o.gz"]),
        ("preprocess -s en -t fr --trainpref {prefix} --destdir {tmp}/o", ["o"]),
        (
            "analyze states {tmp}/phrases --checkpoint {model} --figure {tmp}/f",
            ["f.svg", "f.png"],
        ),
        (
            "analyze gradients {model} --source {src} --target {ref} --sentences 1 "
            "--min-pairs 1 --figure {tmp}/f",
            ["f.svg", "f.png", "f-map.svg", "f-map.png"],
        ),
        (
            "analyze lengths {ref} --ref {ref} --source {src} --buckets 2 --figure {tmp}/f",
            ["f.svg", "f.png"],
        ),
    ],
)
def test_every_file_that_was_written_is_named(s2st, files, command, names):
    if "--figure" in command:
        pytest.importorskip("matplotlib")
    filled = [word.format(**files) for word in command.split()]
    outcome = s2st(*filled)
    assert outcome.code == 0, outcome.err
    told = "\n".join(line for line in outcome.err.splitlines() if line.startswith("s2st: wrote "))
    for name in names:
        assert (files["tmp"] / name).exists()
        path = re.escape(str(files["tmp"] / name))
        assert re.search(rf"(wrote|and) {path}(,|:| and|$)", told, re.MULTILINE)


@pytest.mark.parametrize(
    "command",
    [
        "generate --checkpoint {model} {bad}",
        "generate --checkpoint {model} {src} --prefix {bad}",
        "score {bad} --ref {ref}",
        "score {ref} --ref {bad}",
        "score --checkpoint {model} --source {bad} --target {ref}",
        "rescore-nbest {lists} --checkpoint {model} --source {bad}",
        "rescore-nbest {bad} --checkpoint {model} --source {src}",
        "rescore-nbest {lists} --checkpoint {model} --source {src} --weights {bad}",
        "convert-nbest {bad}",
        "preprocess -s en -t fr --trainpref {bad} --destdir {tmp}/o",
        "train-ngram {bad} -o {tmp}/o.arpa",
        "tune-length --checkpoint {model} --source {bad} --ref {ref}",
        "compare {bad} {ref} --ref {ref} --source {src}",
        "analyze lengths {bad} --ref {ref} --source {src}",
        "analyze states {bad} --checkpoint {model}",
        "analyze vectors {bad} --checkpoint {model}",
        "analyze gradients {model} --source {bad} --target {ref}",
    ],
)
def test_advice_about_bad_bytes_names_only_options_of_the_command(s2st, files, command):
    bad = files["tmp"] / "bad"
    for path in (bad, bad.with_suffix(".en"), bad.with_suffix(".fr")):
        path.write_bytes(b"0 ||| \xff ||| A= 1 ||| -1\n" * 4)
    words = command.format(**files, bad=bad, lists=files["tmp"] / "lists").split()
    outcome = s2st(*words)
    assert (outcome.code, outcome.out) == (65, "")
    assert f"{bad}" in outcome.err
    assert "line 1: not UTF-8" in outcome.err
    name = words[: 2 if words[0] == "analyze" else 1]
    known = set(re.findall(r"--[a-z-]+", s2st(*name, "--help").out))
    assert set(re.findall(r"--[a-z-]+", outcome.err)) <= known


def test_what_failed_was_not_written(s2st, files):
    outcome = s2st("generate", "--checkpoint", files["model"], files["tmp"] / "gone", "-o",
                   files["tmp"] / "o")  # fmt: skip
    assert outcome.code == 66
    assert "wrote" not in outcome.err


def test_a_checkpoint_instead_of_the_save_folder(s2st, world, tmp_path):
    for name in ("checkpoint_best", "checkpoint_last"):
        outcome = s2st("report", world.save_dir / name)
        outcome.check_error(66, f"did you mean {world.save_dir}?")
    s2st("report", world.save_dir.parent).check_error(66, "did you mean ")
    outcome = s2st("average", "--last", 2, world.forward, "-o", tmp_path / "new")
    outcome.check_error(66, f"did you mean {world.save_dir}?")
    s2st("report", tmp_path).check_error(66, "(a --save-dir of s2st train)")


LEFT = re.compile(r"words/s, (at most )?[0-9:]+ left to (.+)")


@pytest.mark.parametrize(
    ("options", "early", "end"),
    [
        (["--max-epoch", "3"], "at most ", "epoch 3"),
        (["--max-epoch", "2.5", "--patience", "9"], "at most ", "epoch 2.5"),
        (["--max-epoch", "50", "--max-update", "9"], "at most ", "update 9"),
    ],
)
def test_time_left_names_the_end_it_counts_to(s2st, world, tiny, tmp_path, options, early, end):
    """And that validation may stop the training before, which makes the figure jump."""
    given = without(tiny, *(flag for flag in options if flag.startswith("--")))
    outcome = s2st(
        "train", world.store, *given, *options, "--log-interval", "2", "--save-dir",
        tmp_path / "new",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    found = [match for line in outcome.err.splitlines() if (match := LEFT.search(line))]
    assert len(found) > 2
    assert {match.groups() for match in found} == {(early, end)}


def test_time_left_where_nothing_stops_training_early(s2st, world, tiny, tmp_path):
    outcome = s2st(
        "train", world.store, *tiny, "--recipe", "sutskever2014", "-a", "lstm", "--log-interval",
        "2", "--save-dir", tmp_path / "new",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    found = [match for line in outcome.err.splitlines() if (match := LEFT.search(line))]
    assert {match.groups() for match in found} == {(None, "epoch 2")}


@pytest.mark.parametrize("arch", ["lstm-lm", "lstm"])
def test_the_log_of_a_model_that_reads_no_source(s2st, world, tiny, tmp_path, arch):
    """It has lines and words; that of a translation model has pairs and two sides."""
    one = arch == "lstm-lm"
    sides = ["-t", "fr", "--only-target"] if one else ["-s", "en", "-t", "fr"]
    made = s2st(
        "preprocess", *sides, "--trainpref", world.folder / "train", "--validpref",
        world.folder / "valid", "--destdir", tmp_path / "bin",
    )  # fmt: skip
    trained = s2st(
        "train", tmp_path / "bin", *tiny, "-a", arch, "--log-interval", "2", "--save-dir",
        tmp_path / "run",
    )  # fmt: skip
    shown = s2st("inspect", tmp_path / "bin")
    source = [] if one else ["--source", world.source]
    scored = s2st(
        "score", "--checkpoint", tmp_path / "run/checkpoint_best", *source, "--target", world.target
    )
    assert [one.code for one in (made, trained, shown, scored)] == [0] * 4
    text = made.err + trained.err + shown.out.split("\n", 3)[3] + scored.err
    assert ("pairs" in text, "source +" in text, "translate with" in text) == (not one,) * 3
    assert ("200 lines" in text) == one


def test_a_narrow_bar_keeps_the_share_and_the_time_left():
    from io import StringIO

    from rich.console import Console

    from s2st.training.observer import UpdateReport
    from s2st_cli.progress_display import BarObserver

    bar = BarObserver()
    bar.started(0, 40, None)
    bar.updated(UpdateReport(100, 20, 3.1, 3.1, 0.001, 1.5, 900, 950, 760, "epoch 40", True))
    console = Console(width=80, file=StringIO())
    console.print(bar.progress.get_renderable())
    (line,) = console.file.getvalue().splitlines()
    assert len(line) <= 80
    assert " 50% at most 12:40 left to epoch 40; epoch 20.00, " in line
