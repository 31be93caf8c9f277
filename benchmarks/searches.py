"""The speed of every search beside beam search with a beam of 5.

    python benchmarks/searches.py --checkpoint DIR [--checkpoint DIR ...] --text test.en.gz \\
        [--reference test.fr.gz] [--only NAME ...] [--json FILE]

Several checkpoints are an ensemble. Times are of the search alone, on text that is tokenized. The
searches take turns for several rounds.
"""

import argparse
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from machine import alternate, facts, median, timed, write_results

from s2st.jobs.translation_demands import Demands
from s2st.jobs.translation_tasks import Translation, plan
from s2st.jobs.work_queue import WorkQueue, in_order
from s2st.process.device import keep_freed_pages
from s2st.scoring.base import Scorer
from s2st.scoring.load_scorers import load_scorer
from s2st.search.base import Search
from s2st.search.registry import SEARCHES
from s2st.text.line_files import read_lines

BASELINE = "beam 5"


@dataclasses.dataclass(frozen=True)
class Way:
    """One search that is timed.

    Attributes:
        search: its name in the registry.
        options: its options.
        demands: names of the files of demands ("prefix", "constraints") that it gets.
    """

    search: str
    options: dict[str, Any]
    demands: tuple[str, ...] = ()


BEAM = {"beam": 5}
TEN = {"beam": 10}
WAYS: dict[str, Way] = {
    BASELINE: Way("beam", BEAM),
    "beam 10": Way("beam", TEN),
    "greedy": Way("greedy", {}),
    "sampling": Way("sampling", {}),
    "sampling, 5 draws": Way("sampling", {"nbest": 5}),
    "stochastic-beam, 5": Way("stochastic-beam", {"nbest": 5}),
    "diverse-beam, 5 groups of 1": Way("diverse-beam", BEAM),
    "mbr, 32 samples, BLEU": Way("mbr", {}),
    "mbr, 32 samples, chrF": Way("mbr", {"utility": "chrf"}),
    "mbr, list of 32, BLEU": Way("mbr", {"candidates_from": "beam"}),
    "beam 5, lenpen 1 (wu)": Way("beam", {**BEAM, "lenpen": 1.0, "length_normalization": "wu"}),
    "beam 5, no repeated trigram": Way("beam", {**BEAM, "no_repeat_ngram_size": 3}),
    "beam 5, repetition penalty": Way("beam", {**BEAM, "repetition_penalty": 1.2}),
    "beam 5, prefix of 2 words": Way("beam", BEAM, ("prefix",)),
    "beam 5, 2 phrases of 1 word": Way("beam", BEAM, ("constraints",)),
    "beam 10, 2 phrases of 1 word": Way("beam", TEN, ("constraints",)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", action="append", required=True)
    parser.add_argument("--text", required=True, help="source lines, tokenized")
    parser.add_argument("--reference", help="their translations, for BLEU")
    parser.add_argument("--count", type=int, help="use only the first lines")
    parser.add_argument("--only", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    keep_freed_pages()
    machine = facts()
    print("machine:", ", ".join(f"{name} {value}" for name, value in machine.items()))
    write_results(arguments.json, machine, Benchmark(arguments).run())


class Benchmark:
    """All searches over one text."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        self.lines = list(read_lines(arguments.text))[: arguments.count]
        self.scorer = load_scorer(arguments.checkpoint, torch.device(arguments.device))
        self.outputs: dict[str, list[str]] = {}

    def run(self) -> list[dict[str, Any]]:
        names = [BASELINE, *(name for name in self.arguments.only if name != BASELINE)]
        self.outputs[BASELINE] = self.translate(WAYS[BASELINE], {})  # for the demands, and warm
        demands = self.demands(self.outputs[BASELINE])
        works = {name: self.work(name, WAYS[name], demands) for name in names}
        seconds = alternate(works, self.arguments.repeats)
        base = median(seconds[BASELINE])
        print(f"{len(self.lines)} sentences\n")
        print("| search | s (each run) | sentences/s | time beside beam 5 | BLEU |")
        print("|---|---|---|---|---|")
        rows = []
        for name, runs in seconds.items():
            middle, bleu = median(runs), self.bleu(self.outputs[name])
            each = ", ".join(f"{value:.2f}" for value in runs)
            shown = "" if bleu is None else f"{bleu:.2f}"
            print(
                f"| {name} | {each} | {len(self.lines) / middle:.0f} | {middle / base:.2f} | "
                f"{shown} |"
            )
            rows.append(
                {"name": name, "search": WAYS[name].search, "options": WAYS[name].options,
                 "seconds": runs, "median": middle, "beside_beam_5": middle / base, "bleu": bleu,
                 "sentences": len(self.lines)}
            )  # fmt: skip
        return rows

    def work(self, name: str, way: Way, demands: dict[str, list[str]]) -> Callable[[], float]:
        """A function that runs the search once and returns its seconds."""
        chosen = {key: demands[key] for key in way.demands}

        def run() -> float:
            return timed(lambda: self.outputs.update({name: self.translate(way, chosen)}))

        return run

    def translate(self, way: Way, demands: dict[str, list[str]]) -> list[str]:
        entry = SEARCHES.get(way.search)
        search = entry.build(entry.config_type(**way.options))
        return [one.texts[0] for one in translations(self.scorer, search, self.lines, demands)]

    def demands(self, outputs: Sequence[str]) -> dict[str, list[str]]:
        """The first two words of each translation of beam 5, and its second and last word."""
        words = [output.split() for output in outputs]
        vocabulary = self.scorer.target.vocabulary
        known = [[word for word in row if word in vocabulary] for row in words]
        return {
            "prefix": [" ".join(row[:2]) for row in words],
            "constraints": ["\t".join(dict.fromkeys(row[1:2] + row[-1:])) for row in known],
        }

    def bleu(self, outputs: Sequence[str]) -> float | None:
        """Tokenized BLEU."""
        if self.arguments.reference is None:
            return None
        from sacrebleu.metrics import BLEU

        references = list(read_lines(self.arguments.reference))[: len(outputs)]
        return float(BLEU(tokenize="none", force=True).corpus_score(outputs, [references]).score)


class FixedDemands(Demands):
    """Demands from lists instead of files."""

    def __init__(self, scorer: Scorer, lines: dict[str, list[str]]) -> None:
        super().__init__(scorer, None, None)
        self._files = list(lines)
        self._prefixes = iter(lines["prefix"]) if "prefix" in lines else None
        self._constraints = iter(lines["constraints"]) if "constraints" in lines else None


def translations(
    scorer: Scorer, search: Search, lines: Sequence[str], demands: dict[str, list[str]]
) -> Iterator[Translation]:
    """Translates lines by the job's own functions."""
    tasks = plan(scorer, search, [lines], None, False, None, FixedDemands(scorer, demands))
    return in_order(tasks, lambda translation: translation, WorkQueue())


if __name__ == "__main__":
    main()
