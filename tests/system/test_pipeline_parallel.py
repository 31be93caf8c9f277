"""The paper's split on four real processes, 2 stages x 2 columns, against one process."""

import os
import shutil
import subprocess
import sys

import pytest
import torch
from builders import TINY, corpus, model, random_sentences, store
from processes import SECONDS, run_ranks

from s2st.criteria.cross_entropy import CrossEntropy, LabelSmoothedCrossEntropy
from s2st.criteria.registry import CrossEntropyConfig, LabelSmoothingConfig
from s2st.data.batch_loader import load_batch
from s2st.data.batch_planner import BatchingConfig
from s2st.errors import UsageError
from s2st.jobs.train import TRAIN_SPEC, run_training
from s2st.models.model_files import read_saved
from s2st.models.registry import ARCHITECTURES
from s2st.models.softmax.rank_divided_loss import word_range
from s2st.models.weight_files import load_tensors, save_tensors
from s2st.options.resolution import OptionSource, resolve
from s2st.process.ranks import Ranks
from s2st.training.gradient_accumulation import Gradients, Loss, Share
from s2st.training.observer import Observer
from s2st.training.pipeline_parallel import StagedGradients
from s2st.training.pipeline_schedule import make_rank_grid, packed, split_batch
from s2st.training.sparse_embeddings import set_sparse_tables

STAGES, COLUMNS, MICRO_BATCHES = 2, 2, 3
CPU = torch.device("cpu")
DATA = corpus(random_sentences(40, 10, 1, 9), random_sentences(40, 8, 2, 7))
VALID = corpus(random_sentences(11, 10, 3), random_sentences(11, 8, 4))
STILL = {**TINY, "dropout": 0.0}  # draws differ: each process makes its own
# name: (cell, layers, batches of an update, smoothing, sparse tables, number format)
CASES = {
    "lstm": ("lstm", 2, [range(24)], 0.0, False, torch.float64),
    "uneven": ("lstm", 3, [range(23)], 0.0, False, torch.float64),
    "fewer sentences than processes": ("lstm", 2, [range(3)], 0.0, False, torch.float64),
    "two batches": ("lstm", 2, [range(17), range(17, 36)], 0.1, False, torch.float64),
    "sparse": ("gru", 2, [range(9), range(9, 20)], 0.1, True, torch.float64),
    "rnn float32": ("rnn", 2, [range(24)], 0.1, False, torch.float32),
    "lstm float32": ("lstm", 2, [range(24)], 0.0, False, torch.float32),
    "lstm bfloat16": ("lstm", 2, [range(24)], 0.0, False, torch.bfloat16),
    "gru bfloat16": ("gru", 2, [range(24)], 0.0, False, torch.bfloat16),
}
LIMITS = {torch.float64: 1e-13, torch.float32: 1e-6, torch.bfloat16: 0.03}
LIMIT = 0.01  # of the norm: all gradients are clipped


def loss_of(case):
    cell, layers, _, smoothing, sparse, dtype = CASES[case]
    config_type = ARCHITECTURES.get(cell).config_type
    config = config_type(**{**STILL, "layers": layers}, reverse_source=True)
    low = dtype == torch.bfloat16  # of products only
    made = model(cell, config, dtype=torch.float32 if low else dtype)
    set_sparse_tables(made, sparse)
    criterion = CrossEntropy(CrossEntropyConfig())
    if smoothing:
        criterion = LabelSmoothedCrossEntropy(LabelSmoothingConfig(smoothing))
    return Loss(made, criterion, CPU, precision_of(case))


def precision_of(case):
    return "bfloat16" if CASES[case][-1] == torch.bfloat16 else "float32"


def share_of(case):
    batches = [load_batch(DATA, list(rows)) for rows in CASES[case][2]]
    count, sentences = len(batches), sum(map(len, batches))
    return Share(
        0, 0, 0, range(count), batches, [7] * count, count, sentences, 0, 0, float(sentences)
    )


