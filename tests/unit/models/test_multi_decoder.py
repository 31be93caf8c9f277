"""Tests of one encoder with several decoders, over every architecture that has an encoder."""

from dataclasses import replace

import pytest
import torch
from builders import pairs_of, random_sentences, trainable, variants

from s2st.criteria.cross_entropy import CrossEntropy, CrossEntropyConfig
from s2st.data.batch import Batch
from s2st.errors import UsageError
from s2st.models.base import ModelSizes, Seq2SeqModel
from s2st.models.model_building import build_model, hollow_model
from s2st.models.multi_decoder import MultiDecoderModel, weights_for
from s2st.models.registry import ARCHITECTURES

SIZES = ModelSizes(10, 8, (("fr", 8), ("to", 9)))  # "to" is also the name of a method of modules


def with_encoder() -> list[str]:
    return [
        name
        for name in trainable()
        if getattr(ARCHITECTURES.get(name).config_type, "reads_source", True)
    ]


def config_of(name: str):
    config = variants(name)[-1]
    if getattr(config, "tie_embeddings", "none") == "all":
        config = replace(config, tie_embeddings="output")
    return config


@pytest.fixture(params=with_encoder())
def case(request):
    """(name of the architecture, its config, a model with two decoders)."""
    torch.manual_seed(1)
    config = config_of(request.param)
    base = ARCHITECTURES.get(request.param).base
    return base, config, build_model(base, config, SIZES).double()


def batch_of(words: int) -> Batch:
    """Pairs of equal lengths, which every architecture takes."""
    return pairs_of(random_sentences(5, 10, 0), words, 1, equal=True)


def features(model: Seq2SeqModel, batch) -> torch.Tensor:
    state = model.initial_state(model.encode(batch.source))
    return model.project(model.decode(batch.target_in, state))


@pytest.mark.parametrize(("language", "words"), [("fr", 8), ("to", 9)])
def test_each_language_is_an_ordinary_model_of_its_weights(case, language, words):
    name, config, model = case
    ordinary = build_model(name, config, ModelSizes(10, words)).double()
    ordinary.load_state_dict(weights_for(model.state_dict(), language))
    batch = batch_of(words)
    model.eval(), ordinary.eval()
    found = features(model.for_target(language), batch)
    assert torch.equal(found, features(ordinary, batch))
    assert found.shape[-1] == words


def test_the_encoder_has_its_weights_once(case):
    name, config, model = case
    parts = [build_model(name, config, ModelSizes(10, words)) for words in (8, 9)]
    encoder = sum(
        p.numel()
        for part in parts[0].encoder_parts
        for p in parts[0].get_submodule(part).parameters()
    )
    assert encoder > 0
    total = sum(p.numel() for part in parts for p in part.parameters()) - encoder
    assert sum(p.numel() for p in model.parameters()) == total
    tensors = model.state_dict()
    assert len({tensor.data_ptr() for tensor in tensors.values()}) == len(tensors)
    assert list(hollow_model(name, config, SIZES).state_dict()) == list(tensors)


def test_a_batch_trains_the_encoder_and_one_decoder(case):
    _, _, model = case
    batch = batch_of(8)
    loss = CrossEntropy(CrossEntropyConfig())(model.for_target("fr"), batch).loss_sum
    loss.backward()
    moved = {name.rpartition("decoders.")[2].split(".")[0] for name, p in model.named_parameters()
             if p.grad is not None and bool(p.grad.abs().sum() > 0)}  # fmt: skip
    assert "to_fr" in moved
    assert "to_to" not in moved
    assert any(name.startswith("shared") for name in moved)
    assert all(p.grad is None for n, p in model.named_parameters() if "to_to" in n)


def test_without_a_language_it_is_the_model_of_the_first(case):
    _, _, model = case
    batch = batch_of(8)
    model.eval()
    assert torch.equal(features(model, batch), features(model.for_target("fr"), batch))


def test_models_that_cannot_share_an_encoder():
    class Unknown(torch.nn.Module):
        encoder_parts = ()

    with pytest.raises(UsageError, match="no encoder that decoders can share"):
        MultiDecoderModel({"fr": Unknown()})
    tied = replace(config_of("transformer"), tie_embeddings="all")
    with pytest.raises(UsageError, match="tie-embeddings all: use output"):
        build_model("transformer", tied, SIZES)
    language_model = variants("lstm-lm")[0]
    with pytest.raises(UsageError, match="reads no source"):
        build_model("lstm-lm", language_model, SIZES)
