"""Sentence vectors by hand, principal components and distances by other means, lists of phrases."""

import math
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import builders
import numpy as np
import pytest
import torch
from builders import TINY, describe, model, more_padding, source_batch, trainable, variants
from fakes import FakeScorer, random_table

from s2st.analysis import sentence_vectors
from s2st.analysis.state_pca import (
    Phrase,
    cosine_distances,
    distances,
    draw_states,
    panel_figure,
    phrase_states,
    principal_components,
    read_phrases,
)
from s2st.data.batch_planner import BatchingConfig
from s2st.errors import DataError, InputMissingError, UsageError
from s2st.models.base import EncoderOutput, ModelSizes, Seq2SeqModel
from s2st.models.model_building import build_model
from s2st.models.registry import ARCHITECTURES
from s2st.scoring.ensemble_scorer import EnsembleScorer
from s2st.scoring.model_scorer import ModelScorer
from s2st.text.vocabulary import EOS_ID

EXAMPLE = Path(__file__).parents[3] / "examples" / "sutskever2014" / "phrases.tsv"
ROWS = [[4, 5, 6, 7], [9], [5, 5, 8], [], [8, 4, 7, 6, 9]]
ALL = builders.all_scorers()
SCORERS = {name: scorer for name, scorer in ALL.items() if builders.reads_source(scorer)}
VARIANTS = [
    pytest.param(name, config, id=describe(name, config))
    for name in trainable()
    for config in variants(name)
    if getattr(config, "reads_source", True)
]
LAYERS = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "rnn": torch.nn.RNN}


def close(actual, expected, atol=1e-10):
    assert list(actual) == list(expected)
    for name, part in actual.items():
        torch.testing.assert_close(part, expected[name], rtol=0, atol=atol)


def vectors(tiny, rows):
    return tiny.sentence_vectors(tiny.encode(source_batch(rows)))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("cell", list(LAYERS))
@torch.no_grad()
def test_vectors_are_the_final_states_of_torchs_own_stack(cell, reverse):
    """One sentence at a time, without padding, through one module of three layers."""
    config = ARCHITECTURES.get(cell).config_type(**{**TINY, "layers": 3}, reverse_source=reverse)
    tiny = model(cell, config).eval()
    stack = LAYERS[cell](4, 6, num_layers=3, batch_first=True).double()
    for number, layer in enumerate(tiny.encoder.layers):
        for name, value in layer.named_parameters():
            stack.get_parameter(name.replace("l0", f"l{number}")).copy_(value)
    found = vectors(tiny, ROWS)
    for index, row in enumerate(ROWS):
        ids = [*(row[::-1] if reverse else row), EOS_ID]
        _, final = stack(tiny.source_embedding.weight[ids].unsqueeze(0))
        parts = final if cell == "lstm" else (final,)
        expected = {
            name: torch.cat([part[layer, 0] for layer in range(3)])
            for name, part in zip(("hidden", "cell"), parts, strict=False)
        }
        close({name: part[index] for name, part in found.items()}, expected)


def test_the_papers_model_has_8000_numbers():
    entry = ARCHITECTURES.get("lstm-sutskever2014")
    with torch.device("meta"):
        config = entry.config_type(**entry.overrides)
        large = build_model(entry.base, config, ModelSizes(9, 9))
        final = EncoderOutput((torch.empty(4 * 2, 3, 1000),))
    shapes = {name: tuple(part.shape) for name, part in large.sentence_vectors(final).items()}
    assert shapes == {"hidden": (3, 4000), "cell": (3, 4000)}


def test_another_architectures_vectors_are_all_of_its_final_tensors():
    two, one = torch.arange(24.0).reshape(2, 3, 4), torch.tensor([[-1.0], [-2.0]])
    found = Seq2SeqModel.sentence_vectors(None, EncoderOutput((two, one)))
    expected = [[*range(12), -1], [*range(12, 24), -2]]
    close(found, {"final": torch.tensor(expected, dtype=torch.float32)})


