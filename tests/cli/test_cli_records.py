"""What a training keeps and how it ends: records, metrics, samples, limits."""

import json
import os

import pytest


@pytest.fixture(scope="module")
def train(s2st, world, tiny):
    """One epoch of a tiny model; a later value of an option replaces an earlier one."""

    def run(save_dir, *options, store=world.store):
        words = [*tiny, "--max-epoch", 1, "--device", "cpu", "--arch", "lstm", *options]
        chosen = {}
        while words:
            name = words.pop(0)
            flag = not words or str(words[0]).startswith("--")
            chosen[name] = [] if flag else [words.pop(0)]
        flat = [word for name, value in chosen.items() for word in (name, *value)]
        return s2st("train", store, *flat, "--save-dir", save_dir)

    return run


def records(save_dir, event="validation"):
    lines = (save_dir / "metrics.jsonl").read_text().splitlines()
    return [record for record in map(json.loads, lines) if record["event"] == event]


@pytest.fixture(scope="module")
def decoded(train, tmp_path_factory):
    """A run that BLEU decides, for three epochs, and what it printed."""
    folder = tmp_path_factory.mktemp("decoded") / "run"
    outcome = train(
        folder, "--max-epoch", 3, "--best-checkpoint-metric", "bleu", "--bleu-tokenize", "char",
        "--validate-beam", 3, "--validate-samples", 2, "--keep-last", 3, "--tensorboard",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    return folder, outcome.err


def scored(s2st, world, checkpoint, tmp_path, *options):
    """The scores of `s2st score` on the written output of `s2st generate`."""
    source, reference = (f"{world.store}/valid.{language}.txt" for language in ("en", "fr"))
    output = tmp_path / "hypotheses"
    done = s2st("generate", "--checkpoint", checkpoint, "--beam", 3, source, "-o", output)
    assert done.code == 0, done.err
    return json.loads(s2st("score", output, "-r", reference, "--format", "json", *options).out)


def test_the_store_keeps_the_text_of_the_validation_split(world):
    for language in ("en", "fr"):
        kept = (world.store / f"valid.{language}.txt").read_bytes()
        assert kept == (world.folder / f"valid.{language}").read_bytes()


def test_bleu_of_validation_is_that_of_generate_and_score(s2st, world, decoded, tmp_path):
    folder, _ = decoded
    found = records(folder)
    assert len(found) == 3
    for record in found:
        checkpoint = folder / f"checkpoint_{record['update']:07d}"
        score = scored(s2st, world, checkpoint, tmp_path, "--tokenize", "char")
        assert record["metrics"] == {"bleu": score["BLEU"]["score"]}
    best = max(found, key=lambda record: record["metrics"]["bleu"])
    assert os.readlink(folder / "checkpoint_best") == f"checkpoint_{best['update']:07d}"


def test_chrf_of_validation_is_that_of_generate_and_score(s2st, world, train, tmp_path):
    run = tmp_path / "run"
    outcome = train(run, "--best-checkpoint-metric", "chrf", "--validate-beam", 3)
    assert outcome.code == 0, outcome.err
    score = scored(s2st, world, run / "checkpoint_last", tmp_path)
    assert records(run)[0]["metrics"] == {"chrf": score["chrF2"]["score"]}
    assert f"best valid chrf {score['chrF2']['score']:.2f} at update" in outcome.err


def test_samples_are_lines_of_the_split_with_their_translations(s2st, world, decoded, tmp_path):
    folder, printed = decoded
    last = printed.split("valid ppl")[-1].splitlines()[1:7]
    texts = [line.removeprefix("s2st:   ").split(": ", 1)[1].strip() for line in last]
    sources = (world.store / "valid.en.txt").read_text().splitlines()
    references = (world.store / "valid.fr.txt").read_text().splitlines()
    scored(s2st, world, folder / "checkpoint_last", tmp_path)
    hypotheses = (tmp_path / "hypotheses").read_text().splitlines()
    # `preprocess` has told the share, and nothing here can be tokenized in another way
    assert "are unknown to the model" not in printed
    middle = len(sources) // 2
    assert texts == [
        sources[0], references[0], hypotheses[0],
        sources[middle], references[middle], hypotheses[middle],
    ]  # fmt: skip


def test_samples_need_no_metric(train, tmp_path):
    outcome = train(tmp_path / "run", "--validate-samples", 1)
    assert outcome.code == 0, outcome.err
    assert outcome.err.count("hypothesis: ") == 1
    assert records(tmp_path / "run")[0]["metrics"] == {}


def test_the_log_has_what_was_printed_with_times(decoded):
    folder, printed = decoded
    lines = (folder / "train.log").read_text().splitlines()
    texts = [line[len("2026-11-28 21:13:03 UTC ") :] for line in lines]
    assert [f"s2st: {text}" for text in texts if not text.startswith("saved ")] == (
        printed.splitlines()
    )
    assert texts.count("saved checkpoint_0000007") == 1


def test_a_resumed_run_continues_the_log(train, tmp_path):
    run = tmp_path / "run"
    train(run)
    first = (run / "train.log").read_text()
    train(run, "--max-epoch", 2)
    assert (run / "train.log").read_text().startswith(first)
    assert "resuming from" in (run / "train.log").read_text()[len(first) :]
    assert [record["epoch"] for record in records(run)] == [1, 2]


def test_control_characters_are_escaped_in_the_log(tmp_path):
    from s2st.training.training_log import TrainingLog

    log = TrainingLog(tmp_path, lambda: None)
    log.started(0, None, None)
    log.note("a\x1b[31m\nb\u202ec\udcff")
    log.close()
    (line,) = (tmp_path / "train.log").read_text().splitlines()
    assert line.endswith(" UTC a\\x1b[31m\\x0ab\\u202ec\\xff")


def test_inspect_shows_the_metrics(s2st, decoded):
    folder, _ = decoded
    lines = s2st("inspect", folder / "checkpoint_last").lines
    for record in records(folder):
        (line,) = [one for one in lines if f"update {record['update']}," in one]
        assert f"bleu {record['metrics']['bleu']:.2f}" in line
        assert ("(best)" in line) == record["best"] or record["best"]


def test_the_metric_of_the_guide_works(train, tmp_path):
    """The guide's plugin, as it stands there."""
    import re
    import sys
    from pathlib import Path

    import s2st as package
    from s2st.jobs.validation_metrics import METRICS

    guide = (Path(package.__file__).parents[1] / "docs" / "how-to" / "plugins.md").read_text(
        "utf-8"
    )
    (code,) = [c for c in re.findall(r"```python\n(.*?)```", guide, re.DOTALL) if "METRICS" in c]
    example = Path(package.__file__).parents[1] / "examples" / "plugin" / "exact_match.py"
    assert code in example.read_text("utf-8")
    (tmp_path / "plugin_of_the_guide.py").write_text(code)
    sys.path.insert(0, str(tmp_path))
    try:
        options = ("--plugin", "plugin_of_the_guide", "--best-checkpoint-metric", "exact-match")
        outcome = train(tmp_path / "run", *options)
        assert outcome.code == 0, outcome.err
        assert 0 <= records(tmp_path / "run")[0]["metrics"]["exact-match"] <= 1
        assert METRICS.get("exact-match").build(None)(["a", "b"], ["a", "c"]) == 0.5
    finally:
        sys.path.remove(str(tmp_path))


def test_a_log_of_a_user_stays_and_a_warning_says_so(train, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "train.log").write_text("mine\n")
    outcome = train(run)
    assert outcome.code == 0, outcome.err
    assert "warning: " in outcome.err
    assert "this run keeps no train.log" in outcome.err
    assert (run / "train.log").read_text() == "mine\n"


def test_metrics_of_a_user_are_refused(train, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "metrics.jsonl").write_text("mine\n")
    train(run).check_error(74, f"{run}/metrics.jsonl: this is a file that s2st did not write")
    assert (run / "metrics.jsonl").read_text() == "mine\n"


@pytest.mark.slow
def test_tensorboard_reads_the_events(train, decoded):
    event_accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator"
    )
    folder, _ = decoded

    def scalars(name):
        reader = event_accumulator.EventAccumulator(str(folder / "tensorboard"))
        return [(event.step, event.value) for event in reader.Reload().Scalars(name)]

    for name, key in (("valid/perplexity", "perplexity"), ("valid/nll", "nll")):
        expected = [(record["update"], record[key]) for record in records(folder)]
        assert scalars(name) == [(step, pytest.approx(value, rel=1e-6)) for step, value in expected]
    bleu = [value for _, value in scalars("valid/bleu")]
    assert bleu == pytest.approx([r["metrics"]["bleu"] for r in records(folder)], rel=1e-6)
    updates = records(folder, "update")
    assert [step for step, _ in scalars("train/learning_rate")] == [r["update"] for r in updates]


