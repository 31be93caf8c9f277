"""`s2st check`: planted faults are found, with their lines; sound inputs give no findings."""

import gzip
import json
import random
import shutil
from pathlib import Path

import pytest

SENTENCES = [
    f"the {noun} {verb} in the {place} ."
    for noun in ("cat", "dog", "fox", "owl", "hen")
    for verb in ("sleeps", "runs", "eats")
    for place in ("wood", "barn", "yard")
]
FRENCH = [line.replace("the", "le").replace("in", "dans") for line in SENTENCES]


def write(path: Path, lines: list[bytes | str], end: bytes = b"\n") -> Path:
    raw = [line if isinstance(line, bytes) else line.encode() for line in lines]
    path.write_bytes(b"".join(line + end for line in raw))
    return path


@pytest.fixture
def check(s2st):
    """Runs `check --format json`; the findings by (name, kind), their order checked."""

    def run(*arguments, code=0):
        outcome = s2st("check", *arguments, "--format", "json")
        assert outcome.code == code, outcome.err
        report = json.loads(outcome.out)
        if code == 65:
            assert report["breaking"] > 0
            assert outcome.err.splitlines()[-1].startswith("s2st: error: ")
        assert report["breaking"] == sum(f["severity"] == "breaks" for f in report["findings"])
        order = ["breaks", "warning", "remark"]
        ranks = [order.index(f["severity"]) for f in report["findings"]]
        assert ranks == sorted(ranks)
        return {(Path(f["where"]).name, f["kind"]): f for f in report["findings"]}

    return run


@pytest.fixture
def corpus(tmp_path) -> Path:
    write(tmp_path / "train.en", SENTENCES)
    write(tmp_path / "train.fr", FRENCH)
    return tmp_path / "train"


def test_a_sound_corpus_has_no_findings(check, corpus, tmp_path, s2st):
    assert check(corpus, "-s", "en", "-t", "fr") == {}
    assert check(f"{corpus}.en", f"{corpus}.fr") == {}
    assert check(f"{corpus}.en") == {}
    for language in ("en", "fr"):
        packed = gzip.compress((tmp_path / f"train.{language}").read_bytes())
        (tmp_path / f"packed.{language}.gz").write_bytes(packed)
    assert check(tmp_path / "packed", "-s", "en", "-t", "fr") == {}
    text = s2st("check", corpus, "-s", "en", "-t", "fr")
    assert text.lines == [f"{corpus}.en and {corpus}.fr: 45 lines", "no findings"]


# what stands in one line of the English side -> kind, severity
PLANTED = [
    (b"bad \xe9t\xe9", "encoding", "breaks"),
    ("wrong \ufffd sign", "replaced", "warning"),
    ("caf\u00c3\u00a9 time", "misread", "warning"),
    ("it\u00e2\u20ac\u2122s here", "misread", "warning"),
    ("two\u2028lines", "separators", "warning"),
    ("old\rMac", "separators", "warning"),
    ("page\x0cfeed", "separators", "warning"),
    ("next\x85line", "separators", "warning"),
    ("bell\x07 rings", "controls", "warning"),
    ("nul\x00", "controls", "warning"),
    ("", "empty", "warning"),
    ("no\u200bwidth", "invisible", "remark"),
    ("Tom &amp; I", "entities", "remark"),
    ("Tom &#124; I", "entities", "remark"),
    (" blank before", "spaces", "remark"),
    ("a\ttab", "spaces", "remark"),
    ("word " * 250 + "word", "long", "remark"),
]
# what looks similar and is right
RIGHT = [
    "CAF\u00c9\u00bb d\u2019\u00e9t\u00e9",
    "fish & chips",
    "\ud55c\uad6d\uc5b4 \U0001f600",
    "a\u00a0b",
]


@pytest.mark.parametrize(("line", "kind", "severity"), PLANTED, ids=range(len(PLANTED)))
def test_one_bad_line_is_found_where_it_is(check, corpus, tmp_path, line, kind, severity):
    for at in (0, 17, 44):
        lines = [*SENTENCES[:at], line, *SENTENCES[at + 1 :]]
        write(tmp_path / "train.en", lines)
        found = check(corpus, "-s", "en", "-t", "fr", code=65 if severity == "breaks" else 0)
        finding = found["train.en", kind]
        assert (finding["lines"], finding["count"]) == ([at + 1], 1)
        assert finding["severity"] == severity
        others = {name for _, name in found} - {kind, "half-empty", "ratio"}
        assert not others


