"""The Python interface: rescoring of lists in memory gives what `rescore-nbest` writes."""

import json

import pytest

import s2st as library
from s2st.text.nbest_lists import read_nbest

SOURCE = ["the cat sleeps .", "the dog", "a man reads .", "a woman"]
LISTS = [
    (0, "le chat dort .", -4.0),
    (0, "le chat", -3.0),
    (0, "chat chat", -9.0),
    (2, "un homme lit .", -2.0),
    (2, "un homme lit .", -2.5),  # the same words again
    (2, "la femme", -1.0),
]
REFERENCES = ["le chat dort .", "le chien", "un homme lit .", "une femme"]


@pytest.fixture
def files(tmp_path):
    """Source, references and lists; sentences 1 and 3 have no hypotheses."""
    for name, lines in (("src", SOURCE), ("ref", REFERENCES)):
        (tmp_path / name).write_text("".join(line + "\n" for line in lines))
    text = "".join(
        f"{i} ||| {h} ||| LM0= -1 {t:g} TM= {i} ||| {t:g} ||| 0-0\n" for i, h, t in LISTS
    )
    (tmp_path / "list").write_text(text)
    return tmp_path


@pytest.fixture
def rescored(s2st, files):
    """The lines that `rescore-nbest` writes."""

    def run(models, *options):
        named = [x for model in models for x in ("--checkpoint", model)]
        outcome = s2st(
            "rescore-nbest", files / "list", "--source", files / "src", *named, "--threads", 1,
            *options,
        )  # fmt: skip
        assert outcome.code == 0, outcome.err
        return outcome.lines

    return run


@pytest.fixture(scope="module")
def model(world):
    return library.load([world.forward, world.gru], threads=1)


def written(lists, path):
    """Lists as lines of a file."""
    library.write_nbest(path, lists)
    return path.read_text("utf-8").split("\n")[:-1]


@pytest.mark.parametrize(
    ("flags", "arguments"),
    [
        ([], {}),
        (["--feature-per", "member"], {"feature_per": "member"}),
        (["--normalize", "list"], {"normalize": "list"}),
        (
            ["--weight", "S2ST0=1", "--weight", "LM0=0,-2"],
            {"weights": {"S2ST0": 1, "LM0": [0, -2]}},
        ),
        (
            ["--consensus", "bleu", "--weight", "S2STConsensus=1"],
            {"consensus": "bleu", "weights": {"S2STConsensus": 1}},
        ),
        (
            ["--length-feature", "--weight", "S2STLength=-.5"],
            {"length_feature": True, "weights": {"S2STLength": -0.5}},
        ),
        (["--baseline-features", "own"], {"baseline_features": "own"}),
    ],
    ids=lambda value: " ".join(map(str, value)),
)
def test_lists_are_those_of_the_command(rescored, world, model, files, flags, arguments):
    lists = library.read_nbest(files / "list")
    assert [len(candidates) for candidates in lists] == [3, 0, 3]
    found = model.rescore(SOURCE, [*lists, []], **arguments)
    models = [world.forward, world.gru]
    assert found.best == rescored(models, *flags)
    expected = rescored(models, "--format", "nbest", *flags)
    assert written(found.lists, files / "out") == expected
    words = rescored(models, "--format", "words", *flags)
    rows = [candidate for candidates in found.lists for candidate in candidates]
    for row, candidate in zip(map(json.loads, words), rows, strict=True):
        assert row["hypothesis"] == candidate.text
        assert row["total"] == candidate.total
        assert row["token_log_probs"] == {
            name: scores.tolist() for name, scores in candidate.token_log_probs.items()
        }


def test_lists_rescored_again_have_the_original_totals(model, files):
    """Reading a file gives its totals; only rescoring goes back to the baseline's."""
    lists = [*library.read_nbest(files / "list"), []]
    weights = {"Baseline": -1, "S2ST0": 0.3}
    first = model.rescore(SOURCE, lists, weights=weights)
    library.write_nbest(files / "again", first.lists)
    read = library.read_nbest(files / "again")
    totals = [[one.total for one in candidates] for candidates in first.lists]
    for candidates, expected in zip(read, totals, strict=False):
        assert [one.total for one in candidates] == pytest.approx(expected, rel=1e-4)
    for source in (first.lists, [*read, []]):
        again = model.rescore(SOURCE, source, weights=weights)
        assert again.best == first.best
        found = [[one.features["Baseline"] for one in candidates] for candidates in again.lists]
        assert found == [[one.features["Baseline"] for one in row] for row in first.lists]


def test_tuning_and_oracle_are_those_of_the_command(rescored, world, model, files):
    lists = [*library.read_nbest(files / "list"), []]
    found = model.rescore(SOURCE, lists, tune=REFERENCES, oracle=[REFERENCES], folds=2)
    named = ["--tune", files / "ref", "--oracle", files / "ref", "--folds", 2]
    outputs = ["--weights-out", files / "weights", "--report", files / "report.json"]
    best = rescored([world.forward, world.gru], *named, *outputs)
    assert found.best == best
    assert json.loads(json.dumps(found.report)) == json.loads((files / "report.json").read_text())
    # the weights serve other lists, as a file and as they are
    again = model.rescore(SOURCE, lists, weights=files / "weights")
    assert again.best == found.best == model.rescore(SOURCE, lists, weights=found.weights).best


