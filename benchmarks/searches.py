"""Time of every registered search beside beam 5, on one model and text.

    python benchmarks/searches.py --checkpoint DIR --lines test.en [--repeats N] [--json FILE]

Every search decodes the same batches in this process, in turn with beam search of width 5; the
model is loaded once. A ratio is the median over the rounds of (time of the search) / (time of beam
5 in the same round). Exhaustive search is left out: its time grows with the vocabulary to the power
of the length. See benchmarks/README.md.
"""

import argparse
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from machine import facts, write_results

from s2st.data.batch import SourceBatch, make_source
from s2st.scoring.base import Scorer
from s2st.scoring.load_scorers import load_scorer
from s2st.search.base import Search
from s2st.search.registry import SEARCHES
from s2st.text.line_files import read_lines

REFERENCE = "beam 5"
LEFT_OUT = ("exhaustive",)


def main() -> None:
    arguments = parse()
    torch.set_num_threads(arguments.threads)
    machine = facts()
    print("machine:", ", ".join(f"{name} {value}" for name, value in machine.items()))
    scorer = load_scorer([arguments.checkpoint], torch.device("cpu"), "float32")
    batches = make_batches(scorer, arguments.lines, arguments.batch_size, arguments.count)
    searches = make_searches(arguments.max_len_b)
    for search in searches.values():  # warm up
        search(scorer, batches[0])
    seconds: dict[str, list[float]] = {name: [] for name in searches}
    for _ in range(arguments.repeats):
        for name, search in searches.items():
            seconds[name].append(timed(search, scorer, batches))
    write_results(arguments.json, machine, report(seconds))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--lines", required=True, help="source text, tokenized")
    parser.add_argument("--count", type=int, help="the first so many lines only")
    parser.add_argument("--repeats", type=int, default=5, help="rounds")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--max-len-b", type=int, default=10)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    return parser.parse_args()


def make_batches(
    scorer: Scorer, path: str, size: int, count: int | None = None
) -> list[SourceBatch]:
    """Return the first `count` lines as batches of sentences of similar length."""
    side = scorer.source
    lines = list(read_lines(path))[:count]
    rows = sorted((side.ids(side.tokenizer.encode(line)) for line in lines), key=len)
    return [
        make_source(
            rows[start : start + size], range(start, start + len(rows[start : start + size]))
        )
        for start in range(0, len(rows), size)
    ]


def make_searches(max_len_b: int) -> dict[str, Search]:
    """Return every registered search with its default options; beam 5 comes first."""
    searches: dict[str, Search] = {}
    for entry in SEARCHES.entries():
        if entry.name not in LEFT_OUT:
            search = entry.build(entry.config_type(max_len_b=max_len_b))
            searches[REFERENCE if entry.name == "beam" else entry.name] = search
    return {REFERENCE: searches.pop(REFERENCE), **searches}


def timed(search: Search, scorer: Scorer, batches: Sequence[SourceBatch]) -> float:
    """Return the seconds that a search takes for all batches."""
    started = time.perf_counter()
    for batch in batches:
        search(scorer, batch)
    return time.perf_counter() - started


def report(seconds: dict[str, list[float]]) -> list[dict[str, Any]]:
    """Print the table and return its figures."""
    results = []
    print(f"\nTime of each search with its default options, against {REFERENCE}\n")
    print("| search | seconds | times beam 5 |")
    print("|---|---|---|")
    for name, own in seconds.items():
        ratio = statistics.median(
            one / base for one, base in zip(own, seconds[REFERENCE], strict=True)
        )
        median = statistics.median(own)
        print(f"| {name} | {median:.2f} | {ratio:.2f} |")
        results.append({"kind": "search", "name": name, "seconds": own, "ratio": ratio})
    return results


if __name__ == "__main__":
    main()