def test_right_lines_stay_unmentioned(check, tmp_path):
    assert check(write(tmp_path / "text", RIGHT)) == {}


def test_line_ends(check, tmp_path):
    found = check(write(tmp_path / "dos", SENTENCES, end=b"\r\n"))
    assert found["dos", "line-ends"]["count"] == 45
    assert found["dos", "line-ends"]["severity"] == "remark"
    mixed = [line + ("\r" if i % 9 == 0 else "") for i, line in enumerate(SENTENCES)]
    found = check(write(tmp_path / "mixed", mixed))
    assert found["mixed", "mixed-line-ends"]["lines"] == [1, 10, 19, 28, 37]
    found = check(write(tmp_path / "marked", ["\ufeff" + SENTENCES[0], *SENTENCES[1:]]))
    assert set(found) == {("marked", "byte-order-mark")}


def test_pairs(check, corpus, tmp_path):
    source = [*SENTENCES, SENTENCES[4], "same on both", "short one", "text"]
    target = [*FRENCH, FRENCH[4], "same on both", "mot " * 20, ""]
    write(tmp_path / "train.en", source)
    write(tmp_path / "train.fr", target)
    found = {kind: f for (_, kind), f in check(corpus, "-s", "en", "-t", "fr").items()}
    assert found["duplicates"]["lines"] == [46]
    assert found["copies"]["lines"] == [47]
    assert found["ratio"]["lines"] == [48]
    assert found["half-empty"]["lines"] == [49]
    write(tmp_path / "train.fr", target[:-3])
    found = check(corpus, "-s", "en", "-t", "fr", code=65)
    (finding,) = [f for (_, kind), f in found.items() if kind == "unequal-lines"]
    assert finding["lines"] == [47]
    assert "train.en has 49" in finding["text"]
    assert "train.fr has 46" in finding["text"]


def test_test_sentences_in_training(check, corpus, tmp_path):
    write(tmp_path / "test.en", ["something new .", SENTENCES[7], SENTENCES[8], SENTENCES[9], ""])
    write(tmp_path / "test.fr", ["du nouveau .", FRENCH[7], "autre chose .", FRENCH[9], ""])
    for arguments in ((corpus, "-s", "en", "-t", "fr"), (f"{corpus}.en", f"{corpus}.fr")):
        found = check(*arguments, "--testpref", tmp_path / "test")
        by_kind = {kind: f for (_, kind), f in found.items()}
        assert by_kind["in-training"]["lines"] == [2, 4]
        assert by_kind["in-training"]["severity"] == "warning"
        assert by_kind["source-in-training"]["lines"] == [3]


def test_files_that_are_no_text(check, corpus, tmp_path, s2st):
    (tmp_path / "train.en").write_bytes("\n".join(SENTENCES).encode("utf-16"))
    found = check(f"{corpus}.en", code=65)
    assert "iconv" in found["train.en", "unreadable"]["text"]
    packed = gzip.compress("\n".join(SENTENCES).encode())
    (tmp_path / "train.en").write_bytes(packed[:-12])
    found = check(f"{corpus}.en", f"{corpus}.fr", code=65)
    assert ("train.en", "unreadable") in found
    (tmp_path / "train.en").write_bytes(b"")
    assert ("train.en", "no-lines") in check(f"{corpus}.en", code=65)
    s2st("check", tmp_path / "none").check_error(66, "none")


# with a model


def test_a_text_that_does_not_fit_the_model(check, world, tmp_path):
    texts = {"en": world.source.read_text("utf-8"), "fr": world.target.read_text("utf-8")}
    given = ["--checkpoint", world.forward]
    words = [line.split(" ")[0] for line in (world.store / "dict.en.txt").read_text().split("\n")]
    found = check(write(tmp_path / "known.en", [" ".join(words[:40])]), *given)
    assert found["known.en", "unknown-rate"]["text"].startswith("0.00% of its en tokens")
    for language in ("en", "fr"):
        (tmp_path / f"upper.{language}").write_text(texts[language].upper(), "utf-8")
    found = check(tmp_path / "upper", "-s", "en", "-t", "fr", *given)
    for language in ("en", "fr"):
        finding = found[f"upper.{language}", "does-not-fit-model"]
        assert "lowercase the text" in finding["text"]
        assert finding["severity"] == "warning"
    # files are of the language of their suffix, whatever their order
    turned = check(tmp_path / "upper.fr", tmp_path / "upper.en", *given)
    assert turned["upper.en", "does-not-fit-model"] == found["upper.en", "does-not-fit-model"]
    alone = check(tmp_path / "upper.fr", *given)
    assert alone["upper.fr", "does-not-fit-model"] == found["upper.fr", "does-not-fit-model"]


