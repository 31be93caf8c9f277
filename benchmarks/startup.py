"""Start-up of every command against `import torch`, and the delay of single lines on a pipe.

    python benchmarks/startup.py --checkpoint DIR --lines test.en [--json FILE]

Every command is a process of its own, from its start to its first line of output and to its end,
in turn with a process that only imports torch. Streaming writes line after line to one running
`s2st generate`, each when the one before it is answered. See benchmarks/README.md.
"""

import argparse
import itertools
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import torch
from machine import facts, write_results

from s2st.process.folder_manifest import read_sealed
from s2st.text.line_files import read_lines

PYTHON = sys.executable
S2ST = (PYTHON, "-m", "s2st_cli")
REFERENCE = "import torch"
SOURCE, TARGET = "a man is smiling .", "un homme sourit ."
WARM_UP = 5  # lines of a stream that are not counted


@dataclass(frozen=True)
class Run:
    """Seconds of one process. `first` is None where nothing came on stdout; `cpu` is its own."""

    first: float | None
    whole: float
    cpu: float


def main() -> None:
    arguments = parse()
    torch.set_num_threads(arguments.threads)
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
    machine = facts()
    print("machine:", ", ".join(f"{name} {value}" for name, value in machine.items()))
    with tempfile.TemporaryDirectory() as folder:
        results = [*measure_starts(arguments, Path(folder)), *measure_streams(arguments)]
    write_results(arguments.json, machine, results)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--lines", required=True, help="source text of the stream")
    parser.add_argument("--only", nargs="+", metavar="COMMAND", help="of those whose start is due")
    parser.add_argument("--repeats", type=int, default=9, help="rounds of the starts")
    parser.add_argument("--count", type=int, default=200, help="lines of each stream")
    parser.add_argument("--beam", type=int, nargs="*", default=[1, 5, 12], help="of the streams")
    parser.add_argument("--precision", nargs="+", default=["float32", "int8"], help="of these too")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    return parser.parse_args()


