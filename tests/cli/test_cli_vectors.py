"""Word vectors on the command line: `train` initializes embeddings, `analyze neighbours` looks."""

import json

import numpy as np
import pytest

from s2st.models.model_files import read_saved
from s2st.models.weight_files import load_tensors


@pytest.fixture(scope="module")
def trained(world, s2st, tiny, tmp_path_factory):
    """Vectors of three source words in word2vec's format, and a model that keeps them."""
    folder = tmp_path_factory.mktemp("vectors")
    words = read_saved(world.forward).record.source_vocabulary.tokens[4:7]
    rows = np.array([[1, 0], [0.8, 0.6], [-1, 0.1]])
    table = np.hstack([rows, np.zeros((3, 14))])
    lines = [" ".join([w, *map(str, row)]) for w, row in zip(words, table.tolist(), strict=True)]
    (folder / "v.txt").write_text("\n".join(["3 16", *lines]) + "\n", encoding="utf-8")
    outcome = s2st(
        "train", world.store, *tiny, "-a", "lstm", "--source-embeddings", folder / "v.txt",
        "--freeze-embeddings", "--save-dir", folder / "run",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert "v.txt: vectors for 3 of " in outcome.err
    return folder, words


@pytest.mark.parametrize("where", ["checkpoint", "vectors"])
def test_neighbours_of_a_file_and_of_a_model_that_keeps_its_vectors(s2st, trained, where):
    folder, (one, two, three) = trained
    path = folder / "v.txt" if where == "vectors" else folder / "run" / "checkpoint_last"
    asked = s2st("analyze", "neighbours", one, f"--{where}", path, "--count", 999)
    assert asked.lines[0] == "word\tneighbor\tsimilarity"
    rows = [line.split("\t") for line in asked.lines[1:]]
    assert {row[0] for row in rows} == {one}
    found = {row[1]: row[2] for row in rows}
    assert found[two] == "0.8000"  # of (1, 0) and (0.8, 0.6)
    assert found[three] == "-0.9950"  # -1 / sqrt(1.01)
    assert [float(row[2]) for row in rows] == sorted((float(row[2]) for row in rows), reverse=True)
    count = 3 if where == "vectors" else len(read_saved(path).record.source_vocabulary) - 4
    assert len(rows) == count - 1


def test_target_neighbours_as_json_are_numpys(s2st, world):
    saved = read_saved(world.forward)
    words = saved.record.target_vocabulary.tokens[4:]
    table = load_tensors(world.forward / "weights.safetensors")["target_embedding.weight"][4:]
    table = table.double().numpy()
    outcome = s2st(
        "analyze", "neighbors", words[5], words[2], "--checkpoint", world.forward,
        "--side", "target", "--count", 4, "--format", "json",
    )  # fmt: skip
    records = [json.loads(line) for line in outcome.lines]
    assert [record["word"] for record in records] == [words[5], words[2]]
    for record in records:
        own = table[words.index(record["word"])]
        cosines = table @ own / np.linalg.norm(table, axis=1) / np.linalg.norm(own)
        order = np.argsort(-cosines)[1:5]
        assert [n["word"] for n in record["neighbors"]] == [words[i] for i in order]
        for neighbour, row in zip(record["neighbors"], order, strict=True):
            assert neighbour["similarity"] == pytest.approx(cosines[row], abs=1e-5)


@pytest.mark.parametrize(
    ("code", "arguments", "text"),
    [
        (2, "the", "either --checkpoint PATH or --vectors FILE"),
        (2, "the --checkpoint {model} --vectors {vectors}", "either --checkpoint"),
        (2, "the --vectors {vectors} --side source", "--side needs --checkpoint"),
        (2, "qqqqqq --checkpoint {model}", "the source side of {model} has no such word"),
        (2, "qqqqqq --vectors {vectors}", "{vectors} has no such word"),
        (66, "the --vectors none", "none: cannot be read"),
        (66, "the --checkpoint none", "none: no such checkpoint"),
        (65, "the --vectors {store}/manifest.json", "manifest.json, line 1: expected a word"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(s2st, world, trained, code, arguments, text):
    names = {"model": world.forward, "vectors": trained[0] / "v.txt", "store": world.store}
    outcome = s2st("analyze", "neighbors", *arguments.format(**names).split())
    outcome.check_error(code, text.format(**names))
