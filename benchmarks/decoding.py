"""Decoding a test set: s2st's search against its floor, and peers with the same weights.

    python benchmarks/decoding.py --checkpoint DIR [--checkpoint DIR ...] --text test.en.gz \\
        [--reference test.fr.gz] [--beams 1 2 5 12] [--json FILE]

The models are recurrent ones or Transformers. The first checkpoint is the single model; all of them
together are the ensemble. Times are of the search alone, on text that is tokenized, and of the
whole process (`s2st generate FILE`), start-up included. The floor is the operations of the rows
that the search had to step, over the measured peak of matrix products. See benchmarks/README.md.
"""

import argparse
import contextlib
import dataclasses
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
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
from model_sizes import TRANSFORMER, task_shape, work_of

from s2st.errors import UsageError
from s2st.jobs.translation_tasks import Translation, translate
from s2st.models.ctranslate2_format import write_ctranslate2
from s2st.models.model_files import load_saved
from s2st.process.device import has_bfloat16, keep_freed_pages
from s2st.scoring.base import Scorer
from s2st.scoring.ensemble_scorer import EnsembleScorer
from s2st.scoring.load_scorers import load_scorer
from s2st.scoring.model_scorer import ModelScorer
from s2st.search.beam import BeamSearch
from s2st.search.registry import BeamConfig
from s2st.text.line_files import read_lines

PEERS = {
    "OpenNMT-py": ("onmt", "opennmt_decode.py"),
    "fairseq": ("fairseq", "fairseq_decode.py"),
    "JoeyNMT": ("joeynmt", "joeynmt_decode.py"),
    "Marian": ("pymarian", "marian_decode.py"),
}
TRANSFORMER_PEERS = {
    "OpenNMT-py": ("onmt.encoders.transformer", "opennmt_decode.py"),
    "fairseq": ("fairseq.models.transformer", "fairseq_decode.py"),
    "CTranslate2": ("ctranslate2", "ctranslate2_decode.py"),
    "CTranslate2 int8": ("ctranslate2", "ctranslate2_decode.py"),
}
OTHER_MODELS = ("JoeyNMT", "Marian")  # not ours with our weights: only words/s compare
CPU = torch.device("cpu")
MAX_LEN = (2.0, 10)  # s2st's own defaults; peers are given the same


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", action="append", required=True)
    parser.add_argument("--text", required=True, help="source lines, tokenized")
    parser.add_argument("--reference", help="their translations, for BLEU")
    parser.add_argument("--beams", type=int, nargs="+", default=[1, 2, 5, 12])
    parser.add_argument("--precisions", nargs="+", default=["float32", "bfloat16", "int8"])
    parser.add_argument("--slow-beams", type=int, nargs="+", help="of JoeyNMT and Marian")
    parser.add_argument("--count", type=int, help="the first so many lines only")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--peer-batch", type=int, default=64, help="sentences a batch, of peers")
    parser.add_argument("--peak-size", type=int, default=4096, help="of the peak's matrices")
    for name in (*PEERS, "CTranslate2"):
        option = "--" + name.split("-")[0].lower()
        parser.add_argument(option, default=sys.executable, help=f"interpreter with {name}")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    arguments = parser.parse_args()
    arguments.slow_beams = arguments.slow_beams or arguments.beams
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    keep_freed_pages()
    machine = facts()
    print("machine:", ", ".join(f"{name} {value}" for name, value in machine.items()))
    with tempfile.TemporaryDirectory() as folder:
        results = Benchmark(arguments, Path(folder)).run()
    write_results(arguments.json, machine, results)


@dataclasses.dataclass(frozen=True)
class Way:
    """One thing that is timed.

    Attributes:
        model: "one" or "five", as many as there are.
        beam: beam size.
        name: "s2st float32", a peer's name, and so on.
        whole: whether the whole process is timed.
    """

    model: str
    beam: int
    name: str
    whole: bool = False


