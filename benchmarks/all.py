"""`make bench`: every benchmark in turn, one results file a day and machine, and the page of docs.

    python benchmarks/all.py --data FOLDER [--checkpoint DIR] [--transformer DIR] [--lists FILE]
        [--opennmt PYTHON] [--short] [--resume]
    python benchmarks/all.py --quick

FOLDER has the texts train, val and test_2016_flickr, tokenized, as NAME.en and NAME.fr, plain or
.gz. Each benchmark is a process of its own; one that fails, or lacks an input, is reported as such
and the others go on. Each result is written when it is there. After an interruption, --resume takes
the finished results and runs the other benchmarks.
"""

import argparse
import datetime
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import report
import torch
from bench_parts import ALL_PEERS, PARTS, TINY, Part
from machine import facts

from s2st.demo_corpus import read_corpus
from s2st.text.line_files import read_lines

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "performance.md"
LANGUAGES = ("en", "fr")
Inputs = dict[str, tuple[str, ...]]
TEXTS = ("train", "val", "test_2016_flickr")


def main() -> None:
    arguments = parse()
    machine = facts()
    if arguments.page is not None:
        report.around(arguments.page)  # a wrong page is said before hours of work
    with tempfile.TemporaryDirectory() as folder:
        path, record = start(arguments, machine, Path(folder))
        inputs = toy_inputs(Path(folder)) if arguments.quick else own_inputs(arguments, folder)
        pythons = {name: getattr(arguments, name) for name in ALL_PEERS}
        parts = due(arguments, record)
        for index, part in enumerate(parts):
            if not arguments.quick:
                minutes = sum(later.minutes[arguments.short] for later in parts[index:])
                print(f"about {minutes:.0f} minutes to go, {part.minutes[arguments.short]:g} now")
            print(f"{part.name}:", flush=True)
            options = part.quick if arguments.quick else part.full
            result = run_part(part, inputs, pythons, part.short if arguments.short else options)
            print(f"{part.name}: {result['state']}", flush=True)
            record["parts"][part.name] = {**result, "short": arguments.short}
            report.write(path, record)
    if arguments.page is not None:
        order = [part.name for part in PARTS]
        record["parts"] = {name: record["parts"][name] for name in order if name in record["parts"]}
        report.insert(arguments.page, report.render(record, path.name))
        print(f"wrote {path} and {arguments.page}")


def start(
    arguments: argparse.Namespace, machine: Mapping[str, Any], folder: Path
) -> tuple[Path, dict[str, Any]]:
    """The results file and what it has already, less what is to be run anew."""
    today = datetime.date.today()
    paths = [
        (arguments.results or folder) / report.file_name(day.isoformat(), machine)
        for day in (today, today - datetime.timedelta(days=1))
    ]
    found = [path for path in paths if path.exists()]
    path = found[0] if arguments.resume and found else paths[0]  # work may go on after midnight
    record = {"day": today.isoformat(), **report.read(path), "machine": machine}
    if not arguments.resume:
        for name in arguments.only:
            record["parts"].pop(name, None)
    return path, record


def due(arguments: argparse.Namespace, record: Mapping[str, Any]) -> list[Part]:
    """The benchmarks to run: the named ones, less those that are finished and to be kept."""
    parts = []
    for part in PARTS:
        known = record["parts"].get(part.name, {})
        enough = arguments.short or not known.get("short", False)
        if part.name not in arguments.only:
            continue
        if known.get("state") == "done" and enough:
            print(f"{part.name}: finished already", flush=True)
        else:
            parts.append(part)
    return parts


def parse() -> argparse.Namespace:
    names = [part.name for part in PARTS]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of Multi30k's texts")
    parser.add_argument(
        "--checkpoint", action="append", default=[],
        help="a trained model of S: 2 x 512; repeat it for the other members of an ensemble",
    )  # fmt: skip
    parser.add_argument("--transformer", help="a trained Transformer: 4 x 256, 4 heads, pre-norm")
    parser.add_argument("--lists", help="Moses n-best lists of test_2016_flickr")
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    parser.add_argument("--resume", action="store_true", help="keep what is finished")
    parser.add_argument("--short", action="store_true", help="fewer rounds and beams; 45 minutes")
    parser.add_argument("--quick", action="store_true", help="at toy size, on a corpus made here")
    parser.add_argument("--results", type=Path, help="folder; of --quick a temporary one")
    parser.add_argument("--page", type=Path, help="page with a place for results; not for --quick")
    for name in ALL_PEERS:
        parser.add_argument(f"--{name}", metavar="PYTHON", help=f"interpreter that has {name}")
    arguments = parser.parse_args()
    if arguments.quick and arguments.short:
        parser.error("--quick and --short are two sizes: name one")
    if not arguments.quick and arguments.data is None:
        parser.error("--data FOLDER is needed, or --quick")
    if not arguments.quick:  # toy figures stay out of the real ones
        arguments.results = arguments.results or HERE / "results"
        arguments.page = arguments.page or PAGE
    return arguments


