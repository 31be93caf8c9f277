"""Tests of `s2st score` for text against the programs that it must agree with.

Those are the `sacrebleu` program, run here, and Moses' multi-bleu.perl. The latter is not part of
this project; its printed lines for small texts are written down, and when the environment
variable S2ST_MULTI_BLEU names a copy of it, it is run on random texts too.
"""

import json
import logging
import math
import os
import random
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from s2st.errors import DataError, UsageError
from s2st.jobs import text_metrics
from s2st.jobs.paired_comparison import compare_systems
from s2st.jobs.text_metrics import evaluate_system, tokenized_bleu

REFERENCE = [
    "The cat sat on the mat, didn't it?",
    "He reads a book about the old war.",
    "Prices rose by 3.5% in 2014 \u2013 again.",
    "No, thanks!",
    "It is raining in Paris today.",
    "Two men are playing chess in the park.",
]
SECOND_REFERENCE = [
    "A cat was sitting on the mat, wasn't it?",
    "He is reading a book on the old war.",
    "In 2014, prices rose by 3.5% again.",
    "No thank you!",
    "Today it rains in Paris.",
    "Two men play chess in a park.",
]
SYSTEM_A = [
    "The cat sat on the mat, isn't it?",
    "He read a book about the old war.",
    "Prices rose 3.5% in 2014 - again.",
    "no thanks!  ",
    "",
    "Two men are playing chess at the park.",
]
SYSTEM_B = [
    "A Cat sits on a mat, did it?",
    "He reads the book of the old war.",
    "The price rose by 3,5% in 2014\u00a0again.",
    "No, thanks !",
    "It rains in Paris today.",
    "Two men in the park are playing chess.",
]
SYSTEM_C = [line.upper() for line in SYSTEM_B]


def write(path: Path, lines: Sequence[str]) -> Path:
    path.write_bytes("".join(f"{line}\n" for line in lines).encode())
    return path


def run_sacrebleu(
    folder: Path,
    systems: Sequence[Sequence[str]],
    references: Sequence[Sequence[str]],
    options: Sequence[str],
    seed: int = 12345,
) -> str:
    hypothesis_files = [write(folder / f"hyp{i}", lines) for i, lines in enumerate(systems)]
    reference_files = [write(folder / f"ref{i}", lines) for i, lines in enumerate(references)]
    command = [sys.executable, "-m", "sacrebleu", *map(str, reference_files)]
    command += ["-i", *map(str, hypothesis_files), *options]
    environment = {**os.environ, "NO_COLOR": "1", "SACREBLEU_SEED": str(seed)}
    done = subprocess.run(command, capture_output=True, check=True, env=environment)
    return done.stdout.decode()


