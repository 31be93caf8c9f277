"""The program in a shell: pipes, closed and full outputs, signals, start-up."""

import gzip
import os
import signal
import statistics
import subprocess
import sys
import time

import pytest
from options_of import without

from s2st_cli.main import COMMANDS

SHORT = "--max-len-a 0 --max-len-b 6 --threads 1"


@pytest.mark.slow
def test_a_pipe_of_zcat_generate_and_score(shell, world, tmp_path):
    (tmp_path / "x.gz").write_bytes(gzip.compress(world.source.read_bytes()))
    outcome = shell(
        f"set -o pipefail; zcat $1 | s2st generate --checkpoint $2 {SHORT} | s2st score - --ref $3",
        tmp_path / "x.gz", world.forward, world.target,
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert outcome.lines[0].startswith("BLEU (sacreBLEU, ")
    assert outcome.lines[1].startswith("BLEU (multi-bleu.perl, ")


@pytest.mark.slow
def test_head_ends_the_program_quietly(shell, world, tmp_path):
    (tmp_path / "x").write_bytes(world.source.read_bytes() * 200)
    outcome = shell(
        f"s2st generate --checkpoint $1 {SHORT} --buffer-size 64 --batch-size 64 < $2 | head -1; "
        'echo "${PIPESTATUS[0]}" >&2',
        world.forward, tmp_path / "x",
    )  # fmt: skip
    assert len(outcome.lines) == 1
    assert outcome.err == "141\n"


@pytest.mark.parametrize(
    "command",
    ["--help", "--version", "list", "list --help", "analyze --help", "generate --help",
     "analyze neighbours the --vectors $2", "score $1 --ref $1"],
)  # fmt: skip
def test_a_reader_that_reads_nothing(shell, world, tmp_path, command):
    (tmp_path / "vectors").write_text("the 1 0\na 0 1\n")
    outcome = shell(
        f'(sleep 0.2; s2st {command}; echo "$?" >&2) | true', world.target, tmp_path / "vectors"
    )
    assert (outcome.data, outcome.err) == (b"", "141\n")


@pytest.mark.parametrize("lost", [">&-", ">/dev/full", "1</dev/null"])
@pytest.mark.parametrize(
    "command",
    ["--help", "--version", "list", "list --help", "score $1 --ref $1", "report $2"],
)
def test_output_that_is_lost_is_an_error(shell, world, lost, command):
    """Whatever writes to standard output, and however that is gone."""
    outcome = shell(f"s2st {command} {lost}", world.target, world.save_dir)
    outcome.check_error(74, "standard output: cannot be written: ")


def test_a_closed_standard_output_does_not_matter_to_what_writes_a_file(shell, world, tmp_path):
    script = "s2st generate --checkpoint $1 --search greedy $2 -o $3 >&-"
    outcome = shell(script, world.forward, world.source, tmp_path / "out")
    assert outcome.code == 0, outcome.err
    assert len((tmp_path / "out").read_text().splitlines()) == 12


@pytest.mark.slow
@pytest.mark.parametrize("output", [">&-", "2>&-", ">&- 2>&-", "<&-", ">/dev/full"])
@pytest.mark.parametrize(
    "command", ["generate --checkpoint $1 --search greedy $2", "list", "score $3 --ref $3"]
)
def test_outputs_that_are_closed_or_full(shell, world, output, command):
    outcome = shell(f"s2st {command} {output}", world.forward, world.source, world.target)
    assert "Traceback" not in outcome.err
    assert "Exception ignored" not in outcome.err
    assert "internal error" not in outcome.err
    assert b"s2st: " not in outcome.data
    if output == ">/dev/full":
        assert outcome.code == 74
        assert outcome.err.count("s2st: error:") == 1
        assert "No space left" in outcome.err
    else:
        assert outcome.code == (74 if ">&-" in output.split() else 0)


@pytest.mark.slow
def test_messages_never_land_on_stdout(shell, world, tmp_path):
    (tmp_path / "crlf").write_bytes(b"a\r\nb\r\n")
    script = f"s2st generate --checkpoint $1 {SHORT} $2"
    loud = shell(script, world.forward, tmp_path / "crlf")
    assert "CRLF" in loud.err
    silent = shell(script + " 2>&-", world.forward, tmp_path / "crlf")
    assert silent.data == loud.data
    failed = shell("s2st generate --checkpoint $1/none 2>&-", world.forward)
    assert (failed.code, failed.data) == (66, b"")


@pytest.mark.slow
def test_closed_standard_input(shell, world):
    outcome = shell("s2st generate --checkpoint $1 <&-", world.forward)
    outcome.check_error(66, "standard input")


@pytest.mark.slow
def test_a_pipe_is_answered_line_by_line(world):
    command = [sys.executable, "-m", "s2st_cli", "generate", "--checkpoint", str(world.forward)]
    with subprocess.Popen(
        [*command, *SHORT.split(), "--min-len", "1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for text in (b"the cat .\n", b"\n", b"a dog .\n"):
            process.stdin.write(text)
            process.stdin.flush()
            answer = process.stdout.readline()
            assert answer.endswith(b"\n")
            assert (answer == b"\n") == (text == b"\n")
        process.stdin.close()
        assert process.stdout.read() == b""
        assert process.wait() == 0


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_the_same_command_goes_on(world, tmp_path, tiny, s2st, number):
    save = tmp_path / "run"
    arguments = ["train", str(world.store), *without(tiny, "--batch-size", "--max-epoch")]
    arguments += ["--save-dir", str(save), "--batch-size", "2"]
    arguments += ["--max-epoch", "1000", "--patience", "1000", "--log-interval", "1"]
    with subprocess.Popen(
        [sys.executable, "-m", "s2st_cli", *arguments], stderr=subprocess.PIPE, text=True,
        stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        for line in process.stderr:
            if "update 3:" in line:
                break
        process.send_signal(number)
        rest = process.stderr.read()
        assert process.wait(60) == 128 + number, rest
        assert process.stdout is not None
        assert process.stdout.read() == ""
    assert "Traceback" not in rest
    assert len([line for line in rest.splitlines() if line.startswith("s2st: error:")]) <= 1
    saved = os.readlink(save / "checkpoint_last")
    update = int(saved.removeprefix("checkpoint_"))
    assert update >= 3
    outcome = s2st(*arguments, "--max-update", update + 2)
    assert outcome.code == 0, outcome.err
    assert f"resuming from {save / 'checkpoint_last'}" in outcome.err
    assert os.readlink(save / "checkpoint_last") == f"checkpoint_{update + 2:07d}"


@pytest.mark.slow
def test_tab_separated_text_from_a_pipe_with_workers(shell, world, tmp_path):
    outcome = shell(
        "paste $1.en $1.fr | s2st preprocess -s en -t fr --tsv - --workers 2 --destdir $2 && "
        "s2st preprocess -s en -t fr --trainpref $1 --destdir $3",
        world.folder / "train", tmp_path / "pipe", tmp_path / "files",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    for path in (tmp_path / "files").iterdir():
        assert (tmp_path / "pipe" / path.name).read_bytes() == path.read_bytes()


def test_file_names_that_are_not_utf8(shell, world, tmp_path):
    outcome = shell(
        """export PYTHONIOENCODING=utf-8:strict; cd $2; cp $1 $'h\\xffp'
        s2st score $'h\\xffp' $1 --ref $1 --samples 5 && s2st score $'h\\xff' --ref $1""",
        world.target, tmp_path,
    )  # fmt: skip
    assert outcome.code == 66, outcome.err
    assert outcome.err.count("s2st: error:") == 1
    assert b"h\\xffp\n" in outcome.data


HELP = """
import sys
from s2st_cli.main import run
code = run(sys.argv[1:])
heavy = {"torch", "numpy", "sacrebleu", "sacremoses", "sentencepiece", "rich"} & set(sys.modules)
print("LOADED", code, *sorted(heavy))
"""


@pytest.mark.slow
@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_imports_nothing_heavy(command):
    times = []
    for _ in range(1 if command else 3):
        start = time.perf_counter()
        arguments = [*command.split(), "--help"]
        done = subprocess.run(
            [sys.executable, "-c", HELP, *arguments], capture_output=True, text=True, check=True
        )
        times.append(time.perf_counter() - start)
    assert "Usage: s2st" in done.stdout
    loaded = done.stdout.splitlines()[-1].split()
    assert loaded[:2] == ["LOADED", "0"]
    assert "torch" not in loaded
    assert done.stderr == ""
    print(f"s2st {command} --help: {statistics.median(times):.2f} s; loads {loaded[2:]}")
