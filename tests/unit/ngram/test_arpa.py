"""ARPA files: what is read, and what every kind of damage is told as."""

import bz2
import gzip
import lzma

import numpy as np
import pytest
from ngram_models import KneserNey, random_text

from s2st.errors import DataError, InputMissingError
from s2st.ngram.arpa_files import (
    COMMENT,
    is_arpa,
    read_arpa,
    read_model,
    read_words,
    tokenizer_comment,
)
from s2st.text.tokenizers import MosesConfig, TokenizerSpec
from s2st.text.vocabulary import BOS_ID, EOS_ID, UNK_ID

SMALL = """written by hand
\\data\\
ngram 1=5
ngram 2=3
ngram 3=1

\\1-grams:
-1.5\t<unk>
-99\t<s>\t-0.25
-0.5\t</s>
-0.75\tb\t-0.125
-1\ta\t0.5

\\2-grams:
-0.5\t<s> a\t-1
-0.25\ta b\t0
-2\tb </s>

\\3-grams:
-0.125\t<s> a b

\\end\\
"""


def read(tmp_path, text, name="m.arpa"):
    path = tmp_path / name
    data = text.encode()
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return read_arpa(path)


@pytest.mark.parametrize(
    "change", [str, lambda t: t.replace("\t", " "), lambda t: t.replace("\n", "\r\n")]
)
@pytest.mark.parametrize("name", ["m.arpa", "m.arpa.gz"])
def test_a_small_file(tmp_path, name, change):
    ngrams = read(tmp_path, change(SMALL), name)
    assert ngrams.vocabulary.tokens[4:] == ("b", "a")
    b, a, size = 4, 5, 6
    one, two, three = ngrams.orders
    assert one.log_probs.tolist() == [-np.inf, -99, -0.5, -1.5, -0.75, -1]
    assert one.backoffs.tolist() == [0, -0.25, 0, 0, -0.125, 0.5]
    found = dict(zip(two.keys.tolist(), zip(two.log_probs, two.backoffs, strict=True), strict=True))
    first, middle, last = BOS_ID * size + a, a * size + b, b * size + EOS_ID
    assert found == {first: (-0.5, -1), middle: (-0.25, 0), last: (-2, 0)}
    assert three.keys.tolist() == [two.keys.tolist().index(first) * size + b]
    assert three.log_probs.tolist() == [-0.125]


