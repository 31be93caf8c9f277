"""Moving averages and frozen word vectors over two processes, against one process."""

import pytest
import torch
from ranks_job import train
from test_data_parallel import LAST, OPTIONS, assert_same, data, files, two_ranks

from s2st.models.weight_files import load_tensors

pytestmark = pytest.mark.extensive
__all__ = ["data"]  # the fixture
KINDS = {
    "adam": {"optimizer": "adam", "lr": 0.02},
    "sgd": {"optimizer": "sgd", "lr": 0.5, "clip_norm": 0.5},  # sparse tables
    "lazy-adam": {"optimizer": "lazy-adam", "lr": 0.02},
    "sharded": {"optimizer": "adam", "lr": 0.02, "shard_parameters": True},
    "staged": {"optimizer": "adam", "lr": 0.02, "pipeline_stages": 2, "dropout": 0.0},
    "staged sgd": {"optimizer": "sgd", "lr": 0.5, "pipeline_stages": 2, "dropout": 0.0},
}
DIVIDED = {"shard_parameters": False, "pipeline_stages": 1}


@pytest.fixture(scope="module")
def runs(tmp_path_factory, data):
    """Every kind by one process and by two; and each stopped and gone on with by the other."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "vectors").write_text("a 1 2 3 4\nc 5 6 7 8\n")

    def options(kind, name, **more):
        own = {"ema_decay": 0.3, "freeze_embeddings": True, "save_dir": str(folder / name)}
        own["source_embeddings"] = str(folder / "vectors")
        return OPTIONS | own | KINDS[kind] | more

    for kind in KINDS:
        train(data, options(kind, f"{kind} one", **DIVIDED))
        with pytest.raises(Exception, match="stopped by SIGTERM at update 2"):
            train(data, options(kind, f"{kind} elastic", **DIVIDED), stop=2)
    two_ranks(
        [(data, options(kind, f"{kind} two"), 0) for kind in KINDS]
        + [(data, options(kind, f"{kind} elastic"), 3) for kind in KINDS]
    )
    for kind in KINDS:
        assert 2 < files(folder / f"{kind} elastic")[2]["update"] < 9
        train(data, options(kind, f"{kind} elastic", **DIVIDED))
    return folder


@pytest.mark.parametrize("how", ["two", "elastic"])
@pytest.mark.parametrize("kind", ["adam", "sgd", "lazy-adam"])
def test_two_processes_are_one_bitwise(runs, kind, how):
    assert_same(runs / f"{kind} one", runs / f"{kind} {how}")


@pytest.mark.parametrize("how", ["two", "elastic"])
@pytest.mark.parametrize("kind", ["sharded", "staged", "staged sgd"])
def test_divided_weights_are_the_same_run_within_rounding(runs, kind, how):
    one, two = files(runs / f"{kind} one"), files(runs / f"{kind} {how}")
    for tensors, others in zip(one[:2], two[:2], strict=True):
        assert tensors.keys() == others.keys()
        for name, value in tensors.items():
            torch.testing.assert_close(value, others[name], rtol=1e-5, atol=2e-6)
    curves = [[row["nll"] for row in state["history"]] for state in (one[2], two[2])]
    assert curves[0] == pytest.approx(curves[1], rel=1e-5)
    assert len(curves[0]) == 3


@pytest.mark.parametrize("kind", KINDS)
def test_the_frozen_table_begins_and_ends_as_the_file_says(runs, kind):
    for how in ("one", "two", "elastic"):
        folder = runs / f"{kind} {how}" / LAST
        words = ["", "", "", "", *(folder / "dict.en.txt").read_text().split()[::2]]
        table = load_tensors(folder / "weights.safetensors")["source_embedding.weight"]
        assert table[words.index("a")].tolist() == [1, 2, 3, 4]
        assert table[words.index("c")].tolist() == [5, 6, 7, 8]
