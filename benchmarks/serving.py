"""Requests a second of `s2st serve` under load, against `s2st generate` of the same lines.

    python benchmarks/serving.py --checkpoint DIR --lines test.en [--clients N ...] [--json FILE]

A request has one line; each client sends its next one when it has the answer. Answers that are not
those of `generate` (a batch of one line) stop the benchmark. See benchmarks/README.md.
"""

import argparse
import contextlib
import http.client
import itertools
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from machine import facts, median, write_results

from s2st.text.line_files import read_lines

S2ST = (sys.executable, "-m", "s2st_cli")
ADDRESS = re.compile(r"listening on http://127\.0\.0\.1:(\d+)")


def main() -> None:
    arguments = parse()
    machine = facts()
    print("machine:", ", ".join(f"{name} {value}" for name, value in machine.items()))
    lines = list(itertools.islice(read_lines(arguments.lines), arguments.count))
    search = ("--checkpoint", arguments.checkpoint, "--beam", str(arguments.beam))
    seconds, expected = generated(search, lines)
    print(f"\n{len(lines)} requests of a line, beam {arguments.beam}\n")
    print("| | requests/s | median, ms | 99 of 100 within, ms |")
    print("|---|---:|---:|---:|")
    print(f"| generate, a batch of one line | {len(lines) / seconds:.1f} | | |", flush=True)
    results: list[dict[str, Any]] = [{"generate": seconds}]
    with server(search) as port:
        asked(port, lines[0])
        for clients in arguments.clients:
            whole, waits = load(port, lines, expected, clients)
            late = sorted(waits)[min(len(waits) - 1, len(waits) * 99 // 100)]
            rate, middle = len(lines) / whole, 1000 * median(waits)
            print(f"| clients: {clients} | {rate:.1f} | {middle:.0f} | {1000 * late:.0f} |")
            results.append({"clients": clients, "seconds": whole, "waits": waits})
    write_results(arguments.json, machine, results)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--lines", required=True, help="source text")
    parser.add_argument("--count", type=int, default=200, help="requests")
    parser.add_argument("--clients", type=int, nargs="*", default=[1, 2, 16])
    parser.add_argument("--beam", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    return parser.parse_args()


def generated(search: Sequence[str], lines: Sequence[str]) -> tuple[float, list[str]]:
    """Seconds of `generate` for the lines but the first, and the translations.

    The start of the process and its first line are not counted, as those of the server are not.
    """
    command = (*S2ST, "generate", *search, "--batch-size", "1", "--buffer-size", "1", "-")
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("".join(f"{line}\n" for line in (lines[0], *lines)))
        process.stdin.close()
        process.stdout.readline()
        start = time.perf_counter()
        found = [line.rstrip("\n") for line in process.stdout]
        seconds = time.perf_counter() - start
    if process.returncode or len(found) != len(lines):
        sys.exit(f"generate ended with {process.returncode} and {len(found)} lines")
    return seconds, found


@contextlib.contextmanager
def server(search: Sequence[str]) -> Iterator[int]:
    """The port of a running server."""
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen((*S2ST, "serve", "--port", "0", *search), stderr=log, text=True)
        try:
            found = None
            while found is None:
                if process.poll() is not None:
                    log.seek(0)
                    sys.exit(log.read())
                time.sleep(0.05)
                log.seek(0)
                found = ADDRESS.search(log.read())
            yield int(found[1])
        finally:
            process.terminate()
            process.wait(60)


def load(
    port: int, lines: Sequence[str], expected: Sequence[str], clients: int
) -> tuple[float, list[float]]:
    """Seconds until all answers are there, and those that each request waited."""

    def one(index: int) -> float:
        start = time.perf_counter()
        text = asked(port, lines[index])
        if text != expected[index]:
            sys.exit(f"line {index + 1}: {text!r} is not {expected[index]!r} of generate")
        return time.perf_counter() - start

    start = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        waits = list(pool.map(one, range(len(lines))))
    return time.perf_counter() - start, waits


def asked(port: int, line: str) -> str:
    """The translation that the server answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    with contextlib.closing(connection):
        headers = {"Content-Type": "application/json"}
        connection.request("POST", "/translate", json.dumps({"text": line}), headers)
        answer = connection.getresponse()
        body = json.loads(answer.read())
    if answer.status != 200:
        sys.exit(f"status {answer.status}: {body}")
    text: str = body["translations"][0]["text"]
    return text


if __name__ == "__main__":
    main()