# Hypotheses, reference sets, and the line that multi-bleu.perl (Moses at 31473d88) printed.
MULTI_BLEU_LINES = {
    "plain": (
        ["the cat sat on the mat today .", "he reads a book about the old war", "no"],
        [["the cat sat on the mat .", "he read a book about the old war", "no thanks"]],
        "BLEU = 70.86, 88.2/71.4/66.7/60.0 (BP=1.000, ratio=1.000, hyp_len=17, ref_len=17)",
    ),
    "no 4-gram in common": (
        ["a b c x d e f", "the dog barks"],
        [["a b c d e f g", "a dog barks"]],
        "BLEU = 0.00, 80.0/62.5/33.3/0.0 (BP=1.000, ratio=1.000, hyp_len=10, ref_len=10)",
    ),
    "empty hypothesis line": (
        ["the quick brown fox jumps", "", "over the lazy dog again"],
        [["the quick brown fox jumped", "is here", "over the lazy dog"]],
        "BLEU = 60.51, 80.0/75.0/66.7/50.0 (BP=0.905, ratio=0.909, hyp_len=10, ref_len=11)",
    ),
    "two references, a tie of lengths in the second line": (
        ["it is a guide to action which ensures that the army obeys", "a b c d e f"],
        [
            ["it is a guide to action that ensures that the army will always obey", "a b c d"],
            [
                "it is the guiding principle which guarantees the army forces being under command",
                "a b c d e f g h",
            ],
        ],
        "BLEU = 75.20, 94.4/81.2/71.4/58.3 (BP=1.000, ratio=1.059, hyp_len=18, ref_len=17)",
    ),
    "counts clipped over two references": (
        ["the the the the the the the", " a a a a a a"],
        [["the cat is on the mat", "a a a"], ["there is a cat on the mat", "a a a a a"]],
        "BLEU = 36.95, 53.8/36.4/33.3/28.6 (BP=1.000, ratio=1.083, hyp_len=13, ref_len=12)",
    ),
    "white space that is none in perl": (
        [
            "il a dit\u00a0: \u00ab\u00a0oui\u00a0\u00bb et puis non",
            "prix 3\u202f000 \u20ac en\u2028tout cas ici\x1fla",
        ],
        [
            [
                "il a dit\u00a0: \u00ab\u00a0oui\u00a0\u00bb et puis rien",
                "prix 3 000 \u20ac en\u2028tout cas ici\x1fla",
            ]
        ],
        "BLEU = 64.43, 84.6/72.7/66.7/57.1 (BP=0.926, ratio=0.929, hyp_len=13, ref_len=14)",
    ),
    "two kinds of space are two tokens": (
        ["a\u00a0b c d e f", "g\u2003h i j k"],
        [["a b c d e f", "g\u2009h i j k"]],
        "BLEU = 51.66, 77.8/71.4/60.0/33.3 (BP=0.895, ratio=0.900, hyp_len=9, ref_len=10)",
    ),
    "ASCII white space": (
        ["a\tb\x0bc\x0cd\re f  g ", "  a b c d"],
        [["a b c d e f g", "a b c d"]],
        "BLEU = 100.00, 100.0/100.0/100.0/100.0 (BP=1.000, ratio=1.000, hyp_len=11, ref_len=11)",
    ),
    "cased": (
        ["The Cat sat on the Mat in Paris", "I saw Mary in London"],
        [["the cat sat on the Mat in Paris", "I saw Mary in London"]],
        "BLEU = 78.75, 84.6/81.8/77.8/71.4 (BP=1.000, ratio=1.000, hyp_len=13, ref_len=13)",
    ),
    "empty references": (
        ["a b", ""],
        [["", ""]],
        "BLEU = 0, 0/0/0/0 (BP=0, ratio=0, hyp_len=0, ref_len=0)",
    ),
}


@pytest.mark.parametrize("case", MULTI_BLEU_LINES)
def test_tokenized_bleu_prints_the_line_of_multi_bleu(case: str) -> None:
    hypotheses, references, line = MULTI_BLEU_LINES[case]
    result = tokenized_bleu(hypotheses, references)
    assert result.text == line
    printed = float(line.removeprefix("BLEU = ").split(",")[0])
    assert result.score == pytest.approx(printed, abs=0.005 + 1e-9)


# The same with the option -lc: perl lowercases bytes, so the first word of the second line differs.
LOWERCASED = (
    ["The Cat sat ON the Mat in PARIS", "\u00c9lan Vital du NORD et du Sud"],
    [["the cat sat on the mat in Paris", "\u00e9lan vital du nord et du sud"]],
    "BLEU = 91.34, 93.3/92.3/90.9/88.9 (BP=1.000, ratio=1.000, hyp_len=15, ref_len=15)",
    "BLEU = 0.00, 40.0/7.7/0.0/0.0 (BP=1.000, ratio=1.000, hyp_len=15, ref_len=15)",
)


def test_tokenized_bleu_lowercases_both_sides_as_multi_bleu_does() -> None:
    hypotheses, references, lowercased, cased = LOWERCASED
    assert tokenized_bleu(hypotheses, references, lowercase=True).text == lowercased
    assert tokenized_bleu(hypotheses, references).text == cased
    swapped = tokenized_bleu(references[0], [hypotheses], lowercase=True)
    assert swapped.text == lowercased  # of equal lengths, matches are the same both ways
    scores = evaluate_system("a", hypotheses, references, lowercase=True)
    assert scores.tokenized_bleu.text == lowercased
    assert scores.bleu.score == pytest.approx(100)  # sacreBLEU lowercases all letters
    # 14 of 15 words, 12 of 13 bigrams, 10 of 11 trigrams and 8 of 9 4-grams
    expected = 100 * (14 / 15 * 12 / 13 * 10 / 11 * 8 / 9) ** 0.25
    assert scores.tokenized_bleu.score == pytest.approx(expected, rel=1e-12)


