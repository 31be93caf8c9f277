"""Tests of averages of gradient norms, by hand."""

import numpy as np
import pytest

from s2st.analysis.gradient_profile import LagPoint, ProfileSums, draw_profiles

# rows: three target words and EOS; columns: two source words and EOS
NORMS = np.array([[1.0, 2, 90], [3, 4, 90], [5, 6, 90], [90, 90, 90]])
WORDS = [range(1), range(1, 2)], [range(1), range(1, 2), range(2, 3)]


def test_averages_by_lag():
    sums = ProfileSums(2, reads_reversed=False, right_to_left=False)
    sums.add(NORMS)
    found = sums.profile()
    # source word i is read in step i + 1; target word j is predicted in step 4 + j
    assert found.by_lag == (
        LagPoint(2, 1, 2.0), LagPoint(3, 2, 2.5), LagPoint(4, 2, 4.5), LagPoint(5, 1, 5.0)
    )  # fmt: skip
    assert (found.sentences, found.pairs, found.norm) == (1, 6, 3.5)
    assert found.aligned is None
    sums = ProfileSums(2, reads_reversed=True, right_to_left=False)
    sums.add(NORMS)
    # now word 1 is read first
    assert sums.profile().by_lag == (
        LagPoint(2, 1, 1.0), LagPoint(3, 2, 2.5), LagPoint(4, 2, 4.5), LagPoint(5, 1, 6.0)
    )  # fmt: skip


def test_the_map_shares_words_among_bins_by_their_place():
    sums = ProfileSums(2, reads_reversed=False, right_to_left=False)
    sums.add(NORMS)
    # the middle one of three words is half in each bin, which it fills to a third
    expected = [[(2 * 1 + 3) / 3, (2 * 2 + 4) / 3], [(2 * 5 + 3) / 3, (2 * 6 + 4) / 3]]
    np.testing.assert_allclose(sums.profile().by_position, expected, rtol=1e-12)
    one = ProfileSums(1, reads_reversed=False, right_to_left=False)
    one.add(NORMS)
    one.add(np.full((2, 2), 10.5))
    np.testing.assert_allclose(one.profile().by_position, [[7.0]], rtol=1e-12)


@pytest.mark.parametrize("length", [1, 3, 7])
def test_equal_norms_give_an_even_map(length):
    sums = ProfileSums(5, reads_reversed=False, right_to_left=False)
    sums.add(np.full((length + 1, 5), 0.25))
    np.testing.assert_allclose(sums.profile().by_position, 0.25, rtol=1e-12)


def test_a_right_to_left_target_is_turned_for_the_map_and_not_for_the_lags():
    sums = ProfileSums(2, reads_reversed=False, right_to_left=True)
    sums.add(NORMS, ((0, 2),), WORDS)
    found = sums.profile()
    assert found.by_lag[0] == LagPoint(2, 1, 2.0)
    assert found.by_position[0, 0] > found.by_position[1, 0]
    assert found.aligned.norm == 1.0  # the last word is predicted first


def test_aligned_words_have_a_norm_and_a_share():
    sums = ProfileSums(2, reads_reversed=False, right_to_left=False)
    sums.add(NORMS, ((0, 0), (1, 2)), WORDS)
    sums.add(NORMS, (), WORDS)
    found = sums.profile().aligned
    assert found.links == 2
    assert found.norm == pytest.approx((1 + 6) / 2)
    assert found.share == pytest.approx((1 / 3 + 6 / 11) / 2)


def test_a_word_of_several_pieces_has_its_largest_norm():
    sums = ProfileSums(2, reads_reversed=False, right_to_left=False)
    sums.add(NORMS, ((0, 0),), ([range(2)], [range(1), range(1, 3)]))
    assert sums.profile().aligned.norm == 2.0
    assert sums.profile().aligned.share == pytest.approx(2 / 3)


def test_no_gradient_at_all_can_be_averaged_but_not_drawn_on_a_logarithmic_axis(tmp_path):
    pytest.importorskip("matplotlib")
    from s2st.errors import UsageError

    sums = ProfileSums(2, reads_reversed=False, right_to_left=False)
    sums.add(np.zeros((3, 3)), ((0, 0),), WORDS)
    found = sums.profile()
    assert (found.norm, found.aligned.share) == (0, 0)
    with pytest.raises(UsageError, match="nothing to draw"):
        draw_profiles(str(tmp_path / "f"), [("a", found)], 1, "")


def test_figures_have_a_curve_and_a_map_of_each_model(tmp_path):
    pytest.importorskip("matplotlib")
    sums = ProfileSums(3, reads_reversed=False, right_to_left=False)
    sums.add(NORMS)
    found = sums.profile()
    files = draw_profiles(str(tmp_path / "f.svg"), [("one", found), ("two", found)], 2, "T & t")
    assert [path.name for path in files] == ["f.svg", "f.png", "f-map.svg", "f-map.png"]
    for path in files[::2]:
        text = path.read_text()
        assert text.count(">one<") == text.count(">two<") == 1
        assert "T &amp; t" in text
