"""Scoring SMT n-best lists: every hypothesis alone, source encoded once, prefixes shared; peers.

    python benchmarks/rescoring.py --lists test.1000best.gz --source test.en.gz \\
        --train-source train.en.gz --train-target train.fr.gz [--size S L T] [--json FILE]

All ways score the same hypotheses by the same model (random weights: the time does not depend on
them) on ids that are ready; nothing is read or written inside the timing. A peer that cannot be
imported by its interpreter is reported as such. See benchmarks/README.md.
"""

import argparse
import itertools
import json
import sys
import tempfile
from collections import Counter
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
    run_peer,
    timed,
    write_results,
)
from model_sizes import (
    SIZES,
    TRANSFORMER,
    architecture_of,
    make_model,
    task_shape,
    work_of,
)

from s2st.data.batch import Batch, make_batch, make_source
from s2st.models.base import ModelSizes, Seq2SeqModel
from s2st.process.device import has_bfloat16, keep_freed_pages
from s2st.scoring.base import TextSide
from s2st.scoring.model_scorer import ModelScorer
from s2st.scoring.prefix_sharing import score_lists
from s2st.text.line_files import read_lines, split_words
from s2st.text.nbest_lists import read_nbest
from s2st.text.tokenizers import NoneConfig, TokenizerSpec, WhitespaceTokenizer
from s2st.text.vocabulary import Vocabulary

LISTS = {"S": 16, "L": 8, "T": 16}
PEERS = {"OpenNMT-py": ("onmt", "opennmt_score.py"), "fairseq": ("fairseq", "fairseq_score.py")}
TRANSFORMER_PEERS = {
    "OpenNMT-py": ("onmt.encoders.transformer", "opennmt_score.py"),
    "fairseq": ("fairseq.models.transformer", "fairseq_score.py"),
}
SHARED = "(c) prefixes shared"


@dataclass(frozen=True)
class Task:
    """What is scored: ids of sources and of each one's hypotheses, without EOS."""

    sources: list[list[int]]
    hypotheses: list[list[list[int]]]

    @property
    def pairs(self) -> list[tuple[list[int], list[int]]]:
        """Every hypothesis with its source, in the order of the file."""
        groups = zip(self.sources, self.hypotheses, strict=True)
        return [(source, own) for source, group in groups for own in group]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lists", required=True, help="Moses n-best lists")
    parser.add_argument("--source", required=True, help="their source lines")
    parser.add_argument("--train-source", required=True, help="text of the source vocabulary")
    parser.add_argument("--train-target", required=True, help="text of the target vocabulary")
    parser.add_argument("--words", type=int, default=10_000, help="vocabulary a side")
    parser.add_argument("--size", nargs="+", choices=list(SIZES), default=list(SIZES))
    parser.add_argument("--count", type=int, help="lists; by default 16, of L 8")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--max-rows", type=int, default=8192)
    parser.add_argument("--batch", type=int, default=128, help="hypotheses, of (a), (b) and peers")
    parser.add_argument("--width", type=int, help="instead of the size's own, for a quick try")
    parser.add_argument("--peak-size", type=int, default=4096, help="of the peak's matrices")
    parser.add_argument("--threads", type=int)
    for name in PEERS:
        option = "--" + name.split("-")[0].lower()
        parser.add_argument(option, default=sys.executable, help=f"interpreter with {name}")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    keep_freed_pages()
    machine = facts()
    print("machine:", ", ".join(f"{name} {value}" for name, value in machine.items()))
    results = [Benchmark(size, arguments).run() for size in arguments.size]
    write_results(arguments.json, machine, results)


