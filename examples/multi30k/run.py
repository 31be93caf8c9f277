"""Train, decode and rescore on Multi30k English-French with s2st commands.

    python examples/multi30k/run.py [--data DIR] [--lists DIR] [--run DIR]

The script prints each command. Run it again to resume it after a stop. It writes the table to
RUN/results.md.
"""

import argparse
import json
import math
import subprocess
import sys
import time
from pathlib import Path

from corpus import SHA256, SHARED, CorpusError, find_text, plain_or_gz

from s2st.errors import S2STError
from s2st.process import durable_files
from s2st.training.save_folder_lock import hold_work_folder

HERE = Path(__file__).resolve().parent
TEST = "test_2016_flickr"
BEAMS = (1, 2, 12)
TRAIN_OPTIONS = "--max-epoch 20 --log-interval 100"  # all else is the default of `s2st train`


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder with train.en, train.fr, val.en, ...")
    parser.add_argument("--lists", type=Path, help=f"folder with {TEST}.1000best.gz")
    parser.add_argument("--run", type=Path, default=HERE / "run", help="folder to work in")
    arguments = parser.parse_args()
    try:
        with hold_work_folder(arguments.run):
            data = find_text(arguments.data, SHA256, arguments.run / "data")
            work(arguments, data)
    except (CorpusError, S2STError) as error:
        sys.exit(str(error))


def work(arguments: argparse.Namespace, data: Path) -> None:
    """Run the steps that are not done yet, and print the table."""
    study = Study(arguments.run, data)
    rows = study.model_rows()
    lists = arguments.lists or SHARED / "smt-multi30k"
    if (lists / f"{TEST}.1000best.gz").exists():
        rows += study.rescoring_rows(lists)
    else:
        say(f"no Moses lists in {lists}: rescoring is skipped")
    table = "\n".join(["| system | tokenized BLEU | perplexity |", "|---|---|---|", *rows])
    durable_files.replace_file(arguments.run / "results.md", f"{table}\n".encode())
    print(table)


class Study:
    """The commands of the example; each runs once."""

    def __init__(self, run: Path, data: Path) -> None:
        self.run, self.data = run, data
        self.checkpoint = run / "reversed" / "checkpoint_best"

    def s2st(self, arguments: str, done: Path | None = None) -> str:
        """Run a command unless its output exists; return its stdout."""
        if done is not None and done.exists():
            return ""
        say(f"$ s2st {arguments}")
        started = time.perf_counter()
        words = [sys.executable, "-m", "s2st_cli", *arguments.split()]
        result = subprocess.run(words, stdout=subprocess.PIPE, text=True)
        if result.returncode:
            sys.exit(result.returncode)
        say(f"  {time.perf_counter() - started:.0f} s")
        return result.stdout

    def model_rows(self) -> list[str]:
        """Train and decode; return table rows with BLEU at each beam and test perplexity."""
        run, data = self.run, self.data
        prefixes = f"--trainpref {data}/train --validpref {data}/val --testpref {data}/{TEST}"
        self.s2st(
            f"preprocess -s en -t fr {prefixes} --thresholdsrc 2 --thresholdtgt 2 "
            f"--destdir {run}/bin",
            run / "bin",
        )
        self.s2st(
            f"train {run}/bin {TRAIN_OPTIONS} --save-dir {run}/reversed",
            run / "reversed.done",
        )
        (run / "reversed.done").touch()
        perplexity = self.perplexity()
        rows = []
        for beam in BEAMS:
            output = run / f"beam{beam}.fr"
            self.translate(beam, output)
            label = f"reversed LSTM, beam {beam}"
            rows.append(f"| {label} | {self.bleu(output):.2f} | {perplexity:.2f} |")
        return rows

    def translate(self, beam: int, output: Path) -> None:
        source = plain_or_gz(self.data, f"{TEST}.en")
        part = output.with_suffix(".part")
        self.s2st(
            f"generate --checkpoint {self.checkpoint} --beam {beam} -o {part} {source}", output
        )
        if part.exists():
            part.rename(output)

    def perplexity(self) -> float:
        source, target = plain_or_gz(self.data, f"{TEST}.en"), plain_or_gz(self.data, f"{TEST}.fr")
        lines = self.s2st(
            f"score --checkpoint {self.checkpoint} --source {source} --target {target} "
            "--format json"
        )
        values = [v for line in lines.splitlines() for v in json.loads(line)["token_log_probs"]]
        return math.exp(-sum(values) / len(values))

    def bleu(self, hypotheses: Path) -> float:
        reference = plain_or_gz(self.data, f"{TEST}.fr")
        output = self.s2st(f"score {hypotheses} --ref {reference} --tokenize none --format json")
        return float(json.loads(output)["tokenized BLEU"]["score"])

    def rescoring_rows(self, lists: Path) -> list[str]:
        """Rescore the Moses lists with weights tuned on val; return the rows of the report."""
        report, output = self.run / "rescoring.json", self.run / "rescored.fr"
        source, reference = (plain_or_gz(self.data, f"{TEST}.{lang}") for lang in ("en", "fr"))
        dev_source, tune = (plain_or_gz(self.data, f"val.{lang}") for lang in ("en", "fr"))
        self.s2st(
            f"rescore-nbest {lists}/{TEST}.1000best.gz --source {source} "
            f"--checkpoint {self.checkpoint} --dev-nbest {lists}/val.1000best.gz "
            f"--dev-source {dev_source} --tune {tune} --length-feature --oracle {reference} "
            f"--weights-out {self.run}/weights.ini --report {report} -o {output}",
            report,
        )
        rows = json.loads(report.read_text())["headroom"]["rows"]
        return [
            f"| Moses 1000-best, {name} | {bleu['value']:.2f} "
            f"[{bleu['low']:.2f}, {bleu['high']:.2f}] | |"
            for name, bleu in rows
        ]


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
