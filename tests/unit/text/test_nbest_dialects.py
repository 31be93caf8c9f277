"""Tests of n-best lists of other programs: real lines, and what their writers' code prints."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2st.errors import DataError, S2STError
from s2st.text.nbest_dialects import NAMES
from s2st.text.nbest_lists import NBestReader, format_entry, format_exactly, read_nbest

OLD_MOSES = (
    "0 ||| taming politicians on both sides of the Atlantic  ||| d: 0 -1.51037 0 0 -2.60639 0 0 "
    "lm: -36.0562 w: -8 tm: -5.97082 -14.8327 -2.41162 -9.32734 3.99959 ||| -16.9717"
)
PHRASAL = (
    "1 ||| on behalf of the ||| LM: -1.9327E1 LexR::monotoneWithPrevious: -2.7454E0 "
    "LinearDistortion: 0 TM:lex(f|t): -1.1804E1 WordPenalty: -4 ||| -1.3413E0 ||| 0=0-3"
)
JOSHUA = [
    "0 ||| the boy ate the bug ||| lm_0=-18.059 tm_pt_0=-15.000 tm_glue_0=5.000 "
    "WordPenalty=-3.040 ||| -29.306",
    "1 ||| the big storm swarmed the coast ||| lm_0=-21.293 tm_pt_0=-48.000 tm_glue_0=3.000 "
    "WordPenalty=-3.474 ||| -67.873",
]
CDEC = [
    "0 ||| ab ||| SourceWordPenalty=-0.434294 WordPenalty=-0.434294 Cost=0.1 LatticeCost=0.125 "
    "||| -1.09359",
    "0 ||| a' b ||| Glue=1 SourceWordPenalty=-0.868589 WordPenalty=-0.868589 Cost=0.3 "
    "LatticeCost=2.5 ||| -4.53718",
]
OLD_CDEC = ["0 ||| CB ||| F4=1;Inv=1 ||| 101", "0 ||| B C ||| F1=1;F2=0.2;OtherFeat=1;Mono=1 ||| 3"]
OLD_JOSHUA = "0 ||| 我 一 跳 一 跳 的 痛 。 ||| -7.158 -0.090 -2.698 -3.567 -3.474 ||| -6.816"
MARIAN = [
    "0 ||| eine republi@@ kanische Strategie ||| F0= -2.0493 ||| -0.48615",
    "0 ||| Indien und Japan ||| 0.727188,0.009457 0.0232129,0.861811 0.00343455,0.00107033 "
    "||| F0= -1.66408 ||| -1.66408",
    "0 ||| a b ||| WordCounts=2,3 ||| 0-0 1-1 ||| WordScores= -0.5 -0.25 -1 ||| F0=-1.75 ||| -0.5",
]
FAIRSEQ = [
    "2021-08-31 20:24:29 | INFO | fairseq_cli.generate | loading model(s) from x.pt",
    "S-2\tI can speak french well",
    "H-2\t-0.7469062921458309\tJe peux parler français bien .",
    "D-2\t-0.7469062921458309\tJe peux parler français bien.",
    "P-2\t-0.6483 -0.8910 -0.4548 -0.4325 -1.3370 -1.2950 -0.1697",
    "S-0\thow are you ?",
    "T-0\tcomment allez @-@ vous ?",
    "H-0\t-0.5507358722786887\tComment êtes @-@ vous ?",
    "P-0\t-0.9831 -1.6671 -0.2074 -0.1149 -0.1515 -0.1804",
    "A-0\t0-0 1-1 2-2",
    "Generate test with beam=5: BLEU4 = 1.25, 18.2/2.2/0.5/0.1",
]
SOCKEYE = json.dumps(
    {
        "pass_through_test": "success!", "score": 0.0, "scores": [0.0, 0.1], "sentence_id": 1,
        "translation": "ein Test", "translations": ["ein Test", "der Test"],
    }
)  # fmt: skip
OURS = json.dumps(
    {
        "line": 0, "source": "x", "hypotheses": [
            {"text": "a  b", "score": -0.1234567890123, "log_prob": -1.25, "finished": True}
        ],
    }
)  # fmt: skip
SAMPLES = {
    "moses-old": [OLD_MOSES], "cdec": JOSHUA, "unnamed": [OLD_JOSHUA], "marian": [MARIAN[1]],
    "bare": ["0 ||| Translation attempt", "1 ||| The quick brown fox jumped"],
    "fairseq": FAIRSEQ, "sockeye": [SOCKEYE], "s2st": [OURS], "moses": [MARIAN[0]],
}  # fmt: skip


def read(lines, form="auto"):
    reader = NBestReader(lines, "x", form)
    return reader.dialect.name, [entry for group in reader.lists() for entry in group]


def converted(lines):
    return [format_entry(entry, format_exactly) for entry in read(lines)[1]]


def test_every_dialect_has_a_sample():
    assert set(SAMPLES) == set(NAMES)


@pytest.mark.parametrize("name", SAMPLES)
def test_recognized_by_the_first_line(name):
    assert NBestReader(SAMPLES[name], "x").dialect.name == name


def test_moses_before_2013():
    """Line 1 of moses-smt/mosesdecoder, contrib/promix/test_data/test.nbest.nbest."""
    (entry,) = read([OLD_MOSES])[1]
    assert entry.features == (
        ("d", (0.0, -1.51037, 0.0, 0.0, -2.60639, 0.0, 0.0)), ("lm", (-36.0562,)), ("w", (-8.0,)),
        ("tm", (-5.97082, -14.8327, -2.41162, -9.32734, 3.99959)),
    )  # fmt: skip
    assert entry.total == -16.9717
    assert converted([OLD_MOSES])[0].endswith(
        "d= 0 -1.51037 0 0 -2.60639 0 0 lm= -36.0562 w= -8 "
        "tm= -5.97082 -14.8327 -2.41162 -9.32734 3.99959 ||| -16.9717"
    )


def test_phrasal_has_names_with_colons_and_bars():
    """A line that the tests of Stanford Phrasal expect (nbestToMosesString)."""
    (entry,) = read([PHRASAL])[1]
    assert [name for name, _ in entry.features] == [
        "LM", "LexR::monotoneWithPrevious", "LinearDistortion", "TM:lex(f|t)", "WordPenalty",
    ]  # fmt: skip
    assert dict(entry.features)["LM"] == (-19.327,)
    assert entry.extra == ("0=0-3",)


def test_joshua():
    """Lines 6 and 11 of joshua-decoder/joshua, test/decoder/rescoring/output.gold."""
    assert converted(JOSHUA) == [
        "0 ||| the boy ate the bug ||| lm-0= -18.059 tm-pt-0= -15 tm-glue-0= 5 WordPenalty= -3.04 "
        "||| -29.306",
        "1 ||| the big storm swarmed the coast ||| lm-0= -21.293 tm-pt-0= -48 tm-glue-0= 3 "
        "WordPenalty= -3.474 ||| -67.873",
    ]


def test_cdec_leaves_out_features():
    """redpony/cdec, tests/system_tests/lattice/gold.stdout: Glue only where it is not 0."""
    assert [dict(entry.features) for entry in read(CDEC)[1]] == [
        {"SourceWordPenalty": (-0.434294,), "WordPenalty": (-0.434294,), "Cost": (0.1,),
         "LatticeCost": (0.125,)},
        {"SourceWordPenalty": (-0.868589,), "WordPenalty": (-0.868589,), "Cost": (0.3,),
         "LatticeCost": (2.5,), "sparse_Glue": (1.0,)},
    ]  # fmt: skip


def test_a_dense_feature_that_a_later_list_lacks_is_zero():
    lines = ["0 ||| a ||| lm_0=1 tm_1=2 ||| 1", "0 ||| b ||| lm_0=1 ||| 1", "3 ||| c ||| x=1 ||| 1"]
    assert [entry.features for entry in read(lines)[1]] == [
        (("lm-0", (1.0,)), ("tm_1", (2.0,))),
        (("lm-0", (1.0,)),),
        (("lm-0", (0.0,)), ("sparse_x", (1.0,))),
    ]


def test_a_shard_names_the_features_as_the_whole_file():
    lines = ["0 ||| a ||| lm_0=1 ||| 1", "1 ||| b ||| lm_0=2 tm_1=1 ||| 1"]
    (group,) = read_nbest(lines, "x", wanted=lambda identifier: identifier == 1)
    assert group[0].features == (("lm-0", (2.0,)), ("tm_1", (1.0,)))


def test_semicolons_of_old_cdec():
    """redpony/cdec, tests/system_tests/ftrans/gold.stdout of 2010."""
    assert dict(read(OLD_CDEC)[1][1].features) == {
        "sparse_F1": (1.0,), "sparse_F2": (0.2,), "sparse_OtherFeat": (1.0,), "sparse_Mono": (1.0,),
    }  # fmt: skip


def test_values_without_names():
    """Line 1 of joshua-decoder/joshua, aexperiment/iwslt/devset1_2.lc.en0.b.nbest."""
    (entry,) = read([OLD_JOSHUA])[1]
    assert entry.features == (("Features", (-7.158, -0.09, -2.698, -3.567, -3.474)),)
    assert (entry.hypothesis, entry.total) == ("我 一 跳 一 跳 的 痛 。", -6.816)


def test_marian():
    """marian-nmt/marian-regression-tests, tests/models/transformer/text.b6.nbest.expected (1),
    tests/decoder/align/soft.nbest.expected (2); and what OutputPrinter::print of marian-nmt's
    src/translator/output_printer.h writes with all fields and no breakdown of scores (3)."""
    assert read(MARIAN[:1])[0] == "moses"
    for line, extra in ((MARIAN[1], 1), (MARIAN[2], 3)):
        form, (entry,) = read([line])
        assert (form, len(entry.extra)) == ("marian", extra)
    assert converted([MARIAN[2]]) == [
        "0 ||| a b ||| F0= -1.75 ||| -0.5 ||| WordCounts=2,3 ||| 0-0 1-1 ||| "
        "WordScores= -0.5 -0.25 -1"
    ]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("0 ||| a b", "0 ||| a b |||  ||| 0"),
        ("0 ||| a b ||| -1.5", "0 ||| a b |||  ||| -1.5"),
        ("0 ||| a b ||| A= 1 2", "0 ||| a b ||| A= 1 2 ||| 0"),
        ("0 ||| a b ||| d: 1 2", "0 ||| a b ||| d= 1 2 ||| 0"),
        ("0 ||| a b ||| d_1=1", "0 ||| a b ||| d-1= 1 ||| 0"),
        ("0 ||| a b ||| 1 2", "0 ||| a b ||| Features= 1 2 ||| 0"),
    ],
)
def test_lists_without_features_or_total(line, expected):
    """`0 ||| Translation attempt` is what mozilla/translations writes with CTranslate2."""
    assert converted([line]) == [expected]


def test_fairseq():
    """Scores of facebookresearch/fairseq's docs of fairseq-interactive; the order of lines and
    the base 2 as in fairseq_cli/generate.py, which sorts by length."""
    reader = NBestReader(FAIRSEQ, "x")
    first, second = (entry for group in reader.lists(in_order=False) for entry in group)
    assert (first.id, first.hypothesis) == (2, "Je peux parler français bien .")
    assert first.total == pytest.approx(math.log(2**-0.7469062921458309))
    # the score is the mean of the positional scores, with --lenpen 1
    assert dict(first.features)["LogProb"][0] == pytest.approx(7 * first.total, abs=1e-3)
    assert (second.id, second.extra) == (0, ("0-0 1-1 2-2",))
    with pytest.raises(DataError, match="line 8: id 0 after id 2; `s2st convert-nbest` sorts"):
        list(read_nbest(FAIRSEQ, "x"))


def test_only_the_hypotheses_of_fairseq():
    """`grep ^H`, as fairseq's README says; older versions had no P lines."""
    (entry,) = read(["H-0\t-1\ta b"])[1]
    assert (entry.hypothesis, entry.features, entry.total) == ("a b", (), -math.log(2))


