"""Scheduled sampling: the ratio by update, what is read, and what the loss is then."""

import math
from dataclasses import replace

import pytest
import torch
from builders import (
    TINY,
    equal_lengths,
    model,
    pairs_of,
    random_sentences,
    store,
    trainable,
    variants,
)
from trainers import trainer

from s2st.criteria.cross_entropy import model_loss
from s2st.criteria.registry import CRITERIA, ScheduledSamplingConfig
from s2st.criteria.scheduled_sampling import ScheduledSampling, teacher_forcing_ratio
from s2st.data.batch import make_batch
from s2st.errors import InterruptedBySignalError, UsageError
from s2st.jobs.train import TRAIN_SPEC, run_training
from s2st.models.configs import RecurrentConfig
from s2st.options.resolution import OptionSource, resolve
from s2st.text.vocabulary import BOS_ID, EOS_ID, PAD_ID
from s2st.training.observer import Observer

STILL = RecurrentConfig(**{**TINY, "dropout": 0.0})


def at(ratio, **options):
    """The criterion where the ratio has come to its end."""
    made = ScheduledSampling(
        ScheduledSamplingConfig(teacher_forcing=ratio, teacher_forcing_updates=1, **options)
    )
    made.begin_update(2)
    assert made.ratio == ratio
    return made


def sample(tiny=None, count=6):
    sources = random_sentences(count, 10, 12)
    return pairs_of(sources, 8, 11, equal_lengths(tiny))


def inputs_of(criterion, tiny, batch, seed=0):
    """What the trained pass reads."""
    seen = []
    decode = tiny.decode_targets
    tiny.decode_targets = lambda given, state: (seen.append(given.target_in), decode(given, state))[
        1
    ]
    torch.manual_seed(seed)
    output = criterion(tiny, batch)
    del tiny.decode_targets
    return seen, output


# the ratio


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("linear", [1, 0.9, 0.8, 0.7, 0.6, 0.6]),
        ("exponential", [1, 0.6**0.25, 0.6**0.5, 0.6**0.75, 0.6, 0.6]),
    ],
)
def test_the_ratio_falls_by_update(schedule, expected):
    config = ScheduledSamplingConfig(
        teacher_forcing=0.6, teacher_forcing_schedule=schedule, teacher_forcing_updates=4
    )
    made = ScheduledSampling(config)
    found = []
    for update in range(1, 7):
        made.begin_update(update)
        found.append(made.ratio)
    assert found == pytest.approx(expected, rel=1e-12)


def test_the_inverse_sigmoid_is_bengios_stretched():
    """k / (k + exp(i / k)) with k = exp(5), whose middle is update 5 k of 10 k."""
    k = math.exp(5)
    bengio = [k / (k + math.exp(share * 10 * k / k)) for share in (0, 0.2, 0.5, 0.7, 1)]
    for index, share in enumerate((0, 0.2, 0.5, 0.7, 1)):
        height = (bengio[index] - bengio[-1]) / (bengio[0] - bengio[-1])
        found = teacher_forcing_ratio("inverse-sigmoid", 0.4, share)
        assert found == pytest.approx(0.4 + 0.6 * height, rel=1e-12)
    assert teacher_forcing_ratio("inverse-sigmoid", 0.4, 0) == 1
    assert teacher_forcing_ratio("inverse-sigmoid", 0.4, 0.5) == pytest.approx(0.7)


def test_an_exponential_fall_to_nothing_is_refused():
    config = ScheduledSamplingConfig(teacher_forcing=0.0, teacher_forcing_schedule="exponential")
    with pytest.raises(UsageError, match="never reaches 0"):
        ScheduledSampling(config)


# what is read


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_a_ratio_of_one_is_cross_entropy_to_the_bit(name):
    tiny, batch = model(name, RecurrentConfig(**TINY)), sample()
    results = []
    for criterion in (at(1.0), CRITERIA.get("cross-entropy").build(None)):
        tiny.zero_grad()
        torch.manual_seed(4)
        criterion(tiny, batch).loss_sum.backward()
        results.append([p.grad.clone() for p in tiny.parameters()])
    assert all(torch.equal(mine, its) for mine, its in zip(*results, strict=True))


