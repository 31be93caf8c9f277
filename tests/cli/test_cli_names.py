"""File names that are not UTF-8: every command reads and writes them."""

import os
import shutil

import pytest
from options_of import replaced

ODD = os.fsdecode(b"m\xff\xfe")


@pytest.fixture(scope="module")
def odd(s2st, world, tiny, tmp_path_factory):
    """A folder with such a name, a training in it, and texts with such names."""
    folder = tmp_path_factory.mktemp("names") / ODD
    folder.mkdir()
    shutil.copytree(world.store, folder / ODD)
    for name, path in (("src", world.source), ("ref", world.target)):
        shutil.copy(path, folder / f"{name}{ODD}")
    train = ["train", folder / ODD, *tiny, "-a", "lstm-attention", "--save-dir", folder / "run"]
    for epochs in (1, 2):  # the second goes on from the first
        outcome = s2st(*replaced(train, "--max-epoch", epochs))
        assert outcome.code == 0, outcome.err
    return folder


COMMANDS = [
    "inspect {run}/checkpoint_best",
    "inspect {store}",
    "inspect --verify {run}/checkpoint_last",
    "inspect --verify {store}",
    "export {run}/checkpoint_best {new}/release",
    "average {run}/checkpoint_best {run}/checkpoint_last -o {new}/mean",
    "average {run} --last 1 -o {new}/last",
    "report {run} -o {new}/page",
    "report {run} --attention {src} {ref} -o {new}/page",
    "generate --checkpoint {run}/checkpoint_best {src} -o {new}/out --alignments {new}/links",
    "generate --checkpoint {run}/checkpoint_best {src} --format moses -o {new}/lists",
    "score --checkpoint {run}/checkpoint_best --source {src} --target {ref}",
    "rescore-nbest --checkpoint {run}/checkpoint_best {new}/lists --source {src} -o {new}/best",
    "convert-nbest {new}/lists -o {new}/converted",
    "score {src} --ref {ref}",
    "compare {src} {ref} --ref {ref} --samples 5",
    "explain the --checkpoint {run}/checkpoint_best --compare {run}/checkpoint_last -o {new}/html",
    "export {run}/checkpoint_best {new}/words --format word2vec",
    "analyze vectors {src} --checkpoint {run}/checkpoint_best --npy {new}/npy",
    "analyze neighbors the --checkpoint {run}/checkpoint_best",
    "analyze attention --checkpoint {run}/checkpoint_best --source {src} --figure {new}/map",
    "analyze gradients {run}/checkpoint_best --source {src} --target {ref} --sentences 1"
    " --aligner {run}/checkpoint_last --figure {new}/gradients --min-pairs 1",
    "analyze rarity {src} --ref {ref} --source {src} --vocabulary {run}/checkpoint_best --buckets 2"
    " --samples 5 --figure {new}/rare",
    "analyze lengths {src} {ref} --ref {ref} --source {src} --buckets 2 --samples 5"
    " --figure {new}/curve --title {title}",
    "preprocess -s en -t fr --trainpref {train} --srcdict {run}/checkpoint_best --tgtdict {store}"
    " --destdir {new}/store",
    "inspect --verify {new}/mean",
    "inspect {new}/mean",
    "train-ngram {ref} -o {new}/ngram.arpa --order 2 --discount-fallback",
    "score --checkpoint {new}/ngram.arpa --target {ref}",
    "train-lexicon {store} -o {new}/lex.gz",
    "generate --checkpoint {run}/checkpoint_best {src} -o {new}/short --shortlist {new}/lex.gz",
]


def test_every_command_takes_names_that_are_no_utf8(s2st, odd, world):
    new = odd / os.fsdecode(b"new\xe9")
    new.mkdir()
    places = {
        "run": odd / "run", "store": odd / ODD, "src": odd / f"src{ODD}", "ref": odd / f"ref{ODD}",
        "new": new, "train": world.folder / "train", "title": ODD,
    }  # fmt: skip
    for command in COMMANDS:
        words = [word.format(**places) for word in command.split()]
        outcome = s2st(*words)
        assert outcome.code == 0, (command, outcome.err)
        assert "error" not in outcome.err


def test_a_save_folder_of_such_a_name_is_the_title_of_its_report(s2st, odd, tmp_path):
    shutil.copytree(odd / "run", tmp_path / ODD, symlinks=True)
    outcome = s2st("report", tmp_path / ODD, "-o", tmp_path / "page")
    assert outcome.code == 0, outcome.err
    assert "<title>m\ufffd\ufffd: lstm-attention" in (tmp_path / "page").read_text("utf-8")
