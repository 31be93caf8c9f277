"""Shell completion: commands, options, component names, and file names for paths."""

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("gen", ["plain,generate"]),
        ("generate --checkp", ["plain,--checkpoint"]),
        ("generate --search div", ["plain,diverse-beam"]),
        ("generate --search mbr --uti", ["plain,--utility"]),
        ("generate --checkpoint mo", ["file,mo"]),
        ("rescore-nbest li", ["file,li"]),
        ("rescore-nbest x --format nb", ["plain,nbest"]),
        ("analyze nei", ["plain,neighbors"]),
    ],
)
def test_the_shell_completes(words, expected):
    parts = words.split()
    environment = {
        **os.environ,
        "_S2ST_COMPLETE": "bash_complete",
        "COMP_WORDS": f"s2st {words}",
        "COMP_CWORD": str(len(parts)),
    }
    done = subprocess.run(
        [sys.executable, "-c", "from s2st_cli.__main__ import entry_point as e; e()"],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == expected
