"""Word vectors of other programs: formats, odd words, malformed lines named by number."""

import gzip

import numpy as np
import pytest

from s2st.errors import DataError, InputMissingError
from s2st.text.word_vectors import read_vectors, vector_size

# as the programs write them: word2vec and fastText end lines with a space, fastText begins with
# </s>; GloVe has words with spaces, and a line ends at a newline only
WORD2VEC = "3 2\nthe 0.5 -1 \nof 1e-3 2.25 \n</s> 7 8 \n"
FASTTEXT = "3 2\n</s> 7 8\nof 0.001 2.25\nthe 0.5 -1\n"
GLOVE = "the 0.5 -1\nof .001 2.25\n</s> 7 8\n"
EXPECTED = {"the": [0.5, -1.0], "of": [0.001, 2.25], "</s>": [7.0, 8.0]}


def as_dict(vectors):
    assert len(vectors.words) == len(vectors.table)
    return dict(zip(vectors.words, vectors.table.tolist(), strict=True))


def write(path, text):
    data = text.encode() if isinstance(text, str) else text
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.mark.parametrize("name", ["v.txt", "v.vec.gz"])
@pytest.mark.parametrize("text", [WORD2VEC, FASTTEXT, GLOVE], ids=["word2vec", "fasttext", "glove"])
def test_every_format_gives_the_words_and_numbers(tmp_path, text, name):
    path = write(tmp_path / name, text)
    found = read_vectors(path)
    assert found.table.dtype == np.float32
    assert {w: pytest.approx(v) for w, v in EXPECTED.items()} == as_dict(found)
    assert vector_size(path) == 2


def test_only_wanted_words_are_kept_and_of_twins_the_first(tmp_path):
    path = write(tmp_path / "v", "b 1 2\na 3 4\nb 5 6\nc 7 8\na 9 9\n")
    assert as_dict(read_vectors(path, {"a", "b", "z"})) == {"b": [1, 2], "a": [3, 4]}
    assert read_vectors(path, {"z"}).table.shape == (0, 2)


def test_lines_end_at_newlines_and_words_at_single_spaces_only(tmp_path):
    """U+2028, U+0085, a form feed and a no-break space are parts of words."""
    words = ["a\u2028b", "c\x85", "d\x0c", "e\xa0f", "\u3000"]
    text = "".join(f"{word} {number} 0\n" for number, word in enumerate(words))
    assert as_dict(read_vectors(write(tmp_path / "v", text))) == {
        word: [number, 0] for number, word in enumerate(words)
    }


def test_words_with_spaces_are_words(tmp_path):
    """As in GloVe's 840B file."""
    path = write(tmp_path / "v", "the 1 2\n. . . 3 4\nat name@domain.com 5 6\n")
    assert as_dict(read_vectors(path)) == {
        "the": [1, 2], ". . .": [3, 4], "at name@domain.com": [5, 6],
    }  # fmt: skip


def test_bytes_that_are_no_text_spoil_their_word_only(tmp_path):
    path = write(tmp_path / "v", b"the 1 2\n\xff\xfe 3 4\nof 5 6\n")
    assert as_dict(read_vectors(path, {"the", "of"})) == {"the": [1, 2], "of": [5, 6]}


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", 1, "expected a word and its numbers"),
        ("the\n", 1, "expected a word and its numbers"),
        ("the 1 x 2\n", 1, "expected a word and its numbers"),
        ("4 0\n", 1, "expected a word and its numbers"),
        ("a 1 2\nb 1\n", 2, "a word and 2 numbers, but 1 fields follow"),
        ("a 1 2\n\nb 1 2\n", 2, "a word and 2 numbers"),
        ("2 2\na 1 2\nb 1 2 3\n", 3, "a word and 2 numbers, but 3 fields follow"),
        ("a 1 2\nb 1 zwei\n", 2, "'zwei' is not a number"),
        ("a 1 2\nb 1  2\n", 2, "a word and 2 numbers"),
        ("a 1 2\nb 1 nan\n", 2, "not finite"),
        ("a 1 2\nb 1 1e99\n", 2, "not finite"),
        ("a 1 2\nb 1\t2\n", 2, "a word and 2 numbers"),
    ],
)
def test_a_malformed_line_is_named(tmp_path, text, line, message):
    path = write(tmp_path / "v", text)
    with pytest.raises(DataError, match=message) as caught:
        read_vectors(path)
    assert str(caught.value).startswith(f"{path}, line {line}: ")


@pytest.mark.parametrize(("rows", "follow"), [(2, 3), (4, 3)])
def test_a_file_that_is_cut_off_is_told_by_its_first_line(tmp_path, rows, follow):
    path = write(tmp_path / "v", f"{rows} 2\n" + "a 1 2\n" * follow)
    with pytest.raises(DataError, match=f"promises {rows} words, but {follow} lines follow"):
        read_vectors(path, {"a"})


def test_a_missing_file_and_a_damaged_archive_are_said(tmp_path):
    with pytest.raises(InputMissingError, match="cannot be read"):
        read_vectors(tmp_path / "none")
    path = write(tmp_path / "v.gz", GLOVE * 100)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match="reading failed"):
        read_vectors(path)
