"""The paper's model (384 M weights) on one GPU: training, decoding, rescoring, and their floors.

    python benchmarks/gpu.py [--store STORE] [--lists test.1000best.gz --source test.en.gz]
        [--json FILE]

Training is on generated ids with WMT's lengths, and on a store's sentences where one is given. The
floor of an update is its operations over the measured peak of matrix products, or the bytes that
it has to move over the measured bandwidth, whichever takes longer. Runs on a CPU too, at any size,
but what it is for needs a GPU. See benchmarks/README.md.
"""

import argparse
import itertools
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from generated import pair_lengths, ranks
from machine import facts, median, write_results
from memory import make_batches
from updates import Updates

from s2st.data.batch import Batch, make_source
from s2st.data.batch_loader import TrainingLoader
from s2st.data.batch_planner import BatchingConfig
from s2st.data.store import Store
from s2st.models.base import ModelSizes
from s2st.process.device import DeviceConfig, setup_device
from s2st.scoring.base import TextSide
from s2st.scoring.model_scorer import ModelScorer
from s2st.scoring.prefix_sharing import score_lists
from s2st.search.beam import BeamSearch
from s2st.search.registry import BeamConfig
from s2st.text.line_files import read_lines, split_words
from s2st.text.nbest_lists import read_nbest
from s2st.text.tokenizers import NoneConfig, TokenizerSpec, WhitespaceTokenizer
from s2st.text.vocabulary import SPECIALS, Vocabulary

PAPER = 6_300  # source and target words a second on eight GPUs, section 3.5
FORMATS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--store", help="train on its split `train` too")
    parser.add_argument("--lists", help="Moses n-best lists to rescore; generated ones if left out")
    parser.add_argument("--source", help="their source lines")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--width", type=int, default=1000)
    parser.add_argument("--source-words", type=int, default=160_000)
    parser.add_argument("--target-words", type=int, default=80_000)
    parser.add_argument("--batch", type=int, nargs="+", default=[128, 512], help="sentence pairs")
    parser.add_argument("--updates", type=int, default=50)
    parser.add_argument("--beam", type=int, default=12)
    parser.add_argument("--sentences", type=int, default=1000, help="to decode")
    parser.add_argument("--hypotheses", type=int, default=1000, help="of a generated list")
    parser.add_argument("--count", type=int, default=32, help="lists to rescore")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--precision", choices=list(FORMATS), default="bfloat16")
    parser.add_argument("--optimizer", default="sgd", help="the paper's; or adam, lazy-adam")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--peak-size", type=int, default=8192)
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    arguments = parser.parse_args()
    benchmark = Benchmark(arguments)
    results = benchmark.run()
    write_results(arguments.json, benchmark.machine, results)