class Benchmark:
    """All ways on one model size."""

    def __init__(self, size: str, arguments: argparse.Namespace) -> None:
        self.size = size
        self.arguments = arguments
        self.layers, width = SIZES[size]
        self.width = arguments.width or width
        source, target = (
            text_side(path, language, arguments.words)
            for path, language in ((arguments.train_source, "src"), (arguments.train_target, "tgt"))
        )
        self.sides = source, target
        self.task = read_task(arguments, source, target, arguments.count or LISTS[size])
        self.words = len(target.vocabulary)
        precisions = ["float32", "bfloat16", "int8"]
        if not has_bfloat16(torch.device("cpu")):
            precisions.remove("bfloat16")
        self.scorers = {precision: self.scorer(precision) for precision in precisions}
        model = self.model()
        self.work, self.shape = work_of(model), task_shape(model, self.layers, self.width)

    def model(self) -> Seq2SeqModel:
        """A model with random weights; the same ones at every call."""
        torch.manual_seed(1)
        source, target = self.sides
        sizes = ModelSizes(len(source.vocabulary), len(target.vocabulary))
        return make_model(architecture_of(self.size), self.layers, self.width, sizes)

    def scorer(self, precision: str) -> ModelScorer:
        """The model, ready to score in a precision."""
        return ModelScorer(self.model(), *self.sides, precision)

    def run(self) -> dict[str, Any]:
        """Prints the table and returns its figures."""
        plain = self.scorers["float32"]
        counts = score_lists(plain, *self.sharing(), self.arguments.max_rows)
        check_equal(plain, self.task, counts)
        peak = peak_gflops(self.arguments.peak_size)
        ways: dict[str, Callable[[], float]] = {
            "(a) plain": lambda: timed(lambda: score_plain(plain, self.task, self.arguments.batch)),
            "(b) encoded once": lambda: timed(
                lambda: score_encoded_once(plain, self.task, self.arguments.batch)
            ),
        }
        ways |= {
            SHARED if precision == "float32" else f"(c) with {precision}": self.shared(scorer)
            for precision, scorer in self.scorers.items()
        }
        with tempfile.TemporaryDirectory() as folder:
            missing = self.add_peers(ways, Path(folder))
            seconds = alternate(ways, self.arguments.repeats)
        peak = max(peak, peak_gflops(self.arguments.peak_size))
        hypotheses = len(self.task.pairs)
        work = self.operations(counts.rows_stepped)
        print(
            f"\n{self.size}: {self.shape['architecture']}, {self.layers} layers x {self.width}, "
            f"{self.words} target words; "
            f"{hypotheses} hypotheses in {len(self.task.sources)} lists; {counts.positions} "
            f"positions, {counts.rows_stepped} rows stepped by (c), "
            f"{counts.positions / counts.rows_stepped:.2f} positions a row; "
            f"matrix-product peak {peak:.0f} GFLOP/s; floor of (c): {work / 1e9:.0f} GFLOP = "
            f"{work / peak / 1e9:.2f} s = {hypotheses / (work / peak / 1e9):.0f} hypotheses/s\n"
        )
        rows = []
        base = median(seconds["(a) plain"])
        print("| way | hypotheses/s (each run) | median | x (a) | useful work / peak |")
        print("|---|---|---|---|---|")
        for name, own in seconds.items():
            middle = median(own)
            each = ", ".join(f"{hypotheses / value:.0f}" for value in own)
            useful = work if name.startswith("(c)") else self.operations(counts.positions)
            share = useful / middle / peak / 1e9
            print(
                f"| {name} | {each} | {hypotheses / middle:.0f} | {base / middle:.2f} "
                f"| {share:.0%} |"
            )
            rows.append({"way": name, "seconds": own, "share_of_peak": share})
        for text in missing:
            print(text)
        peers = [median(own) for name, own in seconds.items() if name in PEERS]
        if peers:
            for name in (way for way in seconds if way.startswith("(c)")):
                print(f"{name}: {min(peers) / median(seconds[name]):.1f} x the fastest peer here")
        return {
            "size": self.size, **self.shape, "hypotheses": hypotheses,
            "positions": counts.positions, "rows": counts.rows_stepped, "peak_gflops": peak,
            "floor_seconds": work / peak / 1e9,
            "ways": rows, "missing": missing,
        }  # fmt: skip

    def sharing(self) -> tuple[Any, list[list[list[int]]]]:
        """Sources as a batch, and their hypotheses."""
        return make_source(self.task.sources, range(len(self.task.sources))), self.task.hypotheses

    def score_shared(self, scorer: ModelScorer) -> object:
        """Way (c), the one that `s2st rescore-nbest` takes."""
        return score_lists(scorer, *self.sharing(), self.arguments.max_rows)

    def shared(self, scorer: ModelScorer) -> Callable[[], float]:
        """Way (c) in the precision of a scorer."""
        return lambda: timed(lambda: self.score_shared(scorer))

    def operations(self, rows: int) -> float:
        """Multiplications and additions of the decoder in so many rows and of the encoder.

        (c) makes fewer in a recurrent first layer: rows that read the same word share that product.
        """
        return self.work.operations(sum(len(source) + 1 for source in self.task.sources), rows)

    def add_peers(self, ways: dict[str, Callable[[], float]], folder: Path) -> list[str]:
        """Adds the peers that can be imported; says which cannot."""
        task = {
            **self.shape, "batch": self.arguments.batch,
            "source_words": len(self.sides[0].vocabulary), "target_words": self.words,
            "sources": self.task.sources, "hypotheses": self.task.hypotheses,
            "threads": torch.get_num_threads(),
        }  # fmt: skip
        path = folder / "task.json"
        path.write_text(json.dumps(task), "utf-8")
        peers = TRANSFORMER_PEERS if self.shape["architecture"] == TRANSFORMER else PEERS
        pythons = {name: getattr(self.arguments, name.split("-")[0].lower()) for name in peers}
        found, missing = peers_here(peers, pythons)
        for name, command in found.items():
            ways[name] = peer_seconds([*command, path])
        return missing


