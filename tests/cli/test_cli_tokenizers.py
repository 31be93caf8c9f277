"""Tokenizers with files of other programs: codes of subword-nmt, tokenizer.json of Hugging Face."""

import json
import shutil
from pathlib import Path

import pytest
from options_of import replaced

from s2st.data.store import Store
from s2st.errors import CheckpointError
from s2st.process.durable_folders import has_only_s2st_files
from s2st.process.folder_manifest import MANIFEST
from s2st.text.huggingface_tokenizer import train_byte_bpe
from s2st.text.subword_nmt_tokenizer import train_subword_nmt
from s2st.text.tokenizers import HuggingFaceConfig, SubwordNmtConfig
from s2st.text.vocabulary import SPECIALS

FLAGS = {"subword-nmt": "--bpe-codes", "huggingface": "--tokenizer-json"}
FILES = {"subword-nmt": "subword-nmt.{}.codes", "huggingface": "tokenizer.{}.json"}


@pytest.fixture(scope="module")
def files(world, tmp_path_factory) -> dict[str, list[Path]]:
    """A model file of each language for each tokenizer."""
    folder = tmp_path_factory.mktemp("files")
    made: dict[str, list[Path]] = {"subword-nmt": [], "huggingface": []}
    for language in ("en", "fr"):
        lines = (world.folder / f"train.{language}").read_text("utf-8").split("\n")
        codes = train_subword_nmt(lines, SubwordNmtConfig(bpe_merges=50), language)
        bpe = train_byte_bpe(lines, HuggingFaceConfig(byte_bpe_vocab_size=300), language)
        for name, model in (("subword-nmt", codes), ("huggingface", bpe)):
            made[name].append(folder / f"{name}.{language}")
            made[name][-1].write_bytes(model)
    return made


@pytest.fixture
def prepare(s2st, world, tmp_path):
    def run(*options: object):
        return s2st(
            "preprocess", "-s", "en", "-t", "fr", "--trainpref", world.folder / "train",
            "--destdir", tmp_path / "bin", *options,
        )  # fmt: skip

    return run


@pytest.mark.parametrize("name", FLAGS)
@pytest.mark.parametrize("count", [1, 2])
def test_a_store_keeps_the_files_that_it_was_made_with(
    prepare, files, world, tmp_path, name, count
):
    given = [word for path in files[name][:count] for word in (FLAGS[name], path)]
    outcome = prepare("--tokenizer", name, *given)
    assert outcome.code == 0, outcome.err
    manifest = json.loads((tmp_path / "bin" / MANIFEST).read_text())
    for side, language in enumerate(("en", "fr")):
        own = FILES[name].format(language)
        assert (tmp_path / "bin" / own).read_bytes() == files[name][side % count].read_bytes()
        assert manifest["files"][own]["sha256"]
    assert has_only_s2st_files(tmp_path / "bin")  # else a stopped run's folder would stay for ever
    store = Store(tmp_path / "bin")
    tokens = store.source_vocabulary.decode(store.split("train").source[0].tolist())
    text = (world.folder / "train.en").read_text("utf-8").split("\n")[0]
    assert store.source_tokenizer.build().decode(tokens) == text
    with (tmp_path / "bin" / FILES[name].format("en")).open("ab") as stream:
        stream.write(b"a b\n")
    with pytest.raises(CheckpointError):
        Store(tmp_path / "bin")


def test_byte_level_bpe_has_all_pieces_and_one_dictionary(prepare, files, tmp_path):
    given = [FLAGS["huggingface"], files["huggingface"][0], "--joined-dictionary"]
    assert prepare("--tokenizer", "huggingface", *given).code == 0
    store = Store(tmp_path / "bin")
    assert store.source_vocabulary == store.target_vocabulary
    pieces = json.loads(files["huggingface"][0].read_text("utf-8"))["model"]["vocab"]
    assert {*store.source_vocabulary.tokens} == {*SPECIALS, *pieces}
    shutil.rmtree(tmp_path / "bin")
    both = [word for path in files["huggingface"] for word in (FLAGS["huggingface"], path)]
    outcome = prepare("--tokenizer", "huggingface", "--joined-dictionary", *both)
    outcome.check_error(2, "--joined-dictionary needs one byte-level BPE model")