def test_tokenized_bleu_by_hand() -> None:
    hypotheses, references, _ = MULTI_BLEU_LINES["cased"]
    # 11/13 words, 9/11 bigrams, 7/9 trigrams and 5/7 4-grams: the product is 5/13.
    expected = 100 * (5 / 13) ** 0.25
    result = tokenized_bleu(hypotheses, references)
    assert result.score == pytest.approx(expected, rel=1e-12)
    assert result.name == "tokenized BLEU"
    assert "case:mixed|eff:no|tok:none|smooth:none" in result.signature


def test_tokenized_bleu_brevity_penalty_by_hand() -> None:
    result = tokenized_bleu(["a b c d e f"], [["a b c d e f g h"]])
    assert result.score == pytest.approx(100 * math.exp(1 - 8 / 6), rel=1e-12)


def test_tokenized_bleu_of_empty_hypotheses_is_zero() -> None:
    # multi-bleu.perl stops here with a division by zero.
    result = tokenized_bleu(["", ""], [["a b", "c"]])
    assert result.score == 0
    assert "hyp_len=0, ref_len=3" in result.text


def test_every_white_space_of_python_but_the_ascii_one_stays_inside_a_token() -> None:
    spaces = {chr(i) for i in range(sys.maxunicode + 1) if chr(i).isspace()}
    inside = spaces - set(" \t\n\v\f\r")
    assert inside == set(text_metrics._NOT_SPACE_IN_PERL)
    hypotheses = [f"a{space}b c d e f" for space in sorted(inside)]
    result = tokenized_bleu(hypotheses, [hypotheses])
    assert result.score == pytest.approx(100)
    assert f"hyp_len={5 * len(inside)}," in result.text
    # Each is a character of its own: no first word matches its neighbor's.
    shifted = hypotheses[1:] + hypotheses[:1]
    assert tokenized_bleu(hypotheses, [shifted]).text.startswith(
        "BLEU = 66.87, 80.0/75.0/66.7/50.0"
    )


@pytest.mark.skipif("S2ST_MULTI_BLEU" not in os.environ, reason="S2ST_MULTI_BLEU is not set")
@pytest.mark.parametrize("lowercase", [False, True])
@pytest.mark.parametrize("seed", range(30))
def test_tokenized_bleu_equals_the_script_on_random_texts(
    seed: int, lowercase: bool, tmp_path: Path
) -> None:
    rng = random.Random(seed)
    words = [
        "a",
        "b",
        "B",
        "c",
        "\u00e9",
        "\u00c9",
        "A",
        "a\u00a0b",
        "a\u2009b",
        "\u2028",
        "\x1c",
        "\x85",
        "\u3000c",
    ]
    spaces = [" ", " ", " ", "  ", "\t", "\x0b"]

    def line() -> str:
        return "".join(rng.choice(words) + rng.choice(spaces) for _ in range(rng.randrange(14)))

    size = rng.randrange(1, 12)
    hypotheses = ["a b c", *(line() for _ in range(size))]
    references = [
        ["a b c", *(line() for _ in range(size))] for _ in range(rng.choice([1, 1, 2, 4]))
    ]
    for i, reference in enumerate(references):
        write(tmp_path / f"ref{i}", reference)
    with write(tmp_path / "hyp", hypotheses).open("rb") as file:
        done = subprocess.run(
            [
                "perl",
                os.environ["S2ST_MULTI_BLEU"],
                *(["-lc"] if lowercase else []),
                str(tmp_path / "ref"),
            ],
            stdin=file,
            capture_output=True,
            check=True,
        )
    ours = tokenized_bleu(hypotheses, references, lowercase)
    assert ours.text == done.stdout.decode().strip()


