"""Sources of vectors: one-hot vectors through the linear layer are an embedding lookup, exactly."""

import numpy as np
import pytest
import torch
from builders import describe, model, reads_source, trainable, variants
from fakes import text_side

from s2st.data.batch import make_batch, make_source
from s2st.errors import UsageError
from s2st.models.base import ModelSizes
from s2st.models.configs import TransformerConfig
from s2st.models.model_building import build_model
from s2st.models.registry import ARCHITECTURES
from s2st.models.vector_input import VectorInput
from s2st.scoring.base import TextSide
from s2st.scoring.ensemble_scorer import EnsembleScorer
from s2st.scoring.model_scorer import ModelScorer
from s2st.search.registry import SEARCHES
from s2st.text.tokenizers import vectors_side
from s2st.text.vector_lines import VectorIds
from s2st.text.vocabulary import EOS_ID, PAD_ID, Vocabulary

WORDS = 6
WORD_SIZES = ModelSizes(4 + WORDS, 8)
VECTOR_SIZES = ModelSizes(4, 8, source_vectors=WORDS)
SOURCES = [[4, 9, 5], [7], [6, 6, 8, 4, 5], [9, 4]]
TARGETS = [[4, 5, 6], [7], [5, 5, 4, 6, 7], [6, 4]]  # as long as the sources, for aligned-rnn
CASES = [
    pytest.param(name, config, id=describe(name, config))
    for name in trainable()
    for config in variants(name)
    if reads_source(model(name, config))
]


def one_hot(rows):
    """The sentences as sequences of one-hot vectors: word 4 + i is the i-th unit vector."""
    unit = np.eye(WORDS, dtype=np.float32)
    return [VectorIds(unit[np.array(row, dtype=np.int64) - 4].reshape(-1, WORDS)) for row in rows]


def equal_models(name, config, dtype=torch.float64):
    """A model that looks words up, and one of vectors that has the same table as linear layer."""
    words = model(name, config, 1, WORD_SIZES, dtype)
    with torch.no_grad():
        words.source_embedding.weight[PAD_ID] = 0
    vectors = model(name, config, 1, VECTOR_SIZES, dtype)
    table = words.source_embedding.weight.detach()
    state = {k: v for k, v in words.state_dict().items() if not k.startswith("source_embedding")}
    state["source_embedding.weight"] = table[:4]
    state["source_embedding.projection.weight"] = table[4:].T
    state["source_embedding.projection.bias"] = torch.zeros(table.shape[1], dtype=dtype)
    vectors.load_state_dict(state)
    return words.eval(), vectors.eval()


def loss_of(made, sources):
    batch = make_batch(sources, TARGETS, range(4))
    state = made.initial_state(made.encode(batch.source))
    features = made.decode_targets(batch, state)
    words = batch.target_out.flatten()[batch.target_positions()]
    return made.target_loss(features, words, 0.0)[0]


@pytest.mark.parametrize(("name", "config"), CASES)
def test_one_hot_vectors_give_the_loss_and_the_gradients_of_an_embedding(name, config):
    words, vectors = equal_models(name, config)
    losses = loss_of(words, SOURCES), loss_of(vectors, one_hot(SOURCES))
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-12, atol=1e-12)
    for loss in losses:
        loss.backward()
    expected, found = words.source_embedding.weight.grad, vectors.source_embedding
    torch.testing.assert_close(found.projection.weight.grad.T, expected[4:], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(found.weight.grad[EOS_ID], expected[EOS_ID], rtol=1e-9, atol=1e-9)
    # each position reads the bias once, so its gradient is the sum over the words
    torch.testing.assert_close(found.projection.bias.grad, expected[4:].sum(0))


def scorers_of(name, config):
    target = text_side("v w x y", "fr")
    empty = TextSide("image", vectors_side("image", WORDS).build(), Vocabulary([], []))
    words, vectors = equal_models(name, config)
    return ModelScorer(words, text_side("a b c d e f", "en"), target), ModelScorer(
        vectors, empty, target
    )


@pytest.mark.parametrize("name", ["lstm-reversed", "gru-attention", "transformer", "rctm"])
def test_prepared_models_and_ensembles_translate_alike(name):
    words, vectors = scorers_of(name, variants(name)[0])
    entry = SEARCHES.get("beam")
    search = entry.build(entry.config_type(beam=3, nbest=3))
    expected = search(words, make_source([*SOURCES, []], range(5)))
    for scorer in (vectors, EnsembleScorer([vectors, vectors])):
        found = search(scorer, make_source(one_hot([*SOURCES, []]), range(5)))
        for one, other in zip(expected, found, strict=True):
            assert [h.tokens for h in one] == [h.tokens for h in other]
            np.testing.assert_allclose(
                [h.log_prob for h in one], [h.log_prob for h in other], rtol=1e-9
            )


def test_a_batch_of_empty_sources_has_no_vectors():
    _, vectors = scorers_of("gru", variants("gru")[0])
    batch = make_source(one_hot([[], []]), range(2))
    assert batch.tokens.tolist() == [[EOS_ID], [EOS_ID]]
    assert vectors.sentence_vectors(batch)["hidden"].shape == (2, 6)


def test_vectors_of_variance_one_are_as_long_as_words_of_a_transformer():
    torch.manual_seed(0)
    config = TransformerConfig(layers=1, hidden_size=64, heads=2, dropout=0)
    made = build_model("transformer", config, ModelSizes(4, 8, source_vectors=300))
    table = made.source_embedding
    assert isinstance(table, VectorInput)
    projected = table.projection(torch.randn(500, 300))
    words = torch.nn.init.normal_(torch.empty(500, 64), std=64**-0.5)
    lengths = [rows.detach().norm(dim=1).mean().item() for rows in (projected, words)]
    assert lengths[0] == pytest.approx(lengths[1], rel=0.1)


def test_what_a_source_of_vectors_cannot_have():
    config = ARCHITECTURES.get("lstm").config_type
    sizes = {"layers": 2, "hidden_size": 6, "embedding_size": 6, "dropout": 0.0}
    with pytest.raises(UsageError, match="no table of word vectors to share"):
        build_model("lstm", config(**sizes, tie_embeddings="all"), VECTOR_SIZES)
    with pytest.raises(UsageError, match="--pipeline-stages cannot be used with a source of vec"):
        build_model("lstm", config(**sizes), VECTOR_SIZES).stage(0, 2)
    other = ARCHITECTURES.get("lstm-lm").config_type(**sizes)
    with pytest.raises(UsageError, match="the architecture lstm-lm cannot read vectors"):
        build_model("lstm-lm", other, VECTOR_SIZES)