def test_one_codes_file_is_learned_for_a_joined_dictionary(prepare, tmp_path):
    options = ["--tokenizer", "subword-nmt", "--bpe-merges", 60, "--joined-dictionary"]
    assert prepare(*options).code == 0
    store = Store(tmp_path / "bin")
    assert store.source_tokenizer.model == store.target_tokenizer.model
    assert store.source_vocabulary == store.target_vocabulary


def test_a_dictionary_folder_brings_its_tokenizer(prepare, files, s2st, world, tmp_path):
    given = [FLAGS["subword-nmt"], files["subword-nmt"][0]]
    assert prepare("--tokenizer", "subword-nmt", *given).code == 0
    (tmp_path / "bin").rename(tmp_path / "old")
    own = ["--srcdict", tmp_path / "old", "--tokenizer", "subword-nmt", "--thresholdtgt", 2]
    outcome = prepare(*own, FLAGS["subword-nmt"], files["subword-nmt"][1])
    assert outcome.code == 0, outcome.err
    store = Store(tmp_path / "bin")
    assert store.source_tokenizer.model == files["subword-nmt"][0].read_bytes()
    assert store.target_tokenizer.model == files["subword-nmt"][1].read_bytes()
    text = [world.folder / "train.en", "-o", tmp_path / "lm.arpa", "--order", 2]
    words = ["--dict", tmp_path / "old", "--lang", "en", "--discount-fallback"]
    outcome = s2st("train-ngram", *text, *words)
    assert outcome.code == 0, outcome.err
    alone = s2st("train-ngram", *text, "--tokenizer", "subword-nmt")
    alone.check_error(2, "--tokenizer subword-nmt needs --dict")


@pytest.mark.parametrize(
    ("options", "code", "parts"),
    [
        (["--bpe-codes", "{codes}"], 2, ["--bpe-codes needs --tokenizer subword-nmt"]),
        (["--tokenizer", "huggingface", "--bpe-codes", "{codes}"], 2, ["needs --tokenizer"]),
        (["--tokenizer", "subword-nmt", "--tokenizer-json", "{json}"], 2, ["--tokenizer-json"]),
        (["--tokenizer", "subword-nmt", *["--bpe-codes", "{codes}"] * 3], 2, ["not 3 times"]),
        (["--tokenizer", "subword-nmt", "--bpe-codes", "{json}"], 2, ["huggingface.en", "line 1"]),
        (["--tokenizer", "huggingface", "--tokenizer-json", "{codes}"], 2, ["tokenizer.json"]),
        (["--tokenizer", "subword-nmt", "--bpe-codes", "none"], 66, ["none", "cannot be read"]),
        (["--tokenizer", "huggingface", "--nwordssrc", "9"], 2, ["--byte-bpe-vocab-size"]),
        (["--tokenizer", "huggingface", "--byte-bpe-vocab-size", "256"], 2, ["257"]),
    ],
)
def test_files_that_do_not_fit(prepare, files, tmp_path, options, code, parts):
    names = {"codes": files["subword-nmt"][0], "json": files["huggingface"][0]}
    outcome = prepare(*(word.format(**names) for word in options))
    outcome.check_error(code, *parts)
    assert not (tmp_path / "bin").exists()


# --subword-sampling


def test_subword_sampling_is_part_of_the_run(prepare, s2st, tiny, world, tmp_path):
    def train(*options: object):
        epochs = replaced(tiny, "--max-epoch", 3 if options[-1] == "on" else 2)
        given = [option for option in options if option != "on"]
        return s2st("train", tmp_path / "bin", *epochs, "--save-dir", tmp_path / "run", *given)

    outcome = prepare("--tokenizer", "sentencepiece", "--sentencepiece-vocab-size", 60)
    assert outcome.code == 0, outcome.err
    assert train("--subword-sampling").code == 0
    train("on").check_error(2, "--subword-sampling was True, is False")
    own = ["--subword-sampling", "--unigram-alpha", 0.5]
    train(*own).check_error(2, "--unigram-alpha was 0.2, is 0.5")
    assert train("--subword-sampling", "on").code == 0


@pytest.mark.parametrize("tokenizer", ["none", "characters", "huggingface"])
def test_tokenizers_that_cannot_be_sampled(prepare, s2st, tmp_path, tokenizer):
    assert prepare("--tokenizer", tokenizer).code == 0
    outcome = s2st("train", tmp_path / "bin", "--subword-sampling", "--save-dir", tmp_path / "run")
    outcome.check_error(2, f"--tokenizer {tokenizer}", "sentencepiece", "subword-nmt")
    assert not (tmp_path / "run").exists()
