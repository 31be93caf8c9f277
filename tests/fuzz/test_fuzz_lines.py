"""Output line i belongs to input line i, on random files and on files that break parsers.

`make fuzz` does the same for as long as it is given.
"""

import pytest
from budget import fixed
from hypothesis import given
from hypothesis import strategies as st
from line_identity import LineIdentity, records_of, texts_of

ODD_FILES = {
    "empty": b"",
    "one newline": b"\n",
    "no last newline": b"a b\nc d",
    "only blank lines": b"\n\n\n\n\n",
    "only spaces": b" \n\t\n  \n \t \n",
    "CRLF": b"a b\r\nc\r\n\r\nd e\r\n",
    "CRLF in part": b"a b\r\nc\nd\r\n",
    "lone CR": b"a\rb\nc\r\r\n\rd\n",
    "byte order mark": b"\xef\xbb\xbfa b\nc\n",
    "only a byte order mark": b"\xef\xbb\xbf",
    "byte order mark and newline": b"\xef\xbb\xbf\na\n",
    "byte order mark inside": b"a\n\xef\xbb\xbfb\n",
    "NUL": b"a\x00b\n\x00\nc\n",
    "Unicode line ends": "a\u2028b\nc\u2029\n\u0085\nd\n".encode(),
    "form feed and friends": b"a\x0cb\n\x0b\n\x1c\x1d\x1e\nc\n",
    "bad UTF-8": b"a\n\xff\nb c\n\xc3\nd",
    "bad UTF-8 in the first line": b"\xfe\xfe\x00a\nb\n",
    "surrogates": b"a\n\xed\xa0\x80\nb\n",
    "special tokens": b"<s> </s>\n<pad>\n<unk> a\n",
}


@pytest.fixture(scope="module")
def identity(tmp_path_factory) -> LineIdentity:
    return LineIdentity(tmp_path_factory.mktemp("identity"))


@pytest.mark.slow
@pytest.mark.parametrize("check", ["generate", "score", "rescore-nbest"])
def test_random_files(identity, check):
    @fixed(60)
    @given(st.randoms(use_true_random=False))
    def files(draw):
        identity.checks()[check](draw)

    files()


@pytest.mark.parametrize("errors", ["strict", "replace"])
@pytest.mark.parametrize("name", ODD_FILES)
def test_odd_files(identity, name, errors):
    for form in ("json", "text"):
        identity.generate_from(ODD_FILES[name], errors, ["--batch-size", 2], form)


@pytest.mark.slow
def test_many_empty_lines(identity):
    data = b"\n" * 20_000 + b"a b\n" + b"\n" * 20_000
    identity.generate_from(data, "strict", [], "json")


def test_a_line_of_ten_megabytes(identity):
    """One word, so that it is read, split and looked up, but not translated for minutes."""
    identity.generate_from(b"a\n" + b"x" * 10_000_000 + b"\nb c\n", "strict", [], "json")


def test_the_line_count_of_this_test_is_right(tmp_path):
    """As `wc -l` and a check by eye: the measure must not err with what it measures."""
    assert records_of(b"") == []
    assert records_of(b"\n") == [b""]
    assert records_of(b"a\n\nb") == [b"a", b"", b"b"]
    assert texts_of(b"\xef\xbb\xbfa\r\n\xff\n\xef\xbb\xbfb\r\r\nc\r") == [
        "a",
        None,
        "\ufeffb\r",
        "c\r",
    ]
    assert texts_of(b"\xef\xbb\xbf") == [""]


def test_the_models_tell_lines_apart(identity):
    """Else a line in another's place would not be seen."""
    texts = ["a", "b", "c d", "e f a", "zzz", "d d d", "f", "c"]
    assert len({identity._alone(text) for text in texts}) >= 6
