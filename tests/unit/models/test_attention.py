"""Attention against numpy written out by hand: weights, gradients, and whole decoders."""

import numpy as np
import pytest
import torch
from builders import ATTENTIONS, TINY, model, random_sentences, source_batch

from s2st.data.batch import make_batch
from s2st.errors import UsageError
from s2st.models.attention.additive_scores import additive_scores
from s2st.models.attention.attention_weights import AttendedSource, SourceAttention
from s2st.models.registry import ARCHITECTURES
from s2st.text.vocabulary import BOS_ID

CONFIG = ARCHITECTURES.get("lstm-attention").config_type
EVERY = [
    pytest.param(cell, CONFIG(**{**TINY, **values}), id=f"{cell}-{index}")
    for cell in ("lstm", "gru")
    for index, values in enumerate(ATTENTIONS)
]


def softmax(scores):
    exponents = np.exp(scores - scores.max())
    return exponents / exponents.sum()


def parameters(module):
    return {name: p.detach().numpy() for name, p in module.named_parameters()}


def attended(query, states, weights, config):
    """(context, mean weights) of one query (H,) over real states (S, H), head by head."""
    names = "attention.of_state.weight", "attention.of_query.weight", "attention.vector"
    of_state, of_query, vector = (weights.get(name) for name in names)
    keys = states if config.attention == "dot" else states @ of_state.T
    compared = query if config.attention != "additive" else query @ of_query.T
    if config.attention_bias:
        compared = compared + weights["attention.of_query.bias"]
    own = states.shape[1] // config.attention_heads
    width = len(query) // config.attention_heads
    contexts, shares = [], []
    for head in range(config.attention_heads):
        part = slice(head * width, (head + 1) * width)
        if config.attention == "additive":
            scores = [vector[part] @ np.tanh(compared[part] + key[part]) for key in keys]
        else:
            scores = [compared[part] @ key[part] for key in keys]
        share = softmax(np.array(scores))
        contexts.append(share @ states[:, head * own : (head + 1) * own])
        shares.append(share)
    return np.concatenate(contexts), np.mean(shares, axis=0)


def test_weights_worked_out_by_hand():
    """dot: scores ln 2 and ln 6, so weights 1/4 and 3/4; the third position is padding."""
    attention = SourceAttention("dot", 2, 1)
    states = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [9.0, 9.0]]])
    source = attention.source(states, torch.tensor([[True, True, False]]))
    query = torch.tensor([[[2.0, 6.0]]]).log()
    contexts, weights = attention(query, source)
    torch.testing.assert_close(weights, torch.tensor([[[[0.25, 0.75, 0.0]]]]))
    torch.testing.assert_close(contexts, torch.tensor([[[0.25, 0.75]]]))


def test_additive_weights_worked_out_by_hand():
    """U = W = 1, v = ln 3: scores ln 3 tanh(s + h) of about ln 3 and, at s = -h, of 0."""
    attention = SourceAttention("additive", 1, 1)
    with torch.no_grad():
        for name, value in (("of_state.weight", 1.0), ("of_query.weight", 1.0), ("vector", 3.0)):
            attention.get_parameter(name).fill_(value if value == 1.0 else np.log(value))
    states = torch.tensor([[[40.0], [-20.0]]])
    source = attention.source(states, torch.tensor([[True, True]]))
    contexts, weights = attention(torch.tensor([[[20.0]]]), source)
    torch.testing.assert_close(weights, torch.tensor([[[[0.75, 0.25]]]]))
    torch.testing.assert_close(contexts, torch.tensor([[[25.0]]]))


@pytest.mark.parametrize("cells", [1, 40, 1 << 18])
def test_additive_scores_and_gradients_by_blocks(cells, monkeypatch):
    monkeypatch.setattr("s2st.models.attention.additive_scores.CPU_CELLS", cells)
    generator = torch.Generator().manual_seed(0)
    made = [torch.randn(*shape, generator=generator, dtype=torch.float64, requires_grad=True)
            for shape in ((3, 5, 4), (3, 2, 4), (4, 2))]  # fmt: skip
    queries, keys, weights = made
    expected = torch.tanh(queries[:, :, None] + keys[:, None]) @ weights
    errors = torch.randn(expected.shape, generator=generator, dtype=torch.float64)
    theirs = torch.autograd.grad(expected, made, errors)
    scores = additive_scores(*made)
    torch.testing.assert_close(scores, expected)
    for mine, its in zip(torch.autograd.grad(scores, made, errors), theirs, strict=True):
        torch.testing.assert_close(mine, its)


def test_the_float32_tanh_is_tanh():
    values = torch.linspace(-30, 30, 601).view(1, -1, 1)
    scores = additive_scores(values, torch.zeros(1, 1, 1), torch.ones(1, 1))
    torch.testing.assert_close(scores.flatten(), values.flatten().tanh(), rtol=0, atol=2e-7)


