"""Inputs that would fill the memory end in one line, within a bound that the program sets."""

import gzip
import json
import os
import shutil
import subprocess
import sys

import pytest

LIMITED = """
import contextlib, io, json, resource, sys
import torch
from s2st_cli.main import run
commands, spare = json.loads(sys.argv[1]), int(sys.argv[2])
pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * resource.getpagesize() + spare
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
for command in commands:
    err = io.StringIO()
    with contextlib.redirect_stderr(err):
        code = run(command)
    print(json.dumps([code, err.getvalue()]))
"""
SPARE = 1200 << 20  # the specimens took 4 GB and more


def limited(*commands):
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, json.dumps([list(map(str, c)) for c in commands]),
         str(SPARE)],
        capture_output=True, text=True, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    results = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    assert len(results) == len(commands)
    return results


@pytest.mark.slow
def test_lists_models_and_ensembles_that_flood_the_memory(world, tmp_path):
    features = " ".join(["F=", *["1"] * 19_000_000])
    fields = "|||" * 20_000_000
    words = "a " * 20_000_000
    for name, line in (
        ("features", f"0 ||| le ||| {features} ||| -1\n"),
        ("fields", f"0 ||| le ||| ||| -1 {fields}\n"),
        ("words", f"0 ||| {words}||| ||| -1\n"),
    ):
        with gzip.open(tmp_path / f"{name}.gz", "wt", compresslevel=1) as stream:
            stream.write(line)
            stream.write(line)
    model = ["--checkpoint", world.forward, "--threads", "1"]
    commands = [
        ["rescore-nbest", tmp_path / f"{name}.gz", "--source", world.source, *model]
        for name in ("features", "fields", "words")
    ]
    commands.append(
        [
            "preprocess", "-s", "en", "-t", "fr", "--trainpref", world.folder / "train",
            "--tokenizer", "sentencepiece", "--source-sentencepiece", "/dev/zero",
            "--destdir", tmp_path / "bin",
        ]
    )  # fmt: skip
    parts = [
        "field features has",
        "fields between",
        "field hypothesis has",
        "/dev/zero: not a Sent",
    ]
    for (code, err), part in zip(limited(*commands), parts, strict=True):
        assert code == 65, err
        assert [part in line for line in err.splitlines() if "error: " in line] == [True], err


def test_ensembles_that_name_each_other_are_bounded(s2st, world, tmp_path):
    many = [f"{i}.toml" for i in range(5)] * 380
    for i in range(5):
        (tmp_path / f"{i}.toml").write_text(f"members = {json.dumps(many)}\n")
    checkpoint = ["--checkpoint", tmp_path / "0.toml"]
    outcome = s2st("generate", *checkpoint, stdin=b"the cat\n")
    outcome.check_error(2, "0.toml", "member of itself")
    (tmp_path / "m").symlink_to(world.forward)
    for i in range(3):  # no circle, but each level has 1,900 members
        below = [f"{i + 1}.toml"] * 1900 if i < 2 else ["m"] * 1900
        (tmp_path / f"{i}.toml").write_text(f"members = {json.dumps(below)}\n")
    outcome = s2st("generate", *checkpoint, stdin=b"the cat\n")
    outcome.check_error(2, "m: more than 200 members")


def test_many_members_of_one_file_are_bounded(s2st, world, tmp_path):
    (tmp_path / "many.toml").write_text(f"members = {json.dumps(['none'] * 300)}\n")
    outcome = s2st("generate", "--checkpoint", tmp_path / "many.toml", stdin=b"a\n")
    outcome.check_error(66, "none")
    nested = [f"n{i}.toml" for i in range(150)]
    (tmp_path / "all.toml").write_text(f"members = {json.dumps(nested)}\n")
    for name in nested:
        (tmp_path / name).write_text(f'members = ["{world.forward}", "{world.forward}"]\n')
    outcome = s2st("generate", "--checkpoint", tmp_path / "all.toml", stdin=b"a\n")
    outcome.check_error(2, "more than 200 members")


@pytest.mark.parametrize("command", ["generate", "inspect", "verify", "store", "lines"])
def test_a_copied_link_without_its_folder_is_named(s2st, world, tmp_path, command):
    link = tmp_path / "checkpoint_best"
    link.symlink_to("checkpoint_0000012")
    arguments = {
        "generate": ["generate", "--checkpoint", link],
        "inspect": ["inspect", link],
        "verify": ["inspect", "--verify", link],
        "store": ["train", link, "--save-dir", tmp_path / "m"],
        "lines": ["generate", "--checkpoint", world.forward, link],
    }[command]
    outcome = s2st(*arguments, stdin=b"the cat\n")
    outcome.check_error(66, "checkpoint_best: a link to 'checkpoint_0000012'", "cp -rL")


def test_a_copy_of_a_whole_save_folder_works(s2st, world, tmp_path):
    shutil.copytree(world.folder / "forward", tmp_path / "copy", symlinks=True)
    found = s2st("generate", "--checkpoint", tmp_path / "copy" / "checkpoint_best", world.source)
    assert found.data == s2st("generate", "--checkpoint", world.forward, world.source).data