def test_words_without_a_mass_of_unknown_ones(tmp_path):
    """KenLM gives a missing <unk> the log10 probability -100; <UNK> is another name of it."""
    text = SMALL.replace("-1.5\t<unk>\n", "").replace("1=5", "1=4")
    assert read(tmp_path, text).orders[0].log_probs[UNK_ID] == -100
    text = SMALL.replace("<unk>", "<UNK>")
    assert read(tmp_path, text).orders[0].log_probs[UNK_ID] == -1.5


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("\\data\\", "data", "no line .data."),
        ("ngram 1=5", "ngram 1=five", "line 3: expected `ngram N=count`"),
        ("ngram 2=3", "ngram 3=3", "line 4: expected order 2, not 3"),
        ("ngram 1=5\nngram 2=3\nngram 3=1\n", "", "line 4: expected `ngram N=count`"),
        ("ngram 1=5", "ngram 1=6", "line 13: 5 1-grams, but ngram 1=6"),
        ("ngram 2=3", "ngram 2=2", r"line 17: expected .3-grams:"),
        ("-0.75\tb", "0.75\tb", "line 11: '0.75' is not a log10 probability"),
        ("-0.75\tb", "nan\tb", "line 11: 'nan' is not a log10 probability"),
        ("-0.75\tb", "-inf\tb", "line 11: '-inf' is not a log10 probability"),
        ("-0.75\tb", "x\tb", "line 11: 'x' is not"),
        ("b\t-0.125", "b\tinf", "line 11: 'inf' is not a log10 backoff weight"),
        ("b\t-0.125", "b c d", "line 11: expected a log10 probability and 1 words"),
        ("-1\ta\t0.5", "-1\tb\t0.5", "line 12: 'b' occurs twice"),
        ("-0.5\t</s>\n", "-0.5\tc\n", "line 12: </s> is not among the words"),
        ("-0.25\ta b", "-0.25\ta c", "line 16: 'c' is not among the single words"),
        ("-0.25\ta b", "-0.25\ta", "line 16: expected a log10 probability and 2 words"),
        ("-0.25\ta b", "-0.25\ta b b b", "line 16: expected a log10 probability and 2 words"),
        ("-0.25\ta b", "-0.25\tb </s>", "line 17: this n-gram occurs twice"),
        ("-0.125\t<s> a b", "-0.125\tb a b", "line 20: its first words 'b a' are not"),
        ("-2\tb </s>\n", "\\3-grams:\n", "line 17: .* comes before the last 2-gram"),
        ("\\3-grams:", "\\4-grams:", r"line 19: expected .3-grams:"),
        ("\\end\\\n", "", "the file ends before .end."),
        ("-0.125\t<s> a b\n\n\\end\\\n", "", "ends within the 3-grams: truncated"),
        (SMALL[SMALL.index("ngram 1") :], "", "no counts"),
        ("\\2-grams:", "-1\ta c\n\\2-grams:", r"line 14: expected .2-grams:"),
    ],
)  # fmt: skip
def test_damage_is_told_with_its_line(tmp_path, old, new, message):
    assert SMALL.count(old) == 1
    with pytest.raises(DataError, match=rf"m\.arpa.*{message}") as caught:
        read(tmp_path, SMALL.replace(old, new))
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_a_fault_far_into_a_long_file_has_its_line(tmp_path):
    text = KneserNey(random_text(6000, 1500), 3).arpa()
    lines = text.split("\n")
    assert len(lines) > 20_000  # more than are parsed together
    read(tmp_path, text)
    place = len(lines) - 1000
    log_prob, ngram = lines[place].split("\t")
    for bad, message in (
        (f"{log_prob}\t{ngram} {ngram}", "expected a log10"),
        (f"+{log_prob[1:]}\t{ngram}", "is not a log10 probability"),
        (lines[place - 7], "occurs twice"),
    ):
        with pytest.raises(DataError, match=message) as caught:
            read(tmp_path, "\n".join([*lines[:place], bad, *lines[place + 1 :]]))
        assert caught.value.line == place + 1


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(InputMissingError):
        read_arpa(tmp_path / "none.arpa")
    (tmp_path / "m.arpa.gz").write_bytes(gzip.compress(SMALL.encode())[:-20])
    with pytest.raises(DataError):
        read_arpa(tmp_path / "m.arpa.gz")
    (tmp_path / "b.arpa").write_bytes(SMALL.encode().replace(b"a b", b"a \xff"))
    with pytest.raises(DataError, match=r"line 1[56]: not UTF-8"):
        read_arpa(tmp_path / "b.arpa")
    (tmp_path / "folder.arpa").mkdir()
    assert not is_arpa(tmp_path / "folder.arpa")
    assert is_arpa("x.arpa.gz")
    assert not is_arpa("x.gz")


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress, bz2.compress])
def test_after_the_end_there_are_blank_lines_only(tmp_path, pack):
    suffix = {bytes: "", gzip.compress: ".gz", lzma.compress: ".xz", bz2.compress: ".bz2"}[pack]
    path = tmp_path / f"m.arpa{suffix}"
    path.write_bytes(pack(SMALL.encode() + b"\n \t\r\n\n"))
    assert is_arpa(path)
    for read_it in (read_arpa, read_words):
        read_it(path)
    path.write_bytes(pack(SMALL.encode() + b"\n-1\ta\n"))
    line = SMALL.count("\n") + 2
    for read_it in (read_arpa, read_words):
        with pytest.raises(DataError, match=rf"line {line}: text after .end.: '-1") as caught:
            read_it(path)
        assert "\n" not in str(caught.value)


def test_no_flipped_bit_and_no_cut_of_a_compressed_file_gives_other_scores(tmp_path):
    """Issue 14: 15 of 2,876 flips gave other scores, since the checksum was never reached."""
    text = KneserNey(random_text(30, 9), 2).arpa() + "\n" * 40
    wanted = scores(text.encode(), tmp_path, "m.arpa")
    data = gzip.compress(text.encode())
    wrong = told = 0
    for place in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[place // 8] ^= 1 << place % 8
        found = scores(bytes(damaged), tmp_path, "m.arpa.gz")
        wrong += found not in (None, wanted)
        told += found is None
    assert wrong == 0
    assert told > 8 * len(data) - 100  # some bits of gzip's header mean nothing
    for cut in range(len(data)):
        assert scores(data[:cut], tmp_path, "m.arpa.gz") is None
    path = tmp_path / "m.arpa.gz"
    path.write_bytes(data[:-1])
    with pytest.raises(DataError, match="truncated"):
        read_words(path)  # which looks at the words alone


def scores(data, folder, name):
    """All numbers of a file; None where it is refused."""
    (folder / name).write_bytes(data)
    try:
        ngrams = read_arpa(folder / name)
    except DataError:
        return None
    return ngrams.vocabulary.tokens, [
        (order.keys.tolist(), order.log_probs.tolist(), order.backoffs.tolist())
        for order in ngrams.orders
    ]


def test_a_tokenizer_is_told_in_the_same_reading(tmp_path):
    spec = TokenizerSpec("moses", MosesConfig(lowercase=True), "de")
    path = tmp_path / "m.arpa"
    path.write_text(tokenizer_comment(spec) + SMALL)
    assert read_model(path)[1] == read_words(path)[1] == spec
    for bad in ("{}", "[" * 100_000, '{"name": 1, "options": {}, "language": ""}'):
        path.write_text(f"{COMMENT}{bad}\n{SMALL}")
        with pytest.raises(DataError, match="line 1: the comment names no known tokenizer"):
            read_model(path)