def lstm(weights, prefix, inputs, hidden, cell):
    gates = sum(
        x @ weights[f"{prefix}.weight_{kind}_l0"].T + weights[f"{prefix}.bias_{kind}_l0"]
        for kind, x in (("ih", inputs), ("hh", hidden))
    )
    i, f, g, o = np.split(gates, 4)
    cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(cell), cell


def gru(weights, prefix, inputs, hidden, cell):
    parts = [
        np.split(x @ weights[f"{prefix}.weight_{kind}_l0"].T + weights[f"{prefix}.bias_{kind}_l0"],
                 3)
        for kind, x in (("ih", inputs), ("hh", hidden))
    ]  # fmt: skip
    (r, z, n), (own_r, own_z, own_n) = parts
    reset, update = sigmoid(r + own_r), sigmoid(z + own_z)
    return (1 - update) * np.tanh(n + reset * own_n) + update * hidden, cell


def sigmoid(values):
    return 1 / (1 + np.exp(-values))


def read(step, weights, prefix, inputs, width):
    """States of one direction of one layer over a sentence, and its last hidden and cell state."""
    state, states = (np.zeros(width), np.zeros(width)), []
    for vector in inputs:
        state = step(weights, prefix, vector, *state)
        states.append(state[0])
    return np.array(states), state


def slow_decode(cell, config, weights, source, target):
    """Features and attention of one pair, word by word, in numpy."""
    step = {"lstm": lstm, "gru": gru}[cell]
    if not config.source_eos:
        source = source[:-1]
    states, memory = weights["source_embedding.weight"][source], []
    wide = config.encoder_hidden_size or 6
    half = wide // 2
    for layer in range(config.layers):
        if config.bidirectional:
            ahead, first = read(step, weights, f"encoder.forwards.{layer}.layers.0", states, half)
            back, second = read(step, weights, f"encoder.backwards.{layer}.layers.0",
                                states[::-1], half)  # fmt: skip
            states = np.concatenate([ahead, back[::-1]], axis=1)
            memory.append(tuple(map(np.concatenate, zip(first, second, strict=True))))
        else:
            states, last = read(step, weights, f"encoder.layers.{layer}", states, wide)
            memory.append(last)
    memory = bridged(config, weights, memory)
    fed, features, shares = np.zeros(6), [], []
    first = (config.attention, config.input_feeding) == ("additive", True)
    if config.attention_query != "auto":
        first = config.attention_query == "previous-state"
    for word in target:
        inputs = weights["target_embedding.weight"][word]
        if first:
            context, share = attended(memory[-1][0], states, weights, config)
            inputs = np.concatenate([inputs, context])
        elif config.input_feeding:
            inputs = np.concatenate([inputs, fed])
        for layer in range(config.layers):
            memory[layer] = step(weights, f"decoder.layers.{layer}", inputs, *memory[layer])
            inputs = memory[layer][0]
        if config.attention == "none":
            fed = inputs
            features.append(fed)
            continue
        if not first:
            context, share = attended(inputs, states, weights, config)
        fed = weights["combine.weight"] @ np.concatenate([context, inputs])
        if config.attention_bias:
            fed = fed + weights["combine.bias"]
        if config.attention_output == "tanh":
            fed = np.tanh(fed)
        features.append(fed)
        shares.append(share)
    return np.array(features), np.array(shares)


def bridged(config, weights, memory):
    """The first (hidden, cell) of each decoder layer."""
    if config.bridge == "none":
        return memory
    kinds = []
    for kind in range(2):
        weight, bias = (weights.get(f"bridge.parts.{kind}.{name}") for name in ("weight", "bias"))
        states = [state[kind] for state in memory]
        if weight is None:  # a GRU has no cell state
            kinds.append([np.zeros(6)] * len(memory))
        elif config.bridge == "linear":
            kinds.append([weight @ state + bias for state in states])
        else:
            joined = np.maximum(0, weight @ np.concatenate(states) + bias)
            kinds.append(np.split(joined, len(memory)))
    return list(zip(*kinds, strict=True))


@pytest.mark.parametrize(("cell", "config"), EVERY)
@torch.no_grad()
def test_a_decoder_equals_numpy_written_out(cell, config):
    tiny = model(f"{cell}-attention", config).eval()
    weights = parameters(tiny)
    sources, targets = [[4, 5, 6, 7], [8], [5, 9, 9]], [[4, 5], [6, 7, 4], [5]]
    batch = make_batch(sources, targets, range(3))
    state = tiny.initial_state(tiny.encode(batch.source))
    fast = tiny.decode(batch.target_in, state)
    for row, (source, target) in enumerate(zip(sources, targets, strict=True)):
        features, shares = slow_decode(cell, config, weights, [*source, 2], [BOS_ID, *target])
        np.testing.assert_allclose(fast[row, : len(features)], features, rtol=0, atol=1e-10)
        own, length = state.select(torch.tensor([row])), len(source) + config.source_eos
        for position, word in enumerate([BOS_ID, *target]):
            result = tiny.step(torch.tensor([word]), own)
            np.testing.assert_allclose(result.features[0], features[position], atol=1e-10)
            own = result.state
            if config.attention == "none":
                assert result.attention is None
                continue
            found = result.attention[0].numpy()
            np.testing.assert_allclose(found[:length], shares[position], rtol=0, atol=1e-10)
            assert not found[length:].any()