def test_a_channel_model_is_a_feature(s2st, world, model, files, tmp_path):
    store = tmp_path / "fr-en"
    train = world.folder / "train"
    outcome = s2st("preprocess", "-s", "fr", "-t", "en", "--trainpref", train, "--destdir", store)
    assert outcome.code == 0, outcome.err
    library.train(
        store, arch="gru", hidden_size=8, embedding_size=8, layers=1, max_update=2, threads=1,
        save_dir=tmp_path / "channel",
    )  # fmt: skip
    backward = tmp_path / "channel" / "checkpoint_last"
    lists = [*library.read_nbest(files / "list"), []]
    found = model.rescore(SOURCE, lists, channel=[library.load(backward)])
    outcome = s2st(
        "rescore-nbest", files / "list", "--source", files / "src", "--checkpoint", world.forward,
        "--checkpoint", world.gru, "--channel-checkpoint", backward, "--format", "nbest",
    )  # fmt: skip
    assert written(found.lists, files / "out") == outcome.lines
    with pytest.raises(library.UsageError, match="needs a model of the other direction"):
        model.rescore(SOURCE, lists, channel=[model])


def test_texts_and_hypotheses_are_candidates(model):
    lines = ["the cat sleeps .", "the dog"]
    lists = model.nbest(lines, 3, max_len_a=0, max_len_b=6, unk=False)
    found = model.rescore(lines, lists)
    for candidates, hypotheses in zip(found.lists, lists, strict=True):
        totals = {one.text: one.score for one in hypotheses}
        for one in candidates:  # the search's score and the model's are the same number
            assert one.features["Baseline"] == (totals[one.text],)
            assert one.features["LogProb"] == pytest.approx(one.features["S2ST0"], abs=1e-3)
    plain = model.rescore(lines, [[one.text for one in row] for row in lists])
    assert plain.best == [row[0].text for row in lists]


def test_files_are_read_merged_and_written(files, tmp_path):
    text = (files / "list").read_text()
    lists = library.read_nbest(str(files / "list"), "moses")
    assert written(lists, tmp_path / "copy") == text.split("\n")[:-1]
    library.write_nbest(tmp_path / "copy.gz", lists)
    assert library.read_nbest(tmp_path / "copy.gz") == lists
    merged = library.read_nbest([files / "list", files / "list"])
    assert {one.text for one in merged[0]} == {one.text for one in lists[0]}
    assert merged[0][0].features["System1Total"] == (lists[0][0].total,)
    with open(tmp_path / "copy", encoding="utf-8") as stream:
        entries = list(read_nbest(stream, "copy"))
    assert [[one.text for one in row] for row in lists if row] == [
        [entry.hypothesis for entry in row] for row in entries
    ]


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda m: m.rescore(SOURCE, "x"), "UsageError", "lists must be a list of n-best lists"),
        (lambda m: m.rescore(["a"], ["b"]), "UsageError", "list 1: must be a list of hypotheses"),
        (lambda m: m.rescore(["a"], [[3]]), "UsageError", "text, a Candidate or a Hypothesis"),
        (lambda m: m.rescore(["a", "b"], [["c"]]), "DataError", "for each of the 2"),
        (lambda m: m.rescore(["a"], [[]]), "DataError", "lists: no lists"),
        (lambda m: m.rescore(None, [["c"]]), "UsageError", "sources are needed"),
        (lambda m: m.rescore(["a"], [["b"]], tune="ref"), "UsageError", "tune must be a list"),
        (lambda m: m.rescore(["a"], [["b"]], tune=["b", "c"]), "DataError", "2 lines, but"),
        (
            lambda m: m.rescore(["a"], [["b"]], tune=["b"], oracle=["c"]),
            "UsageError", "different references",
        ),
        (lambda m: m.rescore(["a"], [["b"]], weights=3), "UsageError", "weights must be a mapping"),
        (lambda m: m.rescore(["a"], [["b"]], weights={"X": "y"}), "UsageError", "'X' must be a"),
        (lambda m: m.rescore(["a"], [["b"]], weights={"X": 1.0}), "UsageError", "X"),
        (lambda m: m.rescore(["a"], [["b"]], channel=m), "UsageError", "channel must be a list"),
        (lambda m: m.rescore(["a"], [["b"]], max_row=3), "ConfigError", "did you mean max_rows"),
        (lambda m: m.rescore(["a"], [["b"]], resume=True), "ConfigError", "command line only"),
        (
            lambda m: m.rescore(["a"], [[library.Candidate("b", total="x")]]), "UsageError",
            "list 1: total must be a number, not 'x'",
        ),
        (
            lambda m: m.rescore(["a"], [[library.Candidate("b", features={"LM": "x"})]]),
            "UsageError", "LM must be a number",
        ),
        (
            lambda m: m.rescore(["a"], [[library.Candidate("b", features=3)]]), "UsageError",
            "features must be a mapping",
        ),
        (
            lambda m: m.rescore(["a"], [[library.Candidate("b", features={"a b": 3})]]),
            "UsageError", "'a b' is no name",
        ),
        (lambda m: m.rescore(["a"], [[library.Candidate(5)]]), "UsageError", "must be text"),
        (lambda m: library.read_nbest("none"), "InputMissingError", "none"),
        (lambda m: library.read_nbest("a\0"), "UsageError", "a path of text"),
        (lambda m: library.read_nbest("-"), "UsageError", "name a file"),
        (lambda m: library.write_nbest("-", []), "UsageError", "name a file"),
        (lambda m: library.write_nbest("no/such/folder", []), "OutputError", "cannot be written"),
        (lambda m: library.read_nbest(__file__, "mosses"), "ConfigError", "choose from auto"),
    ],
)  # fmt: skip
def test_errors(model, call, kind, message):
    with pytest.raises(getattr(library, kind)) as caught:
        call(model)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
