"""Training: words a second, share of the machine's peak, memory; bucketing, softmax, peers.

    python benchmarks/training.py --store DIR [--size S L T] [--updates N] [--opennmt PYTHON]
        [--fairseq PYTHON] [--joeynmt PYTHON] [--marian PYTHON] [--dropout P] [--json FILE]

All ways make full updates (forward, backward, clipping at 5, Adam), without dropout unless
--dropout says otherwise, on batches that are ready in memory; the first ones are not timed. The
store is one of `s2st preprocess`. A peer that cannot be imported by its interpreter is reported as
such. See benchmarks/README.md.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from machine import (
    alternate,
    facts,
    median,
    peak_gflops,
    peers_here,
    run_measured,
    timed,
    write_results,
)
from model_sizes import SIZES, TRANSFORMER, architecture_of, task_shape
from updates import CPU, Loss, Updates, padded_loss, plain_loss

from s2st.data.batch import Batch
from s2st.data.batch_loader import TrainingLoader
from s2st.data.batch_planner import BatchingConfig
from s2st.data.store import Store
from s2st.models.base import ModelSizes
from s2st.process.device import has_bfloat16, keep_freed_pages

PEERS = {
    "OpenNMT-py": ("onmt", "opennmt_train.py"),
    "fairseq": ("fairseq", "fairseq_train.py"),
    "JoeyNMT": ("joeynmt", "joeynmt_train.py"),
    "Marian": ("pymarian", "marian_train.py"),
}
TRANSFORMER_PEERS = {
    "OpenNMT-py": ("onmt.encoders.transformer", "opennmt_train.py"),
    "fairseq": ("fairseq.models.transformer", "fairseq_train.py"),
}
OURS, BFLOAT16 = "s2st", "s2st, bfloat16"
UPDATES = {"S": 10, "L": 4, "T": 10}


@dataclass(frozen=True)
class Way:
    """Which batches, how their loss is computed (None: as the trainer does), and in what type."""

    batching: str
    loss: Loss | None = None
    precision: str = "float32"


RANDOM, PADDED = "random batches", "random batches, padding computed"
WAYS = {
    OURS: Way("bucketed"),
    BFLOAT16: Way("bucketed", precision="bfloat16"),
    "all logits held": Way("bucketed", plain_loss),
    RANDOM: Way("random"),
    PADDED: Way("random", padded_loss),
}


def main() -> None:
    arguments = parse()
    keep_freed_pages()
    if arguments.threads is not None:
        torch.set_num_threads(arguments.threads)
    if arguments.way is not None:  # in a process of its own, as a peer is
        way = WAYS[arguments.way]
        print(Benchmark(arguments.size[0], arguments, way.precision).seconds_of(way))
        return
    machine = facts()
    print("machine:", ", ".join(f"{name} {value}" for name, value in machine.items()))
    results = [Benchmark(size, arguments).run() for size in arguments.size]
    write_results(arguments.json, machine, results)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--store", required=True, help="folder made by `s2st preprocess`")
    parser.add_argument("--size", nargs="+", choices=list(SIZES), default=list(SIZES))
    parser.add_argument("--width", type=int, help="instead of the size's own, for a quick try")
    parser.add_argument("--updates", type=int, help="timed ones a round; by default 10, of L 4")
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS), help="of ours")
    parser.add_argument("--warm", type=int, default=2, help="updates before them")
    parser.add_argument("--repeats", type=int, default=2, help="rounds")
    parser.add_argument("--batch", type=int, default=128, help="sentences")
    parser.add_argument("--dropout", type=float, default=0.0, help="as each toolkit applies it")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--peak-size", type=int, default=4096, help="of the peak's matrices")
    for name in PEERS:
        option = f"--{name.split('-')[0].lower()}"
        parser.add_argument(option, default=sys.executable, help=f"interpreter with {name}")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    parser.add_argument("--way", choices=list(WAYS), help=argparse.SUPPRESS)
    return parser.parse_args()


class Benchmark:
    """All ways on one model size."""

    def __init__(
        self, size: str, arguments: argparse.Namespace, precision: str = "float32"
    ) -> None:
        self.size, self.arguments = size, arguments
        self.architecture = architecture_of(size)
        self.count = arguments.updates or UPDATES[size]
        self.layers, width = SIZES[size]
        self.width = arguments.width or width
        store = Store(arguments.store)
        self.corpus = store.split("train")
        self.sizes = ModelSizes(len(store.source_vocabulary), len(store.target_vocabulary))
        self.updates = Updates(
            self.layers, self.width, self.sizes, "adam", architecture=self.architecture,
            precision=precision, dropout=arguments.dropout,
        )  # fmt: skip
        self.batches = {kind: self.load(kind) for kind in ("bucketed", "random")}

    def load(self, batching: str) -> list[Batch]:
        """Batches of the first epoch, those that are not timed first."""
        config = BatchingConfig(self.arguments.batch, batching=batching)
        loader = TrainingLoader(self.corpus, config, seed=1)
        plan = loader.plan(0)
        count = self.arguments.warm + self.count
        return [loader.load(plan[index % len(plan)]) for index in range(count)]

    def seconds_of(self, way: Way) -> float:
        """Seconds of the timed updates of one way."""
        warm = self.arguments.warm
        for batch in self.batches[way.batching][:warm]:
            self.updates.update(batch, way.loss)
        timed_ones = self.batches[way.batching][warm:]
        return timed(lambda: [self.updates.update(batch, way.loss) for batch in timed_ones])

    def run(self) -> dict[str, Any]:
        """Prints the table and returns its figures."""
        peak = peak_gflops(self.arguments.peak_size)
        memory: dict[str, float] = {}
        ways, missing = self.ways()
        works = {name: self.work(name, self.command(name), memory) for name in ways}
        with tempfile.TemporaryDirectory() as folder:
            found, absent = self.peers()
            missing += absent
            task = self.write_task(Path(folder))
            for name, command in found.items():
                works[name] = self.work(name, [*command, str(task)], memory)
            seconds = alternate(works, self.arguments.repeats)
        peak = max(peak, peak_gflops(self.arguments.peak_size))
        self.describe(peak)
        rows = [self.row(name, own, memory[name], peak) for name, own in seconds.items()]
        base = rows[0]["words_per_second"]
        print(
            "| way | words/s (each round) | source + target words/s | x s2st | of peak | memory |"
        )
        print("|---|---|---|---|---|---|")
        for row in rows:
            each = ", ".join(f"{value:.0f}" for value in row["words_per_second_each"])
            print(
                f"| {row['way']} | {each} | {row['source_words_per_second']:.0f} + "
                f"{row['target_words_per_second']:.0f} | {row['words_per_second'] / base:.2f} "
                f"| {row['share_of_peak']:.0%} | {row['peak_memory'] / 1e9:.2f} GB |"
            )
        for text in [*missing, *self.claims(rows)]:
            print(text)
        return {
            "size": self.size, "architecture": self.architecture, "layers": self.layers,
            "width": self.width, "dropout": self.arguments.dropout,
            "vocabularies": [self.sizes.source_vocabulary, self.sizes.target_vocabulary],
            "peak_gflops": peak, "ways": rows, "missing": missing,
        }  # fmt: skip

    def describe(self, peak: float) -> None:
        """What was run."""
        words = {kind: self.words(kind) for kind in self.batches}
        print(
            f"\n{self.size}: {self.architecture}, {self.layers} layers x {self.width}, "
            f"{self.sizes.source_vocabulary} / {self.sizes.target_vocabulary} words; "
            f"{self.count} updates of {self.arguments.batch} pairs a round; "
            f"dropout {self.arguments.dropout:g}; "
            f"matrix-product peak {peak:.0f} GFLOP/s"
        )
        for kind, (source, target) in words.items():
            shapes = [(b.source.tokens.numel(), b.target_out.numel()) for b in self.timed(kind)]
            padded = sum(map(sum, shapes))
            print(
                f"{kind}: {source} source and {target} target words, EOS counted; "
                f"{padded / (source + target):.2f} times as many with padding"
            )
        print()

    def timed(self, kind: str) -> list[Batch]:
        """The batches that are timed."""
        return self.batches[kind][self.arguments.warm :]

    def words(self, kind: str) -> tuple[int, int]:
        """Source and target words of the timed batches, EOS counted, padding not."""
        batches = self.timed(kind)
        return sum(b.source_tokens for b in batches), sum(b.target_tokens for b in batches)

    def row(self, name: str, seconds: list[float], memory: float, peak: float) -> dict[str, Any]:
        """Figures of a way."""
        source, target = self.words(WAYS[name].batching if name in WAYS else "bucketed")
        middle = median(seconds)
        return {
            "way": name, "seconds": seconds, "peak_memory": memory,
            "words_per_second_each": [(source + target) / value for value in seconds],
            "words_per_second": (source + target) / middle,
            "source_words_per_second": source / middle,
            "target_words_per_second": target / middle,
            "share_of_peak": self.updates.operations(source, target) / middle / peak / 1e9,
        }  # fmt: skip

    def claims(self, rows: list[dict[str, Any]]) -> list[str]:
        """The ratios that the table is for; words/s, since random batches hold other words."""
        rates = {row["way"]: row["words_per_second"] for row in rows}
        lines = [
            f"bucketed batches: {rates[OURS] / rates[name]:.2f} x the words/s of {name}"
            for name in (RANDOM, PADDED)
            if name in rates
        ]
        if BFLOAT16 in rates:
            lines.append(f"bfloat16: {rates[BFLOAT16] / rates[OURS]:.2f} x the words/s of float32")
        peers = {name: rates[name] for name in PEERS if name in rates}
        if peers:
            best = max(peers, key=lambda name: peers[name])
            lines += [
                f"{name}: {rates[name] / peers[best]:.2f} x the fastest peer here, {best}"
                for name in (OURS, BFLOAT16)
                if name in rates
            ]
        return lines

    def ways(self) -> tuple[list[str], list[str]]:
        """Our ways that make sense here, and a line on each that cannot be run."""
        wanted = [OURS, *(name for name in WAYS if name in self.arguments.ways and name != OURS)]
        missing = []
        if self.architecture == TRANSFORMER and PADDED in wanted:
            wanted.remove(PADDED)  # its model is recurrent
        if BFLOAT16 in wanted and not has_bfloat16(CPU):
            wanted.remove(BFLOAT16)
            missing.append(f"{BFLOAT16}: this processor does not multiply in it; not run")
        return wanted, missing

    def command(self, name: str) -> list[str]:
        """What runs one of our ways in a process of its own."""
        own = self.arguments
        return [
            sys.executable, __file__, "--store", own.store, "--size", self.size,
            "--width", str(self.width), "--updates", str(self.count), "--warm", str(own.warm),
            "--batch", str(own.batch), "--dropout", str(own.dropout),
            "--threads", str(torch.get_num_threads()), "--way", name,
        ]  # fmt: skip

    def peers(self) -> tuple[dict[str, list[str]], list[str]]:
        """Commands of the peers that can be run, and a line on each other one."""
        pythons = {name: getattr(self.arguments, name.split("-")[0].lower()) for name in PEERS}
        peers = TRANSFORMER_PEERS if self.architecture == TRANSFORMER else PEERS
        if self.arguments.dropout:  # the adapter of Marian has none
            peers = {name: peer for name, peer in peers.items() if name != "Marian"}
        return peers_here(peers, pythons)

    def work(self, name: str, command: list[str], memory: dict[str, float]) -> Callable[[], float]:
        """Runs a command, notes its memory, and returns the seconds that it prints."""

        def run() -> float:
            output, memory[name] = run_measured(command)
            return float(output.split()[-1])

        return run

    def write_task(self, folder: Path) -> Path:
        """The bucketed batches as the peers' adapters read them."""
        batches = [
            {
                "sources": rows_of(batch.source.tokens, batch.source.lengths),
                "targets": rows_of(batch.target_out, batch.target_lengths),
            }
            for batch in self.batches["bucketed"]
        ]
        task = {
            **task_shape(self.updates.model, self.layers, self.width),
            "source_words": self.sizes.source_vocabulary,
            "target_words": self.sizes.target_vocabulary, "dropout": self.arguments.dropout,
            "threads": torch.get_num_threads(), "warm": self.arguments.warm, "batches": batches,
        }  # fmt: skip
        path = folder / "task.json"
        path.write_text(json.dumps(task), "utf-8")
        return path


def rows_of(tokens: torch.Tensor, lengths: torch.Tensor) -> list[list[int]]:
    """Ids without EOS and padding."""
    return [
        row[: length - 1] for row, length in zip(tokens.tolist(), lengths.tolist(), strict=True)
    ]


if __name__ == "__main__":
    main()
