"""Rows of signals to a whole process group, which is what Ctrl-C and a job's end do.

A case survives where every process of the group has ended, the exit code and the one line on stderr
are those of the signal, and nothing half done is left.
"""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from report import Row, Setting
from signals import STOPS, Ending, Stop, _wait_for_handlers, heed_signals
from small_run import WORDS

CASES, SHORT_CASES = 100, 3
LINES = 12_000
LIMIT = 120  # seconds to an end, on the slowest machine
LONGEST = 4.0  # seconds after the handlers were installed


def preprocessing(setting: Setting) -> Row:
    """`preprocess` with two workers, as they start and while they work."""
    write_text(setting.folder)
    prefix = str(setting.folder / "text")
    tokenizers = (["moses"], ["none"], ["sentencepiece", "--sentencepiece-vocab-size", "60"])

    def command(number: int, out: Path) -> list[str]:
        return [
            "preprocess", "-s", "en", "-t", "fr", "--trainpref", prefix, "--workers", "2",
            "--destdir", str(out), "--tokenizer", *tokenizers[number % len(tokenizers)],
        ]  # fmt: skip

    return _row(setting, "preprocess --workers 2, group signal at a random time", command)


def counting(setting: Setting) -> Row:
    """`train-ngram`, while it counts, sorts and writes."""
    write_text(setting.folder)
    text = str(setting.folder / "text.en")

    def command(number: int, out: Path) -> list[str]:
        return ["train-ngram", text, "-o", f"{out}.arpa", "--memory", "64K"]

    return _row(setting, "train-ngram, group signal at a random time", command)


def demonstrating(setting: Setting) -> Row:
    """`demo`, which starts other commands."""

    def command(number: int, out: Path) -> list[str]:
        return ["demo", "--dir", str(out), "--train-size", "2000", "--test-size", "20"]

    return _row(setting, "demo, group signal at a random time", command, share=0.3, kept=True)


def write_text(folder: Path) -> None:
    draw = random.Random(1)
    for language in ("en", "fr"):
        words = WORDS[language].split()
        lines = (" ".join(draw.choices(words, k=draw.randrange(1, 30))) for _ in range(LINES))
        (folder / f"text.{language}").write_text("".join(f"{line}\n" for line in lines))


def _row(setting: Setting, fault: str, command, share: float = 1.0, kept: bool = False) -> Row:
    draw = random.Random(setting.seed)
    count = SHORT_CASES if setting.short else round(CASES * share)
    survived = sent = number = 0
    while sent < count:
        out = setting.folder / "made" / "out"
        out.parent.mkdir()
        how = Stop(STOPS[sent % len(STOPS)], draw.uniform(0, LONGEST))
        ending, problems = stop_group(command(number, out), how)
        number += 1
        sent += ending.sent is not None
        if ending.sent is not None and not kept and ending.code != 0:
            problems += [f"left {path.name}" for path in out.parent.iterdir()]
        lines = [line for line in ending.err if line.startswith("s2st: error: ")]
        alone = ending.clean or (kept and ending.sent and ending.code == 128 + ending.sent)
        if not alone or any("Traceback" in line for line in ending.err):
            problems.append(f"exit {ending.code}: {lines or ending.err[-3:]}")
        if problems:
            print(f"{how}: {'; '.join(problems)}", file=sys.stderr, flush=True)
        survived += ending.sent is not None and not problems
        shutil.rmtree(out.parent)
    return Row(fault, sent, survived, sent - survived)


def stop_group(arguments: list[str], how: Stop) -> tuple[Ending, list[str]]:
    """Runs s2st in a group of its own and signals all of that; how it ended, and what is amiss."""
    words = [sys.executable, "-m", "s2st_cli", *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        text=True, preexec_fn=heed_signals, start_new_session=True, env=environment,
    ) as process:  # fmt: skip
        _wait_for_handlers(process.pid, lambda: process.poll() is None)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(how.delay)
        sent = how.number if process.poll() is None else None
        if sent is not None:
            os.killpg(process.pid, how.number)
        try:
            _, err = process.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            _, err = process.communicate()
            return Ending(-9, err.splitlines(), sent), [f"not ended within {LIMIT} s"]
    problems = [] if _gone(process.pid) else ["processes are left"]
    return Ending(process.returncode, err.splitlines(), sent), problems


def _gone(group: int) -> bool:
    """Whether a process group ends by itself within some seconds."""
    for _ in range(1000):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.01)
    os.killpg(group, signal.SIGKILL)
    return False