def test_the_expected_unknown_rate_is_that_of_score(check, s2st, world, tmp_path):
    words = {line.rpartition(" ")[0] for line in (world.store / "dict.en.txt").open()}
    tokens = world.source.read_text("utf-8").split()
    unknown = sum(token not in words for token in tokens)
    found = check(world.source, "--checkpoint", world.forward)
    (finding,) = [f for (_, k), f in found.items() if k in ("unknown-rate", "does-not-fit-model")]
    assert finding["count"] == unknown
    assert f"{unknown / len(tokens):.1%}"[:3] in finding["text"]


# n-best lists


LISTS = [
    "0 ||| le chat dort . ||| LM= -1 TM= -2 -3 ||| -1.5",
    "0 ||| le chat rit . ||| LM= -2 TM= -2 -3 ||| -2.5",
    "1 ||| un chien . ||| LM= -1 TM= -2 -3 ||| -1",
]


@pytest.mark.parametrize(
    ("line", "kind", "severity"),
    [
        ("1 ||| un ||| LM= -1", "malformed", "breaks"),
        ("x ||| un ||| LM= -1 TM= -2 -3 ||| -1", "malformed", "breaks"),
        ("0 ||| un ||| LM= -1 TM= -2 -3 ||| -1", "order", "breaks"),
        ("2 ||| un ||| LM= -1 TM= -2 -3 ||| -1", "no-source", "breaks"),
        ("1 ||| un ||| LM= -1 TM= -2 ||| -1", "features", "breaks"),
        ("1 ||| un ||| LM= nan TM= -2 -3 ||| -1", "not-finite", "warning"),
        ("1 |||  ||| LM= -1 TM= -2 -3 ||| -1", "empty-hypothesis", "warning"),
        ("1 ||| un  chien . ||| LM= -1 TM= -2 -3 ||| -1", "same-hypothesis", "remark"),
        ("1 ||| un\u2028chat ||| LM= -1 TM= -2 -3 ||| -1", "separators", "warning"),
    ],
)
def test_lists(check, s2st, world, tmp_path, line, kind, severity):
    source = write(tmp_path / "source", ["the cat sleeps .", "a dog ."])
    lists = write(tmp_path / "lists", LISTS)
    assert check(lists, "--source", source) == {}
    write(lists, [*LISTS, line])
    found = check(lists, "--source", source, code=65 if severity == "breaks" else 0)
    assert found["lists", kind]["lines"] == [4]
    assert found["lists", kind]["severity"] == severity
    # what breaks is what rescore-nbest refuses
    options = ["--source", source, "--checkpoint", world.forward, "--threads", 1]
    if kind == "features":
        options += ["--baseline-features", "own", "--tune", source]
    outcome = s2st("rescore-nbest", lists, *options)
    assert (outcome.code == 65) == (severity == "breaks"), outcome.err


def test_lists_with_a_model(check, world, tmp_path):
    write(tmp_path / "source", ["the cat sleeps .", "a dog .", "more"])
    lists = write(tmp_path / "lists", [line.replace("chat", "XYZZY") for line in LISTS])
    found = check(lists, "--source", tmp_path / "source", "--checkpoint", world.forward)
    assert found["lists", "no-list"]["count"] == 1
    assert ("lists", "does-not-fit-model") in found


# folders


