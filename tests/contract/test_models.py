"""The contract of Seq2SeqModel, tested on every registered architecture."""

from dataclasses import replace

import pytest
import torch
from builders import (
    SOURCE_WORDS,
    TARGET_WORDS,
    describe,
    equal_lengths,
    has_field,
    model,
    more_padding,
    pairs_of,
    random_sentences,
    reads_source,
    source_batch,
    trainable,
    variants,
)

from s2st.models.base import ModelSizes, parameters_by_part
from s2st.models.model_building import build_model
from s2st.models.registry import ARCHITECTURES
from s2st.text.vocabulary import BOS_ID

SOURCE_SIZE, TARGET_SIZE = 4 + len(SOURCE_WORDS.split()), 4 + len(TARGET_WORDS.split())
VARIANTS = [
    pytest.param((name, config), id=describe(name, config))
    for name in trainable()
    for config in variants(name)
]


@pytest.fixture(params=VARIANTS)
def variant(request):
    return request.param


@pytest.fixture
def tiny(variant):
    return model(*variant).eval()


def sample(tiny, seed=0, count=5):
    sources = random_sentences(count, SOURCE_SIZE, seed)
    return pairs_of(sources, TARGET_SIZE, seed + 100, equal_lengths(tiny))


def log_probs(tiny, source):
    """What decoding the same four tokens gives; sees all that the encoder hands over."""
    target_in = torch.tensor([[BOS_ID, 4, 5, 6]]).expand(len(source), -1)
    features = tiny.decode(target_in, tiny.initial_state(tiny.encode(source)))
    return tiny.project(features).log_softmax(-1)


@torch.no_grad()
def test_decode_and_project_equal_a_loop_over_step(tiny):
    batch = sample(tiny)
    state = tiny.initial_state(tiny.encode(batch.source))
    fast = tiny.project(tiny.decode(batch.target_in, state))
    assert fast.shape == (*batch.target_in.shape, TARGET_SIZE)
    mask = batch.target_mask()
    for position in range(batch.target_in.shape[1]):
        result = tiny.step(batch.target_in[:, position], state)
        real = mask[:, position]
        torch.testing.assert_close(
            fast[real, position],
            tiny.project(result.features)[real],
            rtol=0,
            atol=1e-10,
            msg=str(position),
        )
        state = result.state


@torch.no_grad()
def test_the_models_of_these_tests_listen_to_their_source(tiny):
    """Without this the other properties could hold of a model that ignores its input."""
    made = log_probs(tiny, source_batch([[4, 5, 6], [6, 5, 4], [4, 5]])).exp()
    if not reads_source(tiny):
        assert torch.equal(made, made[:1].expand_as(made))
        return
    assert (made[0] - made[1]).abs().max() > 1e-4
    assert (made[0] - made[2]).abs().max() > 1e-4


@torch.no_grad()
def test_encoding_is_free_of_neighbours_order_and_padding(tiny):
    rows = random_sentences(6, SOURCE_SIZE, 3)
    together = log_probs(tiny, source_batch(rows))
    for index, row in enumerate(rows):
        alone = log_probs(tiny, source_batch([row]))
        torch.testing.assert_close(together[index : index + 1], alone, rtol=0, atol=1e-10)
    order = [3, 0, 5, 1, 4, 2]
    shuffled = log_probs(tiny, source_batch([rows[i] for i in order]))
    torch.testing.assert_close(shuffled, together[order], rtol=0, atol=1e-10)
    padded = log_probs(tiny, more_padding(source_batch(rows)))
    torch.testing.assert_close(padded, together, rtol=0, atol=1e-10)