@pytest.mark.slow
def test_tensorboard_forgets_the_events_after_the_checkpoint(tmp_path):
    """A run that was killed after update 9 and resumes from update 6."""
    event_accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator"
    )
    from s2st.training.observer import UpdateReport
    from s2st.training.tensorboard_events import TensorBoardEvents

    for first, updates in ((0, range(1, 10)), (6, range(7, 12))):
        events = TensorBoardEvents(tmp_path)
        events.continues(first, first)
        for update in updates:
            events.updated(UpdateReport(update, 1.0, 2.0, 2.0, 0.1, 1.0, None, 5.0, None))
        events.close()
    reader = event_accumulator.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [event.step for event in reader.Scalars("train/loss")] == list(range(1, 12))


def test_without_the_package_tensorboard_names_the_extra(train, tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "tensorboard", None)
    train(tmp_path / "run", "--tensorboard").check_error(2, "pip install 's2st[tensorboard]'")
    assert not (tmp_path / "run").exists()


# the end


def last_line(outcome):
    return outcome.err.splitlines()[-1]


def test_the_last_line_says_why_the_training_ended(train, tmp_path):
    outcome = train(tmp_path / "a")
    assert "epoch limit (--max-epoch 1)" in last_line(outcome)
    outcome = train(tmp_path / "b", "--max-update", 2)
    assert "update limit (--max-update 2)" in last_line(outcome)
    outcome = train(tmp_path / "c", "--lr", 1e-12, "--max-epoch", 50, "--patience", 1)
    assert "patience (1 validation without improvement)" in last_line(outcome)
    log = (tmp_path / "c" / "train.log").read_text().splitlines()
    assert log[-1].endswith(last_line(outcome).removeprefix("s2st: "))


def test_the_time_limit_saves_without_validation_and_the_run_resumes_alike(train, tmp_path):
    outcome = train(tmp_path / "run", "--max-time", 1e-9)
    assert outcome.code == 0, outcome.err
    assert "done after 1 updates, 0 epochs: time limit (--max-time 1e-09)" in last_line(outcome)
    assert "run the same command again to resume" in last_line(outcome)
    assert os.readlink(tmp_path / "run" / "checkpoint_last") == "checkpoint_0000001"
    assert train(tmp_path / "run").code == train(tmp_path / "straight").code == 0
    for name in ("weights.safetensors", "training/state.json", "training/optimizer.safetensors"):
        ends = [tmp_path / run / "checkpoint_last" / name for run in ("run", "straight")]
        one, other = (path.read_bytes() for path in ends)
        if name.endswith("json"):  # the save folders differ
            one, other = (json.loads(text)["state"] for text in (one, other))
        assert one == other
    assert records(tmp_path / "run") == records(tmp_path / "straight")
