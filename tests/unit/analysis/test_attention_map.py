"""Tests of the map of a sentence's attention, and of its picture."""

from dataclasses import replace

import numpy as np
import pytest
from builders import TINY, mixed_members, scorer

from s2st.analysis.attention_map import (
    attention_maps,
    attention_section,
    draw_all,
    draw_attention,
    forced_map,
    searched_map,
)
from s2st.analysis.heat_maps import SCALE_STEPS, Panel, draw_map, draw_maps
from s2st.analysis.options import MapsConfig
from s2st.data.batch import make_batch
from s2st.errors import UsageError
from s2st.models.registry import ARCHITECTURES
from s2st.scoring.base import TextSide
from s2st.scoring.ensemble_scorer import EnsembleScorer
from s2st.search.registry import SEARCHES
from s2st.text.tokenizers import Tokenizer, absent_side
from s2st.text.vocabulary import Vocabulary


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


@pytest.fixture(scope="module")
def transformer():
    config = ARCHITECTURES.get("transformer").config_type
    return scorer("transformer", config(layers=2, hidden_size=6, heads=3, dropout=0.3), 4)


def maps(scored, source, target, **choice):
    return attention_maps(scored, MapsConfig(**choice), source, target)


def test_all_layers_and_heads_average_to_the_default_map(transformer):
    found = maps(transformer, "a b q", "w v", layer="all", head="all")
    assert [(one.layer, one.head) for one in found] == [
        (layer, head) for layer in (1, 2) for head in (1, 2, 3)
    ]
    assert found[4].name == "layer 2, head 2"
    plain = forced_map(transformer, "a b q", "w v")
    (default,) = maps(transformer, "a b q", "w v")
    np.testing.assert_array_equal(default.weights, plain.weights)
    top = np.mean([one.weights for one in found[3:]], axis=0)
    np.testing.assert_allclose(top, plain.weights, atol=1e-12)
    (mean,) = maps(transformer, "a b q", "w v", layer=1)
    np.testing.assert_allclose(mean.weights, np.mean([one.weights for one in found[:3]], axis=0))
    (single,) = maps(transformer, "a b q", "w v", layer=2, head=3)
    np.testing.assert_array_equal(single.weights, found[5].weights)
    for one in found:
        assert (one.rows, one.columns) == (plain.target, plain.source)
        assert one.log_prob == pytest.approx(plain.log_prob, abs=1e-10)


def test_self_attention_names_who_reads_and_what_is_read(transformer):
    (encoder,) = maps(transformer, "a b q", "w v", part="encoder", head=1)
    assert encoder.rows == encoder.columns == ("a", "b", "q (unk)", "</s>")
    (decoder,) = maps(transformer, "a b q", "w v", part="decoder")
    assert decoder.rows == ("w", "v", "</s>")
    assert decoder.columns == ("<s>", "w", "v")
    assert (decoder.part, decoder.layer, decoder.head) == ("decoder", 2, None)
    assert not np.triu(decoder.weights, 1).any()  # no step reads a later word
    for one in (encoder, decoder):
        np.testing.assert_allclose(one.weights.sum(axis=1), 1, atol=1e-12)


def test_a_language_model_shows_its_text():
    config = ARCHITECTURES.get("transformer-lm").config_type
    made = scorer("transformer-lm", config(layers=1, hidden_size=6, heads=2, dropout=0.3), 5, "")
    made.source = absent()
    (found,) = attention_maps(made, MapsConfig(), None, "w v")
    assert (found.part, found.source) == ("decoder", ())
    assert (found.rows, found.columns) == (("w", "v", "</s>"), ("<s>", "w", "v"))
    with pytest.raises(UsageError, match="no attention to a source"):
        attention_maps(made, MapsConfig(part="cross", head=1), None, "w")
    with pytest.raises(UsageError, match="give its text"):
        attention_maps(made, MapsConfig(), None, None)


def absent():
    spec = absent_side()
    return TextSide(spec.language, spec.build(), Vocabulary([], []))


