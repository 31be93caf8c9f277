"""Frequency ranks counted by hand."""

import math

import pytest

from s2st.analysis.frequency_ranks import ranks_of_text, ranks_of_vocabulary
from s2st.errors import CheckpointError, DataError, InputMissingError


def test_ranks_of_a_text(tmp_path):
    text = tmp_path / "train"
    text.write_text("the saw cat the dog\nthe dog\n")
    ranks = ranks_of_text(str(text))
    # the 3, dog 2, then cat and saw by code point
    assert dict(ranks.rank) == {"the": 1, "dog": 2, "cat": 3, "saw": 4}
    means = ranks.means(["the cat", "dog bird", "", "bird"])
    assert means[:2] == [2.0, 3.5]
    assert math.isnan(means[2])
    assert means[3] == 5.0


def test_ranks_of_a_dict_file_go_by_count_then_by_line(tmp_path):
    path = tmp_path / "dict.en.txt"
    path.write_text("b 2\na 7\nd 2\nc 2\n")
    assert dict(ranks_of_vocabulary(str(path)).rank) == {"a": 1, "b": 2, "d": 3, "c": 4}


def test_what_has_no_words_is_refused(tmp_path):
    (tmp_path / "blank").write_text("\n \n")
    (tmp_path / "empty").write_text("")
    with pytest.raises(DataError, match="blank: no words"):
        ranks_of_text(str(tmp_path / "blank"))
    with pytest.raises(DataError, match="empty: no words"):
        ranks_of_vocabulary(str(tmp_path / "empty"))
    with pytest.raises(DataError, match="blank, line 1"):
        ranks_of_vocabulary(str(tmp_path / "blank"))
    with pytest.raises(InputMissingError):
        ranks_of_vocabulary(str(tmp_path / "nothing"))
    with pytest.raises(CheckpointError, match="neither a store nor a checkpoint"):
        ranks_of_vocabulary(str(tmp_path))
