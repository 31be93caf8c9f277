"""Damaged files of every kind: only the toolkit's own errors leave, in bounded memory.

`make fuzz` does the same for as long as it is given.
"""

import tracemalloc
from pathlib import Path
from random import Random

import builders
import numpy as np
import pytest
from budget import fixed
from hypothesis import given
from hypothesis import strategies as st
from mutations import CHANGES, mutate, mutate_json
from parsers import Target, make_targets
from tampering import reseal

from s2st.data.store import Store
from s2st.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    InputMissingError,
    OutputError,
    S2STError,
)
from s2st.options.option_fields import MAX_BYTES, read_option_file
from s2st.rescoring.feature_weights import RANGE, Weights, read_weights, write_weights
from s2st.scoring.load_scorers import load_members
from s2st.text.nbest_lists import NBestEntry, read_nbest

NAMES = [
    "n-best", "vocabulary", "weights", "vectors", "config", "ensemble", "array", "tensors",
    "model/manifest.json", "model/dict.en.txt", "store/manifest.json",
    "store/train.en.offsets.npy", "store/train.fr.ids.npy",
]  # fmt: skip


@pytest.fixture(scope="module")
def targets(tmp_path_factory) -> dict[str, Target]:
    made = make_targets(tmp_path_factory.mktemp("fuzz") / "t")
    return {target.name: target for target in made}


def test_all_targets_are_here(targets):
    assert list(targets) == NAMES


@pytest.mark.parametrize("name", [name for name in NAMES if name != "config"])
def test_what_is_damaged_was_valid(targets, name):
    target = targets[name]
    for seed in target.seeds:
        target.file.write_bytes(seed)
        target.read(target.file)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NAMES)
def test_damaged_files(targets, name):
    @fixed(60)
    @given(st.randoms(use_true_random=False))
    def damaged(draw):
        targets[name].check(draw)

    damaged()


@pytest.mark.parametrize("change", CHANGES[:-2])
def test_every_kind_of_damage_does_some(change):
    data = b"0 ||| a b ||| LM0= -1.5 2 ||| -4.25\n1 ||| c ||| ||| 3\n"
    made = {change(Random(seed), data) for seed in range(30)}
    assert len(made) > 3
    assert mutate(Random(1), data) == mutate(Random(1), data)


def test_damage_within_json_stays_json():
    import json

    data = b'{"a": {"b": [1, 2]}, "c": "x"}'
    made = {mutate_json(Random(seed), data) for seed in range(60)}
    assert len(made) > 20
    assert all(isinstance(json.loads(text), dict) for text in made)


# grammar of n-best lines: parts that are right and parts that are not

GOOD_IDS = ["0", "1", "1", "2", "007", "999999999999999"]
BAD_IDS = ["-1", "+1", "1.0", "", "x", "0x1", "1_0", "9999999999999999", "\u0661", "\u00b2", "1 2",
           "\u00a01", "1e3", "nan"]  # fmt: skip
WORDS = ["a", "b c", "", "  a  b ", "a|b", "||", "\u2028", "\ufeff", "\x00", "=", "<s>", "x\ty"]
GOOD_NUMBERS = ["1", "-2.5", "+3", "1e999", "-1e999", "nan", "-nan", "-inf", "Infinity", "1e-400",
                ".5", "5.", "00"]  # fmt: skip
BAD_NUMBERS = ["1_0", "0x10", "1,5", "e5", "--1", "\u0661", "1\u00a0", "\u22121", "1e", "inf.", "x"]
GOOD_FEATURES = ["", "A=", "A= 1", "A= 1 2 B_c= 3", "A= 1 A= 2", "== 4", "A=B= 1", "\tA=\t1"]
BAD_FEATURES = ["1", "= 1", "A= 1 =", "A = 1", "A=1", "A= one", "A= 1_0", "A= 0x1", "A= \u0661"]
EXTRA = ["", " ||| ", " ||| 0-0 ||| x", "|||", " ||| ||| ||| "]


