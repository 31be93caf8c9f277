"""The examples and the demo run as their READMEs say, on little data."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from s2st.demo_corpus import read_corpus

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


def run(*arguments, cwd, path=None, stdin=""):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    return subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=cwd, env=environment, input=stdin,
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("texts")
    corpus = read_corpus(150, 20, 20)
    for name, pairs in (("train", corpus.train), ("val", corpus.valid), ("test", corpus.test)):
        for suffix, side in (("en", "source"), ("fr", "target")):
            lines = "".join(getattr(pair, side) + "\n" for pair in pairs)
            (folder / f"{name}.{suffix}").write_text(lines, "utf-8")
    return folder


def test_the_plugin_is_one_short_file():
    assert len((EXAMPLES / "plugin" / "mean_embedding.py").read_text().splitlines()) < 100


@pytest.mark.extensive
def test_the_plugin_trains_and_decodes_through_the_commands(texts):
    plugin = EXAMPLES / "plugin"

    def s2st(*arguments, stdin=""):
        done = run("-m", "s2st_cli", *arguments, cwd=texts, path=plugin, stdin=stdin)
        return done

    prepared = s2st("preprocess", "-s", "en", "-t", "fr", "--trainpref", "train", "--validpref",
                    "val", "--destdir", "bin")  # fmt: skip
    assert prepared.returncode == 0, prepared.stderr
    trained = s2st("train", "bin", "--plugin", "mean_embedding", "--arch", "mean-embedding",
                   "--width", "8", "--max-epoch", "1", "--save-dir", "model")  # fmt: skip
    assert trained.returncode == 0, trained.stderr
    source = (texts / "test.en").read_text()
    options = ["--checkpoint", "model/checkpoint_best", "--plugin", "mean_embedding"]
    made = s2st("generate", *options, "--search", "greedy-unk", "--max-len-b", "3", stdin=source)
    assert made.returncode == 0, made.stderr
    assert made.stdout.count("\n") == source.count("\n")
    listed = s2st("list", "--plugin", "mean_embedding")
    assert "mean-embedding" in listed.stdout
    assert "greedy-unk" in listed.stdout
    inspected = s2st("inspect", "model/checkpoint_best", "--plugin", "mean_embedding")
    assert "plugins: mean_embedding" in inspected.stdout
    # a checkpoint does not import code by itself
    refused = s2st("generate", "--checkpoint", "model/checkpoint_best", stdin=source)
    assert refused.returncode == 2
    assert "name it again" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.extensive
def test_the_demo_runs_end_to_end(tmp_path):
    done = run(
        "-m", "s2st_cli", "demo", "--dir", "demo", "--train-size", "300", "--test-size", "20",
        "--max-epoch", "1", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    table = done.stdout.split("\n\n")[0].splitlines()
    names = [line[:32].strip() for line in table[1:-2]]  # the last two lines explain the table
    assert names == [
        "baseline", "forward", "reversed", "ensemble", "baseline, rescored by forward",
        "baseline, rescored by reversed", "baseline, rescored by ensemble",
    ]  # fmt: skip
    assert done.stderr.count("\n$ s2st ") >= 15
    assert len((tmp_path / "demo" / "rescored-ensemble.fr").read_text().splitlines()) == 20
    again = run("-m", "s2st_cli", "demo", "--dir", "demo", cwd=tmp_path)
    assert again.returncode == 74
    assert "already exists" in again.stderr


SONG = """\
{who} went up the hill {when},
And saw {what} below;
{who} sang a song of {what}
And watched the evening go.