@pytest.mark.parametrize(
    ("references", "tokenize", "lowercase", "options"),
    [
        ([REFERENCE], "13a", False, []),
        ([REFERENCE, SECOND_REFERENCE], "13a", False, []),
        ([REFERENCE], "intl", False, ["--tokenize", "intl"]),
        ([REFERENCE], "char", True, ["--tokenize", "char", "-lc"]),
        ([REFERENCE], "none", False, ["--tokenize", "none"]),
    ],
)
def test_scores_equal_the_sacrebleu_program(
    references: list[list[str]],
    tokenize: str,
    lowercase: bool,
    options: list[str],
    tmp_path: Path,
) -> None:
    scores = evaluate_system(
        "a", SYSTEM_A, references, tokenize=tokenize, lowercase=lowercase, with_ter=True
    )
    assert scores.name == "a"
    assert scores.ter is not None
    ours = [scores.bleu, scores.chrf, scores.ter]
    options = ["-m", "bleu", "chrf", "ter", *options]
    wide = json.loads(
        run_sacrebleu(tmp_path, [SYSTEM_A], references, [*options, "-f", "json", "-w", "10"])
    )
    assert [score.name for score in ours] == [row["name"] for row in wide]
    assert [round(score.score, 10) for score in ours] == [row["score"] for row in wide]
    assert [score.signature for score in ours] == [row["signature"] for row in wide]
    lines = run_sacrebleu(tmp_path, [SYSTEM_A], references, [*options, "-f", "text", "-w", "2"])
    # The program pads the lines so that their "=" stand below each other.
    assert [score.text for score in ours] == [line.strip() for line in lines.splitlines()]
    assert scores.tokenized_bleu == tokenized_bleu(SYSTEM_A, references, lowercase)


def test_ter_is_left_out_unless_asked_for() -> None:
    assert evaluate_system("a", SYSTEM_A, [REFERENCE]).ter is None


def test_lowercase_makes_case_irrelevant_for_bleu() -> None:
    upper = [line.upper() for line in REFERENCE]
    assert evaluate_system("up", upper, [REFERENCE], lowercase=True).bleu.score == pytest.approx(
        100
    )
    assert evaluate_system("up", upper, [REFERENCE]).bleu.score < 10


def test_tokenized_lines_give_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    lines = [f"line {i} ." for i in range(100)]
    with caplog.at_level(logging.WARNING):
        evaluate_system("mine", lines, [lines], tokenize="none")
        evaluate_system("mine", lines[:99], [lines[:99]])
        assert caplog.records == []
        evaluate_system("mine", lines, [lines])
    assert [record.name for record in caplog.records] == ["s2st"]
    assert "mine: 100 lines" in caplog.text


@pytest.mark.parametrize(("samples", "seed"), [(200, 12345), (50, 7)])
def test_comparison_equals_the_sacrebleu_program(samples: int, seed: int, tmp_path: Path) -> None:
    references = [REFERENCE, SECOND_REFERENCE]
    systems = [("a", SYSTEM_A), ("b", SYSTEM_B), ("c", SYSTEM_C)]
    ours = compare_systems(systems, references, samples=samples, seed=seed, with_ter=True)
    by_system = sorted(ours, key=lambda result: result.system)  # stable: metrics stay in order
    cells = [
        f"{r.score:.6f} ({r.mean:.6f} \u00b1 {r.half_width:.6f})"
        + ("" if r.p_value is None else f" (p = {r.p_value:.4f})")
        for r in by_system
    ]
    # The program's JSON would be easier to read, but with chrF it fails on a float32.
    options = ["-m", "bleu", "chrf", "ter", "--paired-bs", "--paired-bs-n", str(samples)]
    options += ["-f", "latex", "-w", "6"]
    lines = [SYSTEM_A, SYSTEM_B, SYSTEM_C]
    output = run_sacrebleu(tmp_path, lines, references, options, seed)
    number = r"[\d.]+"
    cell = rf"{number} \({number} \u00b1 {number}\)(?: \(p = {number}\))?"
    assert re.findall(cell, output) == cells
    assert [r.metric for r in by_system] == ["BLEU", "chrF2", "TER"] * 3
    signatures = re.findall(r"^ - (\w+) +(nrefs:\S+)$", output, flags=re.MULTILINE)
    assert [(r.metric, r.signature) for r in by_system[:3]] == signatures


