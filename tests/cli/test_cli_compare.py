"""Tests of `s2st compare`."""

import json
import os
import pty
import re
import subprocess
import sys

import pytest

from s2st.jobs.paired_comparison import compare_systems

REFERENCE = ["the cat sat on the mat .", "a dog ran far away .", "all is well here .", "x y z w"]
A = ["the cat sat on a mat .", "a dog ran far away .", "all is well here .", "x"]
B = ["the cat sat on the mat .", "one dog went by .", "all is well here .", "y"]
SOURCE = ["s one", "s two", "s three", "s four"]


@pytest.fixture
def files(tmp_path):
    for name, lines in (("a.fr", A), ("b.fr", B), ("ref.fr", REFERENCE), ("src.en", SOURCE)):
        (tmp_path / name).write_text("".join(line + "\n" for line in lines))
    return tmp_path


def call(files, *options):
    return "compare", files / "a.fr", files / "b.fr", "--ref", files / "ref.fr", *options


def test_what_is_printed(s2st, files):
    outcome = s2st(*call(files, "--source", files / "src.en", "--samples", 50))
    assert outcome.code == 0, outcome.err
    out = outcome.out
    assert "A = a, B = b; 4 sentences" in out
    assert "\x1b" not in out  # no marks where it is no terminal
    expected = compare_systems([("a", A), ("b", B)], [REFERENCE], samples=50)
    for result, name in zip(expected, "ABAB", strict=True):
        assert f"  {name}  {result.metric} {result.score:.2f}  95% {result.mean:.2f}" in out
        assert f"  {result.metric} (sacreBLEU, {result.signature})" in out
    assert f"p = {expected[1].p_value:.4f}" in out
    assert re.search(r"better in B +1\n +worse in B +1\n +as good +2, of them 1 the same", out)
    assert "Lin and Och" in out
    better, worse = out.split("that are better")[1].split("that are worse")
    assert "line 1: sentence BLEU A " in better
    assert "B 100.0 (+" in better
    assert better.endswith(
        "  source    s one\n"
        "  reference the cat sat on the mat .\n"
        "  A         the cat sat on a mat .\n"
        "  B         the cat sat on the mat .\n"
        "\nthe 1 sentences "
    )
    assert "line 2: sentence BLEU A 100.0" in worse
    assert "  source    s two\n" in worse
    assert "line 3" not in out
    assert "line 4" not in out


def test_several_references_and_no_sentences(s2st, files):
    outcome = s2st(*call(files, "--ref", files / "b.fr", "--samples", 5))
    assert "  ref. 1    a dog ran far away .\n  ref. 2    one dog went by .\n" not in outcome.out
    assert "nrefs:2" in outcome.out
    assert "  ref. 1    the cat sat on the mat .\n  ref. 2    the cat" in outcome.out
    none = s2st(*call(files, "--samples", 5, "--count", 0))
    assert "line 1" not in none.out
    assert "better in B  1" in none.out


def test_json(s2st, files):
    outcome = s2st(*call(files, "--samples", 5, "--tokenize", "none", "--format", "json"))
    records = [json.loads(line) for line in outcome.lines]
    assert [record.get("metric") for record in records[:4]] == ["BLEU", "BLEU", "chrF2", "chrF2"]
    assert "tok:none" in records[0]["signature"]
    assert records[1]["baseline"] == "a"
    counts = records[4]
    assert {name: counts[name] for name in ("sentences", "better", "worse")} == {
        "sentences": 4, "better": 1, "worse": 1,
    }  # fmt: skip
    assert (counts["same_bleu"], counts["same_text"]) == (2, 1)
    assert [(record["change"], record["line"]) for record in records[5:]] == [
        ("better", 1),
        ("worse", 2),
    ]
    assert records[5]["a"] == A[0]
    assert records[5]["references"] == [REFERENCE[0]]
    assert records[5]["source"] is None


def test_on_a_terminal_differing_words_stand_out_and_lines_are_wrapped(files):
    long = " ".join(["mot"] * 30)
    for name in ("a.fr", "b.fr", "ref.fr"):
        lines = (files / name).read_text().splitlines()
        (files / name).write_text("".join(f"{line} {long}\n" for line in lines))
    main, terminal = pty.openpty()
    code = "import sys; from s2st_cli.main import run; sys.exit(run(sys.argv[1:]))"
    environment = {**os.environ, "COLUMNS": "60", "TERM": "xterm-256color"}
    for name in ("NO_COLOR", "FORCE_COLOR"):
        environment.pop(name, None)
    arguments = [str(argument) for argument in call(files, "--samples", 2, "--count", 1)]
    with subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=terminal, env=environment
    ) as process:
        os.close(terminal)
        data = b""
        while True:
            try:
                data += os.read(main, 65536)
            except OSError:  # the other end was closed
                break
    os.close(main)
    assert process.returncode == 0
    text = data.decode().replace("\r\n", "\n")
    shown = text.split("that are better")[1].split("that are worse")[0]
    # "a" became "the", and nothing else did
    assert re.findall(r"\x1b\[[\d;]*[1-9]\d*m([^\x1b]*)\x1b\[0m", shown) == ["a", "the"]
    plain = re.sub(r"\x1b\[[\d;]*m", "", shown)
    texts = plain[plain.index("  reference") :]
    assert all(len(line) <= 60 for line in texts.splitlines())
    assert texts.count("mot") == 3 * 30


def test_wrong_use_is_one_clear_line(s2st, files):
    s2st("compare", files / "a.fr", files / "b.fr").check_error(2, "--ref FILE")
    s2st("compare", files / "a.fr").check_error(2, "Missing argument 'B'")
    same = s2st("compare", files / "a.fr", files / "a.fr", "--ref", files / "ref.fr")
    same.check_error(2, "two systems have the label a")
    s2st(*call(files, "--tokenize", "x")).check_error(2, "unknown sacreBLEU tokenizer")
    (files / "short").write_text("one\n")
    s2st(*call(files, "--source", files / "short")).check_error(65, "short, line 2")


def test_the_same_text_under_two_labels(s2st, files):
    outcome = s2st(
        "compare", files / "a.fr", f"again={files / 'a.fr'}", "--ref", files / "ref.fr",
        "--samples", 5,
    )  # fmt: skip
    assert "as good      4, of them 4 the same text" in outcome.out
    assert "p = 1.0000" in outcome.out
    assert "by most" not in outcome.out
