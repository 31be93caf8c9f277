"""Fine-tuning on the command line: from other data to a tuned model, and what cannot be done."""

import json

import pytest

from s2st.models.model_files import read_saved
from s2st.models.weight_files import load_tensors

FEW = ["--max-epoch", "1", "--lr", "0.05", "--threads", "1"]


@pytest.fixture(scope="module")
def stores(s2st, world, tmp_path_factory):
    """Other text than the checkpoint's: with its words, and with words of its own."""
    folder = tmp_path_factory.mktemp("stores")
    texts = ["-s", "en", "-t", "fr", "--trainpref", world.folder / "other", "--validpref",
             world.folder / "valid"]  # fmt: skip
    kept = ["--srcdict", world.forward, "--tgtdict", world.forward]
    for name, options in (("same", kept), ("own", [])):
        outcome = s2st("preprocess", *texts, *options, "--destdir", folder / name)
        assert outcome.code == 0, outcome.err
    return folder


def words(path, language):
    return [line.split(" ")[0] for line in (path / f"dict.{language}.txt").read_text().split("\n")]


def test_from_a_checkpoint_to_a_tuned_model(s2st, world, stores, tmp_path):
    assert words(stores / "same", "fr") == words(world.forward, "fr")
    command = ["train", stores / "same", "--finetune-from", world.forward, *FEW,
               "--dropout", "0.1", "--criterion", "label-smoothed-cross-entropy",
               "--batch-size", "16", "--save-dir", tmp_path / "run"]  # fmt: skip
    outcome = s2st(*command)
    assert outcome.code == 0, outcome.err
    assert f"weights of {world.forward}; optimizer, schedule and data order start" in outcome.err
    again = s2st(*command)
    assert "resuming from" in again.err
    assert "weights of" not in again.err
    translated = s2st("generate", "--checkpoint", tmp_path / "run/checkpoint_best", world.source)
    assert len(translated.lines) == len(world.source.read_text().splitlines())
    shown = s2st("inspect", tmp_path / "run/checkpoint_best")
    assert f"fine-tuned from {world.forward}" in shown.lines
    command[command.index("0.05")] = "0.01"
    refused = s2st(*command)
    last = tmp_path / "run/checkpoint_last"
    refused.check_error(2, "--lr was 0.05, is 0.01", f"--finetune-from {last}, a new run begins")


def test_new_words_are_refused_with_the_way_out_or_added(s2st, world, stores, tmp_path):
    command = ["train", stores / "own", "--finetune-from", world.forward, *FEW, "--save-dir",
               tmp_path / "run"]  # fmt: skip
    preprocess = f"`s2st preprocess --srcdict {world.forward} --tgtdict {world.forward}`"
    s2st(*command).check_error(2, preprocess, "--extend-vocabulary")
    assert not (tmp_path / "run").exists()
    outcome = s2st(*command, "--extend-vocabulary")
    assert outcome.code == 0, outcome.err
    new = {
        language: len(set(words(stores / "own", language)) - set(words(world.forward, language)))
        for language in ("en", "fr")
    }
    said = f"{new['en']} new source words and {new['fr']} new target words get initial weights"
    assert said in outcome.err
    sizes = [
        read_saved(path).record.sizes for path in (world.forward, tmp_path / "run/checkpoint_last")
    ]
    assert sizes[1].target_vocabulary - sizes[0].target_vocabulary == new["fr"]


