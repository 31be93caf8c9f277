"""Words are split at ASCII white space only, whatever else Unicode calls space."""

import re
import sys

from hypothesis import given
from hypothesis import strategies as st

from s2st.text.line_files import split_words


@given(st.text(st.sampled_from("ab é\t\n\r\f\v\x1c\x1f\x85\xa0\u2003\u2028\u3000\u200b\ud800")))
def test_splitting_agrees_with_the_expression(text):
    assert split_words(text) == re.findall(r"[^ \t\n\r\f\v]+", text)


def test_every_character_within_a_word():
    for code in range(sys.maxunicode + 1):
        text = f"a{chr(code)}b c"
        parts = ["a", "b", "c"] if chr(code) in " \t\n\r\f\v" else [f"a{chr(code)}b", "c"]
        assert split_words(text) == parts
