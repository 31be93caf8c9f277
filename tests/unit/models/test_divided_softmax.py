"""The softmax loss divided over two real processes, against torch's own on one."""

from itertools import product

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from processes import run_ranks

from s2st.models.softmax import chunked_loss
from s2st.models.softmax.rank_divided_loss import divided_softmax_loss, word_range
from s2st.models.weight_files import load_tensors, save_tensors

RANKS = 2
ROWS, WORDS, SMOOTHINGS = (0, 1, 9), (2, 7, 8), (0.0, 0.1, 1.0)
DTYPES = {"float64": torch.float64, "float32": torch.float32}
CASES = list(product(ROWS, WORDS, SMOOTHINGS, DTYPES))
SPREAD = {"float64": 4.0, "float32": 1.0}
LIMITS = {"float64": 1e-12, "float32": 1e-6}


def sample(rows, words, dtype):
    generator = torch.Generator().manual_seed(100 * rows + words)
    features = SPREAD[dtype] * torch.randn(rows, 3, generator=generator, dtype=torch.float64)
    weight = SPREAD[dtype] * torch.randn(words, 3, generator=generator, dtype=torch.float64)
    chosen = torch.randint(0, words, (rows,), generator=generator)
    return features.to(DTYPES[dtype]), weight.to(DTYPES[dtype]), chosen


def key(rows, words, smoothing, dtype):
    return f"{rows} {words} {smoothing} {dtype}"


def worker(rank, count, folder):
    chunked_loss.FEWEST_ROWS, chunked_loss.CHUNK_BYTES = 4, 1  # 9 rows are three chunks
    kept = {}
    for rows, words, smoothing, dtype in CASES:
        features, weight, chosen = sample(rows, words, dtype)
        first, end = word_range(words, rank, count)
        found = divided_softmax_loss(features, weight[first:end], chosen, smoothing, words)
        dist.all_reduce(found.of_features)
        for name in ("loss", "nll", "of_features", "of_weight"):
            kept[f"{key(rows, words, smoothing, dtype)} {name}"] = getattr(found, name)
    save_tensors(folder / f"{rank}.safetensors", kept)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    run_ranks(__file__, RANKS, folder)
    return [load_tensors(folder / f"{rank}.safetensors") for rank in range(RANKS)]


@pytest.mark.slow
@pytest.mark.parametrize(("rows", "words", "smoothing", "dtype"), CASES)
def test_loss_and_gradients_are_those_of_the_whole(found, rows, words, smoothing, dtype):
    features, weight, chosen = (
        part.double() if part.is_floating_point() else part for part in sample(rows, words, dtype)
    )
    features.requires_grad_(), weight.requires_grad_()
    logits = F.linear(features, weight)
    loss = F.cross_entropy(logits, chosen, reduction="sum", label_smoothing=smoothing)
    loss.backward()
    expected = {
        "loss": loss.detach(),
        "nll": F.cross_entropy(logits, chosen, reduction="sum").detach(),
        "of_features": features.grad,
    }
    for rank in range(RANKS):
        first, end = word_range(words, rank, RANKS)
        for name, value in {**expected, "of_weight": weight.grad[first:end]}.items():
            own = found[rank][f"{key(rows, words, smoothing, dtype)} {name}"]
            assert own.dtype == DTYPES[dtype]
            torch.testing.assert_close(own.double(), value, rtol=LIMITS[dtype], atol=LIMITS[dtype])


@pytest.mark.parametrize(("words", "parts"), [(7, 2), (7, 7), (240, 7), (80_000, 8)])
def test_parts_of_a_vocabulary_lie_side_by_side(words, parts):
    ranges = [word_range(words, part, parts) for part in range(parts)]
    assert [word for first, end in ranges for word in range(first, end)] == list(range(words))
    assert max(e - f for f, e in ranges) - min(e - f for f, e in ranges) <= 1