def test_sockeye():
    """awslabs/sockeye, test/unit/test_output_handler.py; `score` is a negative log-probability.

    sockeye/translate.py numbers lines by `enumerate(..., 1)`.
    """
    entries = read([SOCKEYE])[1]
    assert [(e.id, e.hypothesis, e.total) for e in entries] == [
        (0, "ein Test", 0.0), (0, "der Test", -0.1),
    ]  # fmt: skip
    one = '{"sentence_id": 2, "score": 1.5, "translation": "x"}'
    assert [(e.id, e.total) for e in read([SOCKEYE, one])[1]][-1] == (1, -1.5)
    factors = '{"sentence_id": 0, "scores": [[1.5, 9], [2, 9]], "translations": ["x", "y"]}'
    assert [(e.id, e.total) for e in read([factors])[1]] == [(0, -1.5), (0, -2.0)]


def test_our_json():
    (entry,) = read([OURS])[1]
    assert (entry.id, entry.hypothesis, entry.total) == (0, "a b", -0.1234567890123)
    assert entry.features == (("LogProb", (-1.25,)),)


@pytest.mark.parametrize("name", SAMPLES)
def test_converted_lists_are_read_alike(name):
    reader = NBestReader(SAMPLES[name], "x")
    for group in reader.lists(in_order=False):
        for entry in group:
            (again,) = read([format_entry(entry, format_exactly)])[1]
            assert (again.id, again.hypothesis, again.total) == (
                entry.id, entry.hypothesis, entry.total,
            )  # fmt: skip
            assert (again.features, again.extra) == (entry.features, entry.extra)


