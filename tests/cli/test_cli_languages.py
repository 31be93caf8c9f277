"""Tests of several language pairs through the commands: tags, and a decoder for each language."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from s2st.data.batch import make_source
from s2st.models.languages import LanguageChoice
from s2st.models.model_files import load_saved, read_saved
from s2st.process.folder_manifest import read_sealed, seal
from s2st.scoring.load_scorers import load_scorer
from s2st.text.vocabulary import UNK_ID
from s2st.training.observer import perplexity_text

SIZES = ("--layers", 1, "--hidden-size", 16, "--embedding-size", 16, "--threads", 1)
TRAIN = (*SIZES, "--batch-size", 20, "--lr", 0.02, "--dropout", 0)
KINDS = {
    "decoders": ("separate", "-a", "lstm-reversed", "--decoders", "per-language"),
    "tags": ("joined", "-a", "gru-attention"),
}
PAIRS = ("--pair", "en-fr:text", "--pair", "en-xx:text", "--validpref", "en-fr:valid",
         "--validpref", "en-xx:valid")  # fmt: skip


def must(outcome):
    assert outcome.code == 0, outcome.err
    return outcome


@pytest.fixture(scope="module")
def made(s2st, world, tmp_path_factory) -> Path:
    """Stores of en-fr and of en-xx, whose words are those of French in capitals; their models."""
    folder = tmp_path_factory.mktemp("languages")
    for name, old in (("text", "train"), ("valid", "valid"), ("test", "test")):
        for language in ("en", "fr"):
            text = Path(f"{world.folder}/{old}.{language}").read_text()
            (folder / f"{name}.{language}").write_text(text)
        (folder / f"{name}.xx").write_text(text.upper())
    pairs = [str(part).replace(":", f":{folder}/") for part in PAIRS]
    must(s2st("preprocess", *pairs, "--destdir", folder / "separate"))
    must(s2st("preprocess", *pairs, "--joined-dictionary", "--destdir", folder / "joined"))
    for kind, (store, *options) in KINDS.items():
        must(
            s2st(
                "train",
                folder / store,
                *TRAIN,
                *options,
                "--max-epoch",
                8,
                "--save-dir",
                folder / kind,
            )
        )
    return folder


def best(made: Path, kind: str) -> Path:
    return made / kind / "checkpoint_best"


# preparation


def test_vocabularies_of_a_store_of_pairs(made):
    separate = {n: (made / f"separate/dict.{n}.txt").read_text() for n in ("en", "fr", "xx")}
    joined = {n: (made / f"joined/dict.{n}.txt").read_text() for n in ("en", "fr", "xx")}
    assert len(set(joined.values())) == 1
    assert joined["en"].startswith("<2fr> tag\n<2xx> tag\n")
    assert sorted(separate["xx"].splitlines()) == sorted(separate["fr"].upper().splitlines())
    english = (made / "text.en").read_text().split()
    word, count = separate["en"].split("\n")[0].split(" ")
    assert int(count) == 2 * english.count(word)  # the English text is in both pairs


def test_options_that_one_pair_has_are_refused(s2st, made, tmp_path):
    command = ["preprocess", "--pair", f"en-fr:{made}/text", "--destdir", tmp_path / "new"]
    for options in (["-s", "en"], ["--trainpref", "x"], ["--tsv", "x"], ["--only-target"]):
        s2st(*command, *options).check_error(2, "--pair cannot be combined with --")
    s2st(*command, "--validpref", f"{made}/valid").check_error(2, "SOURCE-TARGET:PREFIX")
    s2st(*command, "--validpref", f"en-xx:{made}/valid").check_error(2, "no training text")


# training


def test_one_pair_with_its_own_decoder_is_an_ordinary_training(s2st, made, tmp_path):
    """Bit for bit. Without clipping, whose norm depends on the order of the weights."""
    text, valid = made / "text", made / "valid"
    must(
        s2st(
            "preprocess", "-s", "en", "-t", "fr", "--trainpref", text, "--validpref", valid,
            "--destdir", tmp_path / "one",
        )
    )  # fmt: skip
    must(
        s2st(
            "preprocess", "--pair", f"en-fr:{text}", "--validpref", f"en-fr:{valid}",
            "--destdir", tmp_path / "pair",
        )
    )  # fmt: skip
    options = [*TRAIN, "-a", "lstm", "--clip-norm", 0, "--max-update", 12]
    must(s2st("train", tmp_path / "one", *options, "--save-dir", tmp_path / "a"))
    options += ["--decoders", "per-language", "--save-dir", tmp_path / "b"]
    must(s2st("train", tmp_path / "pair", *options))
    must(s2st("export", tmp_path / "b/checkpoint_last", tmp_path / "out", "--target-lang", "fr"))
    found = load_file(tmp_path / "out/weights.safetensors")
    expected = load_file(tmp_path / "a/checkpoint_last/weights.safetensors")
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in found)


@pytest.mark.parametrize("kind", KINDS)
def test_training_resumes_exactly(s2st, made, tmp_path, kind):
    store, *options = KINDS[kind]
    command = ["train", made / store, *TRAIN, *options, "--corpus-temperature", 3]
    must(s2st(*command, "--max-update", 9, "--save-dir", tmp_path / "whole"))
    for updates in (4, 9):
        must(s2st(*command, "--max-update", updates, "--save-dir", tmp_path / "parts"))
    for name in ("weights.safetensors", "training/optimizer.safetensors"):
        first, second = (load_file(tmp_path / run / "checkpoint_last" / name)
                         for run in ("whole", "parts"))  # fmt: skip
        assert first.keys() == second.keys()
        assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize("kind", KINDS)
def test_validation_perplexity_of_each_pair_is_that_of_score(s2st, made, kind):
    shown = must(s2st("inspect", best(made, kind))).lines
    (line,) = [line for line in shown if line.endswith("(best)")]
    for target in ("fr", "xx"):
        score = must(
            s2st(
                "score", "--checkpoint", best(made, kind), "--target-lang", target, "--source",
                made / "valid.en", "--target", made / f"valid.{target}",
            )
        )  # fmt: skip
        tokens = int(score.err.partition("pairs, ")[2].partition(" ")[0].replace(",", ""))
        nll = -sum(map(float, score.lines)) / tokens
        assert f"en-{target} {perplexity_text(nll)}" in line


def test_a_decoder_writes_its_own_language(s2st, made):
    """French has small letters, xx capitals."""
    command = ["generate", "--checkpoint", best(made, "decoders"), made / "test.en"]
    french = must(s2st(*command, "--target-lang", "fr")).out.replace("<unk>", "")
    capitals = must(s2st(*command, "--target-lang", "xx")).out.replace("<unk>", "")
    assert french == french.lower() != french.upper()
    assert capitals == capitals.upper() != capitals.lower()


def test_a_tag_makes_its_language_probable(s2st, made):
    def perplexity(tag, text):
        texts = ["--source", made / "test.en", "--target", made / f"test.{text}"]
        command = ["score", "--checkpoint", best(made, "tags"), "--target-lang", tag, *texts]
        return float(must(s2st(*command)).err.rpartition("perplexity ")[2])

    for right, wrong in (("fr", "xx"), ("xx", "fr")):
        assert perplexity(right, right) < 0.8 * perplexity(wrong, right)


# what a checkpoint of several pairs is


@pytest.mark.parametrize("target", ["fr", "xx"])
def test_an_exported_decoder_is_an_ordinary_model(s2st, made, tmp_path, target):
    whole, alone = best(made, "decoders"), tmp_path / target
    must(s2st("export", whole, alone, "--target-lang", target))
    must(s2st("inspect", "--verify", alone))
    lists = ["--nbest", 3, "--format", "moses", made / "test.en"]
    several = must(s2st("generate", "--checkpoint", whole, "--target-lang", target, *lists))
    single = must(s2st("generate", "--checkpoint", alone, *lists))
    assert several.out == single.out
    (tmp_path / "lists").write_text(single.out)
    texts = ["--source", made / "test.en"]
    for command in (
        ["score", *texts, "--target", made / f"test.{target}"],
        ["rescore-nbest", tmp_path / "lists", *texts, "--format", "nbest"],
    ):
        one = must(s2st(*command, "--checkpoint", alone))
        assert one.out == must(s2st(*command, "--checkpoint", whole, "--target-lang", target)).out


def test_a_tag_is_the_first_id_of_each_source(s2st, made):
    """The scores are those of the plain model on ids that begin with the tag."""
    path, text = best(made, "tags"), (made / "test.en").read_text().splitlines()[:5]
    saved, model = load_saved(path, torch.device("cpu"))
    words = saved.record.source_vocabulary
    scorer = load_scorer([str(path)], torch.device("cpu"), languages=LanguageChoice(None, "xx"))
    model.eval()
    for line in text:
        ids = words.encode(line.split())
        plain = make_source([ids], [0])
        tagged = make_source([[words.tags["xx"], *ids]], [0])
        assert torch.equal(plain.with_tag(words.tags["xx"]).tokens, tagged.tokens)
        with torch.inference_mode():
            state = model.initial_state(model.encode(tagged))
            step = model.step(torch.tensor([1]), state)
            expected = torch.log_softmax(model.project(step.features), dim=-1)
        found = scorer.step(torch.tensor([1]), scorer.start(plain))
        torch.testing.assert_close(found.log_probs, expected, rtol=1e-4, atol=1e-5)
        assert found.attention.shape == (1, len(ids) + 1)  # words and EOS, no tag
        torch.testing.assert_close(found.attention, step.attention[:, 1:], rtol=1e-4, atol=1e-6)


def test_no_text_contains_a_tag(s2st, made, tmp_path):
    words = read_saved(best(made, "tags")).record.source_vocabulary
    assert words.encode(["<2fr>", "<2xx>"]) == [UNK_ID, UNK_ID]
    outputs = set()
    for word in ("<2xx>", "<2fr>", "unknownword"):
        (tmp_path / "in").write_text(f"a {word} runs .\n")
        command = ["generate", "--checkpoint", best(made, "tags"), "--target-lang", "fr"]
        outputs.add(must(s2st(*command, "--format", "moses", tmp_path / "in")).out)
    assert len(outputs) == 1


def test_alignments_count_no_tag(s2st, made, tmp_path):
    lines = [len(line.split()) for line in (made / "test.en").read_text().splitlines()]
    command = ["generate", "--checkpoint", best(made, "tags"), "--target-lang", "fr"]
    must(s2st(*command, "--alignments", tmp_path / "links", made / "test.en"))
    rows = (tmp_path / "links").read_text().splitlines()
    for count, row in zip(lines, rows, strict=True):
        assert all(int(link.split("-")[0]) < count for link in row.split())


def test_an_ensemble_of_models_with_tags(s2st, made):
    command = ["generate", "--target-lang", "xx", made / "test.en", "--checkpoint"]
    alone = must(s2st(*command, best(made, "tags")))
    twice = must(s2st(*command, best(made, "tags"), "--checkpoint", best(made, "tags")))
    assert alone.out == twice.out


@pytest.mark.parametrize("kind", KINDS)
def test_average_and_report_and_inspect(s2st, made, tmp_path, kind):
    mean = tmp_path / "mean"
    must(s2st("average", best(made, kind), made / kind / "checkpoint_last", "-o", mean))
    must(s2st("inspect", "--verify", mean))
    must(s2st("generate", "--checkpoint", mean, "--target-lang", "fr", made / "test.en"))
    shown = must(s2st("inspect", mean)).out
    assert "language pairs: en to fr, en to xx" in shown
    stored = must(s2st("inspect", made / "joined")).out
    assert "en to fr, en to xx" in stored
    assert "+ 6 special" in stored
    must(s2st("report", made / kind, "-o", tmp_path / "report.html"))
    assert "en to fr, xx" in (tmp_path / "report.html").read_text()


MISTAKES = (
    ("decoders", [], "choose one of fr, xx by --target-lang"),
    ("tags", [], "choose one of fr, xx by --target-lang"),
    ("tags", ["--target-lang", "de"], "--target-lang is de, but the model has fr, xx"),
    ("tags", ["--target-lang", "fr", "--source-lang", "fr"], "--source-lang is fr, but"),
)


@pytest.mark.parametrize(("kind", "options", "message"), MISTAKES)
def test_languages_that_the_model_does_not_have(s2st, made, kind, options, message):
    command = ["generate", "--checkpoint", best(made, kind), made / "test.en"]
    s2st(*command, *options).check_error(2, message)


def test_a_model_of_one_pair_and_the_languages_that_it_has(s2st, world):
    command = ["generate", "--checkpoint", world.forward, world.source, "--target-lang"]
    s2st(*command, "de").check_error(2, "--target-lang is de, but the model has fr")
    named = must(s2st(*command, "fr", "--source-lang", "en"))
    assert named.out == must(s2st(*command[:-1])).out


def test_trainings_that_do_not_fit_the_store(s2st, made, world, tmp_path):
    train = ["--save-dir", tmp_path / "new", *SIZES]
    each = ["--decoders", "per-language"]
    s2st("train", made / "separate", *train).check_error(2, "--joined-dictionary")
    s2st("train", world.store, *train, *each).check_error(2, "needs several pairs")
    sharded = [*each, "--shard-parameters"]
    s2st("train", made / "separate", *train, *sharded).check_error(2, "--shard-parameters")
    model = ["-a", "lstm-lm"]
    s2st("train", made / "joined", *train, *model).check_error(2, "reads no source")
    s2st("export", best(made, "tags"), tmp_path / "x", "--target-lang", "fr").check_error(
        2, "one decoder for all target languages"
    )
    assert not (tmp_path / "new").exists()
    assert not (tmp_path / "x").exists()


def test_fine_tuning_a_model_of_several_pairs(s2st, made, world, tmp_path):
    """On other text with the words of the checkpoint: the first loss is that of the checkpoint."""
    source, target = best(made, "decoders"), made / "separate"
    texts = ["--pair", f"en-fr:{made}/test", "--pair", f"en-xx:{made}/test"]
    valid = ["--validpref", f"en-fr:{made}/valid", "--validpref", f"en-xx:{made}/valid"]
    words = ["--srcdict", source, "--tgtdict", source]
    must(s2st("preprocess", *texts, *valid, *words, "--destdir", tmp_path / "store"))
    for name in ("en", "fr", "xx"):
        file = f"dict.{name}.txt"
        assert (tmp_path / "store" / file).read_bytes() == (target / file).read_bytes()
    options = ["--finetune-from", source, "--threads", 1]
    options += ["--lr", 1e-9, "--max-update", 1, "--save-dir", tmp_path / "run"]
    must(s2st("train", tmp_path / "store", *options))
    shown = must(s2st("inspect", tmp_path / "run/checkpoint_last")).lines
    before = must(s2st("inspect", source)).lines
    found, expected = (
        next(line for line in lines if "(best)" in line).partition("valid ppl ")[2].split(")")[0]
        for lines in (shown, before)
    )
    assert found == expected
    one = ["--finetune-from", source, "--save-dir", tmp_path / "other"]
    s2st("train", world.store, *one, "--decoders", "shared").check_error(2, "export --target-lang")


@pytest.mark.parametrize("kind", KINDS)
def test_the_metric_of_each_pair_is_that_of_its_translations(s2st, made, tmp_path, kind):
    store, *options = KINDS[kind]
    command = ["train", made / store, *TRAIN, *options, "--save-dir", tmp_path / "run"]
    command += ["--best-checkpoint-metric", "chrf", "--max-update", 5, "--validate-samples", 3]
    run = must(s2st(*command, "--validate-beam", 2))
    assert run.err.count("  hypothesis: ") == 3
    lines = (tmp_path / "run/metrics.jsonl").read_text().splitlines()
    (record,) = [json.loads(line) for line in lines if '"validation"' in line]
    values = record["metrics"]
    for target in ("fr", "xx"):
        generate = ["generate", "--checkpoint", tmp_path / "run/checkpoint_last", "--beam", 2]
        translated = must(s2st(*generate, made / "valid.en", "--target-lang", target))
        (tmp_path / "out").write_text(translated.out)
        score = ["score", tmp_path / "out", "--ref", made / f"valid.{target}", "--format", "json"]
        found = [json.loads(line) for line in must(s2st(*score)).lines]
        (chrf,) = [row["chrF2"] for row in found if "chrF2" in row] or [None]
        assert values[f"chrf/en-{target}"] == pytest.approx(chrf["score"], abs=0.01)
    mean = (values["chrf/en-fr"] + values["chrf/en-xx"]) / 2
    assert values["chrf"] == pytest.approx(mean)


def test_several_source_languages_and_a_pair_without_training_text(s2st, made, tmp_path):
    pairs = ["--pair", f"fr-en:{made}/text", "--pair", f"en-xx:{made}/text", "--joined-dictionary"]
    must(s2st("preprocess", *pairs, "--destdir", tmp_path / "store"))
    train = ["train", tmp_path / "store", *TRAIN, "--max-update", 2, "--save-dir", tmp_path / "run"]
    must(s2st(*train))
    command = ["generate", "--checkpoint", tmp_path / "run/checkpoint_last", made / "test.fr"]
    s2st(*command).check_error(2, "choose one of fr, en by --source-lang")
    s2st(*command, "--source-lang", "fr").check_error(2, "choose one of en, xx by --target-lang")
    untrained = must(s2st(*command, "--source-lang", "fr", "--target-lang", "xx"))
    assert len(untrained.lines) == len((made / "test.fr").read_text().splitlines())


DAMAGES = (
    [],
    {},
    {"tokenizers": [], "pairs": [["en", "fr"]], "decoders": "shared"},
    {"tokenizers": [3], "pairs": [["en", "fr"]], "decoders": "shared"},
    {"pairs": [["en"]]},
    {"pairs": 7},
    {"pairs": []},
    {"pairs": [["en", "de"]]},
    {"decoders": "many"},
)


@pytest.mark.parametrize("damage", DAMAGES, ids=str)
def test_a_damaged_record_of_the_languages_is_one_line(s2st, made, tmp_path, damage):
    folder = tmp_path / "model"
    must(s2st("export", best(made, "tags"), folder))
    manifest = read_sealed(folder)
    del manifest["manifest_sha256"]
    whole = not isinstance(damage, dict) or len(damage) in (0, 3)
    manifest["languages"] = damage if whole else {**manifest["languages"], **damage}
    (folder / "manifest.json").write_bytes(seal(manifest))
    command = ["generate", "--checkpoint", folder, "--target-lang", "fr", made / "test.en"]
    s2st(*command).check_error(65, "damaged")


def test_the_printed_options_train_the_same_model(s2st, made, tmp_path):
    options = [*TRAIN, *KINDS["decoders"][1:], "--max-update", 2]
    printed = must(s2st("train", made / "separate", *options, "--print-config"))
    (tmp_path / "options.toml").write_bytes(printed.data)
    must(s2st("train", made / "separate", *options, "--save-dir", tmp_path / "a"))
    config = ("--config", tmp_path / "options.toml", "--save-dir", tmp_path / "b")
    must(s2st("train", made / "separate", *config))
    one, other = (
        load_file(tmp_path / name / "checkpoint_last" / "weights.safetensors") for name in "ab"
    )
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("command", ["generate", "score", "tune-length", "analyze attention"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_command_with_a_model_takes_the_target_language(s2st, made, command, kind):
    """Without it a model of several target languages is refused; with it the command works."""
    if (kind, command) == ("decoders", "analyze attention"):
        pytest.skip("this model has no attention")
    source, target = made / "test.en", made / "test.xx"
    files = {
        "generate": [source, "--search", "greedy"],
        "score": ["--source", source, "--target", target],
        "tune-length": ["--source", source, "--ref", target, "--max-lenpen", 0.1],
        "analyze attention": ["--source", source, "--target", target],
    }[command]
    words = [*command.split(), *files, "--checkpoint", made / kind / "checkpoint_best"]
    s2st(*words).check_error(2, "several target languages", "--target-lang")
    assert must(s2st(*words, "--target-lang", "xx")).out