def sure_model(word):
    """A model that gives this word a chance near 1 wherever it is."""
    tiny = model("lstm", STILL)
    with torch.no_grad():
        tiny.decoder.layers[-1].weight_ih_l0.zero_()
        tiny.decoder.layers[-1].weight_hh_l0.zero_()
        tiny.decoder.layers[-1].bias_ih_l0.fill_(5.0)  # all gates open: features near 1
        tiny.softmax.weight.fill_(-10.0)
        tiny.softmax.weight[word] = 10.0
    return tiny


@pytest.mark.parametrize("words", ["argmax", "drawn"])
def test_at_ratio_zero_a_sure_model_reads_its_word_everywhere_but_at_bos(words):
    batch = make_batch([[4], [5], [6]], [[4, 5, 6], [], [7]], range(3))
    seen, _ = inputs_of(at(0.0, sampled_words=words), sure_model(5), batch)
    assert torch.equal(seen[0], batch.target_in)
    assert seen[1].tolist() == [
        [BOS_ID, 5, 5, 5],
        [BOS_ID, PAD_ID, PAD_ID, PAD_ID],
        [BOS_ID, 5, PAD_ID, PAD_ID],
    ]


@pytest.mark.parametrize("word", [PAD_ID, BOS_ID, EOS_ID])
def test_words_that_cannot_be_read_are_not(word):
    tiny = sure_model(word)
    with torch.no_grad():
        tiny.softmax.weight[6] = 1.0  # the next best
    seen, _ = inputs_of(at(0.0), tiny, make_batch([[4]], [[4, 5]], [0]))
    assert seen[1].tolist() == [[BOS_ID, 6, 6]]


def test_as_many_passes_as_positions_decode_step_by_step():
    """Without dropout and by argmax: Bengio et al.'s own form, by a loop over `step`."""
    tiny, batch = model("lstm", STILL), sample()
    longest = batch.target_in.shape[1]
    torch.manual_seed(9)
    own = torch.rand(batch.target_in.shape) >= 0.4
    seen, _ = inputs_of(at(0.4, sampling_passes=longest), tiny, batch, seed=9)
    expected = batch.target_in.clone()
    with torch.no_grad():
        state = tiny.initial_state(tiny.encode(batch.source))
        for position in range(longest):
            result = tiny.step(expected[:, position], state)
            state = result.state
            if position + 1 == longest:
                break
            logits = tiny.project(result.features)
            logits[:, [PAD_ID, BOS_ID, EOS_ID]] = -torch.inf
            chosen = own[:, position + 1] & batch.target_mask()[:, position + 1]
            expected[chosen, position + 1] = logits.argmax(dim=1)[chosen]
    assert torch.equal(seen[-1], expected)
    assert not torch.equal(seen[1], expected)  # one pass is another thing
    assert not torch.equal(batch.target_in, expected)


def test_about_that_share_is_replaced_one_by_one():
    batch = make_batch([[4]] * 300, [[4, 6, 7, 4, 6, 7]] * 300, range(300))
    seen, _ = inputs_of(at(0.7), sure_model(5), batch)
    replaced = (seen[1] != batch.target_in)[:, 1:].float()
    assert replaced.mean().item() == pytest.approx(0.3, abs=0.045)  # 4 standard deviations
    both = (replaced[:, 0] * replaced[:, 1]).mean().item()
    assert both == pytest.approx(0.09, abs=0.07)


def test_drawn_words_follow_the_models_chances():
    tiny = sure_model(5)
    with torch.no_grad():
        tiny.softmax.weight.fill_(-10.0)
        tiny.softmax.weight[5] = 1.0
        tiny.softmax.weight[7] = 0.9
    batch = make_batch([[4]] * 2000, [[4]] * 2000, range(2000))
    seen, _ = inputs_of(at(0.0, sampled_words="drawn"), tiny, batch)
    words = seen[1][:, 1]
    with torch.no_grad():
        state = tiny.initial_state(tiny.encode(batch.source))
        logits = tiny.project(tiny.step(batch.target_in[:, 0], state).features)[0]
    chance = torch.softmax(logits, dim=0)[5].item()
    assert 0.55 < chance < 0.65
    assert (words == 5).float().mean().item() == pytest.approx(chance, abs=0.045)
    assert set(words.tolist()) == {5, 7}


