"""The output layer: adaptive and sampled softmax, shared weights."""

import math

import builders
import pytest
import torch
import torch.nn.functional as F
from builders import TINY, model, pairs_of, random_sentences

from s2st.errors import UsageError
from s2st.models.base import ModelSizes, parameters_by_part
from s2st.models.configs import ModelConfig, RecurrentConfig
from s2st.models.model_files import WEIGHTS, read_saved, write_manifest, write_model_files
from s2st.models.recurrent.encoder_decoder import build_lstm
from s2st.models.softmax.output_layer import Output, default_cutoffs
from s2st.models.weight_files import load_tensors

SIDES = ModelSizes(8, 8)
CPU = torch.device("cpu")


def output(width=16, words=40, seed=0, **options):
    torch.manual_seed(seed)
    made = Output(width, words, ModelConfig(**options)).double()
    for parameter in made.parameters():
        torch.nn.init.uniform_(parameter, -1, 1)
    return made


def rows(width=16, words=40, count=11):
    torch.manual_seed(count)
    features = torch.randn(count, width, dtype=torch.float64, requires_grad=True)
    return features, torch.randint(0, words, (count,))


def recurrent(**options):
    return model("lstm", RecurrentConfig(**{**TINY, "embedding_size": 6, **options}), sizes=SIDES)


# adaptive


def by_hand(layer, features, cutoffs):
    """Grave et al. 2017: the head's words and, times the chance of their part, each part's."""
    adaptive, words = layer.adaptive, layer.words
    head = torch.softmax(F.linear(features, adaptive.head.weight), dim=1)
    chances = [head[:, : cutoffs[0]]]
    for index, tail in enumerate(adaptive.tail):
        part = torch.softmax(features @ tail[0].weight.T @ tail[1].weight.T, dim=1)
        chances.append(part * head[:, cutoffs[0] + index].unsqueeze(1))
    probabilities = torch.cat(chances, dim=1)
    assert probabilities.shape[1] == words
    return probabilities


@pytest.mark.parametrize("cutoffs", [(5, 12), (7,), (1, 39)])
def test_adaptive_rows_are_normalised_log_probabilities_of_the_formula(cutoffs):
    layer = output(softmax="adaptive", adaptive_cutoffs=cutoffs)
    features, words = rows()
    found = layer.project(features.view(1, *features.shape))[0]
    torch.testing.assert_close(found.exp().sum(dim=1), torch.ones(11).double())
    expected = by_hand(layer, features, cutoffs)
    torch.testing.assert_close(found.exp(), expected, rtol=1e-10, atol=0)
    loss, nll = layer.loss(features, words, 0.0)
    chosen = -expected.gather(1, words.unsqueeze(1)).log().sum()
    torch.testing.assert_close(loss, chosen, rtol=1e-12, atol=0)
    smoothed, same = layer.loss(features, words, 0.1)
    uniform = -expected.log().mean(dim=1).sum()
    torch.testing.assert_close(smoothed, 0.9 * chosen + 0.1 * uniform, rtol=1e-12, atol=0)
    torch.testing.assert_close(same, nll, rtol=1e-12, atol=0)
    assert not nll.requires_grad
    wanted = [features, *layer.parameters()]
    torch.testing.assert_close(
        torch.autograd.grad(loss, wanted, materialize_grads=True),
        torch.autograd.grad(chosen, wanted, materialize_grads=True),
        rtol=0, atol=1e-10,
    )  # fmt: skip


def test_each_part_of_an_adaptive_softmax_is_a_quarter_as_wide():
    layer = output(width=64, words=1000, softmax="adaptive", adaptive_cutoffs=(50, 200))
    assert layer.adaptive.head.weight.shape == (52, 64)
    assert [tail[0].out_features for tail in layer.adaptive.tail] == [16, 4]
    assert [tail[1].out_features for tail in layer.adaptive.tail] == [150, 800]


@pytest.mark.parametrize(
    ("width", "words", "expected"),
    [(64, 1600, (100, 400)), (64, 8, (1, 2)), (6, 1600, (100,)), (64, 2, (1,)), (3, 50, ())],
)
def test_default_cutoffs_leave_no_part_without_words_or_width(width, words, expected):
    assert default_cutoffs(width, words) == expected


