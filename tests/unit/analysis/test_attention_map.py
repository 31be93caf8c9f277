"""Tests of the map of a sentence's attention, and of its picture."""

import numpy as np
import pytest
from builders import TINY, mixed_members, scorer

from s2st.analysis.attention_map import attention_section, draw_attention, forced_map, searched_map
from s2st.analysis.figures import SCALE_STEPS, Panel, draw_map, draw_maps
from s2st.data.batch import make_batch
from s2st.errors import UsageError
from s2st.models.registry import ARCHITECTURES
from s2st.search.registry import SEARCHES


@pytest.fixture(scope="module")
def attending():
    return scorer("lstm-attention", ARCHITECTURES.get("lstm-attention").config_type(**TINY), 3)


def test_a_forced_map_has_the_pairs_words_and_its_log_probability(attending):
    found = forced_map(attending, "a b q", "w v zz")
    assert found.source == ("a", "b", "q (unk)", "</s>")
    assert found.target == ("w", "v", "zz (unk)", "</s>")
    assert found.weights.shape == (4, 4)
    np.testing.assert_allclose(found.weights.sum(axis=1), 1, atol=1e-12)
    sides = attending.source.ids(["a", "b", "q"]), attending.target.ids(["w", "v", "zz"])
    scores = attending.score(make_batch([sides[0]], [sides[1]], [0]))
    assert found.log_prob == pytest.approx(float(scores.sum()), abs=1e-10)


def test_the_map_of_the_best_translation_is_that_of_reading_it(attending):
    entry = SEARCHES.get("beam")
    search = entry.build(entry.config_type(max_len_a=0, max_len_b=4, min_len=3))
    found = searched_map(attending, search, "f e d c")
    again = forced_map(attending, "f e d c", " ".join(found.target[:-1]))
    assert (again.source, again.target) == (found.source, found.target)
    np.testing.assert_allclose(found.weights, again.weights, atol=1e-6)
    assert found.log_prob == pytest.approx(again.log_prob, abs=1e-6)


def test_requests_without_an_attention_map_are_refused(attending):
    with pytest.raises(UsageError, match="no words"):
        forced_map(attending, "  ", "v")
    with pytest.raises(UsageError, match="no attention"):
        forced_map(mixed_members()[0], "a", "v")
    with pytest.raises(UsageError, match="on each side for the maps"):
        attention_section(attending, [("a " * 41, "v"), ("", "v"), ("a", "")])


def test_a_section_shows_the_first_two_short_pairs(attending):
    pairs = [("a " * 41, "v"), ("a", "v"), ("", ""), ("b", "w"), ("c", "x")]
    section = attention_section(attending, pairs)
    assert [figure.caption for figure in section.items] == ["a / v", "b / w"]
    assert all(figure.data.startswith(b"<svg") for figure in section.items)


def test_a_picture_has_a_cell_for_every_weight(attending, tmp_path):
    import re

    pytest.importorskip("matplotlib")
    found = forced_map(attending, "a b q", "w v")
    svg, png = draw_attention(tmp_path / "map", found)
    assert png.read_bytes().startswith(b"\x89PNG")
    text = svg.read_text()
    for label in (*found.source, *found.target):
        assert label.replace(">", "&gt;").replace("<", "&lt;") in text
    shades = [float(value) for value in re.findall(r"fill: #0072b2; opacity: ([\d.]+)", text)]
    cells, scale = shades[: found.weights.size], shades[found.weights.size :]
    np.testing.assert_allclose(cells, found.weights.flatten(), atol=6e-4)
    assert len(scale) == SCALE_STEPS
    assert scale == sorted(scale)
    assert "attention weight" in text


def test_maps_that_cannot_be_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    names = {"x_label": "", "y_label": ""}
    with pytest.raises(UsageError, match="nothing to draw"):
        draw_map(tmp_path / "map", np.zeros((0, 1)), rows=[], columns=["a"], **names)
    with pytest.raises(UsageError, match="nothing to draw"):
        draw_maps(tmp_path / "map", [], rows=["a"], columns=["a"], **names)
    panels = [Panel("", np.zeros((1, 1)))] * 145
    with pytest.raises(UsageError, match="145 maps"):
        draw_maps(tmp_path / "map", panels, rows=["a"], columns=["a"], **names)
    with pytest.raises(UsageError, match="121 words"):
        draw_map(tmp_path / "map", np.zeros((1, 121)), rows=["a"], columns=["b"] * 121, **names)