@st.composite
def nbest_lines(draw) -> tuple[str, bool]:
    """A line and whether it is well formed."""
    good = [draw(st.integers(0, 7)) > 0 for _ in range(3)]
    parts = [
        draw(st.sampled_from(right if fine else wrong))
        for fine, right, wrong in zip(
            good,
            (GOOD_IDS, GOOD_FEATURES, GOOD_NUMBERS),
            (BAD_IDS, BAD_FEATURES, BAD_NUMBERS),
            strict=True,
        )
    ]
    space = draw(st.sampled_from([" ", "", "\t", "  "]))
    words = draw(st.sampled_from(WORDS))
    if "|" in words and not space:
        space = " "  # "||" beside "|||" would move the border
    fields = [parts[0], words, parts[1], parts[2]]
    missing = draw(st.integers(0, 15)) == 0
    if missing:
        del fields[3]
        return f"{space}|||{space}".join(fields), False
    return f"{space}|||{space}".join(fields) + draw(st.sampled_from(EXTRA)), all(good)


def expected_stop(lines: list[tuple[str, bool]]) -> int | None:
    """The first line, from 1, that is malformed or whose id goes back."""
    before = 0
    for number, (line, good) in enumerate(lines, start=1):
        if not good:
            return number
        identifier = int(line.split("|||")[0])
        if identifier < before:
            return number
        before = identifier
    return None


@fixed(400)
@given(st.lists(nbest_lines(), max_size=4))
def test_the_first_line_that_breaks_the_grammar_is_named(lines):
    lines = [("0 ||| a ||| A= 1 ||| 1", True), *lines]  # tells that the file is Moses'
    found: list[NBestEntry] = []
    stopped, message = None, ""
    try:
        for group in read_nbest([line for line, _ in lines], "x.nbest"):
            found += group
    except DataError as error:
        stopped, message = error.line, str(error)
    assert stopped == expected_stop(lines)
    assert message.startswith(f"x.nbest, line {stopped}: " if stopped else "")
    whole = lines if stopped is None else lines[: stopped - 1]
    ids = [int(line.split("|||")[0]) for line, _ in whole]
    if stopped is None:
        assert [entry.id for entry in found] == ids
        hypotheses = [" ".join(line.split("|||")[1].split(" ")).split() for line, _ in whole]
        assert [len(e.hypothesis.split()) for e in found] == [len(words) for words in hypotheses]


@pytest.mark.parametrize("part", BAD_IDS)
def test_texts_that_are_not_ids(part):
    with pytest.raises(DataError, match="x, line 1: id "):
        list(read_nbest([f"{part} ||| a ||| ||| 1"], "x"))


@pytest.mark.parametrize("part", BAD_NUMBERS)
def test_what_is_no_number(part):
    for line in (f"0 ||| a ||| A= {part} ||| 1", f"0 ||| a ||| A= 1 ||| {part}"):
        with pytest.raises(DataError, match=r"x, line 1: .* is not a number"):
            list(read_nbest([line], "x"))


# weights

NAME = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters=" \t\n\r\f\v"),
    min_size=1,
    max_size=6,
)
FLOATS = st.floats(RANGE.minimum, RANGE.maximum)


@fixed(150)
@given(st.dictionaries(NAME, st.lists(FLOATS, max_size=3).map(tuple), max_size=4))
def test_weights_come_back_from_their_file(tmp_path_factory, values):
    path = str(tmp_path_factory.mktemp("w") / "w.ini")
    if any(name.startswith("#") for name in values):
        with pytest.raises(OutputError, match="comment"):
            write_weights(path, Weights(values))
        return
    write_weights(path, Weights(values))
    assert read_weights(path).values == values


@pytest.mark.parametrize("name", ["a#b", "[x", "\u00a0x", "a=", "\u2028"])
def test_odd_names_of_weights(tmp_path, name):
    write_weights(str(tmp_path / "w"), Weights({name: (0.1, -1e-30)}))
    assert read_weights(str(tmp_path / "w")).values == {name: (0.1, -1e-30)}