def test_a_right_to_left_model_has_the_order_of_the_text():
    config = ARCHITECTURES.get("transformer").config_type(
        layers=1, hidden_size=6, heads=2, dropout=0.3
    )
    plain = scorer("transformer", config, 6)
    turned = scorer("transformer", config, 6)
    turned.target = replace(turned.target, right_to_left=True)
    for part in ("cross", "decoder"):
        (one,) = maps(plain, "a b", "x w v", part=part, head=1)
        (other,) = maps(turned, "a b", "v w x", part=part, head=1)
        assert one.rows == (*other.rows[-2::-1], "</s>")
        places = {label: place for place, label in enumerate(one.columns)}
        columns = [places[label] for label in other.columns]
        np.testing.assert_allclose(other.weights, one.weights[[2, 1, 0, 3]][:, columns])


def test_attention_that_a_model_lacks_is_refused(attending, transformer):
    cases = [
        (attending, {"part": "encoder"}, "has only cross"),
        (attending, {"layer": 2}, "--layer 2: this attention has 1 layer$"),
        (attending, {"head": 2}, "--head 2: this attention has 1 head$"),
        (transformer, {"head": 4}, "--head 4: this attention has 3 heads"),
        (mixed_members()[0], {"head": 1}, "need one model with attention"),
        (EnsembleScorer([attending, attending]), {"head": "all"}, "need one model"),
    ]
    for scored, choice, message in cases:
        with pytest.raises(UsageError, match=message):
            maps(scored, "a b", "v", **choice)


def test_joined_words_sum_what_is_read_and_average_what_reads():
    """Pieces a@@ b and v@@ w are words ab and vw; the rest are words."""
    source, target = "a@@ b c", "v@@ w"
    config = ARCHITECTURES.get("transformer").config_type(
        layers=1, hidden_size=6, heads=2, dropout=0.3
    )
    made = scorer("transformer", config, 7, source, target)
    made.source = replace(made.source, tokenizer=Pieces())
    made.target = replace(made.target, tokenizer=Pieces())
    for part, rows, columns in (
        ("cross", ("vw", "</s>"), ("ab", "c", "</s>")),
        ("encoder", ("ab", "c", "</s>"), ("ab", "c", "</s>")),
        ("decoder", ("vw", "</s>"), ("<s>", "vw")),
    ):
        (pieces,) = maps(made, source, target, part=part)
        (words,) = maps(made, source, target, part=part, words=True)
        assert (words.rows, words.columns) == (rows, columns)
        assert (words.source, words.target) == (("ab", "c", "</s>"), ("vw", "</s>"))
        w = pieces.weights
        if part == "decoder":
            expected = [[w[:2, 0].mean(), w[:2, 1:].sum() / 2], [w[2, 0], w[2, 1:].sum()]]
        else:
            joined = np.stack([w[:, 0] + w[:, 1], w[:, 2], w[:, 3]], axis=1)
            expected = np.concatenate([joined[:2].mean(axis=0, keepdims=True), joined[2:]])
        np.testing.assert_allclose(words.weights, expected, rtol=1e-12)
        np.testing.assert_allclose(words.weights.sum(axis=1), 1, atol=1e-12)
    (unknown,) = maps(made, "a@@ zz c", target, words=True)
    assert unknown.source == ("azz (unk)", "c", "</s>")


class Pieces(Tokenizer):
    """Pieces that go on end with @@."""

    subword = True

    def encode(self, line):
        return line.split()

    def decode(self, tokens):
        return " ".join(tokens).replace("@@ ", "")


def test_a_figure_has_a_line_for_each_layer(transformer, tmp_path):
    pytest.importorskip("matplotlib")
    found = maps(transformer, "a b q", "w v", part="decoder", layer="all", head="all")
    svg, _ = draw_all(tmp_path / "map", found, "a title", png=False)
    text = svg.read_text()
    assert text.count("layer 2, head 1") == 1
    assert text.count("attention weight") == 1
    assert text.count(">words read<") == 3
    assert text.count(">words predicted<") == 2
