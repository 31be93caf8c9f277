"""Tests of recorded attention weights, against torch's own multi-head attention and by step."""

import threading

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from builders import describe, model, variants

from s2st.data.batch import make_batch
from s2st.models.attention_record import is_recording, recorded

BATCH = make_batch([[4, 5, 6, 7], [6, 4]], [[4, 5], [6, 7, 5]], [0, 1])


def torch_weights(attention, query, memory, mask, causal):
    """Weights (B, A, Q, K) of torch's attention with the weights of one of ours."""
    weight = torch.cat([attention.query.weight, attention.memory.weight])
    bias = torch.cat([attention.query.bias, attention.memory.bias])
    later = None
    if causal:
        later = torch.ones(query.shape[1], query.shape[1], dtype=torch.bool).triu(1)
    query, memory = query.transpose(0, 1), memory.transpose(0, 1)
    _, weights = F.multi_head_attention_forward(
        query, memory, memory, query.shape[2], attention.heads, weight, bias, None, None, False,
        0.0, attention.output.weight, attention.output.bias, training=False,
        key_padding_mask=~mask, attn_mask=later, average_attn_weights=False,
    )  # fmt: skip
    return weights


def padded(rows, mask):
    """(B, T, H) of packed rows (P, H), or of rows that have their padding."""
    if len(rows) == mask.numel():
        return rows.view(*mask.shape, -1)
    result = rows.new_zeros(*mask.shape, rows.shape[1])
    result[mask] = rows
    return result


@pytest.mark.parametrize("config", variants("transformer"), ids=lambda c: describe("", c))
def test_weights_of_every_layer_and_head_are_torchs(config):
    made = model("transformer", config, 1).eval()
    inputs = {}

    def keep(name, layer, cross):
        def before(module, arguments):
            hidden = arguments[0]
            inputs[name] = module.self_norm(hidden) if module.pre_norm else hidden

        layer.register_forward_pre_hook(before)
        if cross:
            layer.cross_attention.query.register_forward_pre_hook(
                lambda module, arguments: inputs.__setitem__((name, "cross"), arguments[0])
            )

    for part, stack in (("encoder", made.encoder), ("decoder", made.decoder)):
        for number, layer in enumerate(stack.layers):
            keep((part, number), layer, part == "decoder")
    found = made.attention_weights(BATCH)
    assert list(found) == ["encoder", "decoder", "cross"]
    lengths = BATCH.source.lengths - int(not config.source_eos)
    sources = torch.arange(5) < lengths.unsqueeze(1)
    targets = torch.ones(2, 4, dtype=torch.bool)  # its padding is computed and means nothing
    states = made.encode(BATCH.source).states
    for number, layer in enumerate(made.encoder.layers):
        read = padded(inputs["encoder", number], sources)
        expected = torch_weights(layer.self_attention, read, read, sources, False)
        for sentence, length in enumerate(lengths):
            torch.testing.assert_close(
                found["encoder"][number][sentence, :, :length], expected[sentence, :, :length]
            )
    for number, layer in enumerate(made.decoder.layers):
        read = padded(inputs["decoder", number], targets)
        expected = torch_weights(layer.self_attention, read, read, targets, True)
        torch.testing.assert_close(found["decoder"][number], expected)
        read = padded(inputs[("decoder", number), "cross"], targets)
        expected = torch_weights(layer.cross_attention, read, states, sources, False)
        torch.testing.assert_close(found["cross"][number], expected)


@torch.inference_mode()
def by_step(made):
    """The mean weights over the heads of the step's attention, (B, T, S)."""
    state = made.initial_state(made.encode(BATCH.source))
    rows = []
    for column in BATCH.target_in.T:
        step = made.step(column, state)
        rows.append(step.attention)
        state = step.state
    return torch.stack(rows, dim=1)


CASES = [
    (name, config)
    for name in ("transformer", "lstm-attention", "gru-attention")
    for config in variants(name)
]


@pytest.mark.parametrize(("name", "config"), CASES, ids=[describe(*case) for case in CASES])
def test_the_mean_of_the_highest_layer_is_the_attention_of_a_step(name, config):
    made = model(name, config, 2).eval()
    found = made.attention_weights(BATCH)
    if getattr(config, "attention", "") == "none":
        assert found == {}
        return
    cross = found["cross"][-1]
    assert cross.shape[1] == getattr(config, "attention_heads", getattr(config, "heads", None))
    torch.testing.assert_close(cross.mean(dim=1), by_step(made))


def test_a_language_model_reads_only_words_before():
    made = model("transformer-lm", variants("transformer-lm")[1], 3).eval()
    found = made.attention_weights(BATCH)
    assert list(found) == ["decoder"]
    assert len(found["decoder"]) == 2
    for weights in found["decoder"]:
        assert weights.shape == (2, 3, 4, 4)
        np.testing.assert_allclose(weights.sum(dim=-1), 1, atol=1e-12)
        assert not weights.triu(1).any()


def test_models_without_layers_of_attention_have_no_parts():
    made = model("lstm", variants("lstm")[0]).eval()
    assert made.attention_weights(BATCH) == {}


def test_other_threads_and_later_calls_record_nothing():
    made = model("transformer", variants("transformer")[0]).eval()
    seen = []
    with recorded() as record:
        thread = threading.Thread(target=lambda: seen.append(is_recording(torch.nn.Identity())))
        thread.start()
        thread.join()
        made.encode(BATCH.source)
    assert seen == [False]
    assert len(record) == 1
    assert not is_recording(next(iter(record)))
    made.encode(BATCH.source)
    assert [len(noted) for noted in record.values()] == [1]
