"""Tests of the Moses n-best format."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2st.errors import DataError, S2STError
from s2st.text.nbest_lists import NBestEntry, format_entry, format_number, parse_entry, read_nbest

# as moses2 and moses print them: dense features with several values, then the total
MOSES = [
    "0 ||| the house  ||| LexicalReordering0= -1.05 0 0 -0.7 0 0 Distortion0= 0 LM0= -12.5 "
    "WordPenalty0= -2 ||| -3.25",
    "0 ||| house the ||| LexicalReordering0= -2 0 0 -0.7 0 0 Distortion0= -2 LM0= -15 "
    "WordPenalty0= -2 ||| -5.125 ||| 0-1=0-0 ||| 0-1 1-0",
    "2 |||  ||| LM0= -inf ||| -inf",
]


def parse(text: str) -> NBestEntry:
    return parse_entry(text, "list", 1)


def test_a_moses_line():
    entry = parse(MOSES[0])
    assert entry.id == 0
    assert entry.hypothesis == "the house"
    assert entry.features == (
        ("LexicalReordering0", (-1.05, 0.0, 0.0, -0.7, 0.0, 0.0)),
        ("Distortion0", (0.0,)),
        ("LM0", (-12.5,)),
        ("WordPenalty0", (-2.0,)),
    )
    assert (entry.total, entry.extra, entry.line) == (-3.25, (), 1)


@pytest.mark.parametrize("line", MOSES)
def test_format_then_parse(line):
    assert parse(format_entry(parse(line))) == parse(line)


def test_format_gives_moses_lines_back():
    assert format_entry(parse(MOSES[1])) == MOSES[1]
    assert format_entry(parse(MOSES[2])) == MOSES[2]


def test_extra_fields_are_kept():
    assert parse(MOSES[1]).extra == ("0-1=0-0", "0-1 1-0")


def test_lists_are_grouped_and_ids_may_have_gaps():
    groups = list(read_nbest(MOSES, "list"))
    assert [[entry.id for entry in group] for group in groups] == [[0, 0], [2]]
    assert [[entry.line for entry in group] for group in groups] == [[1, 2], [3]]


def test_features_may_appear_later():
    lines = ["0 ||| a ||| A= 1 ||| 1", "0 ||| b ||| A= 1 Sparse_x= 2 ||| 1"]
    (group,) = read_nbest(lines, "list")
    assert [dict(entry.features) for entry in group] == [
        {"A": (1.0,)},
        {"A": (1.0,), "Sparse_x": (2.0,)},
    ]


def test_lists_come_one_at_a_time():
    def lines():
        yield "0 ||| a ||| ||| 1"
        yield "1 ||| a ||| ||| 1"
        raise AssertionError("read too far")

    assert next(read_nbest(lines(), "list"))[0].id == 0


@pytest.mark.parametrize(
    ("text", "value"), [("-inf", -math.inf), ("inf", math.inf), ("1e-3", 0.001), ("-0", 0.0)]
)
def test_totals(text, value):
    assert parse(f"0 ||| a ||| ||| {text}").total == value


@pytest.mark.parametrize("text", ["nan", "-nan", "NaN"])
def test_a_total_may_be_nan(text):
    entry = parse(f"0 ||| a ||| ||| {text}")
    assert math.isnan(entry.total)
    assert math.isnan(parse(format_entry(entry)).total)


def test_white_space_of_a_hypothesis():
    entry = parse("0 |||  a \t b\u00a0c  ||| ||| 1")
    assert entry.hypothesis == "a b\u00a0c"


def test_numbers_have_six_digits():
    assert [format_number(x) for x in (-1.23456789, 0.0, 1e-7, math.inf)] == [
        "-1.23457",
        "0",
        "1e-07",
        "inf",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "1 fields"),
        ("just words", "1 fields"),
        ("0 ||| a ||| 1", "3 fields"),
        ("x ||| a ||| ||| 1", "id 'x'"),
        ("-1 ||| a ||| ||| 1", "id '-1'"),
        ("1.0 ||| a ||| ||| 1", "id '1.0'"),
        ("\u0661 ||| a ||| ||| 1", "id"),
        ("9" * 40 + " ||| a ||| ||| 1", "id"),
        (" ||| a ||| ||| 1", "id ''"),
        ("1 ||| a ||| ||| ", "total ''"),
        ("1 ||| a ||| ||| one", "total 'one'"),
        ("1 ||| a ||| ||| 1_0", "total '1_0'"),
        ("1 ||| a ||| ||| 0x1p3", "total"),
        ("1 ||| a ||| -3 A= 1 ||| 1", "before any 'Name='"),
        ("1 ||| a ||| A= x ||| 1", "feature A: 'x'"),
        ("1 ||| a ||| A= 1_0 ||| 1", "feature A"),
        ("1 ||| a ||| = 1 ||| 1", "has no name"),
        ("0 ||| a ||| ||| 1", "sort the lists by id"),
    ],
)
def test_malformed_lines_name_file_and_line(text, message):
    lines = ["0 ||| a ||| ||| 1", "1 ||| a ||| ||| 1", text]
    with pytest.raises(DataError, match=message) as caught:
        list(read_nbest(lines, "dev.nbest"))
    assert (caught.value.path, caught.value.line) == ("dev.nbest", 3)
    assert str(caught.value).startswith("dev.nbest, line 3: ")
    assert "\n" not in str(caught.value)


PIECES = st.sampled_from(
    ["|||", " ", "0", "-1", "A=", "=", "_", "nan", "1e999", "\u00a0", "\u2028"]
)
FUZZ = st.one_of(st.text(max_size=60), st.lists(PIECES | st.text(max_size=3)).map(" ".join))


@given(st.lists(FUZZ, max_size=4))
def test_any_text_parses_or_raises_our_errors(lines):
    message = ""
    try:
        for group in read_nbest(lines, "list"):
            for entry in group:
                again = parse(format_entry(entry))
                assert (again.id, again.hypothesis) == (entry.id, entry.hypothesis)
                assert [name for name, _ in again.features] == [n for n, _ in entry.features]
    except S2STError as error:
        message = str(error)
    assert "\n" not in message


WORD = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters=" \t\n\r\f\v|"), min_size=1
)
NAME = st.from_regex(r"[A-Za-z][A-Za-z0-9_]*", fullmatch=True)
VALUE = st.floats(width=16, allow_nan=False).map(lambda x: float(f"{x:.6g}"))


@given(
    st.builds(
        NBestEntry,
        id=st.integers(0, 10**9),
        hypothesis=st.lists(WORD, max_size=4).map(" ".join),
        features=st.lists(st.tuples(NAME, st.lists(VALUE, max_size=3).map(tuple))).map(tuple),
        total=VALUE,
        extra=st.lists(WORD, max_size=2).map(tuple),
        line=st.just(1),
    )
)
def test_entries_round_trip(entry):
    assert parse(format_entry(entry)) == entry