@pytest.mark.parametrize(
    ("cell", "config"), [case for case in EVERY if case.values[1].attention != "none"]
)
@torch.no_grad()
def test_attention_of_rows_in_any_order_is_that_of_each_alone(cell, config):
    """Rows of one sentence far from each other, many of one and few of others, some of none."""
    tiny = model(f"{cell}-attention", config).eval()
    source = source_batch(random_sentences(6, 9, 1))
    begin = tiny.initial_state(tiny.encode(source))
    state = tiny.step(torch.full((6,), BOS_ID), begin).state
    rows = torch.tensor([4, 0, 4, 4, 1, 4, 4, 0, 4, 4, 5, 4, 4, 4, 4])
    words = torch.arange(len(rows)) % 4 + 4
    together = tiny.step(words, state.select(rows))
    for index, row in enumerate(rows.tolist()):
        alone = tiny.step(words[index : index + 1], state.select(torch.tensor([row])))
        for mine, its in (
            (together.features, alone.features), (together.attention, alone.attention),
        ):  # fmt: skip
            torch.testing.assert_close(mine[index : index + 1], its, rtol=0, atol=1e-10)
    lengths = source.lengths if config.source_eos else (source.lengths - 1).clamp(min=1)
    real = torch.arange(source.tokens.shape[1]) < lengths.unsqueeze(1)
    assert not together.attention[~real[rows]].any()
    torch.testing.assert_close(together.attention.sum(dim=1), torch.ones(15, dtype=torch.float64))


@torch.no_grad()
def test_sources_of_ended_sentences_are_forgotten():
    tiny = model("gru-attention", CONFIG(**TINY)).eval()
    state = tiny.initial_state(tiny.encode(source_batch(random_sentences(9, 9, 2))))
    wide = state.select(torch.tensor([1] * 40 + [7] * 50))
    assert len(wide.source) == 2
    assert len(wide.select(torch.arange(60)).source) == 2
    assert state.select(torch.arange(9)).source is state.source


@torch.no_grad()
def test_a_source_without_words_keeps_its_eos():
    config = CONFIG(**TINY, source_eos=False)
    tiny = model("lstm-attention", config).eval()
    (short,), (long,) = (tiny.encode(source_batch([row])).final for row in ([], [2]))
    torch.testing.assert_close(short, long)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"attention_query": "previous-state"}, "needs --input-feeding"),
        ({"attention": "none", "attention_bias": True}, "--attention-bias has no effect"),
        ({"attention": "none", "attention_heads": 2}, "--attention-heads has no effect"),
        ({"encoder_hidden_size": 8}, "--encoder-hidden-size 8 .* add --bridge linear or relu"),
        ({"encoder_hidden_size": 8, "attention": "dot", "bridge": "relu"}, "use --attention gen"),
        ({"encoder_hidden_size": 8, "attention_heads": 3}, "not divide --encoder-hidden-size 8"),
    ],
)
def test_options_that_contradict_each_other_are_refused(values, message):
    with pytest.raises(UsageError, match=message):
        model("lstm-attention", CONFIG(**{**TINY, **values}))


def test_parts_that_do_not_fit_are_refused():
    with pytest.raises(UsageError, match="--attention-heads 4"):
        SourceAttention("dot", 6, 4)
    with pytest.raises(UsageError, match="--hidden-size 7"):
        model("lstm-attention", CONFIG(**{**TINY, "hidden_size": 7}))


@pytest.mark.parametrize(("cell", "config"), EVERY)
@torch.no_grad()
def test_packed_and_int8_weights_are_near_the_plain_ones(cell, config):
    sources = source_batch([[4, 5, 6, 7], [8, 9]])
    tokens = torch.tensor([[BOS_ID, 4, 5], [BOS_ID, 6, 7]])
    found = {}
    for precision in ("plain", "float32", "int8"):
        tiny = model(f"{cell}-attention", config, dtype=torch.float32).eval()
        if precision != "plain":
            tiny.prepare(precision)
        with torch.inference_mode():
            features = tiny.decode(tokens, tiny.initial_state(tiny.encode(sources)))
            found[precision] = tiny.project(features)
    torch.testing.assert_close(found["float32"], found["plain"], rtol=0, atol=1e-5)
    torch.testing.assert_close(found["int8"], found["plain"], rtol=0, atol=0.2)
    assert (found["int8"] - found["plain"]).abs().max() > 1e-5


def test_a_source_that_is_its_own_keys_stays_so():
    states = torch.randn(3, 2, 4)
    source = AttendedSource(states, states, torch.ones(3, 2, dtype=torch.bool))
    chosen = source.select(torch.tensor([2, 0]))
    assert chosen.keys is chosen.values
    assert torch.equal(chosen.values, states[[2, 0]])
