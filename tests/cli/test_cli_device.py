"""Every command that uses a device gives the same results on the simulated device and the CPU."""

import re
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from simulated_device import NAME

from s2st.jobs import train
from s2st.process import device as devices

SHORT = ("--max-len-a", 0, "--max-len-b", 6, "--threads", 1)
NUMBER = re.compile(r"-?\d+\.\d+(?:e-?\d+)?|-?\d+e-\d+")
RESTRICTIONS = {
    "nothing": (),
    "n-grams": ("--no-repeat-ngram", 1, "--min-len", 3),
    "prefix": ("--prefix", "{prefix}"),
    "constraints": ("--constraints", "{phrases}"),
    "penalties": ("--lenpen", 0.6, "--repetition-penalty", 1.3, "--no-unk"),
}
TRAINED = {
    "lstm": (),
    "ema-and-clipping": ("--ema-decay", 0.9, "--clip-norm", 0.5, "--update-freq", 2),
    "lazy-adam": ("--optimizer", "lazy-adam", "--bidirectional"),
    "scheduled-sampling": ("-a", "gru-attention", "--criterion", "scheduled-sampling"),
    "adaptive": ("--softmax", "adaptive", "--adaptive-cutoffs", 30),
    "sampled": ("--softmax", "sampled", "--softmax-samples", 20),
    "validation": ("--best-checkpoint-metric", "bleu"),
    # Adam divides by the size of gradients, and those of the key biases are rounding alone
    "transformer": ("-a", "transformer", "--heads", 2, "--optimizer", "sgd"),
    "rctm": ("-a", "rctm"),
}


@pytest.fixture
def either(s2st, sim, monkeypatch):
    """Runs a command on the device or on the CPU; it must succeed."""
    setup = devices.setup_device

    def run(where, *arguments, stdin=b""):
        def chosen(config):
            own = setup(config)
            return sim if where == NAME else own

        monkeypatch.setattr(devices, "setup_device", chosen)
        monkeypatch.setattr(train, "setup_device", chosen)
        outcome = s2st(*arguments, stdin=stdin)
        assert outcome.code == 0, outcome.err
        return outcome

    return run


def assert_same(mine: str, its: str) -> None:
    """The same text, and numbers that differ by rounding only."""
    assert NUMBER.sub("#", mine) == NUMBER.sub("#", its)
    numbers = [[float(x) for x in NUMBER.findall(text)] for text in (mine, its)]
    np.testing.assert_allclose(*numbers, rtol=1e-3, atol=2e-4)


def check(either, *arguments, stdin=b""):
    """The command prints the same on both devices."""
    mine, its = (either(where, *arguments, stdin=stdin).out for where in (NAME, "cpu"))
    assert its
    assert_same(mine, its)


def weights(folder: Path) -> dict[str, np.ndarray]:
    return load_file(folder / "checkpoint_last" / "weights.safetensors")


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        pytest.param(value, id=key, marks=[] if key == "lstm" else [pytest.mark.extensive])
        for key, value in TRAINED.items()
    ],
)
def test_training_and_resuming(either, world, tiny, tmp_path, options):
    if "transformer" in options:  # which has no embedding size of its own
        place = tiny.index("--embedding-size")
        tiny = [*tiny[:place], *tiny[place + 2 :]]
    # the validation at the end of the first part must not change the rate of the second
    tiny = [*tiny, *options, "--lr-scheduler", "fixed"]
    for where in (NAME, "cpu"):
        once = (world.store, *tiny, "--save-dir", tmp_path / where)
        either(where, "train", *once, "--max-update", 4)
        either(where, "train", *once, "--max-update", 8)
    either(NAME, "train", world.store, *tiny, "--max-update", 8, "--save-dir", tmp_path / "whole")
    resumed, whole = weights(tmp_path / NAME), weights(tmp_path / "whole")
    for key, value in weights(tmp_path / "cpu").items():
        np.testing.assert_array_equal(resumed[key], whole[key])
        np.testing.assert_allclose(resumed[key], value, rtol=1e-3, atol=1e-4)