class Benchmark:
    """All parts on one device."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        self.device = setup_device(DeviceConfig(device=arguments.device))
        name = "cpu"
        if self.device.type == "cuda":
            name = torch.cuda.get_device_name(self.device)
        self.machine = {**facts(), "device": name}
        self.sizes = ModelSizes(
            arguments.source_words + len(SPECIALS), arguments.target_words + len(SPECIALS)
        )
        self.peak = peak_flops(self.device, FORMATS[arguments.precision], arguments.peak_size)
        self.bandwidth = bandwidth(self.device, arguments.peak_size)

    def run(self) -> list[dict[str, Any]]:
        print("machine:", ", ".join(f"{name} {value}" for name, value in self.machine.items()))
        print(
            f"{self.arguments.precision} products: {self.peak / 1e12:.1f} TFLOP/s; copying: "
            f"{self.bandwidth / 1e9:.0f} GB/s\n"
        )
        rows = []
        for batch in self.arguments.batch:
            made = make_batches(self.sizes, batch, self.arguments.updates + 3)
            rows.append(self.train(f"generated ids, batch {batch}", self.sizes, made))
        if self.arguments.store:
            store = Store(self.arguments.store)
            size = self.arguments.batch[0]
            loader = TrainingLoader(store.split("train"), BatchingConfig(size), 1)
            plan = loader.plan(0)[: self.arguments.updates + 3]
            sizes = ModelSizes(len(store.source_vocabulary), len(store.target_vocabulary))
            batches = [loader.load(indices) for indices in plan]
            rows.append(self.train(f"{self.arguments.store}, batch {size}", sizes, batches))
        scorer = self.scorer()
        rows += [self.decode(scorer), self.rescore(scorer)]
        return rows

    def train(self, name: str, sizes: ModelSizes, batches: Sequence[Batch]) -> dict[str, Any]:
        """Updates in the trainer's way: forward, loss, backward, clip, optimiser."""
        arguments = self.arguments
        updates = Updates(
            arguments.layers, arguments.width, sizes, arguments.optimizer, self.device,
            precision=arguments.precision,
        )  # fmt: skip
        update = updates.update
        warm, timed = batches[:3], batches[3:]
        for batch in warm:
            update(batch)
        seconds = self.seconds(lambda: [update(batch) for batch in timed])
        source = sum(batch.source_tokens for batch in timed)
        target = sum(batch.target_tokens for batch in timed)
        operations = updates.operations(source, target)
        # weights of products: read forwards and backwards, their gradient written and read, the
        # weight written; embeddings: as much for the rows that are read
        dense = sum(p.numel() for n, p in updates.model.named_parameters() if "embed" not in n)
        moved = 4.0 * 5 * (dense * len(timed) + (source + target) * arguments.width)
        floor = max(operations / self.peak, moved / self.bandwidth)
        rate = (source + target) / seconds
        memory = torch.cuda.max_memory_allocated() if self.device.type == "cuda" else 0
        print(
            f"training, {name}: {source / seconds:.0f} source + {target / seconds:.0f} target = "
            f"{rate:.0f} words/s ({rate / PAPER:.1f} x the paper's {PAPER}), "
            f"{seconds / len(timed) * 1e3:.1f} ms an update, {floor / seconds:.0%} of the floor's "
            f"rate, {memory / 1e9:.1f} GB",
            flush=True,
        )
        return {
            "part": "training", "name": name, "updates": len(timed), "seconds": seconds,
            "source_words": source, "target_words": target, "operations": operations,
            "bytes": moved, "floor_seconds": floor, "memory": memory,
        }  # fmt: skip

    def decode(self, scorer: ModelScorer) -> dict[str, Any]:
        """Beam search; random weights, so that every output has as many words as its source."""
        arguments = self.arguments
        search = BeamSearch(BeamConfig(beam=arguments.beam, max_len_a=1.0, max_len_b=0, min_len=0))
        sources = self.sentences(arguments.sentences, len(scorer.source.vocabulary))
        sources.sort(key=len)
        step = max(1, 2048 // arguments.beam)
        batches = [
            make_source(sources[i : i + step], range(len(sources[i : i + step])))
            for i in range(0, len(sources), step)
        ]
        seconds, made = self.timed(lambda: [search(scorer, batch) for batch in batches])
        words = sum(len(own[0].tokens) + 1 for batch in made for own in batch)
        print(
            f"decoding, beam {arguments.beam}: {len(sources) / seconds:.0f} sentences/s, "
            f"{words / seconds:.0f} target words/s",
            flush=True,
        )
        return {
            "part": "decoding", "beam": arguments.beam, "sentences": len(sources),
            "words": words, "seconds": seconds,
        }  # fmt: skip

    def rescore(self, scorer: ModelScorer) -> dict[str, Any]:
        """Lists of hypotheses, prefixes shared."""
        sources, lists = self.lists(scorer)
        batch = make_source(sources, range(len(sources)))
        seconds, scores = self.timed(lambda: score_lists(scorer, batch, lists, 8192))
        hypotheses = sum(map(len, lists))
        recurrent = self.arguments.layers * 8 * self.arguments.width**2
        softmax = self.arguments.width * len(scorer.target.vocabulary)
        positions = sum(len(source) + 1 for source in sources)
        operations = 2.0 * (scores.rows_stepped * (recurrent + softmax) + positions * recurrent)
        print(
            f"rescoring: {hypotheses / seconds:.0f} hypotheses/s, {scores.rows_stepped} rows for "
            f"{scores.positions} positions, {operations / self.peak / seconds:.0%} of the floor's "
            "rate",
            flush=True,
        )
        return {
            "part": "rescoring", "hypotheses": hypotheses, "rows": scores.rows_stepped,
            "positions": scores.positions, "seconds": seconds, "operations": operations,
        }  # fmt: skip

    def scorer(self) -> ModelScorer:
        """The model with random weights."""
        arguments = self.arguments
        updates = Updates(arguments.layers, arguments.width, self.sizes, "sgd", self.device)
        sides = (_side(self.sizes.source_vocabulary), _side(self.sizes.target_vocabulary))
        return ModelScorer(updates.model, *sides, arguments.precision)

    def lists(self, scorer: ModelScorer) -> tuple[list[list[int]], list[list[list[int]]]]:
        """Sources and their hypotheses: real ones as ids by rank of the file, or generated."""
        if self.arguments.lists is None:
            generator = np.random.default_rng(2)
            sources = self.sentences(self.arguments.count, len(scorer.source.vocabulary))
            limit = len(scorer.target.vocabulary)
            made = []
            for source in sources:
                words = _ids(generator, len(source), limit)
                group = [list(words)]
                while len(group) < self.arguments.hypotheses:  # one word of an earlier one changed
                    other = list(group[int(generator.integers(len(group)))])
                    other[int(generator.integers(len(other)))] = _ids(generator, 1, limit)[0]
                    group.append(other)
                made.append(group)
            return sources, made
        lines = list(read_lines(self.arguments.source))
        lists = read_nbest(read_lines(self.arguments.lists), self.arguments.lists)
        tables: tuple[dict[str, int], dict[str, int]] = ({}, {})

        def ids(text: str, side: int) -> list[int]:
            table = tables[side]
            words = (scorer.source, scorer.target)[side].vocabulary
            return [
                len(SPECIALS) + table.setdefault(w, len(table)) % (len(words) - len(SPECIALS))
                for w in split_words(text)
            ]

        sources, made = [], []
        for entries in itertools.islice(lists, self.arguments.count):
            sources.append(ids(lines[entries[0].id], 0))
            made.append([ids(entry.hypothesis, 1) for entry in entries])
        return sources, made

    def sentences(self, count: int, words: int) -> list[list[int]]:
        """Generated sources."""
        generator = np.random.default_rng(3)
        return [_ids(generator, int(n), words) for n in pair_lengths(generator, count)[0]]

    def timed(self, work: Callable[[], Any]) -> tuple[float, Any]:
        """Median seconds of some runs after one that is not timed, and its result."""
        result = work()
        return median([self.seconds(work) for _ in range(self.arguments.repeats)]), result

    def seconds(self, work: Callable[[], object]) -> float:
        """Seconds until the device has done it."""
        synchronize(self.device)
        start = time.perf_counter()
        work()
        synchronize(self.device)
        return time.perf_counter() - start


def synchronize(device: torch.device) -> None:
    """Waits until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak_flops(device: torch.device, dtype: torch.dtype, size: int) -> float:
    """Best of some products of large square matrices, in operations a second."""
    left, right = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    best = min(_seconds(device, lambda: left @ right) for _ in range(5))
    return 2 * size**3 / best


def bandwidth(device: torch.device, size: int) -> float:
    """Bytes read and written a second by copying size x size floats, the best of some runs."""
    values = torch.randn(size, size, device=device)
    other = torch.empty_like(values)
    best = min(_seconds(device, lambda: other.copy_(values)) for _ in range(5))
    return 2 * values.nbytes / best


def _seconds(device: torch.device, work: Callable[[], object]) -> float:
    synchronize(device)
    start = time.perf_counter()
    work()
    synchronize(device)
    return time.perf_counter() - start


def _ids(generator: np.random.Generator, count: int, words: int) -> list[int]:
    ids = len(SPECIALS) + ranks(generator, count) % (words - len(SPECIALS))
    return [int(value) for value in ids]


def _side(words: int) -> TextSide:
    names = [f"w{i}" for i in range(words - len(SPECIALS))]
    spec = TokenizerSpec("none", NoneConfig(), "xx")
    return TextSide("xx", WhitespaceTokenizer(spec), Vocabulary(names, [1] * len(names)))


if __name__ == "__main__":
    main()