@pytest.mark.parametrize(("name", "config"), VARIANTS)
@pytest.mark.parametrize(("dtype", "atol"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
@torch.no_grad()
def test_a_model_prepared_for_scoring_gives_the_same_vectors(name, config, dtype, atol):
    expected = vectors(model(name, config, dtype=dtype).eval(), ROWS)
    side = builders.text_side(builders.SOURCE_WORDS)
    scorer = ModelScorer(model(name, config, dtype=dtype), side, side)
    found = scorer.sentence_vectors(source_batch(ROWS))
    close(found, expected, atol)
    assert {part.dtype for part in found.values()} == {dtype}


@pytest.mark.parametrize("name", list(SCORERS))
def test_vectors_are_free_of_neighbours_order_and_padding(name):
    scorer = SCORERS[name]
    together = scorer.sentence_vectors(source_batch(ROWS))
    for index, row in enumerate(ROWS):
        alone = scorer.sentence_vectors(source_batch([row]))
        close({n: part[index : index + 1] for n, part in together.items()}, alone)
    order = [3, 0, 4, 1, 2]
    shuffled = scorer.sentence_vectors(source_batch([ROWS[i] for i in order]))
    close(shuffled, {n: part[order] for n, part in together.items()})
    close(scorer.sentence_vectors(more_padding(source_batch(ROWS))), together)
    assert any(not torch.equal(part[0], part[1]) for part in together.values())


@pytest.mark.parametrize("name", sorted(set(ALL) - set(SCORERS)))
def test_what_reads_no_source_has_no_vectors_of_it(name):
    with pytest.raises(UsageError, match="sentence vectors"):
        ALL[name].sentence_vectors(source_batch(ROWS))


@pytest.mark.parametrize("name", ["lstm", "gru", "rnn"])
def test_a_reversed_models_vectors_are_the_forward_ones_of_reversed_words(name):
    forward = ARCHITECTURES.get(name).config_type(**{**TINY, "layers": 2}, reverse_source=False)
    backward = builders.scorer(name, replace(forward, reverse_source=True), 4)
    mirrored = source_batch([row[::-1] for row in ROWS])
    expected = builders.scorer(name, forward, 4).sentence_vectors(mirrored)
    close(backward.sentence_vectors(source_batch(ROWS)), expected)


def test_an_ensembles_vectors_are_its_members_side_by_side():
    members = builders.mixed_members()
    ensemble = EnsembleScorer(members, [1.0, 5.0, 0.1])
    words = [["a", "q", "f"], ["z"], ["b", "a"]]
    found = ensemble.sentence_vectors(
        source_batch([*map(ensemble.source.vocabulary.encode, words)])
    )
    own = [
        member.sentence_vectors(source_batch([*map(member.source.vocabulary.encode, words)]))
        for member in members
    ]
    # two LSTMs of one layer of 6, and a GRU of two layers, which has no cell states
    assert {name: part.shape[1] for name, part in found.items()} == {"hidden": 24, "cell": 12}
    close(
        found,
        {
            "hidden": torch.cat([own[0]["hidden"], own[1]["hidden"], own[2]["hidden"]], dim=1),
            "cell": torch.cat([own[0]["cell"], own[1]["cell"]], dim=1),
        },
    )


def test_a_scorer_without_vectors_says_so():
    with pytest.raises(UsageError, match="this model has no sentence vectors; name"):
        phrase_states(FakeScorer({4: random_table(0, 2)}, "x y"), [Phrase("A")] * 3)


@pytest.mark.parametrize(("count", "width"), [(12, 5), (4, 40), (3, 3), (30, 2)])
def test_components_are_the_first_eigenvectors_of_the_covariance(count, width):
    rng = np.random.default_rng(count)
    data = rng.normal(size=(count, width)) * np.linspace(3, 1, width) + 10 * rng.normal(size=width)
    places, explained = principal_components(data)
    values, axes = np.linalg.eigh(np.cov(data, rowvar=False))
    expected = (data - data.mean(0)) @ axes[:, :-3:-1]
    signs = np.sign((places * expected).sum(axis=0))
    np.testing.assert_allclose(places, expected * signs, rtol=0, atol=1e-9)
    np.testing.assert_allclose(explained, values[:-3:-1] / values.sum(), rtol=0, atol=1e-12)
    for axis, sign in zip(axes[:, :-3:-1].T, signs, strict=True):
        assert sign * axis[np.abs(axis).argmax()] > 0


def test_components_of_flat_data():
    places, explained = principal_components(np.full((4, 3), 7.0))
    assert explained == (0.0, 0.0)
    assert not places.any()
    places, explained = principal_components(np.array([[1.0], [2.0], [6.0]]))
    assert explained == pytest.approx((1.0, 0.0))
    np.testing.assert_allclose(places, [[-2, 0], [-1, 0], [3, 0]], rtol=0, atol=1e-12)


def test_cosine_distances_of_known_angles():
    found = cosine_distances(np.array([[2.0, 0], [3, 0], [0, 5], [-1, 0], [1, 1], [0, 0]]))
    half = 1 - math.sqrt(0.5)
    expected = [0, 0, 1, 2, half, 1]
    np.testing.assert_allclose(found[0], expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(found, found.T, rtol=0, atol=1e-12)


def plain_distance(a, b):
    dot = sum(x * y for x, y in zip(a, b, strict=True))
    return 1 - dot / math.hypot(*a) / math.hypot(*b)


def test_distances_by_brute_force():
    texts = ["a man sees a dog", "A dog, a man sees.", "a dog sees a man", "a cat", "it rains", "x"]
    meanings = ["m", "m", "d", "c", "m", "d"]
    same_words = {(0, 1), (0, 2), (1, 2)}  # read off the texts
    phrases = [Phrase(text, name) for text, name in zip(texts, meanings, strict=True)]
    data = np.random.default_rng(1).normal(size=(6, 3))
    data[3] = data[5] * 2  # the nearest to each other, of different meanings
    found = distances(phrases, data)
    sums = {}
    for pair in combinations(range(6), 2):
        same = meanings[pair[0]] == meanings[pair[1]]
        value = plain_distance(data[pair[0]], data[pair[1]])
        for key in ((same, None), (same, pair in same_words)):
            sums.setdefault(key, []).append(value)
    for pairs, key in (
        (found.same, (True, None)), (found.different, (False, None)),
        (found.same_reordered, (True, True)), (found.same_reworded, (True, False)),
        (found.different_reordered, (False, True)), (found.different_reworded, (False, False)),
    ):  # fmt: skip
        assert pairs.count == len(sums[key])
        assert pairs.distance == pytest.approx(sum(sums[key]) / len(sums[key]))
    assert found.ratio == pytest.approx(found.different.distance / found.same.distance)
    hits = []
    for one in (0, 1, 2, 4, 5):  # the cat has no fellow
        others = [other for other in range(6) if other != one]
        nearest = min(others, key=lambda other, one=one: plain_distance(data[one], data[other]))
        hits.append(meanings[nearest] == meanings[one])
    assert found.neighbors == pytest.approx(sum(hits) / 5)
    assert 0 < found.neighbors < 1
    # a random one of five others: two fellows for each m, one for each d
    assert found.chance == pytest.approx((3 * 2 + 2 * 1) / 5 / 5)


def test_distances_without_pairs_are_none():
    phrases = [Phrase(word, word) for word in "abc"]
    found = distances(phrases, np.eye(3))
    assert (found.same.count, found.same.distance, found.ratio) == (0, None, None)
    assert (found.neighbors, found.chance) == (None, None)
    assert found.different.distance == pytest.approx(1)
    alike = distances([Phrase(word, "m") for word in "abc"], np.ones((3, 2)))
    assert alike.ratio is None
    assert alike.neighbors == 1


def test_panels_are_analysed_apart_whatever_the_batches(monkeypatch):
    scorer = SCORERS["lstm-2-reversed-first-state"]
    texts = ["a b c", "f", "a d zebra", "c b a", "e e e e", "yak b", "d"]
    panels = ["p", "q", "p", "p", "q", "q", "p"]
    phrases = [Phrase(text, "", panel) for text, panel in zip(texts, panels, strict=True)]
    monkeypatch.setattr(sentence_vectors, "BATCHING", BatchingConfig(batch_size=2, max_tokens=8))
    first, second = phrase_states(scorer, phrases)
    assert (first.name, second.name) == ("p", "q")
    assert (first.indices, second.indices) == ((0, 2, 3, 6), (1, 4, 5))
    assert (first.unknown, second.unknown) == (("zebra",), ("yak",))
    assert first.distances is None
    encode = scorer.source.vocabulary.encode
    for panel in (first, second):
        assert panel.phrases == tuple(phrases[i] for i in panel.indices)
        for phrase, vector in zip(panel.phrases, panel.vectors, strict=True):
            alone = scorer.sentence_vectors(source_batch([encode(phrase.text.split())]))
            expected = torch.cat([alone["hidden"], alone["cell"]], dim=1)[0]
            np.testing.assert_allclose(vector, expected.numpy(), rtol=0, atol=1e-10)
        places, explained = principal_components(panel.vectors)
        assert np.array_equal(panel.places, places)
        assert panel.explained == explained


def test_a_part_of_the_state():
    phrases = [Phrase(text) for text in ("a", "b c", "c b")]
    scorer = SCORERS["lstm-2-first-state"]
    whole, hidden, cell = (
        phrase_states(scorer, phrases, part)[0].vectors for part in ("all", "hidden", "cell")
    )
    assert np.array_equal(whole, np.concatenate([hidden, cell], axis=1))
    with pytest.raises(
        UsageError, match="--part top: this model's state has only hidden, cell, al"
    ):
        phrase_states(scorer, phrases, "top")
    with pytest.raises(UsageError, match="only hidden, all"):
        phrase_states(SCORERS["gru-1-first-state"], phrases, "cell")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"a b\nc\nd\n", [Phrase("a b"), Phrase("c"), Phrase("d")]),
        (b"m\ta b\r\nm\tc\r\nn\ta", [Phrase("a b", "m"), Phrase("c", "m"), Phrase("a", "n")]),
        (b"p\tm\ta b\np\tn n\t c \np\tn n\td\n",
         [Phrase("a b", "m", "p"), Phrase("c", "n n", "p"), Phrase("d", "n n", "p")]),
    ],
)  # fmt: skip
def test_phrases_with_and_without_meanings_and_panels(put, data, expected):
    assert read_phrases(put(data)) == expected


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a\n\nb\nc\n", "line 2: an empty line or column"),
        (b"m\ta\nm\t \nm\tb\n", "line 2: an empty line or column"),
        (b"\ta\nm\tb\nm\tc\n", "line 1: an empty line or column"),
        (b"a\nb\nm\tc\n", "line 3: 2 columns, but line 1 has 1"),
        (b"p\tm\ta\tb\n", "line 1: 4 columns; expected [[panel TAB] meaning TAB] phrase"),
        (b"p/q\tm\ta\n", "line 1: panel 'p/q': use only letters, digits, - and _"),
        (b"m\ta\nm\tb\nn\ta\n", "line 3: repeats the phrase of line 1"),
        (b"a\nb\n", ": 2 phrases; two dimensions need at least 3"),
        (b"", ": 0 phrases; two"),
        (b"p\tm\ta\np\tm\tb\nq\tm\ta\np\tm\tc\n", ": panel q: 1 phrases; two"),
        (b"a\nb\n\xff\n", "line 3: not UTF-8"),
    ],
)
def test_mistakes_in_a_list_of_phrases_are_named(put, data, message):
    path = put(data)
    with pytest.raises(DataError) as caught:
        read_phrases(path)
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_list_that_is_not_there():
    with pytest.raises(InputMissingError, match="nowhere"):
        read_phrases("nowhere")