def results(gradients, case, names):
    """What an update leaves: gradients by the model's names, sums, norm, validation."""
    gradients.model.train()
    sums = gradients.accumulate(share_of(case), lambda: 0)
    norm = gradients.clip(LIMIT)
    kept = {
        name: parameter.grad.to_dense() if parameter.grad.is_sparse else parameter.grad
        for name, parameter in names().items()
    }
    validation = gradients.validate(VALID, BatchingConfig(batch_size=4), lambda: 0)
    return {**kept, "sums": sums, "norm": norm, "validation": torch.tensor(validation).double()}


def worker(rank, count, folder):
    grid = make_rank_grid(STAGES, COLUMNS, CPU, SECONDS)
    kept = {}
    for case in CASES:
        own = Ranks(rank, count, rank)
        made = StagedGradients(loss_of(case), CPU, precision_of(case), own, grid, MICRO_BATCHES)
        found = results(made, case, lambda made=made: made.local_parameters)
        kept |= {f"{case}|{name}": value for name, value in found.items()}
    save_tensors(folder / f"{rank}.safetensors", kept)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    run_ranks(__file__, STAGES * COLUMNS, folder)
    return [load_tensors(folder / f"{rank}.safetensors") for rank in range(STAGES * COLUMNS)]


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_gradients_sums_norm_and_validation_are_those_of_one_process(found, case):
    loss = loss_of(case)
    expected = results(Gradients(loss, CPU), case, lambda: dict(loss.model.named_parameters()))
    limit = LIMITS[CASES[case][-1]]
    assert expected["norm"] > 10 * LIMIT
    seen = dict.fromkeys(expected, 0)
    for rank, of_rank in enumerate(found):
        for key, value in of_rank.items():
            name = key.partition("|")[2]
            if key.partition("|")[0] != case:
                continue
            whole = expected[name]
            if name == "softmax.weight":
                first, end = word_range(len(whole), rank, len(found))
                whole = whole[first:end]
            seen[name] += 1
            assert torch.allclose(value, whole, rtol=10 * limit, atol=limit * LIMIT), (rank, key)
    layers = [name for name in seen if name.startswith(("encoder", "decoder"))]
    assert {seen[name] for name in layers} == {COLUMNS}
    assert seen["softmax.weight"] == len(found)


OPTIONS = {
    **STILL, "layers": 3, "batch_size": 8, "lr": 0.02, "clip_norm": 0.1, "max_epoch": 1000.0,
    "patience": 1000, "criterion": "label-smoothed-cross-entropy", "update_freq": 2,
    "best_checkpoint_metric": "chrf",
}  # fmt: skip
SPLIT = {"pipeline_stages": STAGES, "vocabulary_parts": COLUMNS, "micro_batches": MICRO_BATCHES}


def train_alone(data, folder, updates, **options):
    values = {**OPTIONS, "max_update": updates, "save_dir": str(folder), **options}
    run_training(data, resolve(TRAIN_SPEC, [OptionSource("test", values)]), Observer(), lambda: 0)


def train_split(data, folder, updates, processes=STAGES * COLUMNS, **options):
    """`s2st train` under torchrun."""
    values = {**OPTIONS, **SPLIT, "max_update": updates, "save_dir": str(folder), **options}
    words = []
    for name, value in values.items():
        words += [f"--{name.replace('_', '-')}", str(value)]
    command = ["torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    return subprocess.run(
        [sys.executable, "-m", *command, "-m", "s2st_cli", "train", data, *words, "--threads", "1"],
        env=os.environ | {"OMP_NUM_THREADS": "1"}, timeout=SECONDS, stderr=subprocess.PIPE,
        text=True, check=False,
    )  # fmt: skip


def checkpoint(folder):
    """Tensors and file names of the last checkpoint, and its training history."""
    saved = read_saved(folder / "checkpoint_last")
    weights = load_tensors(saved.folder / "weights.safetensors")
    state = load_tensors(saved.folder / "training" / "optimizer.safetensors")
    return weights, state, set(saved.manifest["files"]), saved.summary["history"]