@pytest.mark.parametrize("name", [name for name in SAMPLES if name != "marian"])
@pytest.mark.parametrize("other", [name for name in SAMPLES if name != "marian"])
def test_mixed_dialects_are_one_error_that_names_both(name, other):
    if name == other:
        return
    lines = [line for line in SAMPLES[name] if not line.startswith(("D-", "P-", "A-"))]
    mixed = SAMPLES[other][1 if other == "fairseq" else 0]
    with pytest.raises(DataError) as caught:
        list(NBestReader([*lines, mixed], "mixed", "auto").lists(in_order=False))
    text = str(caught.value)
    assert text.startswith(f"mixed, line {len(lines) + 1}: ")
    assert f"the file is read as {name} (recognized by line 1)" in text
    assert f"this line looks like {other}" in text


def test_forced_dialect():
    line = "0 ||| a ||| A= 1 ||| 2"
    assert read([line], "moses")[0] == "moses"
    message = r"line 1: .*; the file is read as cdec \(--nbest-format\), but .* looks like moses"
    with pytest.raises(DataError, match=message):
        read([line], "cdec")


def test_lines_without_features_do_not_decide():
    lines = ["0 |||  |||  ||| 0", "0 ||| a ||| lm_0=1 ||| 2"]
    assert read(lines)[0] == "cdec"
    assert read(["0 ||| a |||  ||| 0", "1 ||| a |||  ||| 0"])[0] == "moses"