def test_the_example_asks_what_the_paper_asks():
    panels = {}
    for phrase in read_phrases(EXAMPLE):
        assert phrase.text == phrase.text.lower()
        assert phrase.text.endswith(" .")
        panels.setdefault(phrase.panel, []).append(phrase)
    assert list(panels) == ["order", "voice", "adverbial", "rewording"]
    for name, phrases in panels.items():
        counts = distances(phrases, np.random.default_rng(0).normal(size=(len(phrases), 9)))
        fellows = {m.meaning: 0 for m in phrases}
        for phrase in phrases:
            fellows[phrase.meaning] += 1
        assert min(fellows.values()) >= 2
        assert counts.same_reworded.count
        # meanings that the same words have in another order
        assert bool(counts.different_reordered.count) == (name != "rewording")
        assert bool(counts.same_reordered.count) == (name in ("adverbial", "rewording"))


def test_a_panel_is_drawn_under_its_own_name(tmp_path):
    pytest.importorskip("matplotlib")
    phrases = [Phrase("a b .", "m", "p"), Phrase("b a .", "m", "p"), Phrase("c", "n", "p")]
    (panel,) = phrase_states(SCORERS["lstm-1-first-state"], phrases)
    svg, png = draw_states(panel_figure(tmp_path / "drawn.svg", "p"), panel)
    assert (svg.name, png.name) == ("drawn-p.svg", "drawn-p.png")
    text = svg.read_text()
    for shown in (">a b<", ">b a<", ">c<", ">m<", ">n<"):
        assert shown in text
    assert f"first component, {panel.explained[0]:.0%} of the variance" in text
    assert panel_figure(tmp_path / "drawn", "") == str(tmp_path / "drawn")
