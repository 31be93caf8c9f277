"""A line of a million tokens and too little memory: one error that names the line."""

import json
import os
import subprocess
import sys

import pytest

SPARE = 300 << 20  # bytes more than the program takes as it starts; such a line needs 600 MB
LIMITED = """
import contextlib, io, json, resource, sys
import s2st.jobs.rescore.rescore_file, s2st.jobs.translation_tasks, s2st.jobs.pair_scoring_tasks
from s2st_cli.main import run
commands, spare = json.loads(sys.argv[1]), int(sys.argv[2])
assert run(commands[0]) == 0  # what is loaded late is loaded
pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * resource.getpagesize() + spare
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
for command in commands[1:]:
    err = io.StringIO()
    with contextlib.redirect_stderr(err):
        code = run(command)
    print(json.dumps([code, err.getvalue()]), file=sys.stderr)
"""


@pytest.mark.slow
def test_the_line_is_named(world, tmp_path):
    for name, word in (("src", "the"), ("tgt", "le")):
        long = f"{word} " * 10**6
        (tmp_path / name).write_text(f"{word} .\n{long}\n{word}\n")
    (tmp_path / "nbest").write_text("".join(f"{i} ||| le ||| ||| -1\n" for i in range(3)))
    small = [str(world.source), "-o", "/dev/null", "--max-len-a", "0"]
    model = ["--checkpoint", str(world.forward), "--threads", "1"]
    source, target, lists = (str(tmp_path / name) for name in ("src", "tgt", "nbest"))
    commands = [
        ["generate", *model, *small],
        ["generate", *model, source, "--max-len-a", "0"],
        ["score", *model, "--source", source, "--target", target],
        ["rescore-nbest", *model, lists, "--source", source, "-o", str(tmp_path / "out")],
    ]
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, json.dumps(commands), str(SPARE)],
        capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=True,
    )  # fmt: skip
    results = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("[")]
    assert len(results) == 3
    named = ("input line 2 ", "input line 2 ", "lines 2 to 2")
    for (code, err), where in zip(results, named, strict=True):
        assert code == 1
        assert [where in line for line in err.splitlines() if "error: " in line] == [True]
        assert "out of memory" in err
        assert "Traceback" not in err