BAD = {
    "moses-old": ["0 ||| a ||| d: x ||| 1", "0 ||| a ||| d: 1_0 ||| 1", "0 ||| a ||| : 1 ||| 1"],
    "cdec": ["0 ||| a ||| =1 ||| 1", "0 ||| a ||| a=b ||| 1", "0 ||| a ||| a ||| 1"],
    "unnamed": ["0 ||| a ||| 1 x ||| 1"],
    "marian": ["0 ||| a ||| F0= 1 ||| x", "0 ||| a ||| 0-0 ||| F0=x ||| 1", "0 ||| a ||| F0= 1"],
    "bare": ["0 ||| a ||| x", "x ||| a", "0", "0 ||| a ||| 1 ||| 2"],
    "fairseq": ["H-0\tx\ta", "P-0 x", "H-0", "H-9999999999999999\t1\ta", "H-\u0661\t1\ta"],
    "sockeye": [
        "{", "[]", '{"sentence_id": -1}', '{"sentence_id": true, "translation": "", "score": 1}',
        '{"sentence_id": 1, "translation": 2, "score": 1}', '{"sentence_id": 1}',
        '{"sentence_id": 1, "translations": ["a"], "scores": []}',
        '{"sentence_id": 1, "translation": "a", "score": 1' + "0" * 400 + "}",
        '{"sentence_id": 1, "translation": "\\ud800", "score": 1}', "[" * 100_000,
        '{"sentence_id": 1' + "0" * 5000 + "}",
    ],
    "s2st": [
        '{"line": 0}', '{"line": 0, "hypotheses": {}}', '{"line": 0, "hypotheses": [1]}',
        '{"line": 1.0, "hypotheses": []}', '{"line": 0, "hypotheses": [{"text": "a"}]}',
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "line"), [(n, line) for n, lines in BAD.items() for line in lines]
)
def test_malformed_lines(name, line):
    with pytest.raises(DataError) as caught:
        read([line], name)
    assert (caught.value.path, caught.value.line) == ("x", 1)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_bars_in_text_do_not_split_the_line():
    line = json.dumps({"line": 0, "hypotheses": [{"text": "a ||| b\n", "score": 1}]})
    assert converted([line]) == ["0 ||| a &#124;&#124;&#124; b |||  ||| 1"]


PIECES = st.sampled_from(
    ["|||", " ", "0", "-1", "A=", "a_1=2", "d:", ";", "\t", "H-0\t", "P-0\t", "F0= 1", "nan", "{",
     "}", '"hypotheses":', '"line": 0,', "[", "]", '"translation": "x"', "1e999", "\u2028"]
)  # fmt: skip
LINE = st.lists(PIECES | st.text(max_size=3), max_size=9).map(" ".join)
REAL = st.sampled_from([line for lines in SAMPLES.values() for line in lines])


@given(st.lists(LINE | REAL, max_size=4), st.sampled_from(["auto", *NAMES]))
def test_any_lines_parse_or_raise_our_errors(lines, form):
    message = ""
    try:
        for group in NBestReader(lines, "x", form).lists(in_order=False):
            for entry in group:
                line = format_entry(entry, format_exactly)
                (again,) = read([line], "moses")[1]
                assert (again.id, again.hypothesis) == (entry.id, entry.hypothesis)
                assert [name for name, _ in again.features] == [n for n, _ in entry.features]
    except S2STError as error:
        message = str(error)
    assert "\n" not in message


@given(st.floats(allow_nan=False))
def test_exact_numbers_come_back(value):
    assert float(format_exactly(value)) == value