@pytest.mark.parametrize(
    ("width", "cutoffs", "shown"),
    [
        (16, (9, 5), "9 5: give increasing numbers below the vocabulary's 40 words"),
        (16, (5, 5), "increasing"),
        (16, (5, 40), "below the vocabulary's 40"),
        (15, (5, 9), "the first has only 15"),
    ],
)
def test_cutoffs_that_cannot_be_are_refused(width, cutoffs, shown):
    with pytest.raises(UsageError, match="--adaptive-cutoffs") as caught:
        output(width, softmax="adaptive", adaptive_cutoffs=cutoffs)
    assert shown in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_a_prepared_adaptive_softmax_is_the_plain_one(precision):
    plain, fast = (output(softmax="adaptive").float() for _ in range(2))
    fast.prepare(precision)
    features = rows()[0].detach().float()
    with torch.inference_mode():
        error = (fast.project(features) - plain.project(features)).abs().max()
    assert error < (1e-5 if precision == "float32" else 0.3)


# sampled


def test_samples_without_end_give_the_full_loss_and_gradients():
    """Each word's share of the sum is right in the mean, so the whole comes to the full one."""
    layer = output(words=12, softmax="sampled")
    layer.samples = 2_000_000
    features, words = rows(words=12)
    torch.manual_seed(3)
    loss, nll = layer.loss(features, words, 0.0)
    expected = F.cross_entropy(features @ layer.weight.T, words, reduction="sum")
    torch.testing.assert_close(loss, expected, rtol=2e-3, atol=0)
    assert torch.equal(loss, nll)
    assert not nll.requires_grad
    own = torch.autograd.grad(loss, [features, layer.weight])
    theirs = torch.autograd.grad(expected, [features, layer.weight])
    torch.testing.assert_close(own, theirs, rtol=0, atol=2e-2)


def test_the_sampled_loss_of_given_draws_by_hand(monkeypatch):
    """Draws of 0, 3, 3, 1 from 5 words: P(w) = log((w + 2) / (w + 1)) / log 6."""
    layer = output(width=2, words=5, softmax="sampled", softmax_samples=4)
    uniform = torch.tensor([0.05, 0.8, 0.85, 0.5]).double()  # 6^u - 1 = 0.09, 3.19, 3.59, 1.45
    monkeypatch.setattr(torch, "rand", lambda *_, **__: uniform)
    features, _ = rows(width=2, count=2)
    loss, _ = layer.loss(features, torch.tensor([3, 4]), 0.0)
    logits = (features @ layer.weight.T).detach().numpy()
    chance = [math.log((w + 2) / (w + 1)) / math.log(6) for w in range(5)]
    assert sum(chance) == pytest.approx(1)

    def share(row, word, times):
        return math.exp(logits[row, word]) * times / (4 * chance[word])

    first = math.exp(logits[0, 3])  # drawn twice, and in the sum once and for all
    second = math.exp(logits[1, 4])
    expected = math.log((first + share(0, 0, 1) + share(0, 1, 1)) / first)
    others = share(1, 0, 1) + share(1, 1, 1) + share(1, 3, 2)
    expected += math.log((second + others) / second)
    assert loss.item() == pytest.approx(expected, rel=1e-6)  # logarithms of shares are float32


def test_draws_are_log_uniform_and_follow_the_seed(monkeypatch):
    layer = output(words=6, softmax="sampled")
    layer.samples = 40_000
    features, words = rows(words=6)
    seen = []
    unique = torch.Tensor.unique

    def noted(self, **options):
        seen.append(unique(self, **options))
        return seen[-1]

    monkeypatch.setattr(torch.Tensor, "unique", noted)
    torch.manual_seed(1)
    first, _ = layer.loss(features, words, 0.0)
    torch.manual_seed(1)
    assert torch.equal(first, layer.loss(features, words, 0.0)[0])
    drawn, times = seen[0]
    assert drawn.tolist() == [0, 1, 2, 3, 4, 5]
    for word, count in enumerate(times.tolist()):
        chance = math.log((word + 2) / (word + 1)) / math.log(7)
        assert count / 40_000 == pytest.approx(chance, abs=0.01)  # about 4 standard deviations


def test_scores_and_validation_are_of_the_full_softmax():
    layer = output(softmax="sampled").eval()
    features, words = rows()
    logits = features @ layer.weight.T
    torch.testing.assert_close(layer.project(features), logits)
    loss, _ = layer.loss(features, words, 0.1)
    expected = F.cross_entropy(logits, words, reduction="sum", label_smoothing=0.1)
    torch.testing.assert_close(loss, expected, rtol=1e-12, atol=0)


def test_sampling_is_not_smoothed():
    with pytest.raises(UsageError, match="--softmax sampled"):
        output(softmax="sampled").loss(*rows(), 0.1)


