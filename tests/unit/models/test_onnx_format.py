"""ONNX graphs: their logits and greedy translations in onnxruntime against those of the models."""

import importlib.util
import sys
from pathlib import Path

import builders
import numpy as np
import pytest
import torch

from s2st.errors import UsageError
from s2st.models.onnx_format import graph
from s2st.models.onnx_format.write import write_onnx
from s2st.models.registry import ARCHITECTURES
from s2st.search.registry import SEARCHES

SCRIPT = Path(__file__).parents[3] / "examples" / "onnx" / "greedy.py"
STEPS = 5


@pytest.fixture(scope="module")
def example():
    """The module examples/onnx/greedy.py."""
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    spec = importlib.util.spec_from_file_location("onnx_greedy", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def written(folder, name, config, seed):
    """The files of a model, and the model as a scorer in float64."""
    write_onnx(folder, builders.record(name, config), builders.model(name, config, seed).eval())
    return builders.scorer(name, config, seed)


@torch.inference_mode()
def check_logits(example, folder, scorer, seed):
    """Compares the logits of some steps, between which rows are repeated and dropped."""
    given, model = example.Model(str(folder)), scorer.model
    source = builders.source_batch(builders.random_sentences(6, 10, seed, longest=9))
    lengths = source.lengths.numpy()
    theirs = example.run(given.encoder, {"tokens": source.tokens.numpy(), "lengths": lengths})
    own = model.initial_state(model.encode(source))
    rng = np.random.default_rng(seed)
    tokens = np.full(6, 1)
    for _ in range(STEPS):
        result = model.step(torch.from_numpy(tokens), own)
        wanted = model.project(result.features).numpy()
        found, theirs = given.step(tokens, theirs)
        np.testing.assert_allclose(found, wanted, atol=1e-4, rtol=0)
        rows = rng.integers(0, len(tokens), rng.integers(1, 8))
        own = result.state.select(torch.from_numpy(rows))
        theirs = {name: value[rows] for name, value in theirs.items()}
        tokens = rng.integers(2, 8, len(rows))


@pytest.mark.parametrize("name", builders.trainable())
def test_logits_are_those_of_the_model(example, tmp_path, name):
    for index, config in enumerate(builders.variants(name)):
        folder = tmp_path / str(index)
        folder.mkdir()
        check_logits(example, folder, written(folder, name, config, index), index)


@pytest.mark.parametrize("name", builders.trainable())
def test_greedy_translations_are_those_of_s2st(example, tmp_path, name):
    search = SEARCHES.get("greedy").build(SEARCHES.get("greedy").config_type())
    lines = ["a b", "c", "d e f a zzz", "", "b b <pad> e c a"]
    nonempty = 0
    for seed, config in enumerate(builders.variants(name)):
        folder = tmp_path / str(seed)
        folder.mkdir()
        scorer = written(folder, name, config, seed)
        read = [line.split() if builders.reads_source(scorer) else [] for line in lines]
        ids = [scorer.source.vocabulary.encode(words) for words in read]
        wanted = [
            scorer.target.vocabulary.decode(group[0].tokens)
            for group in search(scorer, builders.source_batch(ids))
        ]
        assert example.translate(example.Model(str(folder)), read) == wanted
        nonempty += any(wanted)
    assert nonempty


def test_a_long_source_repeats_the_largest_kernel(example, tmp_path):
    kind = ARCHITECTURES.get("rctm").config_type
    for largest in (2, 3, 5):
        folder = tmp_path / str(largest)
        folder.mkdir()
        scorer = written(folder, "rctm", kind(**builders.TINY, largest_kernel=largest), largest)
        rows = builders.random_sentences(9, 10, largest, longest=40)
        source = builders.source_batch(rows)
        inputs = {"tokens": source.tokens.numpy(), "lengths": source.lengths.numpy()}
        found = example.run(example.Model(str(folder)).encoder, inputs)["context"]
        with torch.inference_mode():
            (wanted,) = scorer.model.encode(source).final
        np.testing.assert_allclose(found, wanted.numpy(), atol=1e-5)


@pytest.mark.parametrize("softmax", ["adaptive", "sampled"])
@pytest.mark.parametrize("name", ["transformer", "gru-attention", "aligned-rnn", "lstm-lm"])
def test_every_softmax(example, tmp_path, name, softmax):
    entry = ARCHITECTURES.get(name)
    config = builders.replace(builders.variants(name)[0], softmax=softmax)
    assert entry.config_type is type(config)
    check_logits(example, tmp_path, written(tmp_path, name, config, 1), 1)


def test_every_activation_and_kind_of_positions(example, tmp_path):
    kind = ARCHITECTURES.get("transformer").config_type
    for activation in ("relu", "gelu", "gelu-tanh", "silu"):
        for positions in ("sinusoids", "half-sinusoids", "learned"):
            folder = tmp_path / f"{activation}-{positions}"
            folder.mkdir()
            config = kind(layers=1, hidden_size=6, heads=2, dropout=0.0, max_positions=20,
                          activation=activation, positions=positions)  # fmt: skip
            check_logits(example, folder, written(folder, "transformer", config, 2), 2)


def test_a_plugin_is_refused(tmp_path):
    config = builders.variants("lstm")[0]
    model = builders.model("lstm", config)
    model.__class__ = type("Mine", (type(model),), {})
    with pytest.raises(UsageError, match="no graph of the architecture mine, which a plugin adds"):
        write_onnx(tmp_path, builders.replace(builders.record("lstm", config), architecture="mine"),
                   model)  # fmt: skip
    assert not list(tmp_path.iterdir())


def test_a_graph_too_large_for_a_file_is_refused(tmp_path, monkeypatch):
    pytest.importorskip("onnx")
    monkeypatch.setattr(graph, "MAX_BYTES", 1000)
    config = builders.variants("lstm")[0]
    with pytest.raises(UsageError, match=r"encoder\.onnx would be larger than 2 GB"):
        write_onnx(tmp_path, builders.record("lstm", config), builders.model("lstm", config))
    assert not list(tmp_path.iterdir())


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    config = builders.variants("lstm")[0]
    with pytest.raises(UsageError, match=r'needs ONNX, .* run pip install "s2st\[onnx\]"'):
        write_onnx(tmp_path, builders.record("lstm", config), builders.model("lstm", config))
