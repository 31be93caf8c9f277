"""Sparse gradients of embedding tables against the dense run, and lazy Adam against torch's."""

import math

import pytest
import torch
from builders import TINY, model, store
from trainers import trainer

from s2st.jobs.train import TRAIN_SPEC, run_training
from s2st.models.base import ModelSizes
from s2st.models.configs import RecurrentConfig
from s2st.models.model_files import WEIGHTS
from s2st.models.weight_files import load_tensors
from s2st.options.resolution import OptionSource, resolve
from s2st.training.observer import Observer
from s2st.training.optimizers import OPTIMIZERS, SGDConfig
from s2st.training.sparse_embeddings import (
    LazyAdam,
    clip_gradients,
    set_sparse_tables,
    sparse_parameters,
)


def weights(run):
    return {name: p.detach().clone() for name, p in run.parts.model.named_parameters()}


@pytest.mark.parametrize("clip_norm", [0.0, 0.5])
@pytest.mark.parametrize("update_freq", [1, 2])
def test_sgd_by_rows_is_the_dense_run(tmp_path, clip_norm, update_freq):
    """Over 9 or more updates, with words that repeat in a batch, padding and dropout."""
    options = {"dtype": torch.float64, "max_epoch": 3.0, "lr": 0.5, "clip_norm": clip_norm}
    options["update_freq"] = update_freq
    sparse = trainer(tmp_path / "sparse", **options)
    dense = trainer(tmp_path / "dense", **options)
    assert sparse.parts.model.source_embedding.sparse
    set_sparse_tables(dense.parts.model, False)
    start = weights(dense)
    assert sparse.train().update == dense.train().update >= 9
    norms = [[u.gradient_norm for u in run.observer.updates] for run in (sparse, dense)]
    assert norms[0] == pytest.approx(norms[1], rel=1e-12)
    after = weights(dense)
    assert (after["target_embedding.weight"] - start["target_embedding.weight"]).norm() > 0.1
    for name, value in weights(sparse).items():
        torch.testing.assert_close(value, after[name], rtol=0, atol=1e-11)


def test_gradients_of_a_run_by_rows_are_sparse():
    tiny = model("lstm", RecurrentConfig(**TINY))
    set_sparse_tables(tiny, True)
    tiny.source_embedding(torch.tensor([4, 4, 0])).sum().backward()
    assert tiny.source_embedding.weight.grad.is_sparse


@pytest.mark.parametrize(
    ("tie", "sparse"), [("none", ["source", "target"]), ("output", ["source"]), ("all", [])]
)
def test_a_table_that_the_softmax_shares_stays_dense(tie, sparse):
    config = RecurrentConfig(**{**TINY, "embedding_size": 6}, tie_embeddings=tie)
    tiny = model("lstm", config, sizes=ModelSizes(8, 8))
    set_sparse_tables(tiny, True)
    assert list(sparse_parameters(tiny)) == [f"{side}_embedding.weight" for side in sparse]


@pytest.mark.parametrize(
    ("options", "sparse"),
    [({}, True), ({"momentum": 0.9}, False), ({"weight_decay": 0.1}, False)],
)
def test_sgd_wants_sparse_tables_only_where_they_are_exact(options, sparse):
    entry = OPTIMIZERS.get("sgd")
    parameters = [torch.nn.Parameter(torch.zeros(3, 2))]
    assert entry.build(SGDConfig(**options), parameters).sparse_tables is sparse


@pytest.mark.parametrize("limit", [2.0, math.inf])
def test_the_norm_counts_a_word_read_twice_as_one_row(limit):
    """Row 1 is read twice with gradients (3, 0) and (0, 4): the row's is (3, 4), its norm 5."""
    table = torch.nn.Embedding(4, 2, sparse=True)
    dense = torch.nn.Parameter(torch.zeros(1))
    dense.grad = torch.tensor([12.0])
    (table(torch.tensor([1, 1])) * torch.tensor([[3.0, 0.0], [0.0, 4.0]])).sum().backward()
    assert clip_gradients([table.weight, dense, torch.nn.Parameter(torch.ones(1))], limit) == 13
    scale = min(1.0, limit / 13)
    assert dense.grad.item() == pytest.approx(12 * scale)
    assert table.weight.grad.to_dense()[1].tolist() == pytest.approx([3 * scale, 4 * scale])


def batches(rows, count):
    """Which rows each of some updates reads, and the gradients."""
    generator = torch.Generator().manual_seed(5)
    for index in rows[:count]:
        yield index, torch.randn(len(index), 3, generator=generator, dtype=torch.float64)


def moved(optimizer, table, rows):
    for index, gradient in batches(rows, len(rows)):
        optimizer.zero_grad()
        (table(torch.tensor(index)) * gradient).sum().backward()
        optimizer.step()
    return table.weight.detach()


def table_of(sparse):
    torch.manual_seed(2)
    return torch.nn.Embedding(5, 3, sparse=sparse, dtype=torch.float64)


def test_lazy_adam_is_adam_where_every_row_is_read():
    rows = [[0, 1, 2, 3, 4, 4], [4, 3, 2, 1, 0], [2, 2, 2, 0, 1, 3, 4]]
    lazy, plain = table_of(True), table_of(False)
    found = moved(LazyAdam(lazy.parameters(), 0.1, fused=True), lazy, rows)
    expected = moved(torch.optim.Adam(plain.parameters(), 0.1), plain, rows)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_lazy_adam_moves_what_torchs_sparse_adam_moves():
    """Without the small term in the denominator, which torch's sparse rule scales otherwise."""
    rows = [[0, 1, 1], [4], [1, 4, 0], [0, 0]]
    lazy, theirs = table_of(True), table_of(True)
    start = lazy.weight.detach().clone()
    found = moved(LazyAdam(lazy.parameters(), 0.1, eps=0.0, fused=True), lazy, rows)
    expected = moved(torch.optim.SparseAdam(theirs.parameters(), 0.1, eps=1e-300), theirs, rows)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    assert torch.equal(found[2:4], start[2:4])
    assert not torch.equal(found[1], start[1])


def test_the_job_gives_lazy_adam_sparse_tables(tmp_path):
    """It agrees with Adam on the first update, and leaves it once words come and go."""
    data = store(tmp_path / "data")

    def tables(optimizer, updates):
        values = {
            "optimizer": optimizer, "max_update": updates, "batch_size": 1, "layers": 1,
            "hidden_size": 4, "embedding_size": 3, "dropout": 0.0, "device": "cpu",
            "save_dir": str(tmp_path / f"{optimizer}-{updates}"), "max_epoch": None,
        }  # fmt: skip
        run_training(
            data, resolve(TRAIN_SPEC, [OptionSource("test", values)]), Observer(), lambda: 0
        )
        weights = load_tensors(tmp_path / f"{optimizer}-{updates}/checkpoint_last" / WEIGHTS)
        return weights["source_embedding.weight"]

    torch.testing.assert_close(tables("lazy-adam", 1), tables("adam", 1), rtol=0, atol=1e-5)
    assert (tables("lazy-adam", 6) - tables("adam", 6)).abs().max() > 1e-4
