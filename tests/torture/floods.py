"""Rows of small inputs that would fill the memory: lists, models and ensembles.

A case survives where a process whose memory is limited ends with one line that names the input,
not for lack of memory.
"""

import gzip
import json
import os
import random
import resource
import subprocess
import sys
from pathlib import Path

from report import Row, Setting

CASES, SHORT_CASES = 40, 4
LIMIT = 3 << 30  # bytes of address space; torch alone takes 1.3 GB of it
UNITS = {"features": "1 ", "fields": "||| ", "words": "a "}


def floods(setting: Setting) -> Row:
    """Lists of few lines with millions of values, endless files, ensembles of ensembles."""
    draw = random.Random(setting.seed)
    count = SHORT_CASES if setting.short else CASES
    (setting.folder / "src").write_text("the cat\n")
    survived = 0
    for number in range(count):
        kind = ("features", "fields", "words", "model", "ensemble")[number % 5]
        command, part = _command(kind, setting.folder, draw)
        code, err = _limited(command)
        errors = [line for line in err.splitlines() if line.startswith("s2st: error: ")]
        good = code in (2, 65) and len(errors) == 1 and part in errors[0]
        good = good and "out of memory" not in err and "Traceback" not in err
        if not good:
            print(f"{kind}: exit {code}: {err[-300:]}", file=sys.stderr, flush=True)
        survived += good
    return Row("input that would fill the memory", count, survived, count - survived)


def _command(kind: str, folder: Path, draw: random.Random) -> tuple[list[str], str]:
    """A command and what its error has to name."""
    if kind == "model":
        (folder / "text.en").write_text("a b\n" * 10)
        (folder / "text.fr").write_text("c d\n" * 10)
        return [
            "preprocess", "-s", "en", "-t", "fr", "--trainpref", str(folder / "text"),
            "--tokenizer", "sentencepiece", "--source-sentencepiece", "/dev/zero",
            "--destdir", str(folder / "bin"),
        ], "/dev/zero"  # fmt: skip
    if kind == "ensemble":
        count = draw.randrange(500, 1900)
        for i in range(3):
            below = [f"{(i + 1) % 3}.toml"] * count
            (folder / f"{i}.toml").write_text(f"members = {json.dumps(below)}\n")
        return ["generate", "--checkpoint", str(folder / "0.toml"), str(folder / "src")], "member"
    units = UNITS[kind] * draw.randrange(5_000_000, 20_000_000)
    fields = {
        "features": f"0 ||| le ||| F= {units}||| -1",
        "fields": f"0 ||| le ||| F= 1 ||| -1 {units}",
        "words": f"0 ||| {units}||| F= 1 ||| -1",
    }
    path = folder / "lists.gz"
    with gzip.open(path, "wt", compresslevel=1) as stream:
        stream.write(fields[kind] + "\n" + fields[kind] + "\n")
    return ["rescore-nbest", str(path), "--source", str(folder / "src")], "lists.gz"


def _limited(arguments: list[str]) -> tuple[int, str]:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (LIMIT, LIMIT))

    done = subprocess.run(
        [sys.executable, "-m", "s2st_cli", *arguments], stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, preexec_fn=limit,
        env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False,
    )  # fmt: skip
    return done.returncode, done.stderr
