"""When `train` says that a much better choice is known: few pairs and no attention."""

from types import SimpleNamespace

import pytest
from builders import store

from s2st.jobs.train import TRAIN_SPEC, run_training
from s2st.jobs.training_advice import MAX_PAIRS, MEASURED, better_choice
from s2st.models.registry import ARCHITECTURES
from s2st.options.resolution import OptionSource, resolve
from s2st.training.observer import Observer

PART = "a much better choice is known"


def advised(architecture, tokenizer="none", pairs=3000):
    side = SimpleNamespace(name=tokenizer)
    made = SimpleNamespace(source_tokenizer=side, target_tokenizer=side)
    return better_choice(ARCHITECTURES.get(architecture).base, made, pairs) or ""


@pytest.mark.parametrize("name", [entry.name for entry in ARCHITECTURES.entries()])
def test_only_recurrent_models_without_attention_are_advised(name):
    plain = ("lstm", "lstm-forward", "lstm-reversed", "lstm-sutskever2014", "gru", "rnn")
    assert bool(advised(name)) == (name in plain)
    assert ("--tokenizer sentencepiece" in advised(name)) == (name in plain)
    assert not advised(name, pairs=MAX_PAIRS + 1)
    with_pieces = advised(name, tokenizer="sentencepiece")
    assert ("--arch transformer" in with_pieces) == (name in plain)
    assert "preprocess" not in with_pieces


def test_the_evidence_is_that_of_the_nearest_measured_size():
    assert "3,000" in advised("lstm", pairs=10_000)
    assert "30,000" in advised("lstm", pairs=10_001)
    assert "200,000 English" in advised("lstm", pairs=100_001)
    assert list(MEASURED) == sorted(MEASURED)


def test_a_new_run_says_it_in_one_line_and_a_resumed_one_does_not(tmp_path, caplog):
    data = store(tmp_path / "data")
    said = []
    for epochs in (1.0, 2.0):
        sizes = {"layers": 1, "hidden_size": 5, "embedding_size": 4, "device": "cpu"}
        values = {**sizes, "max_epoch": epochs, "save_dir": str(tmp_path / "run")}
        with caplog.at_level("INFO", "s2st"):
            run_training(
                data, resolve(TRAIN_SPEC, [OptionSource("test", values)]), Observer(), lambda: 0
            )
        said.append([text for text in caplog.messages if PART in text])
        caplog.clear()
    assert len(said[0]) == 1
    assert "--arch transformer" in said[0][0]
    assert "\n" not in said[0][0]
    assert said[1] == []