# the loss


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("name", trainable())
def test_loss_and_gradients_are_those_of_the_mixed_inputs(name, smoothing):
    """Of every architecture; the words to predict stay the reference's."""
    config = replace(variants(name)[0], dropout=0.0)
    tiny = model(name, config)
    batch = sample(tiny)
    seen, output = inputs_of(at(0.3, label_smoothing=smoothing), tiny, batch)
    assert len(seen) == 2
    assert not torch.equal(seen[0], seen[1])
    expected = model_loss(tiny, replace(batch, target_in=seen[1]), smoothing)
    torch.testing.assert_close(output.loss_sum, expected.loss_sum, rtol=1e-12, atol=0)
    torch.testing.assert_close(output.nll_sum, expected.nll_sum, rtol=1e-12, atol=0)
    assert output.token_count == expected.token_count
    wanted = list(tiny.parameters())
    torch.testing.assert_close(
        torch.autograd.grad(output.loss_sum, wanted, materialize_grads=True),
        torch.autograd.grad(expected.loss_sum, wanted, materialize_grads=True),
        rtol=0, atol=1e-10,
    )  # fmt: skip


def test_validation_reads_the_reference():
    tiny, batch = model("lstm", RecurrentConfig(**TINY)).eval(), sample()
    seen, output = inputs_of(at(0.0), tiny, batch)
    assert len(seen) == 1
    assert torch.equal(output.nll_sum, model_loss(tiny, batch, 0.0).nll_sum)


# training


OPTIONS = {
    "arch": "gru", "layers": 1, "hidden_size": 6, "embedding_size": 4, "dropout": 0.2,
    "batch_size": 5, "max_epoch": 2.0, "optimizer": "adam", "lr": 0.01, "device": "cpu",
    "recurrent_dropout": 0.3,
}  # fmt: skip
SCHEDULED = {
    "criterion": "scheduled-sampling", "teacher_forcing": 0.1, "teacher_forcing_updates": 6,
    "sampled_words": "drawn",
}  # fmt: skip


def train(data, folder, stop=lambda: 0, **options):
    resolved = resolve(
        TRAIN_SPEC, [OptionSource("test", OPTIONS | options | {"save_dir": str(folder)})]
    )
    return run_training(data, resolved, Observer(), stop)


def test_a_run_that_was_stopped_ends_as_a_straight_one(tmp_path):
    data = store(tmp_path / "data")
    calls = []

    def stop():
        calls.append(1)
        return 15 if len(calls) == 3 else 0

    straight = train(data, tmp_path / "straight", **SCHEDULED)
    with pytest.raises(InterruptedBySignalError):
        train(data, tmp_path / "stopped", stop, **SCHEDULED)
    assert train(data, tmp_path / "stopped", **SCHEDULED).update == straight.update == 10
    for name in ("weights.safetensors", "training/optimizer.safetensors"):
        left = (tmp_path / "straight" / "checkpoint_last" / name).read_bytes()
        assert left == (tmp_path / "stopped" / "checkpoint_last" / name).read_bytes()


def test_the_trainer_tells_every_updates_number(tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(ScheduledSampling, "begin_update", lambda _, update: told.append(update))
    run = trainer(tmp_path, criterion="scheduled-sampling", max_epoch=1.0)
    run.train()
    assert told == list(range(1, run.state.update + 1))


@pytest.mark.parametrize("criterion", ["label-smoothed-cross-entropy", "scheduled-sampling"])
def test_smoothing_over_sampled_words_is_refused_before_anything_is_written(tmp_path, criterion):
    data = store(tmp_path / "data")
    options = {"criterion": criterion, "label_smoothing": 0.1, "softmax": "sampled"}
    with pytest.raises(UsageError) as caught:
        train(data, tmp_path / "run", **options)
    assert "--label-smoothing 0.1" in str(caught.value)
    assert "--softmax sampled" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()
