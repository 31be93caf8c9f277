"""The whole chain from text to rescored lists, and the commands that inspect its files."""

import json
import os
import shutil

import pytest
from options_of import replaced

from s2st.demo_corpus import read_corpus
from s2st.text.nbest_lists import read_nbest

SUBWORDS = [
    ["sentencepiece", "--sentencepiece-vocab-size", "60"],
    ["subword-nmt", "--bpe-merges", "40"],
    ["huggingface", "--byte-bpe-vocab-size", "300"],
    ["characters"],
]


@pytest.fixture
def texts(tmp_path):
    corpus = read_corpus(120, 15, 8)
    for name in ("train", "valid", "test"):
        for language, side in (("en", "source"), ("fr", "target")):
            lines = (getattr(pair, side) + "\n" for pair in getattr(corpus, name))
            (tmp_path / f"{name}.{language}").write_text("".join(lines), encoding="utf-8")
    return tmp_path


def test_from_text_to_rescored_lists(s2st, texts, tiny):
    def run(*arguments):
        outcome = s2st(*arguments)
        assert outcome.code == 0, outcome.err
        return outcome

    made = run(
        "preprocess", "-s", "en", "-t", "fr", "--trainpref", texts / "train",
        "--validpref", texts / "valid", "--testpref", texts / "test", "--destdir", texts / "data",
    )  # fmt: skip
    assert made.data == b""
    assert "train: 120 pairs" in made.err
    save = texts / "model"
    trained = run("train", texts / "data", *tiny, "--save-dir", save)
    assert trained.data == b""
    model = save / "checkpoint_best"
    short = ["--max-len-a", "0", "--max-len-b", "8"]
    plain = run("generate", "--checkpoint", model, *short, texts / "test.en")
    (texts / "hyp").write_bytes(plain.data)
    assert (
        run("score", texts / "hyp", "--ref", texts / "test.fr")
        .lines[1]
        .startswith("BLEU (multi-bleu.perl, ")
    )
    lists = run(
        "generate", "--checkpoint", model, *short, "--format", "moses", "--nbest", 4,
        texts / "test.en", "-o", texts / "list",
    )  # fmt: skip
    assert lists.data == b""
    rescored = run("rescore-nbest", texts / "list", "--source", texts / "test.en",
                   "--checkpoint", model, "--format", "nbest")  # fmt: skip
    groups = list(read_nbest(rescored.lines, "x"))
    assert [group[0].id for group in groups] == list(range(8))
    assert plain.lines == [group[0].hypothesis for group in groups]


def checkpoints(folder):
    return {
        path.relative_to(folder).as_posix(): path.stat().st_mtime_ns
        for path in folder.rglob("*")
        if path.is_file() and path.name not in (".lock", "train.log")
    }


def test_training_again_goes_on_or_does_nothing(s2st, world, tmp_path, tiny):
    save = tmp_path / "run"
    arguments = ["train", world.store, *tiny, "-a", "lstm", "--seed", "2", "--save-dir", save]
    one = s2st(*replaced(arguments, "--max-epoch", "1"))
    assert one.code == 0, one.err
    two = s2st(*arguments)
    assert two.code == 0, two.err
    assert "resuming from" in two.err
    # one epoch and then another is the run of two epochs in one go
    name = "checkpoint_last/weights.safetensors"
    whole = world.folder / "forward"
    assert (save / name).read_bytes() == (whole / name).read_bytes()
    before = checkpoints(save)
    three = s2st(*arguments)
    assert three.code == 0, three.err
    assert checkpoints(save) == before


def test_a_run_is_not_gone_on_with_other_options_or_data(s2st, world, tmp_path, tiny):
    save = tmp_path / "run"
    shutil.copytree(world.folder / "forward", save, symlinks=True)
    arguments = [*tiny, "-a", "lstm", "--seed", "2", "--save-dir", save]
    before = checkpoints(save)
    s2st("train", world.store, *replaced(arguments, "--lr", "0.5")).check_error(
        2, "--lr was 0.05, is 0.5"
    )
    s2st("train", world.folder / "other-store", *arguments).check_error(2, "other data")
    assert checkpoints(save) == before