# shared weights


@pytest.mark.parametrize("kind", ["full", "sampled"])
@pytest.mark.parametrize("tie", ["output", "all"])
def test_the_gradient_of_shared_weights_is_the_sum_of_their_uses(tie, kind):
    """Against a model of the same weights that shares none."""
    shared = recurrent(tie_embeddings=tie, softmax=kind, softmax_samples=9)
    apart = recurrent(softmax=kind, softmax_samples=9)
    weights = shared.state_dict()
    apart.load_state_dict({**weights, "softmax.weight": weights["target_embedding.weight"]})
    assert (tie == "all") == (shared.source_embedding is shared.target_embedding)
    assert "softmax" not in parameters_by_part(shared)
    batch = pairs_of(random_sentences(5, 8, 0), 8, 1, equal=False)
    losses = []
    for tiny in (shared, apart):
        torch.manual_seed(0)
        state = tiny.initial_state(tiny.encode(batch.source))
        features = tiny.decode(batch.target_in, state).flatten(0, 1)
        loss, _ = tiny.target_loss(features, batch.target_out.flatten(), 0.0)
        loss.backward()
        losses.append(loss.item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-12)
    uses = [apart.target_embedding.weight.grad, apart.softmax.weight.grad]
    if tie == "all":
        uses.append(apart.source_embedding.weight.grad)
    assert all(use.any() for use in uses)
    found = shared.target_embedding.weight.grad
    torch.testing.assert_close(found, sum(uses), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("tie", "tables"), [("none", 3), ("output", 2), ("all", 1)])
def test_shared_weights_are_counted_once(tie, tables):
    with torch.device("meta"):
        made = recurrent_parts(tie)
    weights = sum(count for part, (count, _) in made.items() if part not in ("encoder", "decoder"))
    assert weights == tables * 8 * 6


def recurrent_parts(tie):
    config = RecurrentConfig(**{**TINY, "embedding_size": 6}, tie_embeddings=tie)
    return parameters_by_part(build_lstm(config, SIDES))


@pytest.mark.parametrize("tie", ["output", "all"])
def test_shared_weights_are_shared_when_loaded(tie, tmp_path, monkeypatch):
    config = RecurrentConfig(**{**TINY, "embedding_size": 6}, tie_embeddings=tie)
    monkeypatch.setattr(builders, "SOURCE_WORDS", builders.TARGET_WORDS)
    record = builders.record("lstm", config)
    made = record.build()
    write_model_files(tmp_path, record, made.state_dict())
    write_manifest(tmp_path, record, {})
    written = load_tensors(tmp_path / WEIGHTS)
    assert "softmax.weight" not in written
    assert {"source_embedding.weight", "target_embedding.weight"} <= written.keys()
    loaded = read_saved(tmp_path).load(CPU)
    with torch.no_grad():
        loaded.target_embedding.weight[5] = 7.0
    one = torch.ones(6)
    assert loaded.project(one)[5].item() == pytest.approx(42)
    assert (loaded.source_embedding(torch.tensor(5)).sum().item() == 42.0) == (tie == "all")
    for name, tensor in made.state_dict().items():
        assert torch.equal(written[name], tensor)


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ({"tie_embeddings": "all"}, "--joined-dictionary"),
        ({"tie_embeddings": "output", "embedding_size": 5}, "the embeddings have 5"),
        ({"tie_embeddings": "output", "softmax": "adaptive"}, "--softmax adaptive cannot share"),
    ],
)
def test_weights_that_cannot_be_shared_are_refused(options, shown):
    config = RecurrentConfig(**{**TINY, "embedding_size": 6, **options})
    with pytest.raises(UsageError) as caught:
        build_lstm(config, ModelSizes(10, 8))
    assert shown in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ({"tie_embeddings": "output"}, "--tie-embeddings none"),
        ({"softmax": "sampled"}, "not --softmax sampled"),
        ({"softmax": "adaptive"}, "not --softmax adaptive"),
    ],
)
def test_a_softmax_that_is_not_its_own_full_matrix_is_not_divided(options, shown):
    with pytest.raises(UsageError, match="--vocabulary-parts") as caught:
        recurrent(**options).softmax_weight()
    assert shown in str(caught.value)


@pytest.mark.parametrize("option", ["bidirectional", "residual"])
def test_such_layers_are_not_divided(option):
    with pytest.raises(
        UsageError, match=f"--pipeline-stages cannot divide a model with --{option}"
    ):
        recurrent(layers=2, **{option: True}).stage(0, 2)