def run_part(
    part: Part, inputs: Inputs, pythons: Mapping[str, str | None], sized: tuple[str, ...]
) -> dict[str, Any]:
    """Runs a benchmark: its state, and where that is "done" its time, figures and text.

    Args:
        part: the benchmark.
        inputs: all that there are.
        pythons: the peers' interpreters.
        sized: its options for a complete, a short or a toy run.
    """
    script = HERE / part.file
    if not script.exists():
        return {"state": "absent: there is no such benchmark yet"}
    if part.gpu and sized != part.quick and not torch.cuda.is_available():
        return {"state": "not run: no GPU here"}
    lacking = sorted({name for name in part.inputs.values() if name not in inputs})
    if lacking:
        return {"state": f"not run: no {', no '.join(lacking)}"}
    options = [
        text
        for flag, name in part.inputs.items()
        for value in inputs[name]
        for text in (flag, value)
    ]
    for peer in part.peers:
        python = pythons[peer]
        options += [] if python is None else [f"--{peer}", python]
    options += (*part.options, *sized)
    with tempfile.TemporaryDirectory() as folder:
        figures = Path(folder) / "figures.json"
        start = time.perf_counter()
        code, output, errors = run([sys.executable, str(script), *options, "--json", str(figures)])
        seconds = time.perf_counter() - start
        if code:
            last = (errors.strip().splitlines() or ["no message"])[-1]
            last = report.without_folders(last)[:200]
            return {"state": f"failed with {code}: {last}", "seconds": seconds}
        made = json.loads(figures.read_text("utf-8"))
    command = report.without_folders(shlex.join(["python", f"benchmarks/{part.file}", *options]))
    return {
        "state": "done",
        "seconds": seconds,
        "command": command,
        "machine": made["machine"],
        "results": made["results"],
        "output": report.without_folders(output),
    }


def run(command: list[str]) -> tuple[int, str, str]:
    """Exit code, standard output (shown as it comes too) and errors of a process."""
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line)
        code = process.wait()
        errors.seek(0)
        return code, "".join(lines), errors.read()


def own_inputs(arguments: argparse.Namespace, folder: str) -> Inputs:
    """The inputs that there are: texts as plain files and a store of them made in the folder."""
    inputs: Inputs = {"plots": (os.path.relpath(arguments.results),)}
    for name in TEXTS:
        for language in LANGUAGES:
            found = [arguments.data / f"{name}.{language}{end}" for end in ("", ".gz")]
            path = next((str(path) for path in found if path.exists()), None)
            if path is None:
                sys.exit(f"{arguments.data}: no {name}.{language} and no {name}.{language}.gz")
            copy = Path(folder) / f"{name}.{language}"
            copy.write_text("".join(f"{line}\n" for line in read_lines(path)), "utf-8")
            inputs[f"{name.split('_')[0]}.{language}"] = (str(copy),)
    inputs["store"] = (make_store(folder, "10000"),)
    models = tuple(os.path.abspath(path) for path in arguments.checkpoint)
    if models:
        inputs |= {"models": models, "checkpoint": models[:1]}
    if arguments.transformer is not None:
        inputs["transformer"] = (os.path.abspath(arguments.transformer),)
    if arguments.lists is not None:
        inputs["lists"] = (os.path.abspath(arguments.lists),)
    return inputs


def toy_inputs(folder: Path) -> Inputs:
    """All inputs, made from some sentences of the demo's corpus in seconds."""
    corpus = read_corpus(200, 20, 12)
    inputs: Inputs = {"plots": (str(folder),)}
    for name, pairs in zip(TEXTS, (corpus.train, corpus.valid, corpus.test), strict=True):
        for language, side in zip(LANGUAGES, ("source", "target"), strict=True):
            path = folder / f"{name}.{language}"
            path.write_text("".join(getattr(pair, side) + "\n" for pair in pairs), "utf-8")
            inputs[f"{name.split('_')[0]}.{language}"] = (str(path),)
    store, model, lists = make_store(str(folder), "150"), f"{folder}/run", f"{folder}/lists"
    once = "--max-epoch", "1", "--save-dir"
    s2st("train", store, *TINY, "--embedding-size", "16", *once, model)
    s2st("train", store, "--arch", "transformer", *TINY, *once, f"{folder}/transformer")
    model, other = f"{model}/checkpoint_last", f"{folder}/transformer/checkpoint_last"
    nbest = "--beam", "4", "--nbest", "4", "--format", "moses", "-o", lists
    s2st("generate", "--checkpoint", model, *inputs["test.en"], *nbest)
    made = {
        "store": (store,), "lists": (lists,), "checkpoint": (model,), "models": (model, model),
        "transformer": (other,),
    }  # fmt: skip
    return {**inputs, **made}


def make_store(folder: str, words: str) -> str:
    """A store of the texts in the folder, tokenized already."""
    store = f"{folder}/store"
    texts = "--trainpref", f"{folder}/train", "--validpref", f"{folder}/val"
    size = "--nwordssrc", words, "--nwordstgt", words, "--tokenizer", "none"
    s2st("preprocess", "-s", "en", "-t", "fr", *texts, "--destdir", store, *size)
    return store


def s2st(*arguments: str) -> None:
    """Runs a command of ours; ends the program where it fails."""
    command = [sys.executable, "-m", "s2st_cli", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"s2st {arguments[0]} failed: {done.stderr.strip()}")


if __name__ == "__main__":
    main()