def test_export_leaves_the_training_state_out_and_translates(s2st, world, tmp_path):
    release = tmp_path / "release"
    outcome = s2st("export", world.forward, release)
    assert outcome.code == 0, outcome.err
    assert outcome.data == b""
    assert not (release / "training").exists()
    size = sum(path.stat().st_size for path in release.rglob("*") if path.is_file())
    full = sum(path.stat().st_size for path in world.forward.rglob("*") if path.is_file())
    assert size < full / 2  # Adam's two moments are gone
    arguments = ["generate", "--max-len-a", "0", "--max-len-b", "5", world.source, "--checkpoint"]
    assert s2st(*arguments, release).data == s2st(*arguments, world.forward).data != b""
    assert s2st("inspect", release).code == 0


def test_training_cannot_go_on_from_a_release(s2st, world, tmp_path, tiny):
    (tmp_path / "run").mkdir()
    assert s2st("export", world.forward, tmp_path / "run" / "checkpoint_last").code == 0
    outcome = s2st("train", world.store, *tiny, "-a", "lstm", "--save-dir", tmp_path / "run")
    outcome.check_error(65, "no training state")


def test_vocabularies_from_a_checkpoint(s2st, world, tmp_path):
    outcome = s2st(
        "preprocess", "-s", "en", "-t", "fr", "--trainpref", world.folder / "other",
        "--srcdict", world.forward, "--tgtdict", world.store, "--destdir", tmp_path / "data",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    for language in ("en", "fr"):
        name = f"dict.{language}.txt"
        assert (tmp_path / "data" / name).read_bytes() == (world.store / name).read_bytes()


def test_inspect_checkpoint_and_store(s2st, world):
    found = s2st("inspect", world.forward)
    assert found.code == 0, found.err
    for part in ("architecture lstm", "layers = 1", "hidden-size = 16", "source en: 150 words",
                 "target fr: 150 words", "tokenizer none", "valid ppl"):  # fmt: skip
        assert part in found.out, part
    # input tables, two LSTMs and the output layer of one layer of 16, from the formula
    embedding, lstm, output = 154 * 16, 4 * 16 * (16 + 16), 154 * 16
    assert f"{2 * embedding + 2 * lstm + output:,}" in found.out
    store = s2st("inspect", world.store)
    assert store.code == 0
    assert "train: 200 pairs" in store.out
    assert "valid: 20 pairs" in store.out


@pytest.mark.slow
def test_inspect_counts_the_papers_model_without_allocating_it(shell):
    # 384 M parameters are 1.5 GB; the data segment is held to what torch itself needs
    outcome = shell(
        "ulimit -d 1200000; OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 "
        "s2st inspect --arch lstm-sutskever2014 --nwordssrc 160000 --nwordstgt 80000"
    )
    assert outcome.code == 0, outcome.err
    assert "(384 M)" in outcome.out


def test_list(s2st):
    outcome = s2st("list")
    assert outcome.code == 0
    for name in ("lstm-sutskever2014", "gru", "cross-entropy", "beam", "adam", "plateau", "moses",
                 "sutskever2014", "ensemble"):  # fmt: skip
        assert f"  {name}" in outcome.out
    searches = s2st("list", "searches", "--options").out
    assert "beam: --lenpen" in searches
    assert "lstm" not in searches


def test_options_of_a_file_give_the_same_run(s2st, world, tmp_path, tiny):
    values = dict(zip(tiny[::2], tiny[1::2], strict=True))
    lines = [f"{name[2:]} = {value}" for name, value in values.items()]
    (tmp_path / "o.toml").write_text("\n".join(['arch = "gru"', *lines]))
    save = tmp_path / "run"
    outcome = s2st("train", world.store, "--config", tmp_path / "o.toml", "--save-dir", save)
    assert outcome.code == 0, outcome.err
    name = "checkpoint_last/weights.safetensors"
    assert (save / name).read_bytes() == (world.folder / "gru" / name).read_bytes()
    manifest = json.loads((save / "checkpoint_last" / "manifest.json").read_bytes())
    assert manifest["summary"]["options"]["arch"] == "gru"
    assert os.path.islink(save / "checkpoint_last")


def test_a_store_without_training_text(s2st, world, tmp_path):
    outcome = s2st(
        "preprocess", "-s", "en", "-t", "fr", "--testpref", world.prefix, "--srcdict", world.store,
        "--tgtdict", world.store, "--destdir", tmp_path / "data",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    s2st("train", tmp_path / "data", "--save-dir", tmp_path / "run").check_error(66, "'train'")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("tokenizer", [["moses", "--lowercase"], *SUBWORDS], ids=" ".join)
def test_other_tokenizers_go_along_with_the_model(s2st, texts, tiny, tokenizer):
    def run(*arguments, stdin=b""):
        outcome = s2st(*arguments, stdin=stdin)
        assert outcome.code == 0, outcome.err
        return outcome

    run(
        "preprocess", "-s", "en", "-t", "fr", "--trainpref", texts / "train",
        "--validpref", texts / "valid", "--destdir", texts / "data", "--tokenizer", *tokenizer,
    )  # fmt: skip
    run("train", texts / "data", *tiny, "--save-dir", texts / "model")
    model = texts / "model" / "checkpoint_best"
    shutil.rmtree(texts / "data")  # the checkpoint is complete in itself
    short = ["--max-len-a", "0", "--max-len-b", "8"]
    lines = "\nThe cat's here.\nA\u2028dog \u00e9t\u00e9 \u4e2d\n".encode()
    plain = run("generate", "--checkpoint", model, *short, stdin=lines)
    assert plain.data.count(b"\n") == 3
    assert plain.lines[0] == ""
    assert "\u2581" not in plain.out
    (texts / "src").write_bytes(lines)
    listed = run("generate", "--checkpoint", model, *short, "--nbest", 3, "--format", "moses",
                 texts / "src")  # fmt: skip
    (texts / "list").write_bytes(listed.data)
    rescored = run(
        "rescore-nbest", texts / "list", "--checkpoint", model, "--source", texts / "src"
    )
    assert rescored.data.count(b"\n") == 3
    assert "tokenizer " + tokenizer[0] in run("inspect", model).out
    scored = run(
        "score", "--checkpoint", model, "--source", texts / "src", "--target", texts / "src"
    )
    assert len(scored.lines) == 3


@pytest.mark.parametrize("tokenizer", [["none"], ["moses"], *SUBWORDS], ids=" ".join)
def test_a_model_scores_its_own_lists(s2st, texts, tiny, tokenizer):
    arguments = [
        "preprocess", "-s", "en", "-t", "fr", "--trainpref", texts / "train",
        "--validpref", texts / "valid", "--destdir", texts / "data", "--tokenizer", *tokenizer,
    ]  # fmt: skip
    assert s2st(*arguments).code == 0
    assert s2st("train", texts / "data", *tiny, "--save-dir", texts / "m").code == 0
    model = texts / "m" / "checkpoint_best"
    options = ["--max-len-a", "0", "--max-len-b", "8", "--nbest", "3", "--no-unk"]
    listed = s2st("generate", "--checkpoint", model, *options, "--format", "moses",
                  texts / "test.en", "-o", texts / "list")  # fmt: skip
    assert listed.code == 0, listed.err
    rescored = s2st("rescore-nbest", texts / "list", "--checkpoint", model,
                    "--source", texts / "test.en", "--format", "nbest")  # fmt: skip
    for group in read_nbest(rescored.lines, "x"):
        for entry in group:
            features = dict(entry.features)
            assert "\u2581" not in entry.hypothesis
            if tokenizer in SUBWORDS:  # the text may be cut otherwise than it was found
                assert features["S2ST0"][0] < 0
            else:
                assert features["S2ST0"] == pytest.approx(features["LogProb"], rel=1e-4)
