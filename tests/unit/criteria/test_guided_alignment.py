"""Guided alignment: posteriors by hand, the loss word by word, and what attention learns."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from builders import (
    SOURCE_WORDS,
    TARGET_WORDS,
    TINY,
    describe,
    model,
    random_sentences,
    record,
    store,
    variants,
)
from trainers import translations

from s2st.criteria.cross_entropy import model_loss
from s2st.criteria.guided_alignment import (
    GuidedAlignment,
    TranslationTable,
    alignment_loss,
    posteriors,
)
from s2st.criteria.registry import GuidedAlignmentConfig
from s2st.data.batch import make_batch
from s2st.errors import DataError, InputMissingError, InterruptedBySignalError, UsageError
from s2st.jobs.train import TRAIN_SPEC, run_training
from s2st.lexicon.lexicon_files import Lexicon, read_lexicon
from s2st.models.base import ModelSizes
from s2st.models.configs import AttentionConfig, TransformerConfig
from s2st.models.model_building import build_model
from s2st.options.resolution import OptionSource, resolve
from s2st.text.vocabulary import SPECIALS
from s2st.training.observer import Observer

NAMES = ("lstm-attention", "gru-attention", "transformer")
ATTENDING = [
    pytest.param(name, config, id=describe(name, config))
    for name in NAMES
    for config in variants(name)
    if getattr(config, "attention", "") != "none"
]
IDS = {
    side: {word: i for i, word in enumerate(words.split(), start=len(SPECIALS))}
    for side, words in (("source", SOURCE_WORDS), ("target", TARGET_WORDS))
}


def still(config):
    """The config without dropout, so that two passes are equal."""
    return replace(config, dropout=0.0) if not hasattr(config, "attention_dropout") else replace(
        config, dropout=0.0, attention_dropout=0.0
    )  # fmt: skip


def lexicon_file(folder, seed=0):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "lexicon"
    path.write_text("".join(translations(seed)))
    return path


def built(path, name="lstm-attention", config=None, **options):
    made = GuidedAlignment(GuidedAlignmentConfig(alignment_lexicon=str(path), **options))
    made.read_files(record(name, config))
    return made


def sample():
    return make_batch(random_sentences(6, 10, 12), random_sentences(6, 8, 11), range(6))


def test_posteriors_and_loss_by_hand():
    # two source words, 5 and 6, then EOS; p(9 | 5) = 0.6, p(9 | 6) = 0.2, p(8 | 6) = 0.5
    sources, targets = np.array([5, 6, 6]), np.array([9, 8, 9])
    table = TranslationTable(Lexicon(sources, targets, np.array([0.6, 0.5, 0.2]), 3), 10)
    found = table.probabilities(torch.tensor([[5, 6, 2]]), torch.tensor([[9, 8, 7, 2]]))
    torch.testing.assert_close(
        found, torch.tensor([[[0.6, 0.2, 0], [0, 0.5, 0], [0, 0, 0], [0, 0, 0]]])
    )
    alignment = posteriors(found)
    torch.testing.assert_close(
        alignment, torch.tensor([[[0.75, 0.25, 0], [0, 1, 0], [0, 0, 0], [0, 0, 0]]])
    )
    weights = torch.tensor([[[0.5, 0.25, 0.25], [0.1, 0.8, 0.1], [1, 0, 0], [0, 0, 1.0]]])
    expected = -(0.75 * math.log(0.5) + 0.25 * math.log(0.25) + math.log(0.8))
    assert alignment_loss(weights, alignment).item() == pytest.approx(expected)


def test_logarithms_are_probabilities(tmp_path):
    sides = record("lstm-attention", None).source_vocabulary, record("lstm", None).target_vocabulary
    values = []
    for number in (0.25, math.log(0.25)):
        path = tmp_path / str(number)
        path.write_text(f"a\tv\t{number}\n")
        values.append(read_lexicon(str(path), *sides).probabilities()[0])
    assert values == pytest.approx([0.25, 0.25])


@torch.no_grad()
def steps_loss(made, batch, path):
    """The alignment loss word by word: attention of `step`, the lexicon as a dictionary."""
    table = {}
    for line in path.read_text().splitlines():
        source, target, value = line.split("\t")
        table[IDS["source"][source], IDS["target"][target]] = float(value)
    state = made.initial_state(made.encode(batch.source))
    loss = 0.0
    for t in range(batch.target_in.shape[1]):
        step = made.step(batch.target_in[:, t], state)
        state = step.state
        for b, weights in enumerate(step.attention.tolist()):
            word = batch.target_out[b, t].item()
            values = [table.get((s, word), 0.0) for s in batch.source.tokens[b].tolist()]
            for value, weight in zip(values, weights, strict=True):
                if value:
                    loss -= value / sum(values) * math.log(weight)
    return loss


@pytest.mark.parametrize(("name", "config"), ATTENDING)
def test_loss_and_gradient_are_those_of_step_by_step_attention(tmp_path, name, config):
    path, batch = lexicon_file(tmp_path), sample()
    made = model(name, still(config)).train()
    output = built(path, name, config, alignment_weight=0.3)(made, batch)
    plain = model_loss(made, batch, 0.0)
    expected = steps_loss(made, batch, path)
    assert expected > 3
    added = output.loss_sum - plain.loss_sum
    assert added.item() == pytest.approx(0.3 * expected, rel=1e-6)
    torch.testing.assert_close(output.nll_sum, plain.nll_sum)
    assert output.token_count == plain.token_count
    # the derivative in a random direction, by differences
    parameters = list(made.parameters())
    gradients = torch.autograd.grad(added, parameters, allow_unused=True)
    torch.manual_seed(1)
    direction = [torch.randn_like(p) for p in parameters]
    slope = sum((g * d).sum().item() for g, d in zip(gradients, direction, strict=True)
                if g is not None)  # fmt: skip
    values, size = [], 1e-5
    for factor in (size, -2 * size):
        with torch.no_grad():
            for parameter, along in zip(parameters, direction, strict=True):
                parameter += factor * along
        values.append(0.3 * steps_loss(made, batch, path))
    assert abs(slope) > 1e-3
    assert slope == pytest.approx((values[0] - values[1]) / (2 * size), rel=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_neighbours_and_padding_add_nothing(tmp_path, name):
    criterion = built(lexicon_file(tmp_path))
    made = model(name, still(variants(name)[0])).train()
    sources, targets = random_sentences(6, 10, 12), random_sentences(6, 8, 11)
    together = criterion(made, make_batch(sources, targets, range(6))).loss_sum
    apart = sum(
        criterion(made, make_batch([s], [t], [0])).loss_sum
        for s, t in zip(sources, targets, strict=True)
    )
    torch.testing.assert_close(together, apart, rtol=1e-6, atol=0)


def test_validation_is_plain_cross_entropy(tmp_path):
    made, batch = model("transformer", variants("transformer")[0]).eval(), sample()
    output = built(lexicon_file(tmp_path), label_smoothing=0.1)(made, batch)
    torch.testing.assert_close(output.loss_sum, model_loss(made, batch, 0.1).loss_sum)


# what is refused


def test_models_without_attention_are_refused():
    criterion = GuidedAlignment(GuidedAlignmentConfig())
    none = AttentionConfig(**TINY, attention="none", bidirectional=False)
    for name, config in (("lstm", variants("lstm")[0]), ("lstm-attention", none),
                         ("transformer-lm", variants("transformer-lm")[0])):  # fmt: skip
        with pytest.raises(UsageError, match="attention to the source"):
            criterion.check(model(name, config))
    criterion.check(model("gru-attention", variants("gru-attention")[0]))
    sizes = ModelSizes(9, 9, decoders=(("fr", 9), ("ko", 8)))
    several = build_model("gru-attention", variants("gru-attention")[0], sizes)
    with pytest.raises(UsageError, match="--decoders per-language"):
        criterion.check(several)


def test_lexicons_that_cannot_be_used(tmp_path):
    with pytest.raises(UsageError, match="--alignment-lexicon"):
        GuidedAlignment(GuidedAlignmentConfig()).read_files(record("lstm-attention", None))
    with pytest.raises(InputMissingError):
        built(tmp_path / "none")
    vectors = SimpleNamespace(source_tokenizer=SimpleNamespace(vector_size=3))
    criterion = GuidedAlignment(GuidedAlignmentConfig(alignment_lexicon="lexicon"))
    with pytest.raises(UsageError, match="sources of words, not vectors"):
        criterion.read_files(vectors)
    other = tmp_path / "other"
    other.write_text("x\ty\t0.5\n")
    with pytest.raises(DataError, match="none of its word pairs"):
        built(other)


# training


OPTIONS = {
    "arch": "gru-attention", "layers": 1, "hidden_size": 12, "embedding_size": 8, "dropout": 0.0,
    "batch_size": 5, "max_epoch": 2.0, "lr": 0.01, "device": "cpu", "criterion": "guided-alignment",
}  # fmt: skip


def train(data, folder, lexicon, stop=lambda: 0, **options):
    values = OPTIONS | {"alignment_lexicon": str(lexicon), "save_dir": str(folder)} | options
    return run_training(data, resolve(TRAIN_SPEC, [OptionSource("test", values)]), Observer(), stop)


def test_a_run_resumes_with_the_same_lexicon_only_wherever_it_is(tmp_path):
    data, lexicon = store(tmp_path / "data"), lexicon_file(tmp_path / "first")
    calls = []

    def stop():
        calls.append(1)
        return 15 if len(calls) == 3 else 0

    straight = train(data, tmp_path / "straight", lexicon)
    with pytest.raises(InterruptedBySignalError):
        train(data, tmp_path / "stopped", lexicon, stop)
    with pytest.raises(UsageError, match="--alignment-lexicon was sha256"):
        train(data, tmp_path / "stopped", lexicon_file(tmp_path / "other", seed=1))
    moved = lexicon.rename(tmp_path / "moved")
    assert train(data, tmp_path / "stopped", moved).update == straight.update == 10
    for name in ("weights.safetensors", "training/optimizer.safetensors"):
        left = (tmp_path / "straight" / "checkpoint_last" / name).read_bytes()
        assert left == (tmp_path / "stopped" / "checkpoint_last" / name).read_bytes()


@pytest.mark.parametrize(("name", "updates"), [("gru-attention", 60), ("transformer", 200)])
def test_attention_learns_the_alignment_of_the_lexicon(name, updates):
    """Words are copied in reverse, and targets do not say so: only the lexicon knows it."""
    config = {
        "gru-attention": AttentionConfig(**{**TINY, "dropout": 0.0, "hidden_size": 24}),
        "transformer": TransformerConfig(layers=2, hidden_size=24, heads=4, dropout=0.0),
    }[name]
    draw = np.random.default_rng(3)
    rows = [draw.permutation(np.arange(4, 8))[: draw.integers(2, 5)].tolist() for _ in range(64)]
    batch = make_batch(rows, [row[::-1] for row in rows], range(64))
    words = np.arange(4, 8)
    table = TranslationTable(Lexicon(words, words, np.ones(4), 4), 8)

    def share(weight):
        torch.manual_seed(1)
        made = model(name, config, dtype=torch.float32).train()
        criterion = GuidedAlignment(GuidedAlignmentConfig(alignment_weight=weight))
        criterion._table = table
        optimizer = torch.optim.Adam(made.parameters(), lr=0.01)
        for _ in range(updates):
            optimizer.zero_grad()
            (criterion(made, batch).loss_sum / 64).backward()
            optimizer.step()
        cross = made.eval().attention_weights(batch)["cross"][-1].mean(dim=1)
        right = total = 0
        for b, row in enumerate(rows):
            for t in range(len(row)):
                right += cross[b, t].argmax().item() == len(row) - 1 - t
                total += 1
        return right / total

    assert share(1.0) > 0.95
    assert share(0.0) < 0.8