class Benchmark:
    """All ways over one text."""

    def __init__(self, arguments: argparse.Namespace, folder: Path) -> None:
        self.arguments = arguments
        self.folder = folder
        self.lines = list(read_lines(arguments.text))[: arguments.count]
        self.text = folder / "text"
        self.text.write_text("\n".join(self.lines) + "\n", "utf-8")
        self.models = {"one": arguments.checkpoint[:1]}
        if len(arguments.checkpoint) > 1:
            self.models[f"ensemble of {len(arguments.checkpoint)}"] = arguments.checkpoint
        self.shape = self.read_shape()
        self.scorers: dict[tuple[str, str], Scorer] = {}
        self.outputs: dict[Way, list[str]] = {}
        self.processes: dict[Way, list[float]] = {}  # seconds of peers' whole processes

    def run(self) -> list[dict[str, Any]]:
        peak = peak_gflops(self.arguments.peak_size)
        ways: dict[Way, Callable[[], float]] = {}
        precisions, missing = self.precisions()
        floors: dict[tuple[str, int], float] = {}
        for beam in self.arguments.beams:
            for model in self.models:
                floors[model, beam] = self.operations(model, beam)
                for precision in precisions:
                    way = Way(model, beam, f"s2st {precision}")
                    ways[way] = self.own(way, precision)
            whole = Way("one", beam, "s2st float32", whole=True)
            ways[whole] = self.own_process(whole)
        missing += self.add_peers(ways)
        seconds = alternate(
            {str(i): work for i, work in enumerate(ways.values())}, self.arguments.repeats
        )
        peak = max(peak, peak_gflops(self.arguments.peak_size))
        shape = f"{self.shape['layers']} layers x {self.shape['width']}"
        print(
            f"{self.shape['architecture']}, {shape}; matrix-product peak {peak:.0f} GFLOP/s; "
            f"{len(self.lines)} sentences\n"
        )
        rows = []
        print(
            "| model | beam | way | s (each run) | sentences/s | words/s | of the floor "
            "| BLEU | same as s2st float32 |\n|---|---|---|---|---|---|---|---|---|"
        )
        for way, runs in zip(ways, seconds.values(), strict=True):
            floor = floors[way.model, way.beam] / peak / 1e9
            rows.append(self.report(way, runs, floor))
            if way in self.processes:
                whole = dataclasses.replace(way, whole=True)
                self.outputs[whole] = self.outputs[way]
                rows.append(self.report(whole, self.processes[way], floor))
        print("\n".join(["", *missing]))
        return [*rows, {**self.shape, "peak_gflops": peak, "missing": missing}]

    def read_shape(self) -> dict[str, Any]:
        """Architecture and sizes of the first checkpoint."""
        _, model = load_saved(self.models["one"][0], CPU)
        layers, width = len(model.encoder.layers), model.softmax.matrix().shape[1]
        return task_shape(model, layers, width)

    def precisions(self) -> tuple[list[str], list[str]]:
        """Those that this processor has, and a line on each other one."""
        wanted = list(self.arguments.precisions)
        if "bfloat16" not in wanted or has_bfloat16(CPU):
            return wanted, []
        wanted.remove("bfloat16")
        return wanted, ["s2st bfloat16: this processor does not multiply in it; not run"]

    def report(self, way: Way, runs: list[float], floor: float) -> dict[str, Any]:
        """Prints a line of the table and returns its figures."""
        middle, outputs = median(runs), self.outputs[way]
        words = sum(len(line.split()) for line in outputs)
        same = self.outputs.get(Way(way.model, way.beam, "s2st float32"), outputs)
        ours = way.name not in OTHER_MODELS
        row = {
            **dataclasses.asdict(way), "seconds": runs, "median": middle, "floor_seconds": floor,
            "share_of_floor": floor / middle if ours and not way.whole else None, "words": words,
            "bleu": self.bleu(outputs) if ours else None,
            "same": sum(a == b for a, b in zip(outputs, same, strict=True)) if ours else None,
        }  # fmt: skip
        name = way.name + (", whole process" if way.whole else "")
        share = "" if row["share_of_floor"] is None else f"{row['share_of_floor']:.0%}"
        each = ", ".join(f"{value:.2f}" for value in runs)
        bleu = "" if row["bleu"] is None else f"{row['bleu']:.2f}"
        same_text = "" if row["same"] is None else str(row["same"])
        print(
            f"| {way.model} | {way.beam} | {name} | {each} | {len(self.lines) / middle:.0f} "
            f"| {words / middle:.0f} | {share} | {bleu} | {same_text} |",
            flush=True,
        )
        return row

    def scorer(self, model: str, precision: str) -> Scorer:
        key = (model, precision)
        if key not in self.scorers:
            self.scorers[key] = load_scorer(self.models[model], torch.device("cpu"), precision)
        return self.scorers[key]

    def own(self, way: Way, precision: str) -> Callable[[], float]:
        """The search in this process; what is loaded is loaded before."""
        search = BeamSearch(BeamConfig(beam=way.beam))
        scorer = self.scorer(way.model, precision)

        def run() -> float:
            found: list[Translation] = []
            seconds = timed(
                lambda: found.extend(translate(scorer, search, [self.lines], None, False))
            )
            self.outputs[way] = [translation.texts[0] for translation in found]
            return seconds

        return run

    def own_process(self, way: Way) -> Callable[[], float]:
        """`s2st generate` from the shell, its output to a file."""
        output = self.folder / "output"
        command = [sys.executable, "-m", "s2st_cli", "generate", str(self.text), "--no-detokenize"]
        command += ["--beam", str(way.beam), "--output-file", str(output), "--device", "cpu"]
        command += ["--threads", str(torch.get_num_threads())]
        for path in self.models[way.model]:
            command += ["--checkpoint", path]

        def run() -> float:
            output.unlink(missing_ok=True)
            seconds = timed(lambda: subprocess.run(command, check=True, capture_output=True))
            self.outputs[way] = output.read_text("utf-8").split("\n")[:-1]
            return seconds

        return run

    def operations(self, model: str, beam: int) -> float:
        """Multiplications and additions of the rows that were stepped and of the encoders."""
        scorer = self.scorer(model, "float32")
        members = scorer.members if isinstance(scorer, EnsembleScorer) else (scorer,)
        total = 0.0
        search = BeamSearch(BeamConfig(beam=beam))
        with counting(members[0]) as rows:
            for _ in translate(scorer, search, [self.lines], None, False):
                pass
        source = sum(len(line.split()) + 1 for line in self.lines)
        for member in members:
            assert isinstance(member, ModelScorer)
            total += work_of(member.model).operations(source, sum(rows))
        return total

    def add_peers(self, ways: dict[Way, Callable[[], float]]) -> list[str]:
        """Adds the peers that can be imported; says which cannot."""
        transformer = self.shape["architecture"] == TRANSFORMER
        peers = TRANSFORMER_PEERS if transformer else PEERS
        pythons = {
            name: getattr(self.arguments, name.replace("-", " ").split()[0].lower())
            for name in peers
        }
        found, missing = peers_here(peers, pythons)
        for name, command in found.items():
            more, reason = self.needs(name)
            if reason:
                missing.append(f"{name}: {reason}; not run")
                continue
            slow = name in OTHER_MODELS
            for beam in self.arguments.slow_beams if slow else self.arguments.beams:
                task = self.task(beam, name, more)
                # Marian's adapter makes a model first, and times the whole process itself
                way = Way("one", beam, name, whole=name == "Marian")
                ways[way] = self.peer(way, [*command, str(task)])
        return missing

    def needs(self, name: str) -> tuple[dict[str, Any], str]:
        """More fields of a peer's task, and why the peer cannot compute our model, or ""."""
        if self.shape["architecture"] == TRANSFORMER and not name.startswith("CTranslate2"):
            unlike = self.shape["norm"] != "pre" or self.shape["tied"]
            return {}, "its adapter is for pre-norm layers and a softmax of its own" * unlike
        if not name.startswith("CTranslate2"):
            return {}, ""
        kind = "int8" if name.endswith("int8") else "float32"
        folder = self.folder / name.replace(" ", "-")
        folder.mkdir()
        saved, model = load_saved(self.models["one"][0], CPU)
        try:
            write_ctranslate2(folder, saved.record, model, None if kind == "float32" else kind)
        except UsageError as error:
            return {}, str(error)
        return {"converted": str(folder), "compute_type": kind}, ""

    def task(self, beam: int, name: str, more: dict[str, Any]) -> Path:
        """What a peer is told: ids, and where our weights are."""
        scorer = self.scorer("one", "float32")
        assert isinstance(scorer, ModelScorer)
        vocabulary = scorer.source.vocabulary
        task = {
            **self.shape, "source_words": len(vocabulary),
            "target_words": len(scorer.target.vocabulary),
            "threads": torch.get_num_threads(), "beam": beam, "batch": self.arguments.peer_batch,
            "max_len_a": MAX_LEN[0], "max_len_b": MAX_LEN[1],
            "weights": str(Path(self.arguments.checkpoint[0]).resolve() / "weights.safetensors"),
            "reverse_source": getattr(scorer.model.config, "reverse_source", False),
            "sources": [vocabulary.encode(line.split()) for line in self.lines],
            "lines": self.lines, "output": str(self.folder / "ids.json"), **more,
        }  # fmt: skip
        path = self.folder / f"task-{name.replace(' ', '-')}-{beam}.json"
        path.write_text(json.dumps(task), "utf-8")
        return path

    def peer(self, way: Way, command: list[str]) -> Callable[[], float]:
        """A peer's adapter, by its own clock or as a whole process."""
        vocabulary = self.scorer("one", "float32").target.vocabulary
        output = self.folder / "ids.json"

        def run() -> float:
            started = time.perf_counter()
            shown = run_peer(command)
            seconds = time.perf_counter() - started
            made = json.loads(output.read_text("utf-8"))
            self.outputs[way] = [" ".join(vocabulary.decode(ids)) for ids in made]
            if not way.whole:
                self.processes.setdefault(way, []).append(seconds)
            return float(shown.split()[-1])

        return run

    def bleu(self, outputs: list[str]) -> float | None:
        """Tokenized BLEU."""
        if self.arguments.reference is None:
            return None
        from sacrebleu.metrics import BLEU

        references = list(read_lines(self.arguments.reference))[: len(outputs)]
        return float(BLEU(tokenize="none", force=True).corpus_score(outputs, [references]).score)


@contextlib.contextmanager
def counting(scorer: Scorer) -> Iterator[list[int]]:
    """While it is open, the rows of every step of the scorer are added to the list."""
    plain, rows = scorer.advance, []

    def counted(tokens: torch.Tensor, state: Any) -> Any:
        rows.append(len(tokens))
        return plain(tokens, state)

    scorer.advance = counted  # type: ignore[method-assign]
    try:
        yield rows
    finally:
        del scorer.advance


if __name__ == "__main__":
    main()