@torch.no_grad()
def test_select_permutes_repeats_and_drops_and_leaves_the_old_state_usable(tiny):
    source = source_batch(random_sentences(4, SOURCE_SIZE, 5))
    state = tiny.initial_state(tiny.encode(source))
    state = tiny.step(torch.full((4,), BOS_ID), state).state
    words = torch.tensor([4, 5, 6, 7])
    before = tiny.step(words, state)
    rows = torch.tensor([2, 0, 2, 3, 3])
    chosen = state.select(rows)
    after = tiny.step(words[rows], chosen)
    torch.testing.assert_close(after.features, before.features[rows], rtol=0, atol=1e-10)
    later = tiny.step(words, after.state.select(torch.tensor([1, 0, 3, 4])))
    expected = tiny.step(words, before.state.select(torch.tensor([0, 2, 3, 3])))
    torch.testing.assert_close(later.features, expected.features, rtol=0, atol=1e-10)
    again = tiny.step(words, state)
    assert torch.equal(again.features, before.features)
    assert tiny.step(words[:0], state.select(rows[:0])).features.shape[0] == 0


@torch.no_grad()
def test_a_reversed_model_is_the_forward_one_on_reversed_words(variant):
    name, config = variant
    if not has_field(config, "reverse_source"):
        pytest.skip("reads in one direction only")
    forward = model(name, replace(config, reverse_source=False)).eval()
    backward = model(name, replace(config, reverse_source=True)).eval()
    backward.load_state_dict(forward.state_dict())
    rows = random_sentences(6, SOURCE_SIZE, 7)
    mirrored = log_probs(forward, source_batch([row[::-1] for row in rows]))
    torch.testing.assert_close(
        log_probs(backward, source_batch(rows)), mirrored, rtol=0, atol=1e-10
    )
    straight = log_probs(forward, source_batch(rows))
    assert (straight - mirrored).exp().sub(1).abs().max() > 1e-4


def test_gradients_reach_every_weight(variant):
    tiny = model(*variant)
    batch = sample(tiny)
    features = tiny.decode(batch.target_in, tiny.initial_state(tiny.encode(batch.source)))
    tiny.project(features[batch.target_mask()]).square().sum().backward()
    silent = [n for n, p in tiny.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []


def test_the_papers_preset_counts_384_million_weights():
    """160 M + 80 M embeddings, 80 M softmax, 32 M each for encoder and decoder (section 3.4).

    The four special tokens add 1000 weights each to the three tables; biases stand apart.
    """
    entry = ARCHITECTURES.get("lstm-sutskever2014")
    config = entry.config_type(**entry.overrides)
    with torch.device("meta"):
        large = build_model(entry.base, config, ModelSizes(160_004, 80_004))
    parts = parameters_by_part(large)
    weights = {part: count for part, (count, _) in parts.items()}
    special = 4 * 1000
    assert weights == {
        "source_embedding": 160_000_000 + special,
        "target_embedding": 80_000_000 + special,
        "softmax": 80_000_000 + special,
        "encoder": 32_000_000,
        "decoder": 32_000_000,
    }
    assert sum(weights.values()) - 3 * special == 384_000_000
    # torch keeps an input and a recurrent bias: 2 stacks x 4 layers x 2 biases x 4 gates x 1000
    assert {part: bias for part, (_, bias) in parts.items() if bias} == {
        "encoder": 32_000,
        "decoder": 32_000,
    }


def test_reading_token_by_token_ends_in_the_first_state_of_the_decoder(variant):
    """And the state after some tokens is that of a source of these tokens alone."""
    tiny = model(*variant).eval()
    source = source_batch([[4, 5, 6, 7]])
    with torch.no_grad():
        first = tiny.initial_state(tiny.encode(source))
        reading, vectors = tiny.reading(source), tiny.state_vectors(first)
        if reading is None:
            return
        moved = tiny.state_vectors(reading.state)
        assert sorted(reading.places) == list(range(5))
        assert reading.places[-1] == 4
        torch.testing.assert_close(moved[-1:], vectors)
        turned = getattr(variant[1], "reverse_source", False)
        assert reading.places[:2] == ((3, 2) if turned else (0, 1))
        other = tiny.reading(source_batch([[6, 7] if turned else [4, 5]]))
        torch.testing.assert_close(tiny.state_vectors(other.state)[:2], moved[:2])
