"""Tests of the vocabulary and its file."""

import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2st.errors import DataError, InputMissingError
from s2st.text.line_files import split_words
from s2st.text.vocabulary import BOS_ID, EOS_ID, PAD_ID, SPECIALS, UNK_ID, Vocabulary

# whatever can be a token of a text: no ASCII white space, no lone surrogates
TOKENS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=" \t\n\r\f\v"))
WORDS = st.lists(TOKENS.filter(lambda t: t and t not in SPECIALS), unique=True, max_size=12)


def test_ids_of_special_tokens():
    assert (PAD_ID, BOS_ID, EOS_ID, UNK_ID) == (0, 1, 2, 3)
    vocabulary = Vocabulary(["a", "b"], [2, 1])
    assert len(vocabulary) == 6
    assert vocabulary.tokens == ("<pad>", "<s>", "</s>", "<unk>", "a", "b")
    assert vocabulary.encode(["b", "a", "c"]) == [5, 4, UNK_ID]
    assert vocabulary.decode([BOS_ID, 5, UNK_ID, 4, EOS_ID, PAD_ID]) == ["b", "<unk>", "a"]


@pytest.mark.parametrize("special", SPECIALS)
def test_words_that_look_special_are_unknown(special):
    vocabulary = Vocabulary.build({special: 100, "a": 1})
    assert vocabulary.tokens[4:] == ("a",)
    assert vocabulary.id(special) == UNK_ID
    assert special not in vocabulary
    with pytest.raises(ValueError, match="special"):
        Vocabulary([special], [1])


def test_build_orders_by_count_then_code_point():
    counts = {"b": 2, "a": 2, "\u00e9": 2, "Z": 2, "z": 9, "rare": 1}
    assert Vocabulary.build(counts).tokens[4:] == ("z", "Z", "a", "b", "\u00e9", "rare")
    shuffled = list(counts.items())
    random.Random(1).shuffle(shuffled)
    assert Vocabulary.build(dict(shuffled)) == Vocabulary.build(counts)


def test_build_limits():
    counts = {"a": 3, "b": 2, "c": 1, "<unk>": 50}
    assert Vocabulary.build(counts, max_words=2).tokens[4:] == ("a", "b")
    assert Vocabulary.build(counts, max_words=0).tokens == SPECIALS
    assert Vocabulary.build(counts, threshold=2).tokens[4:] == ("a", "b")
    assert Vocabulary.build(counts, max_words=99, threshold=3).counts[4:] == (3,)


def test_mapping_to_another_vocabulary():
    first, second = Vocabulary(["a", "b", "c"], [1, 1, 1]), Vocabulary(["c", "a"], [1, 1])
    assert first.mapping_to(second).tolist() == [0, 1, 2, 3, 5, UNK_ID, 4]


def test_words_are_distinct_and_counted():
    with pytest.raises(ValueError, match="distinct"):
        Vocabulary(["a", "a"], [1, 1])
    with pytest.raises(ValueError, match="counts"):
        Vocabulary(["a"], [1, 2])


@given(WORDS)
def test_file_round_trip(words):
    vocabulary = Vocabulary(words, range(len(words), 0, -1))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "dict.en.txt"
        vocabulary.save(path)
        loaded = Vocabulary.load(path)
    assert loaded.tokens == vocabulary.tokens
    assert loaded.counts == vocabulary.counts


@pytest.mark.parametrize(
    "word", ["a\u2028b", "\u00a0", "\u0085", "\x00", "\ufeffa", "1", "\u3000", "a\x1cb", "|||", "="]
)
def test_odd_words_survive_the_file(tmp_path, word):
    assert split_words(word) == [word]  # such words do come out of texts
    for name, words in (("d", [word, "b"]), ("e", ["b", word])):
        Vocabulary(words, [2, 1]).save(tmp_path / name)
        assert Vocabulary.load(tmp_path / name).tokens[4:] == tuple(words)


def test_a_missing_count_reads_as_one(put):
    loaded = Vocabulary.load(put(b"a 3\nb\nc 1\n"))
    assert loaded.tokens[4:] == ("a", "b", "c")
    assert loaded.counts[4:] == (3, 1, 1)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (b"", "token count"),
        (b" 3", "token count"),
        (b"a b 3", "token count"),
        (b"a  3", "token count"),
        (b"b x", "count 'x'"),
        (b"b -1", "count '-1'"),
        (b"b 1.5", "count '1.5'"),
        ("b \u0661".encode(), "count"),
        (b"b " + b"9" * 30, "count"),
        (b"a 2", "twice"),
        (b"<s> 2", "special"),
        (b"b \xff", "UTF-8"),
    ],
)
def test_malformed_files_name_the_line(put, bad, message):
    path = put(b"a 9\n" + bad + b"\nz 1\n")
    with pytest.raises(DataError, match=message) as caught:
        Vocabulary.load(path)
    assert (caught.value.path, caught.value.line) == (str(path), 2)


def test_missing_file(tmp_path):
    with pytest.raises(InputMissingError, match="cannot be read"):
        Vocabulary.load(tmp_path / "none")


@given(st.binary(max_size=60))
def test_any_bytes_load_or_say_what_is_wrong(data):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "d"
        path.write_bytes(data)
        line, loaded = 1, Vocabulary([], [])
        try:
            loaded = Vocabulary.load(path)
        except DataError as error:
            line = error.line or 0
    assert line >= 1
    assert all(loaded.id(token) >= 4 for token in loaded.tokens[4:])


@given(WORDS)
def test_a_file_keeps_the_tags_of_languages(words):
    tags = {"<2fr>", "<2ko>"}
    kept = [word for word in words if word not in tags]
    vocabulary = Vocabulary(kept, [1] * len(kept), ["fr", "ko"])
    assert vocabulary.tags == {"fr": 4, "ko": 5}
    assert vocabulary.tokens[6:] == tuple(kept)
    assert vocabulary.encode([*kept, "<2fr>"]) == [*range(6, 6 + len(kept)), UNK_ID]
    assert vocabulary.decode([4, *range(6, 6 + len(kept)), 5, EOS_ID]) == kept
    with tempfile.TemporaryDirectory() as folder:
        vocabulary.save(Path(folder) / "dict.txt")
        loaded = Vocabulary.load(Path(folder) / "dict.txt")
    assert loaded == vocabulary
    assert loaded.tags == vocabulary.tags
    assert loaded != Vocabulary(["<2fr>", "<2ko>", *kept], [1] * (2 + len(kept)))


def test_tags_map_to_the_tags_of_the_same_languages():
    first = Vocabulary(["a"], [1], ["fr", "ko"])
    second = Vocabulary(["b", "a"], [1, 1], ["ko"])
    assert first.mapping_to(second).tolist() == [0, 1, 2, 3, UNK_ID, 4, 6]


def test_words_that_look_like_tags_are_unknown():
    counts = {"<2fr>": 9, "<2de>": 2, "a": 1}
    vocabulary = Vocabulary.build(counts, languages=["fr"])
    assert vocabulary.tokens[4:] == ("<2fr>", "<2de>", "a")
    assert vocabulary.encode(["<2fr>", "<2de>"]) == [UNK_ID, 5]


def test_a_tag_after_a_word_is_an_error(tmp_path):
    (tmp_path / "d").write_text("a 1\n<2fr> tag\n")
    with pytest.raises(DataError, match="'tag' is not a whole number"):
        Vocabulary.load(tmp_path / "d")
    (tmp_path / "d").write_text("<2fr> tag\n<2fr> tag\n")
    with pytest.raises(DataError, match="'tag' is not a whole number"):
        Vocabulary.load(tmp_path / "d")
