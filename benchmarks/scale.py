"""Time and memory against size: `preprocess`, the first batch of a store, the beam search.

    python benchmarks/scale.py [--part preprocess opening search] [--pairs 10000 100000 1000000]
        [--plot FOLDER] [--json FILE]

Corpora are generated (see generated.py) and deleted; 10^7 pairs take 6 GB of disk. Memory is read
from Linux's /proc. The log-log plot needs matplotlib (`pip install s2st[analysis]`).
"""

import argparse
import contextlib
import functools
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import generated
import torch
from machine import alternate, facts, median, peak_gflops, run_measured, timed, write_results
from model_sizes import SIZES

from s2st.data.batch import SourceBatch, make_source
from s2st.data.batch_loader import TrainingLoader
from s2st.data.batch_planner import BatchingConfig
from s2st.data.store import Store
from s2st.models.base import ModelSizes
from s2st.models.configs import RecurrentConfig
from s2st.models.recurrent.encoder_decoder import build_lstm
from s2st.process.device import keep_freed_pages
from s2st.scoring.base import Scorer, TextSide
from s2st.scoring.ensemble_scorer import EnsembleScorer
from s2st.scoring.model_scorer import ModelScorer
from s2st.search.beam import BeamSearch
from s2st.search.registry import BeamConfig
from s2st.text.tokenizers import NoneConfig, TokenizerSpec, WhitespaceTokenizer
from s2st.text.vocabulary import Vocabulary

