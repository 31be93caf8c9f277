"""The mean of checkpoints against numpy over their files, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
from builders import TINY, model, record
from safetensors.numpy import load_file

from s2st.errors import InputMissingError, OutputError, UsageError
from s2st.jobs.average_checkpoints import average, last_checkpoints
from s2st.models.configs import RecurrentConfig
from s2st.models.model_files import read_saved, write_manifest, write_model_files
from s2st.text.tokenizers import MosesConfig, NoneConfig, TokenizerSpec
from s2st.text.vocabulary import Vocabulary

CONFIG = RecurrentConfig(**TINY)


def saved(folder, seed=0, config=CONFIG, **parts):
    import torch

    folder.mkdir()
    kept = replace(record("lstm", config), **parts)
    made = model("lstm", config, seed, kept.sizes, torch.float32)
    write_model_files(folder, kept, made.state_dict())
    write_manifest(folder, kept, {"update": 10 * seed})
    return str(folder)


def weights(folder):
    return load_file(f"{folder}/weights.safetensors")


@pytest.fixture
def three(tmp_path):
    return [saved(tmp_path / f"m{seed}", seed) for seed in (1, 2, 3)]


@pytest.mark.parametrize("shares", [(), (1.0, 2.5, 0.25)])
def test_it_is_numpys_mean_over_the_files(tmp_path, three, shares):
    average(three, shares, str(tmp_path / "mean"))
    found = weights(tmp_path / "mean")
    parts = [weights(folder) for folder in three]
    assert found.keys() == parts[0].keys()
    for name, value in found.items():
        stack = np.stack([part[name].astype(np.float64) for part in parts])
        expected = np.average(stack, axis=0, weights=shares or None)
        assert value.dtype == np.float32
        np.testing.assert_allclose(value, expected, rtol=1e-7, atol=1e-12)


def test_the_mean_of_a_checkpoint_with_itself_is_itself_bitwise(tmp_path, three):
    for number, (count, shares) in enumerate([(1, ()), (3, ()), (3, (0.1, 0.7, 1e-3))]):
        average(three[:1] * count, shares, str(tmp_path / f"same{number}"))
        bits = (tmp_path / f"same{number}" / "weights.safetensors").read_bytes()
        assert bits == (tmp_path / "m1" / "weights.safetensors").read_bytes()


def test_it_is_a_release_that_tells_what_it_is_the_mean_of(tmp_path, three):
    average(three, (1.0, 2.0, 3.0), str(tmp_path / "mean"))
    found = read_saved(tmp_path / "mean")
    facts = found.summary["mean_of"]
    assert [fact["checkpoint"] for fact in facts] == three
    assert [(fact["update"], fact["weight"]) for fact in facts] == [(10, 1), (20, 2), (30, 3)]
    assert len({fact["weights_hash"] for fact in facts}) == 3
    assert found.record.config == CONFIG
    assert not (tmp_path / "mean" / "training").exists()


OTHERS = {
    "--hidden-size is 6 in the first, 7": {"config": replace(CONFIG, hidden_size=7)},
    "the architecture is lstm in the first, gru": {"architecture": "gru"},
    "word 6 of the source vocabulary is 'c' in the first, 'q'": {
        "source_vocabulary": Vocabulary(["a", "b", "q", "d", "e", "f"], [1] * 6)
    },
    "the target vocabulary is 8 words in the first, 7 words": {
        "target_vocabulary": Vocabulary(["v", "w", "x"], [1] * 3)
    },
    "the source tokenizer's name is 'none' in the first, 'moses'": {
        "source_tokenizer": TokenizerSpec("moses", MosesConfig(), "en")
    },
    "the target tokenizer's lowercase is False in the first, True": {
        "target_tokenizer": TokenizerSpec("none", NoneConfig(lowercase=True), "fr")
    },
    "the source tokenizer's language is 'en' in the first, 'de'": {
        "source_tokenizer": TokenizerSpec("none", NoneConfig(), "de")
    },
}


@pytest.mark.parametrize("text", OTHERS)
def test_the_first_difference_is_named_with_both_checkpoints(tmp_path, three, text):
    import torch

    parts = dict(OTHERS[text])
    (tmp_path / "other").mkdir()
    kept = replace(record(parts.pop("architecture", "lstm"), parts.pop("config", CONFIG)), **parts)
    made = model(kept.architecture, kept.config, 0, kept.sizes, torch.float32)
    write_model_files(tmp_path / "other", kept, made.state_dict())
    write_manifest(tmp_path / "other", kept, {})
    with pytest.raises(UsageError) as caught:
        average([*three, str(tmp_path / "other")], (), str(tmp_path / "mean"))
    for part in (text, three[0], str(tmp_path / "other")):
        assert part in str(caught.value)
    assert not (tmp_path / "mean").exists()


@pytest.mark.parametrize(
    ("shares", "text"),
    [((1.0, 2.0), "2 times --weight for 3"), ((1.0, 0.0, 2.0), "--weight 0"),
     ((1.0, float("nan"), 2.0), "--weight nan"), ((1.0, -1.0, 2.0), "--weight -1")],
)  # fmt: skip
def test_weights_that_are_no_weights_are_refused(tmp_path, three, shares, text):
    with pytest.raises(UsageError, match=text):
        average(three, shares, str(tmp_path / "mean"))


def test_a_folder_that_is_there_is_left_alone(tmp_path, three):
    with pytest.raises(OutputError, match="already exists"):
        average(three, (), three[1])


def test_the_last_checkpoints_are_those_with_the_highest_numbers(tmp_path):
    for name in ("0000020", "0000003", "0000100", "0000100+", "10000000", "0000020+"):
        (tmp_path / f"checkpoint_{name}").mkdir()
    (tmp_path / "checkpoint_last").symlink_to("checkpoint_0000003")
    names = [f"{tmp_path}/checkpoint_{n}" for n in ("0000020", "0000100", "10000000")]
    assert last_checkpoints(str(tmp_path), 3) == names
    assert last_checkpoints(str(tmp_path), 1) == names[2:]
    with pytest.raises(InputMissingError, match=r"contains 4 .*, not 5; .*--keep-last 5"):
        last_checkpoints(str(tmp_path), 5)