def measure_starts(arguments: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """Prints the table of starts and returns its figures."""
    commands = make_commands(arguments.checkpoint, folder)
    if arguments.only is not None:
        unknown = set(arguments.only) - set(commands)
        if unknown:
            sys.exit(f"--only: no {sorted(unknown)[0]!r} among {', '.join(commands)}")
        commands = {name: commands[name] for name in (REFERENCE, *arguments.only)}
    runs: dict[str, list[Run]] = {name: [] for name in commands}
    for _ in range(arguments.repeats):
        for name, command in commands.items():
            runs[name].append(run_once(command))
    print(f"\nSeconds from a process' start, medians of {arguments.repeats} rounds\n")
    print("| command | first line | above import torch | whole process | its CPU time |")
    print("|---|---|---|---|---|")
    results = []
    base = middle(runs[REFERENCE])
    for name, own in runs.items():
        result = {"kind": "start", "name": name, **middle(own), "runs": [vars(run) for run in own]}
        first, above = result["first"], None
        if first is not None:
            above = result["above_import_torch"] = first - base["first"]
        results.append(result)
        print(
            f"| {name} | {shown(first)} | {shown(above)} "
            f"| {shown(result['whole'])} | {shown(result['cpu'])} |"
        )
    return results


def make_commands(checkpoint: str, folder: Path) -> dict[str, tuple[str, ...]]:
    """Name -> arguments of each process, on files of a line or two; written into the folder."""
    manifest = read_sealed(Path(checkpoint))
    source, target = manifest["source_language"], manifest["target_language"]
    for language, text in ((source, SOURCE), (target, TARGET)):
        (folder / f"text.{language}").write_text((text + "\n") * 8, "utf-8")
    (folder / "source").write_text(SOURCE + "\n", "utf-8")
    (folder / "target").write_text(TARGET + "\n", "utf-8")
    (folder / "nbest").write_text(f"0 ||| {TARGET} ||| LM0= -1 ||| -1\n", "utf-8")
    text, store = str(folder / "text"), str(folder / "store")
    files = ("--source", str(folder / "source"))
    model = ("--checkpoint", checkpoint)
    preprocess = ("preprocess", "-s", source, "-t", target, "--trainpref", text, "--destdir")
    subprocess.run([*S2ST, *preprocess, store], check=True, stderr=subprocess.DEVNULL)
    train = "train", store, "--layers", "1", "--hidden-size", "16", "--embedding-size", "16"
    new = f"{folder}/new-NUMBER"  # what a command makes must not be there before
    return {
        REFERENCE: (PYTHON, "-c", "import torch; print(flush=True)"),
        "--help": (*S2ST, "--help"),
        "list": (*S2ST, "list"),
        "generate": (*S2ST, "generate", *model, *files[1:]),
        "generate, int8": (*S2ST, "generate", "--precision", "int8", *model, *files[1:]),
        "score HYP --ref": (
            *S2ST,
            "score",
            str(folder / "target"),
            "--ref",
            str(folder / "target"),
        ),
        "score --checkpoint": (*S2ST, "score", *model, *files, "--target", str(folder / "target")),
        "rescore-nbest": (*S2ST, "rescore-nbest", *model, str(folder / "nbest"), *files),
        "inspect": (*S2ST, "inspect", checkpoint),
        "export": (*S2ST, "export", checkpoint, new),
        "preprocess": (*S2ST, *preprocess, new),
        "train, one update": (*S2ST, *train, "--max-update", "1", "--save-dir", new),
    }


def run_once(command: tuple[str, ...]) -> Run:
    """Runs a process; ends the program where it fails. NUMBER in its arguments becomes new."""
    arguments = [argument.replace("NUMBER", str(time.monotonic_ns())) for argument in command]
    with tempfile.TemporaryFile() as errors:
        start = time.perf_counter()
        process = subprocess.Popen(
            arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors
        )
        assert process.stdout is not None
        line = process.stdout.readline()
        first = time.perf_counter() - start
        process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        whole = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        process.stdout.close()
        if process.returncode:
            errors.seek(0)
            sys.exit(f"{' '.join(arguments)}: {errors.read().decode().strip()}")
    return Run(first if line else None, whole, usage.ru_utime + usage.ru_stime)


def middle(runs: list[Run]) -> dict[str, Any]:
    """Medians."""
    firsts = [run.first for run in runs if run.first is not None]
    return {
        "first": statistics.median(firsts) if firsts else None,
        "whole": statistics.median(run.whole for run in runs),
        "cpu": statistics.median(run.cpu for run in runs),
    }


def measure_streams(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Prints the table of delays and returns its figures."""
    lines = list(itertools.islice(read_lines(arguments.lines), arguments.count + WARM_UP))
    counted = max(0, len(lines) - WARM_UP)
    if not arguments.beam or not counted:
        return []
    print(f"\nMilliseconds from a line on the pipe to its answer, {counted} lines\n")
    print("| beam | numbers | median | 95 % are below | longest |")
    print("|---|---|---|---|---|")
    results = []
    for beam, precision in itertools.product(arguments.beam, arguments.precision):
        options = {"--beam": beam, "--precision": precision, "--threads": arguments.threads}
        delays = stream(arguments.checkpoint, options, lines)[WARM_UP:]
        result = {
            "kind": "stream",
            "name": f"beam {beam}, {precision}",
            "median": statistics.median(delays),
            "percentile_95": sorted(delays)[math.ceil(0.95 * len(delays)) - 1],
            "longest": max(delays),
            "delays": delays,
        }
        results.append(result)
        print(
            f"| {beam} | {precision} | {1e3 * result['median']:.1f} "
            f"| {1e3 * result['percentile_95']:.1f} | {1e3 * result['longest']:.1f} |"
        )
    return results


def stream(checkpoint: str, options: Mapping[str, object], lines: list[str]) -> list[float]:
    """Seconds between each line's way in and its answer's way out."""
    flags = [str(part) for pair in options.items() for part in pair]
    command = [*S2ST, "generate", "--checkpoint", checkpoint, *flags]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        return [answer(process.stdin, process.stdout, line) for line in lines]


def answer(into: IO[bytes], out: IO[bytes], line: str) -> float:
    """Feeds one line and waits for one."""
    data = line.encode() + b"\n"
    start = time.perf_counter()
    into.write(data)
    into.flush()
    if not out.readline():
        sys.exit("s2st generate ended before its input did")
    return time.perf_counter() - start


def shown(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.2f}"


if __name__ == "__main__":
    main()
