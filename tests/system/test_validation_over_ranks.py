"""Validation that translates on two processes: the metrics and decisions of one process."""

import json

import pytest
from builders import prepare_again
from ranks_job import train
from test_data_parallel import assert_same, two_ranks

from s2st.demo_corpus import read_corpus
from s2st.training.metrics_file import MEASURED

pytestmark = pytest.mark.slow
OPTIONS = {
    "arch": "lstm", "layers": 1, "hidden_size": 32, "embedding_size": 32, "dropout": 0.1,
    "batch_size": 20, "update_freq": 2, "max_epoch": 3.0, "lr": 0.02, "device": "cpu", "threads": 1,
    "rank_timeout": 60.0, "best_checkpoint_metric": "exact", "validate_beam": 5, "keep_best": 2,
    "validate_samples": 2,
}  # fmt: skip


def test_two_processes_share_the_batches_of_validation(tmp_path):
    """450 sentences are two batches of the search: at most 2,048 rows, 5 a sentence."""
    corpus = read_corpus(240, 450, 1)
    for split, pairs in (("train", corpus.train), ("valid", corpus.valid)):
        for language, side in (("en", "source"), ("fr", "target")):
            text = "".join(getattr(pair, side) + "\n" for pair in pairs)
            (tmp_path / f"{split}.{language}").write_text(text, encoding="utf-8")
    store = prepare_again(tmp_path)
    train(store, OPTIONS | {"save_dir": str(tmp_path / "one")})
    said = two_ranks([(store, OPTIONS | {"save_dir": str(tmp_path / "two")}, 0)])
    assert said == [["updates 18"], ["updates 18"]]
    assert_same(tmp_path / "one", tmp_path / "two")
    lines = [(tmp_path / run / "metrics.jsonl").read_text().splitlines() for run in ("one", "two")]
    mine, its = ([json.loads(line) for line in some] for some in lines)
    for record in (*mine, *its):
        for name in MEASURED:
            record.pop(name, None)
    assert mine == its
    values = [record["metrics"]["exact"] for record in mine if "metrics" in record]
    assert len(set(values)) == 3
    assert min(values) > 450  # words
    names = [sorted(path.name for path in (tmp_path / run).iterdir()) for run in ("one", "two")]
    assert names[0] == names[1]