def test_a_damaged_checkpoint_breaks(check, world, tmp_path):
    assert {kind for _, kind in check(world.forward)} == {"lowercased"}  # the demo's text
    shutil.copytree(world.forward, tmp_path / "copy")
    weights = tmp_path / "copy" / "weights.safetensors"
    raw = bytearray(weights.read_bytes())
    raw[len(raw) // 2] ^= 1
    weights.write_bytes(raw)
    found = check(tmp_path / "copy", code=65)
    assert [kind for _, kind in found] == ["damaged"]


def test_a_store_with_test_sentences_in_training(check, s2st, corpus, tmp_path):
    write(tmp_path / "test.en", ["something new .", SENTENCES[7]])
    write(tmp_path / "test.fr", ["du nouveau .", FRENCH[7]])
    words = ["preprocess", "-s", "en", "-t", "fr", "--trainpref", corpus]
    words += ["--testpref", tmp_path / "test", "--destdir", tmp_path / "bin"]
    assert s2st(*words).code == 0
    found = check(tmp_path / "bin")
    assert found["bin", "in-training"]["lines"] == [2]
    assert found["bin", "unknown-rate"]["severity"] == "warning"
    assert found["dict.en.txt", "lowercased"]["severity"] == "remark"


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (["{en}", "{fr}", "{en}"], "give a prefix"),
        (["{bin}", "--testpref", "{en}"], "--testpref has no effect"),
        (["{bin}", "--checkpoint", "{bin}"], "--checkpoint has no effect"),
        (["{en}", "--source", "{fr}"], "--source"),
        (["-"], "standard input"),
        (["{plain}", "--testpref", "{en}"], "--testpref needs -s and -t"),
    ],
)
def test_options_that_do_not_go_together(s2st, corpus, world, tmp_path, options, part):
    names = {"en": f"{corpus}.en", "fr": f"{corpus}.fr", "bin": world.store}
    names["plain"] = write(tmp_path / "plain", SENTENCES)
    s2st("check", *(word.format(**names) for word in options)).check_error(2, part)


def test_the_text_report_is_one_page(s2st, corpus, tmp_path):
    write(tmp_path / "train.en", [f" {line}\x07" for line in SENTENCES])
    outcome = s2st("check", f"{corpus}.en", "--line-numbers", 3)
    assert outcome.code == 0
    assert len(outcome.lines) == 3
    assert outcome.lines[1].startswith("warning  ")
    assert outcome.lines[1].endswith("(lines 1, 2, 3, ...)")
    assert outcome.lines[2].startswith("remark   ")
    none = s2st("check", f"{corpus}.en", "--line-numbers", 0)
    assert "(line" not in none.out


def test_any_bytes_end_well(s2st, world, tmp_path):
    generator = random.Random(7)
    parts = [
        b"\n", b"\r\n", b"\r", b"|||", b" ||| ", b"0", b"1", b"A= 1", b"le chat", b"\xff", b"\x00",
        b"\xe2\x80\xa8", b"\xc3\x83\xc2\xa9", b"&amp;", b"\x1b[31m", b" ", b"\t", b"-1", b"nan",
    ]  # fmt: skip
    for number in range(120):
        for name in ("a.en", "a.fr"):
            count = generator.randrange(40)
            (tmp_path / name).write_bytes(b"".join(generator.choices(parts, k=count)))
        model = ["--checkpoint", world.forward] if number % 4 == 0 else []
        for inputs in ([tmp_path / "a.en"], [tmp_path / "a.en", tmp_path / "a.fr"]):
            outcome = s2st("check", *inputs, *model)
            assert outcome.code in (0, 65), outcome.err
            assert "\x1b" not in outcome.out + outcome.err
            assert outcome.lines
            assert ("breaks  " in outcome.out) == (outcome.code == 65)


def test_a_line_of_any_length_is_read(check, tmp_path):
    long = "a " * (1 << 20)
    found = check(write(tmp_path / "text", [long + "b", SENTENCES[0]]))
    assert found["text", "long"]["lines"] == [1]
    huge = b"x" * ((1 << 26) + 5)
    found = check(write(tmp_path / "text", [SENTENCES[0], huge, SENTENCES[1] + "\x07"]), code=65)
    assert found["text", "too-long"]["lines"] == [2]
    assert found["text", "controls"]["lines"] == [3]


@pytest.mark.parametrize(
    "lines",
    [
        ["0 ||| un chat . ||| d: 0 -7 lm: -3 ||| -9", "0 ||| un ||| d: 0 -8 lm: -3 ||| -9"],
        ["0 ||| un chat . ||| lm_0=-2.5 tm_0=-1 ||| -9", "0 ||| un ||| lm_0=-2 tm_0=-2 ||| -9"],
        ["S-0\tthe cat .", "H-0\t-0.5\tun chat .", "D-0\t-0.5\tun chat .", "P-0\t-0.5 -0.5 -0.5"],
    ],
    ids=["moses-old", "cdec", "fairseq"],
)
def test_lists_of_other_programs(check, tmp_path, lines):
    source = write(tmp_path / "source", ["the cat ."])
    assert check(write(tmp_path / "lists", lines), "--source", source) == {}
    wrong = lines[1].replace("-", "x").replace("Hx0", "H-1")
    found = check(write(tmp_path / "lists", [*lines, wrong]), "--source", source, code=65)
    assert found["lists", "malformed"]["lines"] == [len(lines) + 1]
