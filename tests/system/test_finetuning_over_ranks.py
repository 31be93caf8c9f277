"""`--finetune-from` and `--freeze` over processes: the same run as in one process."""

import pytest
import torch
from builders import SOURCE_WORDS, TARGET_WORDS, prepare_again, store
from test_data_parallel import OPTIONS, assert_same, files, train, two_ranks
from test_pipeline_parallel import assert_same_run, train_alone, train_split

pytestmark = pytest.mark.slow
FROZEN = {
    "encoder": ("encoder", "source_embedding"),
    "softmax": ("softmax", "decoder.layers.1.*"),
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A store, and another with further words."""
    folder = tmp_path_factory.mktemp("data")
    first = store(folder / "a")
    for language, words in (("en", SOURCE_WORDS), ("fr", TARGET_WORDS)):
        path = folder / "b"
        path.mkdir(exist_ok=True)
        for split in ("train", "valid"):
            text = (folder / "a" / f"{split}.{language}").read_text()
            (path / f"{split}.{language}").write_text(text.replace(words[0], f"{words[0]} new"))
    return first, prepare_again(folder / "b")


@pytest.fixture(scope="module")
def begin(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("begin") / "run"
    train(data[0], {**OPTIONS, "max_epoch": 1.0, "save_dir": str(folder)})
    return str(folder / "checkpoint_last")


KINDS = {
    "adam": {"optimizer": "adam", "freeze": FROZEN["encoder"]},
    "lazy-adam": {"optimizer": "lazy-adam", "freeze": FROZEN["softmax"]},
    "sharded": {"optimizer": "adam", "freeze": FROZEN["softmax"], "ema_decay": 0.5},
}


def test_two_processes_are_one(tmp_path, data, begin):
    tuned = {
        "finetune_from": begin, "extend_vocabulary": True, "lr": 0.02, "batch_size": 5,
        "update_freq": 2, "max_epoch": 2.0, "device": "cpu", "threads": 1, "rank_timeout": 60.0,
        "clip_norm": 0.0,
    }  # fmt: skip
    cases = []
    for kind, options in KINDS.items():
        train(data[1], {**tuned, **options, "save_dir": str(tmp_path / f"{kind} one")})
        more = {"shard_parameters": True} if kind == "sharded" else {}
        shared = {**tuned, **options, **more, "save_dir": str(tmp_path / f"{kind} two")}
        cases += [(data[1], {**shared, "max_epoch": 1.0}, 0), (data[1], shared, 0)]
    two_ranks(cases)
    for kind in ("adam", "lazy-adam"):
        assert_same(tmp_path / f"{kind} one", tmp_path / f"{kind} two")
    one, two = (files(tmp_path / f"sharded {count}") for count in ("one", "two"))
    for tensors, others in zip(one[:2], two[:2], strict=True):
        assert tensors.keys() == others.keys()
        for name, value in tensors.items():
            torch.testing.assert_close(value, others[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("frozen", FROZEN)
def test_stages_are_one_process(tmp_path, data, frozen):
    train_alone(data[0], tmp_path / "begin", 2, arch="lstm")
    names = {"arch": "lstm", "update_freq": 1, "optimizer": "adam", "lr": 0.01}
    begin = {"finetune_from": str(tmp_path / "begin" / "checkpoint_last"), **names}
    lists = {"extend_vocabulary": True, "freeze": FROZEN[frozen]}
    for updates in (2, 4):
        train_alone(data[1], tmp_path / "one", updates, **begin, **lists)
    config = tmp_path / "options.toml"
    config.write_text(f"extend-vocabulary = true\nfreeze = {list(FROZEN[frozen])}\n")
    for updates in (2, 4):
        done = train_split(data[1], tmp_path / "four", updates, **begin, config=str(config))
        assert done.returncode == 0, done.stderr[-4000:]
    assert_same_run(tmp_path / "four", tmp_path / "one")