# hostile sizes


def header(shape: str) -> bytes:
    """A .npy header that claims a shape."""
    text = f"{{'descr': '<i4', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


HOSTILE = {
    "array": [
        header(f"({2**60},)"),
        header(f"({2**62},)") + b"\0" * 64,
        header(f"({2**31}, {2**31})"),
        header("(-1,)") + b"\0" * 64,
        b"\x93NUMPY\x02\x00" + (2**32 - 1).to_bytes(4, "little") + b" " * 200,
    ],
    "tensors": [
        (2**60).to_bytes(8, "little") + b"{}",
        (80).to_bytes(8, "little")
        + b'{"w":{"dtype":"F32","shape":[1152921504606846976],"data_offsets":[0,4]}}'.ljust(80)
        + b"\0" * 4,
    ],
    "config": [
        b"a." * 2000 + b"a = 1",
        b"a." * 30_000 + b"a = 1",
        b"beam = " + b"[" * 30_000,
        b"# " * (MAX_BYTES + 1),
    ],
    "ensemble": [
        b'members = ["' + b"x" * 50_000 + b'"]',
        b'members = ["a\\u0000.toml"]',
        b'members = ["' + b"x" * 300 + b'"]',
    ],
    "n-best": [
        b"9" * 100_000 + b" ||| a ||| ||| 1",
        b"|||" * 100_000,
        b"0 ||| a ||| A= " + b"1" * 10**6 + b" |||",
    ],
    "vocabulary": [b"a " + b"9" * 100_000, b"a" * 1_000_000 + b" x"],
}


@pytest.mark.parametrize("name", HOSTILE)
def test_sizes_that_files_claim_take_no_memory(targets, name):
    target = targets[name]
    for data in HOSTILE[name]:
        target.file.write_bytes(data)
        tracemalloc.start()
        try:
            with pytest.raises(S2STError):
                target.read(target.file)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 40 * len(data) + 20_000_000


def test_option_files_that_python_cannot_show(tmp_path):
    """Numbers of more than 4300 digits and values nested too deep for their own repr."""
    path = tmp_path / "x.toml"
    for text in ("beam = " + "9" * 5000, "beam = 0x" + "f" * 5000):
        path.write_text(text)
        with pytest.raises(ConfigError, match=r"x\.toml"):
            load(path)
    for text in ("members = [{" + "a." * 1900 + "a = 1}]", 'members = "' + "x" * 9000 + '"'):
        path.write_text(text)
        with pytest.raises(ConfigError, match="--members takes") as caught:
            load(path)
        assert len(str(caught.value)) < len(str(path)) + 200


def load(path):
    return load_members([str(path)], "cpu", "float32")


def test_endless_option_files_end():
    with pytest.raises(ConfigError, match="larger than"):
        read_option_file("/dev/zero")


def test_errors_in_an_ensemble_file_name_it_and_the_member(tmp_path):
    (tmp_path / "in.toml").write_text('members = ["missing"]\n')
    (tmp_path / "out.toml").write_text('members = ["in.toml"]\n')
    with pytest.raises(InputMissingError) as caught:
        load(tmp_path / "out.toml")
    message = str(caught.value)
    assert message.startswith(f"{tmp_path}/out.toml, member 'in.toml': {tmp_path}/in.toml, member ")
    assert "'missing': " in message


def test_file_names_that_break_a_line_are_refused(tmp_path):
    store = Path(builders.store(tmp_path))
    reseal(store, lambda m: m["files"].update({"a\nb": {"size": 0, "sha256": ""}}))
    with pytest.raises(CheckpointError, match="file name") as caught:
        Store(store)
    assert "\n" not in str(caught.value)


def test_header_builder_is_valid(targets):
    target = targets["array"]
    target.file.write_bytes(header("(3,)") + np.arange(3, dtype=np.int32).tobytes())
    target.read(target.file)