def peer_seconds(command: list[Any]) -> Callable[[], float]:
    """A way that runs a command and returns the seconds that it prints."""
    return lambda: float(run_peer(command).split()[-1])


def text_side(path: str, language: str, words: int) -> TextSide:
    """The most frequent words of a text."""
    counts = Counter(word for line in read_lines(path) for word in split_words(line))
    spec = TokenizerSpec("none", NoneConfig(), language)
    vocabulary = Vocabulary.build(counts, words)
    return TextSide(language, WhitespaceTokenizer(spec), vocabulary)


def read_task(
    arguments: argparse.Namespace, source: TextSide, target: TextSide, count: int
) -> Task:
    """Ids of the first lists of the file."""
    lines = list(read_lines(arguments.source))
    task = Task([], [])
    lists = read_nbest(read_lines(arguments.lists), arguments.lists)
    for entries in itertools.islice(lists, count):
        task.sources.append(source.vocabulary.encode(split_words(lines[entries[0].id])))
        task.hypotheses.append(
            [target.vocabulary.encode(split_words(entry.hypothesis)) for entry in entries]
        )
    return task


def score_plain(scorer: ModelScorer, task: Task, size: int) -> list[torch.Tensor]:
    """Way (a): every hypothesis a row of its own with its source encoded again, in file order."""
    pairs = task.pairs
    return [
        scorer.score(batch_of(pairs[first : first + size])) for first in range(0, len(pairs), size)
    ]


@torch.inference_mode()
def score_encoded_once(scorer: ModelScorer, task: Task, size: int) -> list[torch.Tensor]:
    """Way (b): the sources are encoded together, once; hypotheses of near-equal length together."""
    state = scorer.start(make_source(task.sources, range(len(task.sources))))
    flat = [(i, own) for i, group in enumerate(task.hypotheses) for own in group]
    flat.sort(key=lambda pair: len(pair[1]))
    scores = []
    for first in range(0, len(flat), size):
        part = flat[first : first + size]
        batch = batch_of([([], own) for _, own in part])
        mask = batch.target_mask()
        rows = torch.tensor([index for index, _ in part])
        features = scorer.model.decode(batch.target_in, state.select(rows))[mask]
        everything = torch.arange(len(features))
        scores.append(scorer.pick(features, everything, batch.target_out[mask]))
    return scores


def batch_of(pairs: list[tuple[list[int], list[int]]]) -> Batch:
    """Ids as a batch for teacher forcing."""
    sources, targets = zip(*pairs, strict=True)
    return make_batch(sources, targets, range(len(pairs)))


def check_equal(scorer: ModelScorer, task: Task, shared: Any) -> None:
    """(a) and (c) must agree on a list before their times are compared."""
    group = task.hypotheses[0]
    pairs = [(task.sources[0], own) for own in group]
    plain = scorer.score(batch_of(pairs)).sum(dim=1)
    for value, tokens in zip(plain.tolist(), shared.token_log_probs[0], strict=True):
        if abs(value - float(tokens.sum())) > 1e-4:
            sys.exit(f"(a) and (c) differ: {value} and {float(tokens.sum())}")


if __name__ == "__main__":
    main()
