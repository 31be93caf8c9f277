"""Validation perplexity of training in bfloat16 and in float32, for several seeds.

    python benchmarks/bfloat16_quality.py --data FOLDER --work FOLDER [--seeds 1 2 3] [--epochs 3]
        [--words 10000] [-- OPTIONS OF s2st train]

The data are the texts train and val of two languages, as NAME.en and NAME.fr, plain or .gz. The
work folder keeps the store and every run. The same command resumes an interrupted run and does not
repeat a finished one. A bfloat16 run differs from the float32 run of its seed in nothing else.
"""

import argparse
import json
import math
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

PRECISIONS = ("float32", "bfloat16")
MODEL = ("--arch", "lstm", "--layers", "1", "--hidden-size", "256", "--embedding-size", "256")


def main() -> None:
    arguments = parse()
    store = arguments.work / f"store-{arguments.words}"
    if not store.exists():
        languages = [
            "--source-lang",
            arguments.languages[0],
            "--target-lang",
            arguments.languages[1],
        ]
        run(
            "preprocess", *languages, "--trainpref", arguments.data / "train", "--validpref",
            arguments.data / "val", "--nwordssrc", arguments.words, "--nwordstgt", arguments.words,
            "--tokenizer", "none", "--destdir", store,
        )  # fmt: skip
    print(f"validation perplexity after {arguments.epochs} epochs", flush=True)
    print(f"{'seed':>6}" + "".join(f"{name:>12}" for name in PRECISIONS) + f"{'difference':>13}")
    logs: list[float] = []
    for seed in arguments.seeds:
        plain, short = (perplexity(arguments, store, name, seed) for name in PRECISIONS)
        logs.append(math.log(short / plain))
        print(f"{seed:>6}{plain:>12.3f}{short:>12.3f}{short / plain - 1:>+13.2%}", flush=True)
    print(f"mean difference {math.expm1(statistics.fmean(logs)):+.2%}")


def perplexity(arguments: argparse.Namespace, store: Path, precision: str, seed: int) -> float:
    """The last validation perplexity of a run, after training it as far as it is not finished."""
    folder = arguments.work / f"{precision}-seed{seed}"
    found = last_validation(folder / "metrics.jsonl")
    if found is None or found[0] < arguments.epochs:
        options = arguments.options or MODEL
        run(
            "train", store, "--save-dir", folder, "--precision", precision, "--seed", seed,
            "--max-epoch", arguments.epochs, *options,
        )  # fmt: skip
        found = last_validation(folder / "metrics.jsonl")
    if found is None:
        sys.exit(f"{folder}: no validation in metrics.jsonl")
    return found[1]


def last_validation(path: Path) -> tuple[float, float] | None:
    """Epoch and perplexity of the last validation in a file of metrics; None if it has none."""
    if not path.exists():
        return None
    events = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    found = [event for event in events if event["event"] == "validation"]
    return (found[-1]["epoch"], found[-1]["perplexity"]) if found else None


def run(*words: object) -> None:
    """Runs a command of s2st; ends with its exit code if it fails."""
    command = [sys.executable, "-m", "s2st_cli", *map(str, words)]
    code = subprocess.run(command, check=False, stdout=sys.stderr).returncode
    if code:
        sys.exit(code)


def parse(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the texts")
    parser.add_argument("--work", type=Path, required=True, help="folder of the store and the runs")
    parser.add_argument("--languages", nargs=2, default=("en", "fr"), help="source and target")
    parser.add_argument("--words", type=int, default=10000, help="of each vocabulary")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seeds", type=int, nargs="+", default=(1, 2, 3))
    parser.add_argument(
        "options", nargs="*", help=f"of the model and its training; by default {' '.join(MODEL)}"
    )
    return parser.parse_args(words)


if __name__ == "__main__":
    main()