@pytest.mark.extensive
def test_finetuning(either, world, tiny, tmp_path):
    for where in (NAME, "cpu"):
        either(
            where, "train", world.store, "--finetune-from", world.forward, "--max-update", 4,
            "--threads", 1, "--dropout", 0, "--save-dir", tmp_path / where,
        )  # fmt: skip
    for key, value in weights(tmp_path / "cpu").items():
        np.testing.assert_allclose(weights(tmp_path / NAME)[key], value, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_commands_print_what_they_print_on_the_cpu(either, world, attending, tmp_path):
    sources = world.source.read_text().splitlines(keepends=True)[:6]
    text = "".join(sources).encode()
    (tmp_path / "six.en").write_bytes(text)
    (tmp_path / "six.fr").write_text(
        "".join(world.target.read_text().splitlines(keepends=True)[:6])
    )
    six = tmp_path / "six.en", tmp_path / "six.fr"
    models = ("--checkpoint", attending / "checkpoint_best")
    check(either, "score", *models, "--source", six[0], "--target", six[1], "--threads", 1)
    lists = either(
        "cpu", "generate", *models, *SHORT, "--nbest", 4, "--format", "moses", stdin=text
    )
    (tmp_path / "lists").write_bytes(lists.data)
    for chosen in (models, ("--checkpoint", world.forward, "--checkpoint", world.reversed)):
        check(
            either, "rescore-nbest", tmp_path / "lists", "--source", six[0], *chosen,
            "--threads", 1, "--format", "nbest",
        )  # fmt: skip
    check(either, "analyze", "states", *models, "--threads", 1, six[0])
    check(either, "analyze", "attention", *models, "--source", six[0], *SHORT)
    files = "--source", six[0], "--target", six[1], "--sentences", 3, "--min-pairs", 1
    check(either, "analyze", "gradients", models[1], *files, "--threads", 1)
    check(either, "tune-length", *models, "--source", six[0], "--ref", six[1], "--threads", 1)
    mean = tmp_path / "mean"
    either(NAME, "average", "--last", 2, world.save_dir, "-o", mean)
    check(either, "generate", "--checkpoint", mean, *SHORT, stdin=text)
    both = ("--checkpoint", attending / "checkpoint_best", "--checkpoint", world.gru)
    check(either, "generate", *both, *SHORT, "--nbest", 2, "--format", "json", stdin=text)


@pytest.mark.slow
@pytest.mark.parametrize("restriction", list(RESTRICTIONS))
def test_restrictions(either, world, attending, tmp_path, restriction):
    sources = world.source.read_text().splitlines(keepends=True)[:4]
    words = world.target.read_text().splitlines()
    (tmp_path / "prefix").write_text("".join(f"{line.split()[0]}\n" for line in words[:4]))
    (tmp_path / "phrases").write_text("".join(f"{line.split()[-1]}\n" for line in words[:4]))
    names = {name: str(tmp_path / name) for name in ("prefix", "phrases")}
    options = [str(option).format(**names) for option in RESTRICTIONS[restriction]]
    form = ("--format", "json", "--nbest", 2)
    check(
        either, "generate", "--checkpoint", attending / "checkpoint_best", *SHORT, *form, *options,
        stdin="".join(sources).encode(),
    )  # fmt: skip


LANGUAGES = {
    "tags": (("--joined-dictionary",), ()),
    "decoders": ((), ("--decoders", "per-language")),
    "subword-sampling": (
        ("--tokenizer", "sentencepiece", "--sentencepiece-vocab-size", 90, "--joined-dictionary"),
        ("--subword-sampling",),
    ),
}


@pytest.mark.extensive
@pytest.mark.parametrize("kind", list(LANGUAGES))
def test_several_languages_and_changing_batches(either, s2st, world, tiny, tmp_path, kind):
    for name, old in (("text", "train"), ("valid", "valid")):
        for language, out in (("en", "en"), ("fr", "fr"), ("fr", "xx")):
            text = Path(f"{world.folder}/{old}.{language}").read_text()
            (tmp_path / f"{name}.{out}").write_text(text.upper() if out == "xx" else text)
    pairs = [f"en-{language}:{tmp_path}" for language in ("fr", "xx")]
    preprocessed, trained = LANGUAGES[kind]
    made = s2st(
        "preprocess", *(part for pair in pairs for part in ("--pair", f"{pair}/text")),
        *(part for pair in pairs for part in ("--validpref", f"{pair}/valid")),
        *preprocessed, "--destdir", tmp_path / "store",
    )  # fmt: skip
    assert made.code == 0, made.err
    for where in (NAME, "cpu"):
        either(
            where, "train", tmp_path / "store", *tiny, *trained, "--optimizer", "sgd",
            "--max-update", 4, "--save-dir", tmp_path / where,
        )  # fmt: skip
    for key, value in weights(tmp_path / "cpu").items():
        np.testing.assert_allclose(weights(tmp_path / NAME)[key], value, rtol=1e-3, atol=1e-4)
    text = "".join(world.source.read_text().splitlines(keepends=True)[:4]).encode()
    for language in ("fr", "xx"):
        check(
            either, "generate", "--checkpoint", tmp_path / "cpu" / "checkpoint_last", *SHORT,
            "--target-lang", language, stdin=text,
        )  # fmt: skip