def assert_same_run(folder, other):
    for found, expected in zip(checkpoint(folder)[:2], checkpoint(other)[:2], strict=True):
        assert found.keys() == expected.keys()
        for name, tensor in found.items():
            torch.testing.assert_close(tensor, expected[name], rtol=1e-4, atol=2e-6, msg=name)
    assert checkpoint(folder)[2] == checkpoint(other)[2]
    for row, its in zip(checkpoint(folder)[3], checkpoint(other)[3], strict=True):
        assert row.pop("metrics") == pytest.approx(its.pop("metrics"), rel=1e-5)
        assert row == pytest.approx(its, rel=1e-5)


@pytest.mark.slow
def test_a_run_goes_from_one_process_to_four_and_back(tmp_path):
    """Each checkpoint is the straight run's: weights, Adam's state, files and losses."""
    data = store(tmp_path / "data")
    straight, mixed = tmp_path / "straight", tmp_path / "mixed"
    train_alone(data, straight, 3)
    shutil.copytree(straight, mixed, symlinks=True)
    train_alone(data, straight, 6)
    done = train_split(data, mixed, 6)
    assert done.returncode == 0, done.stderr[-4000:]
    assert_same_run(mixed, straight)
    train_alone(data, mixed, 8)
    train_alone(data, straight, 8)
    assert_same_run(mixed, straight)


REFUSED = {
    "processes": ({}, 2, "--pipeline-stages 2 and --vocabulary-parts 2 need 4 processes"),
    "layers": ({"layers": 1}, 4, "--pipeline-stages 2: a stage needs a layer"),
    "context": ({"context": "every-step"}, 4, "--context every-step"),
    "words": ({"vocabulary_parts": 5}, 10, "8 target words cannot be divided"),
}


@pytest.mark.parametrize(("options", "processes", "text"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_divided_is_refused_in_one_line(
    tmp_path, monkeypatch, options, processes, text
):
    """By each process alone, before it waits for others."""
    data = store(tmp_path / "data")
    monkeypatch.setenv("WORLD_SIZE", str(processes))
    monkeypatch.setenv("RANK", "0")
    values = {**OPTIONS, **SPLIT, "max_update": 1, "save_dir": str(tmp_path / "run"), **options}
    resolved = resolve(TRAIN_SPEC, [OptionSource("test", values)])
    with pytest.raises(UsageError, match=text):
        run_training(data, resolved, Observer(), lambda: 0)
    assert not (tmp_path / "run").exists()


def test_every_sentence_is_dealt_once_and_columns_get_like_lengths():
    batch = load_batch(DATA, list(range(17)))
    dealt = split_batch(batch, 2, 3)
    assert [len(share) for share in dealt] == [9, 9]
    rows = [
        (share.source.tokens[row].tolist(), share.target_out[row].tolist())
        for share in dealt
        for row in range(9)
        if share.target_lengths[row]
    ]
    expected = list(zip(batch.source.tokens.tolist(), batch.target_out.tolist(), strict=True))
    assert sorted(rows) == sorted(expected)
    assert sum(share.target_tokens for share in dealt) == batch.target_tokens
    lengths = torch.stack([share.target_lengths.view(3, 3).amax(dim=1) for share in dealt])
    assert (lengths[0] <= lengths[1]).all()  # sorted: micro-batch after micro-batch in turn
    assert (lengths[1, :-1] <= lengths[0, 1:]).all()


@pytest.mark.parametrize("shape", [(1, 6, 4), (6, 1, 4), (5, 3, 1), (1, 1, 1), (2, 3, 4)])
def test_states_are_sent_with_the_strides_that_the_receiver_expects(shape):
    expected = torch.empty(shape, device="meta").stride()
    given = torch.arange(torch.Size(shape).numel(), dtype=torch.float32).view(shape)
    for axes in ((0, 1, 2), (1, 0, 2), (2, 1, 0), (1, 2, 0)):
        back = sorted(range(3), key=axes.__getitem__)
        turned = given.permute(axes).contiguous().permute(back)
        assert packed(turned).stride() == expected
        assert torch.equal(packed(turned), given)