def test_another_tokenizer_is_worth_a_warning(s2st, world, tmp_path):
    texts = ["-s", "en", "-t", "fr", "--trainpref", world.folder / "other", "--lowercase"]
    assert s2st("preprocess", *texts, "--destdir", tmp_path / "store").code == 0
    outcome = s2st(
        "train", tmp_path / "store", "--finetune-from", world.forward, "--extend-vocabulary", *FEW,
        "--max-update", "1", "--save-dir", tmp_path / "run",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert "the source tokenizer of the data (none) differs from the checkpoint's" in outcome.err


def test_inspect_lists_the_names_that_freeze_takes(s2st, world, stores, tmp_path):
    plain = s2st("inspect", world.forward).lines
    lines = s2st("inspect", "--parameters", world.forward).lines
    listed = [line.split()[0] for line in lines if line not in plain and line.startswith("  ")]
    assert sorted(listed) == sorted(load_tensors(world.forward / "weights.safetensors"))
    frozen = [option for name in listed[:-1] for option in ("--freeze", name)]
    outcome = s2st(
        "train", stores / "same", "--finetune-from", world.forward, *FEW, *frozen, "--save-dir",
        tmp_path,
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert "parameters are not trained" in outcome.err
    state = load_tensors(tmp_path / "checkpoint_last/training/optimizer.safetensors")
    assert {key.partition(".")[0] for key in state} == {str(len(listed) - 1)}
    manifest = json.loads((tmp_path / "checkpoint_last/manifest.json").read_text())
    assert manifest["summary"]["options"]["freeze"] == sorted(listed[:-1])


@pytest.mark.parametrize(
    ("code", "options", "text"),
    [
        (66, "--finetune-from {tmp}/none", "{tmp}/none: no such checkpoint folder"),
        (66, "--finetune-from {save}", "did you mean {save}/checkpoint_best?"),
        (66, "--finetune-from {tmp}/none --heads 4", "{tmp}/none: no such checkpoint folder"),
        (65, "--finetune-from {source}", "this is a file, but a checkpoint is a folder"),
        (65, "--finetune-from {store}", "expected a checkpoint of `s2st train`, such as "),
        (2, "--finetune-from {model} --arch gru", "leave out --arch"),
        (2, "--finetune-from {model} --hidden-size 8", "do not fit these options"),
        (2, "--finetune-from {model} --heads 4", "--heads needs --arch transformer"),
        (2, "--finetune-from {model} --freeze encoders", "did you mean encoder"),
        (2, "--freeze decoder.layers.9.*", "did you mean decoder.layers"),
        (2, "--finetune-from {model} --arch lstn", "did you mean lstm"),
        (2, "--finetune-from {model} --finetune-from {model}", "--finetune-from is given twice"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(s2st, world, stores, tmp_path, code, options, text):
    names = {
        "tmp": tmp_path, "save": world.save_dir, "store": stores / "same", "model": world.forward,
        "source": world.source,
    }  # fmt: skip
    given = options.format(**names).split()
    outcome = s2st("train", stores / "same", "--save-dir", tmp_path / "run", *given)
    outcome.check_error(code, text.format(**names))
    assert not (tmp_path / "run").exists()


def test_config_of_a_command_and_of_a_checkpoint(s2st, world, stores, tmp_path):
    file = tmp_path / "options.toml"
    printed = s2st("train", "--arch", "gru", "--patience", "none", "--print-config")
    assert printed.code == 0, printed.err
    assert 'patience = "none"' in printed.lines
    file.write_text(printed.out)
    assert s2st("train", "--config", file, "--print-config").out == printed.out
    sized = s2st("train", world.store, "--config", file, "--print-config").lines
    assert set(sized) - set(printed.lines) >= {"layers = 1", "hidden-size = 256"}
    printed = s2st("inspect", "--config", world.gru)
    assert printed.code == 0, printed.err
    file.write_text(printed.out)
    run = world.folder / "gru"
    outcome = s2st("train", world.store, "--config", file, "--save-dir", run, "--print-config")
    assert outcome.code == 0, outcome.err
    assert set(printed.lines[1:]) <= set(outcome.lines)
    begun = s2st("train", "--finetune-from", world.gru, "--print-config").lines
    assert {'arch = "gru"', "hidden-size = 16", f'finetune-from = "{world.gru}"'} <= set(begun)
    file.write_text(f'finetune-from = "{world.gru}"\n')
    assert s2st("train", "--config", file, "--print-config").lines == begun


def test_a_config_is_of_one_thing(s2st, world, tmp_path):
    s2st("inspect", "--config", world.gru, world.gru).check_error(2, "PATH cannot be combined")
    s2st("inspect", "--config", world.gru, "--arch", "gru").check_error(2, "--arch cannot be")
    s2st("inspect", "--config", tmp_path).check_error(66, "not a checkpoint")
    s2st("inspect", "--config", world.store).check_error(65, "this is a store")
    s2st("train").check_error(2, "Missing argument 'DATA'")
    (tmp_path / "o.toml").write_text("hidden-size = 9\n")
    sized = s2st("inspect", "--config", tmp_path / "o.toml", "--nwordssrc", 9, "--nwordstgt", 9)
    assert "  hidden-size = 9" in sized.lines


TOKENIZERS = {
    "moses": ["--tokenizer", "moses", "--lowercase"],
    "sentencepiece": ["--tokenizer", "sentencepiece", "--sentencepiece-vocab-size", "60"],
    "joined": ["--joined-dictionary"],
}


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_a_store_takes_words_and_tokenizers_of_a_checkpoint(s2st, world, tmp_path, kind):
    sides = ["-s", "en", "-t", "fr"]
    first = ["--trainpref", world.folder / "train", "--destdir", tmp_path / "first"]
    assert s2st("preprocess", *sides, *first, *TOKENIZERS[kind]).code == 0
    model = ["-a", "transformer", "--layers", "1", "--hidden-size", "8", "--tie-embeddings",
             "all" if kind == "joined" else "none", "--max-update", "1"]  # fmt: skip
    assert s2st("train", tmp_path / "first", *model, "--save-dir", tmp_path / "run").code == 0
    begin = tmp_path / "run/checkpoint_last"
    kept = ["--srcdict", begin, "--tgtdict", begin, "--trainpref", world.folder / "other"]
    joined = TOKENIZERS[kind] if kind == "joined" else []
    made = s2st("preprocess", *sides, *kept, *joined, "--destdir", tmp_path / "second")
    assert made.code == 0, made.err
    manifests = [json.loads((path / "manifest.json").read_text())
                 for path in (begin, tmp_path / "second")]  # fmt: skip
    assert manifests[0]["tokenizers"] == manifests[1]["tokenizers"]
    outcome = s2st(
        "train", tmp_path / "second", "--finetune-from", begin, "--max-update", "2", "--save-dir",
        tmp_path / "tuned",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert "differs from the checkpoint's" not in outcome.err
    records = [read_saved(path).record for path in (begin, tmp_path / "tuned/checkpoint_last")]
    for side in ("source", "target"):
        for what in ("vocabulary", "tokenizer"):
            name = f"{side}_{what}"
            assert getattr(records[0], name) == getattr(records[1], name)
