"""The Python interface: models give what the commands write, in memory."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError

import builders
import numpy as np
import pytest
import torch

import s2st as library
from s2st.models.model_files import write_manifest, write_model_files
from s2st.models.registry import ARCHITECTURES
from s2st.options.option_fields import option_specs

SHORT = {"max_len_a": 0, "max_len_b": 6}
FLAGS = ["--max-len-a", "0", "--max-len-b", "6", "--threads", "1"]
ODD = ["the cat sleeps .", "", "   ", "never seen words", "the\u2028cat\x0c .", "a " * 300]


@pytest.fixture(scope="module")
def lines(world):
    return world.source.read_text("utf-8").split("\n")[:-1] + ODD


@pytest.fixture(scope="module")
def source(lines, tmp_path_factory):
    path = tmp_path_factory.mktemp("python") / "in"
    path.write_text("".join(line + "\n" for line in lines), "utf-8", newline="\n")
    return path


@pytest.fixture(scope="module")
def model(world):
    return library.load(world.forward, threads=1)


def random_checkpoint(folder, name, values):
    """A tiny model with random weights."""
    config = ARCHITECTURES.get(name).config_type(**values)
    record = builders.record(name, config)
    torch.manual_seed(1)
    folder.mkdir()
    write_model_files(folder, record, record.build().state_dict())
    write_manifest(folder, record, {})
    return folder


@pytest.fixture(scope="module")
def attending(tmp_path_factory):
    values = {"layers": 1, "hidden_size": 8, "embedding_size": 4, "dropout": 0.0}
    return random_checkpoint(tmp_path_factory.mktemp("a") / "m", "gru-attention", values)


@pytest.fixture
def run(s2st):
    """The lines that a command writes."""

    def call(*arguments, stdin=b""):
        outcome = s2st(*arguments, stdin=stdin)
        assert outcome.code == 0, outcome.err
        return outcome.lines

    return call


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"beam": 2, "lenpen": 1.0},
        {"search": "greedy", "batch_size": 3},
        {"search": "diverse-beam", "buffer_size": 7, "no_repeat_ngram_size": 2},
        {"unk": False, "min_len": 3},
    ],
    ids=str,
)
def test_translations_are_those_of_generate(run, world, model, lines, source, options):
    flags = []
    for name, value in options.items():
        flag = name.replace("_", "-")
        flags += [f"--no-{flag}"] if value is False else [f"--{flag}", value]
    expected = run("generate", "--checkpoint", world.forward, *FLAGS, *flags, source)
    assert model.translate(lines, **SHORT, **options) == expected
    assert len(expected) == len(lines)


def test_an_open_file_is_a_list_of_lines(model, source, lines):
    with open(source, encoding="utf-8", newline="\n") as stream:
        assert model.translate(stream, **SHORT) == model.translate(lines, **SHORT)
    assert model.translate(["the cat\r\n", "the cat\n"], **SHORT) == model.translate(
        ["the cat"] * 2, **SHORT
    )
    assert model.translate([]) == model.nbest(iter(())) == []


def test_prefixes_and_phrases_are_those_of_the_files(run, world, model, lines, source, tmp_path):
    first = ["le chat", "", *(["la"] * (len(lines) - 2))]
    phrases = [["dort"] if index % 3 else [] for index in range(len(lines))]
    phrases[0] = ["dort", "le"]
    (tmp_path / "p").write_text("".join(f"{line}\n" for line in first))
    (tmp_path / "c").write_text("".join("\t".join(row) + "\n" for row in phrases))
    known = library.load(world.forward)
    vocabulary = (world.forward / "dict.fr.txt").read_text().split()
    phrases = [[vocabulary[0] if one not in vocabulary else one for one in row] for row in phrases]
    (tmp_path / "c").write_text("".join("\t".join(row) + "\n" for row in phrases))
    files = ["--prefix", tmp_path / "p", "--constraints", tmp_path / "c"]
    expected = run("generate", "--checkpoint", world.forward, *FLAGS, *files, source)
    assert known.translate(lines, prefix=first, constraints=phrases, **SHORT) == expected
    with pytest.raises(library.DataError, match="prefix, line 2: ends after 1 lines"):
        model.translate(["a", "b"], prefix=["le"])
    with pytest.raises(library.DataError, match=r"constraints, line 1: the model cannot write"):
        model.translate(["a"], constraints=[["unbekannt"]])


def test_lists_are_those_of_generate(run, world, model, lines, source):
    rows = run(
        "generate", "--checkpoint", world.forward, *FLAGS, "--beam", 7, "--nbest", 7,
        "--format", "json", source,
    )  # fmt: skip
    found = model.nbest(lines, 7, **SHORT)  # the beam follows n
    assert len(rows) == len(found)
    for row, hypotheses in zip(map(json.loads, rows), found, strict=True):
        for one, hypothesis in zip(row["hypotheses"], hypotheses, strict=True):
            assert {name: one[name] for name in ("text", "score", "log_prob", "finished")} == {
                "text": hypothesis.text, "score": hypothesis.score,
                "log_prob": hypothesis.log_prob, "finished": hypothesis.finished,
            }  # fmt: skip
            assert one["token_log_probs"] == hypothesis.token_log_probs.tolist()
            assert len(hypothesis.tokens) == len(hypothesis.token_log_probs)
    assert [hypothesis.tokens for hypothesis in found[len(lines) - len(ODD) + 1]] == [()]


def test_samples_are_those_of_generate_and_depend_on_the_seed(run, world, model, lines, source):
    flags = ["--search", "sampling", "--nbest", 2, "--sampling-seed", 5, "--temperature", 0.7]
    rows = run(
        "generate", "--checkpoint", world.forward, *FLAGS, *flags, "--format", "json", source
    )
    found = model.sample(lines, 2, sampling_seed=5, temperature=0.7, **SHORT)
    assert [[one.text for one in row] for row in found] == [
        [one["text"] for one in json.loads(row)["hypotheses"]] for row in rows
    ]
    assert found == model.sample(lines, 2, sampling_seed=5, temperature=0.7, **SHORT)
    assert found != model.sample(lines, 2, sampling_seed=6, temperature=0.7, **SHORT)


@pytest.mark.parametrize("mode", ["probability", "log-probability"])
def test_ensembles_of_paths_and_of_a_file(run, world, lines, source, tmp_path, mode):
    paths = [world.forward, world.reversed, world.gru]
    named = [x for path in paths for x in ("--checkpoint", path)]
    for weight in (2, 1, 0.5):
        named += ["--ensemble-weight", weight]
    expected = run("generate", *named, "--ensemble-mode", mode, *FLAGS, source)
    model = library.load(paths, ensemble_weight=np.array([2, 1, 0.5]), ensemble_mode=mode)
    assert model.translate(lines, **SHORT) == expected
    members = ", ".join(f'"{path}"' for path in paths)
    file = tmp_path / "three.toml"
    file.write_text(f'members = [{members}]\nweights = [2.0, 1.0, 0.5]\nmode = "{mode}"\n')
    assert library.load(str(file)).translate(lines, **SHORT) == expected
    assert model.paths == tuple(map(str, paths))


def test_scores_are_those_of_the_command(run, world, model, tmp_path):
    files = ["--source", world.source, "--target", world.target, "--threads", 1]
    rows = run("score", "--checkpoint", world.forward, *files, "--format", "json")
    sources, targets = (
        path.read_text("utf-8").split("\n")[:-1] for path in (world.source, world.target)
    )
    found = model.score(sources, targets)
    assert [(one.log_prob, list(one.tokens), one.token_log_probs.tolist()) for one in found] == [
        (row["log_prob"], row["tokens"], row["token_log_probs"]) for row in map(json.loads, rows)
    ]
    one = found[0]
    assert one.perplexity == pytest.approx(np.exp(-np.mean(one.token_log_probs)))
    with pytest.raises(library.DataError, match="targets end after 1 lines, but sources have more"):
        model.score(sources, targets[:1])
    with pytest.raises(library.UsageError, match="the model translates"):
        model.score(None, targets)


def test_a_score_of_a_hypothesis_is_the_searchs(model):
    source = ["the cat sleeps ."]
    for hypothesis in model.nbest(source, 3, unk=False, **SHORT)[0]:
        (found,) = model.score(source, [hypothesis.text])
        assert found.log_prob == pytest.approx(hypothesis.log_prob, abs=1e-4)


def test_language_models_continue_and_score_lines(run, tmp_path):
    text = "a b c a b\n" * 20 + "b c a c\n" * 10
    (tmp_path / "text").write_text(text)
    arpa = tmp_path / "lm.arpa"
    run("train-ngram", "--order", 2, "--discount-fallback", "-o", arpa, tmp_path / "text")
    model = library.load(arpa)
    (tmp_path / "in").write_text("a\n\nc a\n")
    expected = run("generate", "--checkpoint", arpa, *FLAGS, tmp_path / "in")
    assert model.translate(["a", "", "c a"], **SHORT) == expected
    rows = run("score", "--checkpoint", arpa, "--target", tmp_path / "in", "--format", "json")
    found = model.score(None, ["a", "", "c a"])
    assert [one.log_prob for one in found] == [json.loads(row)["log_prob"] for row in rows]
    assert model.source_lang == ""
    (best,) = model.rescore(None, [["c c c", "a b c"]]).best
    assert best == "a b c"


def test_attention_maps(run, attending, tmp_path):
    model = library.load([attending])
    (tmp_path / "s").write_text("a b q\nf e d c\n")
    (tmp_path / "t").write_text("v w\ny y zz\n")
    sources, targets = ["a b q", "f e d c"], ["v w", "y y zz"]
    options = {"max_len_a": 0, "max_len_b": 4, "min_len": 2}
    free = model.attention(sources, **options)
    forced = model.attention(sources, targets)
    for number, (one, other) in enumerate(zip(free, forced, strict=True), start=1):
        command = ["analyze", "attention", "--checkpoint", attending, "--source", tmp_path / "s"]
        command += ["--format", "json", "--line", number]
        flags = ["--max-len-a", 0, "--max-len-b", 4, "--min-len", 2]
        for found, extra in ((one, flags), (other, ["--target", tmp_path / "t"])):
            (record,) = run(*command, *extra)
            expected = json.loads(record)
            assert found.weights.tolist() == expected["attention"]
            assert [*found.source] == expected["source"]
            assert [*found.target] == expected["target"]
            assert found.log_prob == expected["log_prob"]
            assert found.weights.sum(axis=1) == pytest.approx(1, abs=1e-5)
            assert found.weights.shape == (len(found.target), len(found.source))
    best = model.nbest(sources, 1, **options)[1][0]
    assert best.attention == pytest.approx(free[1].weights, abs=1e-6)
    with pytest.raises(library.DataError, match="lines, line 2: it has no words"):
        model.attention(["a", " "])
    with pytest.raises(
        library.DataError, match="targets must have one line for each of the 1 lines, not 2"
    ):
        model.attention(["a"], ["v", "w"])
    with pytest.raises(library.UsageError, match="beam cannot be combined with targets"):
        model.attention(["a"], ["v"], beam=2)


def test_attention_maps_of_layers_heads_and_self_attention(run, tmp_path):
    values = {"layers": 2, "hidden_size": 6, "heads": 2, "dropout": 0.0}
    path = random_checkpoint(tmp_path / "m", "transformer", values)
    model = library.load(path)
    (tmp_path / "s").write_text("a b q\nf e d c\n")
    (tmp_path / "t").write_text("v w\ny y zz\n")
    command = ["analyze", "attention", "--checkpoint", path, "--source", tmp_path / "s"]
    command += ["--target", tmp_path / "t", "--line", 2, "--format", "json"]
    for choice, count in (
        ({}, 1), ({"layer": 1}, 1), ({"layer": "all", "head": "all"}, 4), ({"head": 2}, 1),
        ({"part": "encoder", "head": "all"}, 2), ({"part": "decoder", "words": True}, 1),
    ):  # fmt: skip
        found = model.attention(["f e d c"], ["y y zz"], **choice)
        flags = [f"--{name}" if v is True else f"--{name}={v}" for name, v in choice.items()]
        rows = [json.loads(row) for row in run(*command, *flags)]
        assert len(found) == len(rows) == count
        for one, row in zip(found, rows, strict=True):
            assert one.weights.tolist() == row.pop("attention")
            for name, value in row.items():
                mine = getattr(one, name)
                assert mine == (tuple(value) if isinstance(value, list) else value)
        table = run(*command[:-2], *flags)
        assert len("\n".join(table).split("\n\n")) == count
    twice = model.attention(["a", "b"], ["v", "w"], head="all")
    assert [(one.source[0], one.head) for one in twice] == [
        ("a", 1), ("a", 2), ("b", 1), ("b", 2),
    ]  # fmt: skip
    for wrong, message in (
        ({"layer": 3}, "this attention has 2 layers"), ({"layer": 0}, "layer is 0"),
        ({"part": "top"}, "choose from cross, encoder, decoder"), ({"head": "none!"}, "head takes"),
    ):  # fmt: skip
        with pytest.raises(library.S2STError, match=message):
            model.attention(["a"], ["v"], **wrong)


@pytest.mark.parametrize("store", ["one language", "pairs"])
def test_attention_of_a_language_model(s2st, run, world, tiny, tmp_path, store):
    bin_folder, save = tmp_path / "bin", tmp_path / "lm"
    if store == "pairs":
        bin_folder = world.store
    else:
        words = ["--only-target", "-t", "fr", "--trainpref", world.folder / "train"]
        assert s2st("preprocess", *words, "--destdir", bin_folder).code == 0
    options = ["-a", "transformer-lm", "--layers", 1, "--hidden-size", 8, "--heads", 2]
    once = ["--max-update", 1, "--dropout", 0, "--threads", 1, "--save-dir", save]
    outcome = s2st("train", bin_folder, *options, *once)
    assert outcome.code == 0, outcome.err
    command = ["analyze", "attention", "--checkpoint", save / "checkpoint_last"]
    text = ["--target", world.target, "--format", "json"]
    rows = [json.loads(row) for row in run(*command, *text, "--head", "all")]
    words = world.target.read_text().split("\n")[0].split()
    assert [row["head"] for row in rows] == [1, 2]
    for row in rows:
        assert (row["part"], row["source"]) == ("decoder", [])
        assert [label.removesuffix(" (unk)") for label in row["rows"]] == [*words, "</s>"]
        assert [label.removesuffix(" (unk)") for label in row["columns"]] == ["<s>", *words]
        weights = np.array(row["attention"])
        assert not np.triu(weights, 1).any()
    model = library.load(save / "checkpoint_last")
    found = model.attention([" ".join(words)], head=2)[0]
    assert found.weights.tolist() == rows[1]["attention"]
    with pytest.raises(library.UsageError, match="has no targets"):
        model.attention(["le"], ["chat"])
    with pytest.raises(library.UsageError, match="cannot be combined with a language model"):
        model.attention(["le"], beam=2)
    s2st(*command, "--source", world.source).check_error(2, "--target FILE")


def test_vectors_are_those_of_analyze_states(run, world, model, tmp_path):
    phrases = ["the cat sees the dog", "the dog sees the cat", "a man reads"]
    (tmp_path / "p").write_text("".join(line + "\n" for line in phrases))
    for part in ("all", "hidden", "cell"):
        rows = run(
            "analyze", "states", "--checkpoint", world.forward, tmp_path / "p", "--format", "json",
            "--vectors", "--part", part,
        )  # fmt: skip
        expected = [json.loads(row)["vector"] for row in rows[:3]]
        found = model.sentence_vectors(phrases, part)
        assert found.tolist() == expected
    places, shares = library.principal_components(model.sentence_vectors(phrases))
    records = [json.loads(row) for row in run("analyze", "states", "--checkpoint", world.forward,
                                              tmp_path / "p", "--format", "json")]  # fmt: skip
    assert places.tolist() == [[record["x"], record["y"]] for record in records[:3]]
    assert list(shares) == records[3]["explained"]
    assert model.sentence_vectors([]).shape[0] == 0
    # an empty line has a state too: that of the end of the sentence
    assert np.isfinite(model.sentence_vectors(["", "a"])).all()
    with pytest.raises(library.UsageError, match="this model's state has only hidden, cell, all"):
        model.sentence_vectors(phrases, "memory")


def test_records_are_frozen_and_compare_by_value(model):
    first, again = (model.nbest(["the cat"], 2, **SHORT)[0] for _ in range(2))
    assert first == again
    assert first[0] != first[1]
    assert first[0] != first[0].text
    with pytest.raises(FrozenInstanceError):
        first[0].text = "other"
    with pytest.raises(ValueError, match="read-only"):
        first[0].token_log_probs[0] = 0.0
    with pytest.raises(TypeError, match="unhashable"):
        hash(first[0])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lstm", "gru-attention", "transformer", "rctm"])
def test_several_threads_use_one_model(tmp_path, name):
    sizes = {"hidden_size": 8, "embedding_size": 8, "layers": 1, "dropout": 0.0, "heads": 2}
    known = {spec.name for spec in option_specs(ARCHITECTURES.get(name).config_type)}
    values = {option: value for option, value in sizes.items() if option in known}
    model = library.load(random_checkpoint(tmp_path / "m", name, values), threads=1)
    inputs = [
        [" ".join("abcdef"[(i * j + shift) % 6] for i in range(1 + (j + shift) % 7))
         for j in range(15)] for shift in range(4)
    ]  # fmt: skip
    expected = [model.nbest(lines, 3, max_len_b=5) for lines in inputs]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(2):
            found = list(pool.map(lambda lines: model.nbest(lines, 3, max_len_b=5), inputs))
            assert found == expected


def test_precisions_load(world, lines):
    model = library.load(world.forward, precision="int8", device="cpu")
    assert len(model.translate(lines, **SHORT)) == len(lines)
    assert repr(model) == f"<s2st.Model {world.forward} (en to fr)>"


def test_a_model_of_a_plugin(tmp_path, monkeypatch, world, run):
    monkeypatch.syspath_prepend(str(builders.Path(__file__).parents[2] / "examples" / "plugin"))
    named = ["--plugin", "mean_embedding", "--arch", "mean-embedding", "--width", 8]
    limits = ["--max-update", 2, "--threads", 1, "--save-dir", tmp_path / "m"]
    run("train", world.store, *named, *limits)
    model = library.load(tmp_path / "m" / "checkpoint_last", plugin=["mean_embedding"])
    assert len(model.translate(["the cat"], search="greedy-unk", **SHORT)) == 1
