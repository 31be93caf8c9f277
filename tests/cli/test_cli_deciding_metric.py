"""Which metric of translations decides about the best checkpoint: a plugin's, and refusals."""

import json
import os
import shutil

import pytest
from tampering import reseal
from test_cli_records import decoded, records, scored, train

from s2st.options.registry import load_plugin

__all__ = ["decoded", "train"]  # fixtures

PLUGIN = """
from dataclasses import dataclass
from s2st.jobs.validation_metrics import METRICS, ValidationMetric
from s2st.options.option_fields import option

@dataclass(frozen=True)
class Config:
    weight: float = option(1.0, "factor", minimum=0, maximum=9)

@METRICS.registered("brevity", Config, "mean number of words, the fewer the better")
class Brevity(ValidationMetric):
    larger_is_better = False
    def __init__(self, config):
        self.weight = config.weight
    def __call__(self, hypotheses, references):
        assert len(hypotheses) == len(references)
        if self.weight == 9:
            return float("nan")
        return self.weight * sum(len(line.split()) for line in hypotheses) / len(hypotheses)
"""


@pytest.fixture(scope="module")
def plugin(tmp_path_factory):
    import sys

    folder = tmp_path_factory.mktemp("plugin")
    (folder / "brevity_plugin.py").write_text(PLUGIN)
    sys.path.insert(0, str(folder))
    load_plugin("brevity_plugin")
    yield "brevity_plugin"
    sys.path.remove(str(folder))
    from s2st.jobs.validation_metrics import METRICS

    del METRICS._entries["brevity"]


def test_a_plugins_metric_decides_in_its_direction(s2st, world, train, plugin, tmp_path):
    run = tmp_path / "run"
    options = ("--plugin", plugin, "--best-checkpoint-metric", "brevity", "--weight", 2)
    outcome = train(run, *options, "--validate-beam", 3, "--max-epoch", 3, "--keep-last", 3)
    assert outcome.code == 0, outcome.err
    found = records(run)
    for record in found:
        scored(s2st, world, run / f"checkpoint_{record['update']:07d}", tmp_path)
        lines = (tmp_path / "hypotheses").read_text().splitlines()
        mean = sum(len(line.split()) for line in lines) / len(lines)
        assert record["metrics"]["brevity"] == pytest.approx(2 * mean)
    best = min(found, key=lambda record: record["metrics"]["brevity"])
    assert os.readlink(run / "checkpoint_best") == f"checkpoint_{best['update']:07d}"
    assert "brevity" in s2st("list", "metrics").out


def test_a_metric_that_returns_no_number_is_named(train, plugin, tmp_path):
    options = ("--plugin", plugin, "--best-checkpoint-metric", "brevity", "--weight", 9)
    train(tmp_path / "run", *options).check_error(2, "metric 'brevity' returned nan")


# refusals


def test_metrics_need_a_source_text_and_references(s2st, train, world, tmp_path):
    bleu = ("--best-checkpoint-metric", "bleu")
    train(tmp_path / "run", *bleu, "--bleu-tokenize", "13").check_error(2, "tokenizer '13'")
    language_model = ("--arch", "lstm-lm", *bleu)
    train(tmp_path / "run", *language_model).check_error(2, "a language model has no source")
    old = tmp_path / "old"
    shutil.copytree(world.store, old)
    names = [f"valid.{language}.txt" for language in ("en", "fr")]
    for name in names:
        (old / name).unlink()
    reseal(old, lambda manifest: [manifest["files"].pop(name) for name in names])
    train(tmp_path / "run", *bleu, store=old).check_error(65, "run `s2st preprocess` again")
    assert train(tmp_path / "plain", store=old).code == 0
    bare = tmp_path / "bare"
    made = s2st(
        "preprocess", "-s", "en", "-t", "fr", "--trainpref", world.folder / "train",
        "--destdir", bare,
    )  # fmt: skip
    assert made.code == 0, made.err
    train(tmp_path / "run", *bleu, store=bare).check_error(2, "has no valid split")
    samples = ("--validate-samples", 1)
    train(tmp_path / "run", *samples, store=bare).check_error(
        2, "--validate-samples", "--validpref"
    )
    assert not (tmp_path / "run").exists()


def test_another_metric_or_beam_is_refused_on_resume(train, decoded, tmp_path):
    folder, _ = decoded
    run = tmp_path / "run"
    shutil.copytree(folder, run, symlinks=True)
    same = ("--best-checkpoint-metric", "bleu", "--bleu-tokenize", "char", "--validate-beam", 3)
    train(run).check_error(2, "--best-checkpoint-metric was bleu, is perplexity")
    train(run, *same[:-1], 4).check_error(2, "--validate-beam was 3, is 4")
    outcome = train(run, *same, "--max-epoch", 4)
    assert outcome.code == 0, outcome.err


def test_a_run_that_bleu_decides_resumes_alike(train, decoded, tmp_path):
    """Stopped within the second epoch, and at its end; each time the command is repeated."""
    straight, _ = decoded
    run = tmp_path / "run"
    same = (
        "--best-checkpoint-metric", "bleu", "--bleu-tokenize", "char", "--validate-beam", 3,
        "--keep-last", 3,
    )  # fmt: skip
    for end in (("--max-epoch", 3, "--max-time", 1e-9), ("--max-epoch", 2), ("--max-epoch", 3)):
        outcome = train(run, *same, *end)
        assert outcome.code == 0, outcome.err
    ends = [
        json.loads((folder / "checkpoint_last/training/state.json").read_text())["state"]
        for folder in (run, straight)
    ]
    assert ends[0] == ends[1]
    weights = [
        (folder / "checkpoint_last/weights.safetensors").read_bytes() for folder in (run, straight)
    ]
    assert weights[0] == weights[1]
    assert records(run) == records(straight)
    assert os.readlink(run / "checkpoint_best") == os.readlink(straight / "checkpoint_best")


def test_a_checkpoint_from_before_the_metrics_is_resumed(train, tmp_path):
    """State and options lack the new fields."""
    run = tmp_path / "run"
    train(run)
    state = (run / "checkpoint_last").resolve() / "training" / "state.json"
    content = json.loads(state.read_text())
    for name in ("best_value", "reports", "interval"):
        del content["state"][name]
    del content["identity"]["options"]["best_checkpoint_metric"]
    state.write_text(json.dumps(content))
    reseal(run / "checkpoint_last", lambda _: None)
    for name in ("metrics.jsonl", "train.log"):
        (run / name).unlink()
    outcome = train(run, "--max-epoch", 2)
    assert outcome.code == 0, outcome.err
    assert [record["epoch"] for record in records(run)] == [2]
