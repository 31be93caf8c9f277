"""The Transformer against torch's own layers, the paper's formulas and its published sizes."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from builders import model, random_sentences, scorer, source_batch
from torch import nn

from s2st.data.batch import make_batch
from s2st.errors import UsageError
from s2st.models.base import ModelSizes, parameters_by_part
from s2st.models.configs import TransformerConfig, TransformerLMConfig, with_default_sizes
from s2st.models.model_building import build_model
from s2st.models.registry import ARCHITECTURES
from s2st.models.transformer.decoder_cache import (
    FEWEST_COLUMNS,
    GROUP_ROWS,
    TransformerState,
    WordCache,
    first_rows,
)
from s2st.models.transformer.encoder_decoder import TransformerModel
from s2st.models.transformer.layers import sinusoids
from s2st.scoring.model_scorer import ModelScorer
from s2st.scoring.prefix_sharing import score_lists
from s2st.search.beam import BeamSearch
from s2st.search.registry import BeamConfig
from s2st.text.vocabulary import BOS_ID, PAD_ID

WIDTH, HEADS, INNER = 12, 3, 20
CONFIG = TransformerConfig(
    layers=2, hidden_size=WIDTH, heads=HEADS, feedforward_size=INNER, dropout=0.3
)
SIZES = ModelSizes(10, 9)
NORMS = ("pre", "post")


def ours(norm, name="transformer"):
    kind = TransformerLMConfig if name == "transformer-lm" else TransformerConfig
    values = {**vars(CONFIG), "norm": norm}
    return model(name, kind(**values), 3, SIZES).eval()


def copy_attention(from_attention, into):
    query, memory = from_attention.query, from_attention.memory
    into.in_proj_weight.copy_(torch.cat([query.weight, memory.weight]))
    into.in_proj_bias.copy_(torch.cat([query.bias, memory.bias]))
    into.out_proj.load_state_dict(from_attention.output.state_dict())


@torch.no_grad()
def torchs(layer, norm, decoder):
    """torch's layer with our layer's weights."""
    kind = nn.TransformerDecoderLayer if decoder else nn.TransformerEncoderLayer
    made = kind(WIDTH, HEADS, INNER, 0.3, batch_first=True, norm_first=norm == "pre").double()
    copy_attention(layer.self_attention, made.self_attn)
    norms = [layer.self_norm, layer.inner_norm]
    if decoder:
        copy_attention(layer.cross_attention, made.multihead_attn)
        norms.insert(1, layer.cross_norm)
    for number, own in enumerate(norms, 1):
        getattr(made, f"norm{number}").load_state_dict(own.state_dict())
    made.linear1.load_state_dict(layer.inner.state_dict())
    made.linear2.load_state_dict(layer.outer.state_dict())
    return made.eval()


def embedded(table, tokens):
    """The paper's section 3.4 and 3.5, number by number."""
    made = np.empty((*tokens.shape, WIDTH))
    for row, position in np.ndindex(*tokens.shape):
        vector = table.weight[tokens[row, position]].detach().numpy()
        for column in range(WIDTH):
            angle = position / 10000 ** (2 * (column // 2) / WIDTH)
            wave = math.sin(angle) if column % 2 == 0 else math.cos(angle)
            made[row, position, column] = vector[column] * math.sqrt(WIDTH) + wave
    return torch.from_numpy(made)


def causal(length):
    return torch.triu(torch.ones(length, length, dtype=torch.bool), 1)


@torch.no_grad()
@pytest.mark.parametrize("norm", NORMS)
def test_encoder_and_decoder_are_torchs(norm):
    tiny = ours(norm)
    source = source_batch([[4, 5, 6, 7], [8], []])
    hidden = embedded(tiny.source_embedding, source.tokens)
    padding = source.tokens == PAD_ID
    for layer in tiny.encoder.layers:
        hidden = torchs(layer, norm, False)(hidden, src_key_padding_mask=padding)
    encoded = tiny.encode(source)
    hidden = tiny.encoder.norm(hidden)
    torch.testing.assert_close(encoded.states[~padding], hidden[~padding], rtol=0, atol=1e-10)
    assert torch.equal(encoded.mask, ~padding)

    target_in = torch.tensor([[BOS_ID, 4, 5, 6]] * 3)
    read = embedded(tiny.target_embedding, target_in)
    for layer in tiny.decoder.layers:
        theirs = torchs(layer, norm, True)
        before = read
        read = theirs(read, hidden, tgt_mask=causal(4), memory_key_padding_mask=padding)
    features = tiny.decode(target_in, tiny.initial_state(encoded))
    torch.testing.assert_close(features, tiny.decoder.norm(read), rtol=0, atol=1e-10)

    # the attention of the last step: the top layer's, by torch's own weights
    state = tiny.initial_state(encoded)
    for column in target_in.t():
        step = tiny.step(column, state)
        state = step.state
    reading = theirs.norm1(before) if norm == "pre" else before
    found = before + theirs.self_attn(reading, reading, reading, attn_mask=causal(4))[0]
    query = theirs.norm2(found) if norm == "pre" else theirs.norm1(found)
    weights = theirs.multihead_attn(query, hidden, hidden, key_padding_mask=padding)[1]
    torch.testing.assert_close(step.attention, weights[:, -1], rtol=0, atol=1e-10)
    assert not step.attention[padding].any()


@torch.no_grad()
@pytest.mark.parametrize("norm", NORMS)
def test_the_language_model_is_torchs_encoder_that_looks_back(norm):
    tiny = ours(norm, "transformer-lm")
    target_in = torch.tensor([[BOS_ID, 4, 5, 6, 7], [BOS_ID, 8, 4, 4, 5]])
    hidden = embedded(tiny.target_embedding, target_in)
    for layer in tiny.decoder.layers:
        hidden = torchs(layer, norm, False)(hidden, src_mask=causal(5))
    made = tiny.decode(target_in, tiny.initial_state(tiny.encode(source_batch([[], []]))))
    torch.testing.assert_close(made, tiny.decoder.norm(hidden), rtol=0, atol=1e-10)


def test_sinusoids_go_on_where_they_are_told_to_and_take_odd_widths():
    like = torch.zeros((), dtype=torch.float64)
    whole = sinusoids(0, 1000, 7, like)
    torch.testing.assert_close(sinusoids(990, 10, 7, like), whole[990:], rtol=0, atol=0)
    assert whole[3, 6] == pytest.approx(math.sin(3 / 10000 ** (6 / 7)))
    assert whole[999, 1] == pytest.approx(math.cos(999))
    # a shift by k is the same rotation everywhere (section 3.5)
    pairs = torch.view_as_complex(whole[:, :6].reshape(1000, 3, 2).contiguous())
    turn = pairs[5:] * pairs[:-5].conj()
    torch.testing.assert_close(turn, turn[:1].expand_as(turn), rtol=0, atol=1e-9)


def hollow(words=37_000, **changed):
    entry = ARCHITECTURES.get("transformer-base")
    config = replace(entry.config_type(**entry.overrides), **changed)
    with torch.device("meta"):
        return build_model(entry.base, config, ModelSizes(words, words))


def test_the_base_preset_counts_the_papers_weights():
    """37,000 x 512 shared; a layer has 4 products of 512 x 512 an attention and 2 x 512 x 2048.

    That is 62,984,192 weights. Biases: 1 a column of each product, 2 x 512 a normalisation.
    """
    parts = parameters_by_part(hollow())
    attention, inner = 4 * 512 * 512, 2 * 512 * 2048
    norms = {"encoder": 6 * 2 * 512, "decoder": 6 * 3 * 512}  # scales, which count as weights
    weights = {
        "source_embedding": 37_000 * 512,
        "encoder": 6 * (attention + inner) + norms["encoder"],
        "decoder": 6 * (2 * attention + inner) + norms["decoder"],
    }
    assert {part: count for part, (count, _) in parts.items()} == weights
    assert sum(weights.values()) - sum(norms.values()) == 62_984_192
    assert parts["encoder"][1] == 6 * (4 * 512 + 2048 + 512) + norms["encoder"]
    assert parts["decoder"][1] == 6 * (8 * 512 + 2048 + 512) + norms["decoder"]


PUBLISHED = [  # table 3: (C) and the base, in millions
    ({}, 65),
    ({"layers": 2}, 36),
    ({"layers": 4}, 50),
    ({"layers": 8}, 80),
    ({"feedforward_size": 1024}, 53),
    ({"feedforward_size": 4096}, 90),
    ({"hidden_size": 256, "heads": 8}, 28),
    ({"hidden_size": 1024, "heads": 8}, 168),
]


def test_sizes_differ_as_in_the_papers_table_3():
    """The words are "about 37000"; with 41,000 every row is the published one, to a million."""
    for changed, millions in PUBLISHED:
        count = sum(p.numel() for p in hollow(41_000, **changed).parameters())
        assert abs(count / 1e6 - millions) < 1, changed
        exact = sum(p.numel() for p in hollow(37_000, **changed).parameters())
        assert 0.92 < exact / 1e6 / millions < 1, changed


def test_a_fresh_model_begins_near_even_chances():
    """Scaled embeddings and Glorot weights: the first loss is near log V, both norms."""
    for norm in NORMS:
        for tie in ("none", "output"):
            torch.manual_seed(1)
            config = TransformerConfig(
                layers=4, hidden_size=64, dropout=0.1, norm=norm, tie_embeddings=tie
            )
            fresh = TransformerModel(config, ModelSizes(1000, 1000)).eval()
            lists = random_sentences(20, 1000, 1)
            batch = make_batch(lists, lists, range(20))
            state = fresh.initial_state(fresh.encode(batch.source))
            features = fresh.decode(batch.target_in, state)[batch.target_mask()]
            words = batch.target_out[batch.target_mask()]
            loss = nn.functional.cross_entropy(fresh.project(features), words).item()
            assert abs(loss - math.log(1000)) < 1.0, (norm, tie)


def test_options_that_no_transformer_can_have():
    with pytest.raises(UsageError, match="--heads 5 does not divide --hidden-size 12"):
        TransformerModel(replace(CONFIG, heads=5), SIZES)
    with pytest.raises(UsageError, match="--joined-dictionary"):
        TransformerModel(replace(CONFIG, tie_embeddings="all"), SIZES)


def read(state, words):
    """The state after a step whose memories are the words, one a row."""
    cache = state.cache.extendable(state.columns)
    cache.extended(0, state.rows, words.view(-1, 1, 1, 1).expand(-1, 2, 1, 1))
    cache.used += state.rows.width
    after = replace(state, words=state.words + 1, cache=cache, columns=cache.used)
    return replace(after, reads=state.next_reads())


def words_read(state):
    """What each row reads, by the mask alone."""
    memory = state.cache.memories[0][0, :, 0, : state.columns, 0]
    memory = memory.index_select(0, state.rows.group)
    if state.reads is None:
        return memory.tolist()
    return [row[mask].tolist() for row, mask in zip(memory, state.reads, strict=True)]


@pytest.mark.parametrize("seed", range(8))
def test_a_cache_holds_what_lists_of_words_hold(seed):
    """Against plain lists: rows are repeated, reordered and dropped; old states are stepped too."""
    generator = torch.Generator().manual_seed(seed)
    state, lists, number = TransformerState(first_rows(5, "cpu"), 0, WordCache([])), [[]] * 5, 0
    known = []
    for _ in range(40):
        if len(known) > 3 and torch.rand((), generator=generator) < 0.2:
            place = int(torch.randint(len(known), (), generator=generator))
            state, lists = known[place]
        words = torch.arange(number, number + len(lists)).float()
        number += len(lists)
        state = read(state, words)
        lists = [[*row, word] for row, word in zip(lists, words.tolist(), strict=True)]
        # numbers ascend, so that sorting gives the order of reading
        assert [sorted(row) for row in words_read(state)] == lists
        known.append((state, lists))
        count = int(torch.randint(1, 60, (), generator=generator))
        rows = torch.randint(len(lists), (count,), generator=generator)
        if seed % 2:
            rows = rows.sort().values
        state, lists = state.select(rows), [lists[row] for row in rows.tolist()]
        assert state.rows.width <= GROUP_ROWS
    for old, expected in known:
        assert [sorted(row) for row in words_read(old)] == expected


def test_a_state_forgets_what_no_row_reads():
    """Of 1,000 rows some few go on for long: the cache stays in proportion to what they read."""
    state = TransformerState(first_rows(1000, "cpu"), 0, WordCache([]))
    state = read(state, torch.arange(1000.0))
    rows = torch.tensor([7, 7, 993])
    for step in range(1, 60):
        state = state.select(rows)
        assert state.cache.memories[0].shape[1] == 2
        assert [row[0] for row in map(sorted, words_read(state))] == [7.0, 7.0, 993.0]
        assert state.columns <= 4 * step + 2 * FEWEST_COLUMNS + 2
        state = read(state, torch.full((3,), 1000.0 + step))
        rows = torch.tensor([0, 0, 2] if step % 2 else [1, 1, 2])


@pytest.mark.parametrize("seed", range(6))
def test_groups_hold_every_row_with_its_own_sentence(seed):
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randint(0, 5, (seed * 40,), generator=generator)
    if seed % 2:
        rows = rows.sort().values
    first = read(TransformerState(first_rows(5, "cpu"), 0, WordCache([])), torch.arange(5.0))
    groups = first.select(rows).rows
    values = torch.arange(1.0, 1 + len(rows)).unsqueeze(1)
    assert torch.equal(groups.back(groups.spread(values)), values)
    assert groups.width <= GROUP_ROWS
    assert len(set(groups.place.tolist())) == len(rows)
    for group in range(groups.count):
        assert len(set(rows[groups.group == group].tolist())) <= 1
    if seed % 2:  # sorted: no sentence has more groups than it needs
        needed = sum(-(-int(n) // GROUP_ROWS) for n in rows.bincount())
        assert groups.count == needed


@torch.no_grad()
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_prepared_weights_give_the_same_to_rounding(norm, precision):
    torch.manual_seed(2)
    config = replace(CONFIG, norm=norm, hidden_size=48)
    plain = TransformerModel(config, ModelSizes(50, 40)).eval()
    prepared = TransformerModel(config, ModelSizes(50, 40)).eval()
    prepared.load_state_dict(plain.state_dict())
    prepared.prepare(precision)
    targets = random_sentences(6, 40, 1)
    batch = make_batch(random_sentences(6, 50, 2), targets, range(6))
    made = []
    for one in (plain, prepared):
        features = one.decode(batch.target_in, one.initial_state(one.encode(batch.source)))
        made.append(one.project(features)[batch.target_mask()].log_softmax(-1))
    largest = (made[0] - made[1]).abs().max()
    assert largest < (1e-4 if precision == "float32" else 0.2)
    assert made[0].std() > 0.3  # the words are told apart at all
    state = prepared.initial_state(prepared.encode(batch.source))
    step = prepared.step(batch.target_in[:, 0], state)
    first = prepared.project(step.features).log_softmax(-1)
    torch.testing.assert_close(
        first, made[1][batch.target_lengths.cumsum(0) - batch.target_lengths], rtol=0, atol=1e-4
    )


@pytest.mark.slow
def test_a_transformer_learns_to_copy():
    """Which needs attention to positions: some seconds of Adam bring 8 words in order."""
    torch.manual_seed(3)
    config = TransformerConfig(layers=1, hidden_size=32, dropout=0.0)
    learner = TransformerModel(config, ModelSizes(12, 12))
    optimizer = torch.optim.Adam(learner.parameters(), lr=3e-3)
    for _ in range(300):
        rows = torch.randint(4, 12, (32, 8)).tolist()
        batch = make_batch(rows, rows, range(32))
        state = learner.initial_state(learner.encode(batch.source))
        features = learner.decode(batch.target_in, state).flatten(0, 1)
        loss, _ = learner.target_loss(features, batch.target_out.flatten(), 0.0)
        optimizer.zero_grad()
        (loss / len(features)).backward()
        optimizer.step()
    assert loss.item() / len(features) < 0.05


def test_sizes_that_are_left_out_follow_the_corpus_and_suit_the_heads():
    widths = []
    for words in (10**5, 10**6, 10**7, 10**8):
        config = with_default_sizes(TransformerConfig(), words)
        assert config.hidden_size % config.heads == 0
        assert None not in (config.layers, config.dropout)
        widths.append(config.layers * config.hidden_size)
    assert widths == sorted(widths)
    kept = with_default_sizes(TransformerLMConfig(layers=7, hidden_size=20), 10**5)
    assert (kept.layers, kept.hidden_size) == (7, 20)


def test_search_in_bfloat16_returns_attention_in_float32():
    """Autocast on a CPU gives attention weights in bfloat16, a type that numpy lacks."""
    double = scorer("transformer", CONFIG)
    single = ModelScorer(double.model.float(), double.source, double.target, "bfloat16")
    for (best,) in BeamSearch(BeamConfig())(single, source_batch([[4, 5, 6], [7]])):
        assert best.attention.dtype == np.float32
        np.testing.assert_allclose(best.attention.sum(axis=1), 1, atol=0.02)


@torch.no_grad()
@pytest.mark.parametrize("name", ["transformer", "transformer-lm"])
def test_padding_changes_neither_features_nor_gradients(name):
    """`decode_targets` leaves it out; `decode` computes it."""
    tiny = ours("pre", name)
    batch = make_batch([[4, 5, 6], [], [7]], [[4], [5, 6, 7, 8], []], range(3))
    gradients = []
    for packed in (True, False):
        with torch.enable_grad():
            state = tiny.initial_state(tiny.encode(batch.source))
            if packed:
                features = tiny.decode_targets(batch, state)
            else:
                features = tiny.decode(batch.target_in, state)[batch.target_mask()]
            weights = [p for p in tiny.parameters() if p.requires_grad]
            found = torch.autograd.grad(features.square().sum(), weights, allow_unused=True)
        gradients.append((features, *(part for part in found if part is not None)))
    for own, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(own, theirs, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", ["transformer", "transformer-lm"])
@pytest.mark.parametrize("seed", range(3))
def test_a_tree_of_prefixes_gives_what_each_hypothesis_gives(name, seed):
    kind = TransformerLMConfig if name == "transformer-lm" else TransformerConfig
    one = scorer(name, kind(**vars(CONFIG)))
    words = range(4, len(one.target.vocabulary))
    rng = np.random.default_rng(seed)
    sources = [[4, 5], [], [6]]
    lists = [
        [rng.choice(words[:2], rng.integers(0, 7)).tolist() for _ in range(count)]
        for count in (70, 1, 0)
    ]
    scores = score_lists(one, source_batch(sources), lists, max_rows=[1000, 30, 1][seed])
    prefixes = {
        (i, *own[:n]) for i, group in enumerate(lists) for own in group for n in range(len(own) + 1)
    }
    if seed == 0:
        assert scores.rows_stepped == len(prefixes)
    for source, group, found in zip(sources, lists, scores.token_log_probs, strict=True):
        for own, values in zip(group, found, strict=True):
            batch = make_batch([source], [own], [0])
            expected = one.score(batch)[0].numpy()
            np.testing.assert_allclose(values, expected, rtol=0, atol=1e-5)