MIB = float(1 << 20)
SAMPLE_SECONDS = 0.05
PLOTS_ACROSS = 3
Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--pairs", nargs="+", type=int, default=[10**4, 10**5, 10**6])
    parser.add_argument("--words", type=int, help="most words a side; by default they grow")
    parser.add_argument("--workers", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--batch", type=int, default=128, help="sentences, of the first batch")
    lengths, beams, members = [10, 20, 50, 100, 200, 500, 1000], [1, 2, 5, 10, 20, 50, 100], [1, 2]
    parser.add_argument("--lengths", nargs="+", type=int, default=lengths, help="source words")
    parser.add_argument("--beams", nargs="+", type=int, default=beams)
    parser.add_argument("--members", nargs="+", type=int, default=[*members, 5, 10])
    parser.add_argument("--length", type=int, default=25, help="words where it does not vary")
    parser.add_argument("--beam", type=int, default=5, help="beam where it does not vary")
    parser.add_argument("--sentences", type=int, default=8, help="searched together")
    parser.add_argument("--layers", type=int, default=SIZES["S"][0])
    parser.add_argument("--width", type=int, default=SIZES["S"][1])
    parser.add_argument("--target-words", type=int, default=10_000)
    parser.add_argument("--peak-size", type=int, default=4096, help="rows of the peak's matrices")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--folder", help="where the corpora go; by default the temporary folder")
    parser.add_argument("--plot", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    parser.add_argument("--open", type=Path, help=argparse.SUPPRESS)  # in a process of its own
    arguments = parser.parse_args()
    if arguments.open is not None:
        print(json.dumps(first_batch(arguments.open, arguments.batch)))
        return
    keep_freed_pages()
    machine = {**facts(), "peak_gflops": peak_gflops(arguments.peak_size)}
    print("machine:", ", ".join(f"{name} {value}" for name, value in machine.items()))
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        results = {part: list(PARTS[part](arguments, Path(folder))) for part in arguments.part}
    machine["peak_gflops"] = max(machine["peak_gflops"], peak_gflops(arguments.peak_size))
    if "search" in results:
        show_search(results["search"], machine["peak_gflops"])
    print(plot(results, arguments.plot))
    write_results(arguments.json, machine, results)


# preprocess


def preprocess(arguments: argparse.Namespace, folder: Path) -> Iterator[Row]:
    """Whole processes of `s2st preprocess`, start-up included."""
    print(
        "\n| preprocess: pairs | text, MB | words en + fr | workers | seconds (each run) "
        "| MB/s | peak memory, all processes, MiB |\n|---|---|---|---|---|---|---|"
    )
    for pairs in arguments.pairs:
        prefix, store = folder / f"text{pairs}", folder / "store"
        size = generated.write_text(prefix, pairs, arguments.words)
        peaks: dict[str, list[float]] = {str(workers): [] for workers in arguments.workers}

        works = {
            workers: functools.partial(preprocess_once, prefix, store, workers, peaks[workers])
            for workers in peaks
        }
        for workers, seconds in alternate(works, arguments.repeats).items():
            rate = size / 1e6 / median(seconds)
            words = [count_lines(store / f"dict.{name}.txt") for name in generated.LANGUAGES]
            each = ", ".join(f"{value:.2f}" for value in seconds)
            print(
                f"| {pairs:,} | {size / 1e6:.1f} | {sum(words):,} | {workers} | {each} "
                f"| {rate:.1f} | {median(peaks[workers]):.0f} |"
            )
            yield {
                "pairs": pairs, "bytes": size, "words": sum(words), "workers": int(workers),
                "seconds": seconds, "mb_per_second": rate, "peak_mib": median(peaks[workers]),
            }  # fmt: skip
        for path in [store, *folder.glob(prefix.name + ".*")]:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def preprocess_once(prefix: Path, store: Path, workers: str, peaks: list[float]) -> float:
    """Seconds of one run; its memory is added to `peaks`."""
    shutil.rmtree(store, ignore_errors=True)
    seconds, peak = run_tree(preprocess_command(prefix, store, workers))
    peaks.append(peak / MIB)
    return seconds


def preprocess_command(prefix: Path, store: Path, workers: str) -> list[str]:
    """The command line; text is split at white space."""
    source, target = generated.LANGUAGES
    return [
        sys.executable, "-m", "s2st_cli", "preprocess", "-s", source, "-t", target,
        "--trainpref", str(prefix), "--destdir", str(store), "--workers", workers,
    ]  # fmt: skip


def count_lines(path: Path) -> int:
    """Lines of a file."""
    with open(path, "rb") as stream:
        return sum(1 for _ in stream)


def run_tree(command: Sequence[str]) -> tuple[float, float]:
    """Runs a command: its seconds, and the bytes resident at most, summed over its processes."""
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        peaks: dict[int, float] = {}
        ended = threading.Event()
        sampler = threading.Thread(target=sample_tree, args=(process.pid, peaks, ended))
        sampler.start()
        _, errors = process.communicate()
        seconds = time.perf_counter() - start
        ended.set()
        sampler.join()
    if process.returncode:
        raise RuntimeError(errors.decode()[-2000:])
    return seconds, sum(peaks.values())


def sample_tree(root: int, peaks: dict[int, float], ended: threading.Event) -> None:
    """Keeps the peak of each process from `root` down in `peaks` until `ended`."""
    while not ended.wait(SAMPLE_SECONDS):
        todo = [root]
        while todo:
            process = todo.pop()
            with contextlib.suppress(OSError):  # it ended just now
                todo += children(process)
                peaks[process] = peak_of(process) or peaks.get(process, 0.0)


def children(process: int) -> list[int]:
    """The processes that a process started."""
    tasks = Path(f"/proc/{process}/task").iterdir()
    return [int(name) for task in tasks for name in (task / "children").read_text("utf-8").split()]


def peak_of(process: int | str) -> float:
    """Bytes resident at most, 0 if it ended; `ru_maxrss` would count what it was forked from."""
    lines = Path(f"/proc/{process}/status").read_text("utf-8").splitlines()
    return sum(1024.0 * int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


# opening


def opening(arguments: argparse.Namespace, folder: Path) -> Iterator[Row]:
    """From the start of opening to the first batch, in a fresh process; the files are cached."""
    steps = ("Store", "split", "loader", "plan", "load", "first batch")
    print(f"\n| opening: pairs | {' | '.join(step + ', s' for step in steps)} | memory, MiB |")
    print("|" + "---|" * (len(steps) + 2))
    for pairs in arguments.pairs:
        store = folder / "store"
        generated.write_store(store, pairs)
        command = [sys.executable, __file__, "--open", str(store), "--batch", str(arguments.batch)]
        runs = [json.loads(run_measured(command)[0]) for _ in range(arguments.repeats)]
        middle = {step: median([run[step] for run in runs]) for step in (*steps, "mib")}
        shown = " | ".join(f"{middle[step]:.3f}" for step in steps)
        print(f"| {pairs:,} | {shown} | {middle['mib']:.0f} |")
        yield {"pairs": pairs, "seconds": [run["first batch"] for run in runs], "steps": middle}
        shutil.rmtree(store)


def first_batch(folder: Path, batch: int) -> Row:
    """Seconds of every step to a first batch, and the memory that they add."""
    before = peak_of("self")
    times = [time.perf_counter()]

    def lap() -> None:
        times.append(time.perf_counter())

    store = Store(folder)
    lap()
    corpus = store.split("train")
    lap()
    loader = TrainingLoader(corpus, BatchingConfig(batch_size=batch), 1)
    lap()
    plan = loader.plan(0)
    lap()
    loader.load(plan[0])
    lap()
    names = ("Store", "split", "loader", "plan", "load")
    steps = [times[i + 1] - times[i] for i in range(len(names))]
    return {
        **dict(zip(names, steps, strict=True)),
        "first batch": times[-1] - times[0],
        "mib": (peak_of("self") - before) / MIB,
    }


# search


def search(arguments: argparse.Namespace, _: Path) -> Iterator[Row]:
    """Beam search on random weights; every hypothesis is as long as its source."""
    most = max(arguments.members)
    scorers = [random_scorer(arguments, seed) for seed in range(most)]
    settings = [
        *(("length", value, value, arguments.beam, 1) for value in arguments.lengths),
        *(("beam", value, arguments.length, value, 1) for value in arguments.beams),
        *(("members", n, arguments.length, arguments.beam, n) for n in arguments.members),
    ]
    works = {}
    for varied, value, length, beam, members in settings:
        scorer: Scorer = EnsembleScorer(scorers[:members]) if members > 1 else scorers[0]
        works[f"{varied} {value}"] = search_work(arguments, scorer, length, beam)
    next(iter(works.values()))()  # the first one pays for what is set up once
    found = alternate(works, arguments.repeats)
    for (varied, value, length, beam, members), seconds in zip(
        settings, found.values(), strict=True
    ):
        work = members * search_operations(arguments, length, beam)
        yield {
            "varied": varied, "value": value, "length": length, "beam": beam, "members": members,
            "sentences": arguments.sentences, "seconds": seconds, "operations": work,
        }  # fmt: skip


def search_work(
    arguments: argparse.Namespace, scorer: Scorer, length: int, beam: int
) -> Callable[[], float]:
    """One search of all sentences at once, which returns its seconds."""
    config = BeamConfig(beam=beam, max_len_a=1.0, max_len_b=0, min_len=length)
    source = random_source(arguments, length)
    return lambda: timed(lambda: BeamSearch(config)(scorer, source))


def search_operations(arguments: argparse.Namespace, length: int, beam: int) -> float:
    """Multiplications and additions of one member: one row a sentence first, then the beam."""
    recurrent = float(arguments.layers * 8 * arguments.width**2)
    rows = 1 + length * beam  # the last step takes EOS
    decoder = rows * (recurrent + float(arguments.width * arguments.target_words))
    return 2.0 * int(arguments.sentences) * ((length + 1) * recurrent + decoder)


def random_source(arguments: argparse.Namespace, length: int) -> SourceBatch:
    """Sentences of random words."""
    generator = torch.Generator().manual_seed(length)
    shape = (arguments.sentences, length)
    ids = torch.randint(4, arguments.target_words, shape, generator=generator)
    return make_source(ids.tolist(), range(arguments.sentences))


def random_scorer(arguments: argparse.Namespace, seed: int) -> ModelScorer:
    """A model with random weights and its words."""
    torch.manual_seed(seed)
    sides = []
    for language in generated.LANGUAGES:
        words = [generated.spelled(rank, language) for rank in range(arguments.target_words - 4)]
        spec = TokenizerSpec("none", NoneConfig(), language)
        vocabulary = Vocabulary(words, [1] * len(words))
        sides.append(TextSide(language, WhitespaceTokenizer(spec), vocabulary))
    config = RecurrentConfig(
        layers=arguments.layers, hidden_size=arguments.width, embedding_size=arguments.width,
        dropout=0.0, init="uniform",
    )  # fmt: skip
    sizes = ModelSizes(*(len(side.vocabulary) for side in sides))
    return ModelScorer(build_lstm(config, sizes), sides[0], sides[1])


def show_search(rows: Sequence[Row], peak: float) -> None:
    """The table of the search; adds the share of the peak to the rows."""
    print(
        "\n| search: length | beam | members | seconds (each run) | ms a sentence "
        "| useful work / peak |\n|---|---|---|---|---|---|"
    )
    for row in rows:
        middle = median(row["seconds"])
        row["share_of_peak"] = row["operations"] / middle / peak / 1e9
        each = ", ".join(f"{value:.2f}" for value in row["seconds"])
        print(
            f"| {row['length']} | {row['beam']} | {row['members']} | {each} "
            f"| {1000 * middle / row['sentences']:.1f} | {row['share_of_peak']:.0%} |"
        )


# plot


def curves(results: dict[str, list[Row]]) -> Iterator[tuple[str, str, list[tuple[float, float]]]]:
    """(title, name of the x axis, points with y in seconds) of every line of the plot."""
    for part, name in (("preprocess", "preprocess, workers: {}"), ("opening", "first batch")):
        rows = results.get(part, [])
        for workers in sorted({row.get("workers", 0) for row in rows}):
            own = [row for row in rows if row.get("workers", 0) == workers]
            points = [(row["pairs"], median(row["seconds"])) for row in own]
            yield name.format(workers), "sentence pairs", points
    names = {"length": "source words", "beam": "beam", "members": "ensemble members"}
    for varied, axis in names.items():
        rows = [row for row in results.get("search", []) if row["varied"] == varied]
        if rows:
            points = [(row["value"], median(row["seconds"]) / row["sentences"]) for row in rows]
            yield "search, a sentence", axis, points


def plot(results: dict[str, list[Row]], folder: Path) -> str:
    """Writes scale.svg and scale.png; says where, or why not."""
    try:
        import matplotlib
    except ImportError:
        return "\nplot left out: matplotlib is not installed (pip install s2st[analysis])"
    matplotlib.use("agg")
    from matplotlib import pyplot

    lines = list(curves(results))
    down = -(-len(lines) // PLOTS_ACROSS)
    figure = pyplot.figure(figsize=(3.2 * min(len(lines), PLOTS_ACROSS), 3 * down))
    for number, (title, axis, points) in enumerate(lines, start=1):
        area = figure.add_subplot(down, min(len(lines), PLOTS_ACROSS), number)
        values, seconds = zip(*points, strict=True)
        area.loglog(values, seconds, marker="o")
        through = [seconds[-1] * value / values[-1] for value in values]
        area.loglog(values, through, linestyle=":", color="gray")  # in proportion
        area.set(title=title, xlabel=axis, ylabel="seconds")
        area.grid(visible=True, alpha=0.3)
    figure.tight_layout()
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / "scale.svg", metadata={"Date": None})
    figure.savefig(folder / "scale.png", dpi=120)
    return f"\nplot: {folder / 'scale.svg'} and .png (dotted: in proportion to the last point)"


PARTS: dict[str, Callable[[argparse.Namespace, Path], Iterator[Row]]] = {
    "preprocess": preprocess, "opening": opening, "search": search,
}  # fmt: skip


if __name__ == "__main__":
    main()