def test_comparison_takes_the_tokenizer_and_leaves_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    systems = [("a", SYSTEM_A), ("b", SYSTEM_B)]
    monkeypatch.setenv("SACREBLEU_SEED", "99")
    results = compare_systems(systems, [REFERENCE], samples=20, tokenize="char", lowercase=True)
    assert os.environ["SACREBLEU_SEED"] == "99"
    assert [r.metric for r in results] == ["BLEU", "BLEU", "chrF2", "chrF2"]
    alone = evaluate_system("b", SYSTEM_B, [REFERENCE], tokenize="char", lowercase=True)
    assert results[1].score == alone.bleu.score
    monkeypatch.delenv("SACREBLEU_SEED")
    again = compare_systems(systems, [REFERENCE], samples=20, tokenize="char", lowercase=True)
    assert "SACREBLEU_SEED" not in os.environ
    assert again == results


def test_equal_systems_do_not_differ_significantly() -> None:
    systems = [("a", SYSTEM_A), ("copy", list(SYSTEM_A))]
    results = compare_systems(systems, [REFERENCE], samples=50)
    assert [r.p_value for r in results] == [None, 1.0, None, 1.0]


def test_a_system_that_is_always_better_differs_significantly() -> None:
    rng = random.Random(1)
    reference = [" ".join(rng.choices("abcdefgh", k=12)) for _ in range(60)]
    worse = [line[: rng.randrange(8, 16)] for line in reference]
    results = compare_systems([("worse", worse), ("same", reference)], [reference], samples=99)
    # No resampled difference lies as far from its mean as 0 does: (0 + 1) / (99 + 1).
    assert [r.p_value for r in results] == [None, 0.01, None, 0.01]


@pytest.mark.parametrize(
    ("hypotheses", "references", "message"),
    [
        (["a"], [["a"], ["a", "b"]], "has 1 lines but reference 2 has 2"),
        (["a", "b"], [["a"]], "has 2 lines but reference 1 has 1"),
        ([], [[]], "no lines to score"),
        (["a"], [], "no reference"),
    ],
)
def test_line_counts_must_agree(
    hypotheses: list[str], references: list[list[str]], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        evaluate_system("out.fr", hypotheses, references)
    with pytest.raises(DataError, match=message):
        tokenized_bleu(hypotheses, references)
    with pytest.raises(DataError, match=message):
        compare_systems([("x", hypotheses), ("y", hypotheses)], references)


def test_the_message_names_the_system_that_is_too_short() -> None:
    with pytest.raises(DataError, match=r"^short has 1 lines"):
        compare_systems([("full", REFERENCE), ("short", ["a"])], [REFERENCE])


@pytest.mark.parametrize(
    ("names", "samples", "seed", "message"),
    [
        (["a"], 10, 1, "at least two systems"),
        (["a", "b", "a"], 10, 1, "a is given twice"),
        (["a", "b"], 0, 1, "samples must be at least 1"),
        (["a", "b"], 10, 0, "seed .* at least 1"),
    ],
)
def test_impossible_comparisons_are_refused(
    names: list[str], samples: int, seed: int, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        compare_systems([(name, ["a"]) for name in names], [["a"]], samples=samples, seed=seed)


def test_an_unknown_tokenizer_is_refused() -> None:
    with pytest.raises(UsageError, match=r"'moses'.*13a"):
        evaluate_system("a", SYSTEM_A, [REFERENCE], tokenize="moses")


@pytest.mark.parametrize(
    "failure", [RuntimeError("install\n\nthis"), OSError("no net"), SystemExit(1)]
)
def test_a_tokenizer_that_cannot_be_loaded_is_one_clear_line(
    failure: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(name: str) -> None:
        raise failure

    monkeypatch.setattr("sacrebleu.metrics.bleu._get_tokenizer", fail)
    with pytest.raises(UsageError, match="'ko-mecab' cannot be loaded") as caught:
        evaluate_system("a", SYSTEM_A, [REFERENCE], tokenize="ko-mecab")
    assert "\n" not in str(caught.value)