"""


@pytest.mark.extensive
def test_verse_is_written_after_training_on_a_named_text(tmp_path):
    """What comes out begins as it is told to, line by line; a second call only writes."""
    names = [f"The {name}" for name in ("king", "fox", "maid", "lark", "moon", "hare")]
    songs = [
        SONG.format(who=who, when=when, what=what)
        for who in names
        for when in ("alone", "again", "at dawn")
        for what in ("the sea", "a town", "the snow")
    ]
    (tmp_path / "songs.txt").write_text("".join(songs), "utf-8")
    script = EXAMPLES / "verse" / "write.py"
    options = ["--pieces", "80", "--max-epoch", "30", "--arch", "lstm-lm", "--prompt", "The fox"]
    arguments = [script, "songs.txt", "--run", "run", *options, "--prompt", "", "--poems", "1"]
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.removesuffix("\n").split("\n\n")
    assert first.startswith("The fox")
    assert len(first.splitlines()) > 1
    learned = set("".join(songs).replace(";", "").replace(",", "").split())
    words = first.replace(";", "").replace(",", "").split() + second.split()
    assert len(learned & set(words)) >= 3
    again = run(*arguments, cwd=tmp_path)
    assert again.stdout == done.stdout
    assert "$ s2st preprocess" not in again.stderr
    (tmp_path / "other.txt").write_text("".join(songs[::-1]), "utf-8")
    other = run(script, "other.txt", "--run", "run", cwd=tmp_path)
    assert other.returncode == 1
    assert "another text" in other.stderr
    lone = run(script, "missing.txt", "--run", "run", cwd=tmp_path)
    assert "missing.txt: cannot be read" in lone.stderr
    assert "Traceback" not in lone.stderr


@pytest.mark.extensive
def test_guided_alignment_at_toy_size(tmp_path, texts):
    data = tmp_path / "data"
    data.mkdir()
    for language in ("en", "fr"):
        for name in ("train", "val"):
            (data / f"{name}.{language}").write_bytes((texts / f"{name}.{language}").read_bytes())
        (data / f"test_2016_flickr.{language}").write_bytes(
            (texts / f"test.{language}").read_bytes()
        )
    words = [EXAMPLES / "guided_alignment" / "run.py", "--pairs", "60", "--epochs", "1",
             "--data", data, "--run", tmp_path / "run"]  # fmt: skip
    done = run(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "results.md").read_text() == done.stdout
    assert done.stdout.count("\n| GRU") == done.stdout.count("\n| Transformer") == 3
    assert "--alignment-weight 0.1" in done.stderr
    again = run(*words, cwd=tmp_path)
    assert again.stdout == done.stdout
    assert "generate" not in again.stderr


def test_multi30k_says_what_is_missing_from_a_folder(tmp_path):
    done = run(EXAMPLES / "multi30k" / "run.py", "--data", tmp_path, "--run", tmp_path / "run",
               cwd=tmp_path)  # fmt: skip
    assert done.returncode != 0
    assert "train.en" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.extensive
def test_multi30k_trains_rescores_and_goes_on(tmp_path, texts):
    """The whole script on made-up data, with one epoch and lists of three."""
    script = (EXAMPLES / "multi30k" / "run.py").read_text()
    small = "--max-epoch 1 --hidden-size 8 --embedding-size 8 --batch-size 16"
    assert "--max-epoch 20" in script
    (tmp_path / "run.py").write_text(script.replace("--max-epoch 20", small))
    (tmp_path / "corpus.py").write_text((EXAMPLES / "multi30k" / "corpus.py").read_text())
    data = tmp_path / "data"
    data.mkdir()
    for name, own in (("train", "train"), ("val", "val"), ("test", "test_2016_flickr")):
        for suffix in ("en", "fr"):
            (data / f"{own}.{suffix}").write_text((texts / f"{name}.{suffix}").read_text())
    lists = tmp_path / "lists"
    lists.mkdir()
    for name in ("val", "test_2016_flickr"):
        lines = []
        for number, line in enumerate((data / f"{name}.fr").read_text().splitlines()):
            for rank, text in enumerate([line, "le " + line, line[:-2]]):
                lines.append(f"{number} ||| {text}  ||| LM0= -{rank} ||| -{rank}.5\n")
        with gzip.open(lists / f"{name}.1000best.gz", "wt", encoding="utf-8") as stream:
            stream.writelines(lines)
    arguments = [tmp_path / "run.py", "--data", data, "--lists", lists, "--run", tmp_path / "run"]
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "reversed LSTM, beam 12" in done.stdout
    assert "oracle by corpus BLEU" in done.stdout
    report = json.loads((tmp_path / "run" / "rescoring.json").read_text())
    assert report["tuning"]["lists"] == 20
    again = run(*arguments, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert again.stdout == done.stdout
    assert "$ s2st train" not in again.stderr
    assert "$ s2st rescore-nbest" not in again.stderr
