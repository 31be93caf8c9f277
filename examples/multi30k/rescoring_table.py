"""Rescoring of the Moses lists of Multi30k as a table: even average, tuned models, consensus.

    python examples/multi30k/rescoring_table.py --checkpoint MODEL [--checkpoint MODEL ...]
        [--top N] [--data DIR] [--lists DIR] [--run DIR] [--options "..."]

The first model is the one of the rows with one model. Weights are tuned on val and evaluated on
test_2016_flickr. The script prints each command. Run it again to resume it after a stop: finished
steps are skipped, and scoring goes on where it stopped. It writes the table to RUN/table.md.
"""

import argparse
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from corpus import SHA256, SHARED, CorpusError, find_text, first_hypotheses, plain_or_gz

from s2st.errors import S2STError
from s2st.process import durable_files
from s2st.text.atomic_text_output import write_whole
from s2st.text.line_files import read_lines
from s2st.training.save_folder_lock import hold_work_folder

HERE = Path(__file__).resolve().parent
DEV, TEST = "val", "test_2016_flickr"
OTHER_MODELS = re.compile(r"S2ST[1-9][0-9]*= \S+ ")


@dataclass(frozen=True)
class Row:
    """A way to choose from the lists.

    Attributes:
        name: file name of its report.
        label: in the table.
        lists: "baseline", "one" or "several": the lists without scores, or with those of one model
            or of all.
        options: of `rescore-nbest`.
        tuned: whether the weights are tuned on val.
    """

    name: str
    label: str
    lists: str
    options: str = ""
    tuned: bool = True


ROWS = (
    Row("even", "even average, one model", "one", tuned=False),
    Row("even-scaled", "even average, one model, equal spreads", "one", "--normalize list", False),
    Row("one", "tuned, one model", "one"),
    Row("several", "tuned, several models", "several"),
    Row("consensus-bleu", "tuned, consensus (BLEU), no model", "baseline", "--consensus bleu"),
    Row("consensus-chrf", "tuned, consensus (chrF), no model", "baseline", "--consensus chrf"),
    Row("one-bleu", "tuned, one model, consensus (BLEU)", "one", "--consensus bleu"),
    Row("several-bleu", "tuned, several models, consensus (BLEU)", "several", "--consensus bleu"),
    Row("several-chrf", "tuned, several models, consensus (chrF)", "several", "--consensus chrf"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", action="append", required=True, help="repeatable")
    parser.add_argument("--top", type=int, help="use the N first hypotheses of each list only")
    parser.add_argument("--data", type=Path, help="folder with val.en, val.fr, ...")
    parser.add_argument("--lists", type=Path, default=SHARED / "smt-multi30k")
    parser.add_argument("--run", type=Path, default=HERE / "run" / "table", help="work folder")
    parser.add_argument("--options", default="", help="more options of rescore-nbest for all rows")
    arguments = parser.parse_args()
    try:
        with hold_work_folder(arguments.run):
            names = [name for name in SHA256 if not name.startswith("train")]
            data = find_text(arguments.data, names, arguments.run / "data")
            work = Work(arguments, data)
            work.prepare()
            table = "\n".join(work.table())
            durable_files.replace_file(arguments.run / "table.md", f"{table}\n".encode())
            print(table)
    except (CorpusError, S2STError) as error:
        sys.exit(str(error))


class Work:
    """The steps of the table; each runs once."""

    def __init__(self, arguments: argparse.Namespace, data: Path) -> None:
        self.arguments = arguments
        self.run: Path = arguments.run
        self.data = data

    def s2st(self, words: Sequence[str | Path]) -> None:
        """Run a command; end if it fails."""
        say(f"$ s2st {' '.join(map(str, words))}")
        started = time.perf_counter()
        result = subprocess.run([sys.executable, "-m", "s2st_cli", *map(str, words)], check=False)
        if result.returncode:
            sys.exit(result.returncode)
        say(f"  {time.perf_counter() - started:.0f} s")

    def path(self, kind: str, name: str) -> Path:
        """Return the file of some lists of a set."""
        return self.run / f"{name}.{kind}.nbest"

    def text(self, name: str, language: str) -> Path:
        """Return the file of a set's source (en) or reference (fr)."""
        return plain_or_gz(self.data, f"{name}.{language}")

    def prepare(self) -> None:
        """Cut the lists, score them with all models, and copy them with the first model alone."""
        for name in (DEV, TEST):
            baseline, several = self.path("baseline", name), self.path("several", name)
            if not baseline.exists():
                whole = str(plain_or_gz(self.arguments.lists, f"{name}.1000best"))
                write_whole(str(baseline), first_hypotheses(whole, self.arguments.top))
            if not (self.run / f"{name}.scored").exists():
                checkpoints = [
                    x for path in self.arguments.checkpoint for x in ("--checkpoint", path)
                ]
                # the baseline's weight alone keeps the order of the lists
                words = [
                    "rescore-nbest", baseline, "--source", self.text(name, "en"), *checkpoints,
                    "--feature-per", "member", "--weight", "Baseline=1", "--format", "nbest",
                    "-o", several, "--threads", "1",
                ]  # fmt: skip
                resumes = several.with_name(f"{several.name}.parts").exists()
                self.s2st([*words, *(["--resume"] if resumes else [])])
                (self.run / f"{name}.scored").touch()
            one = self.path("one", name)
            if not one.exists():
                write_whole(
                    str(one), (OTHER_MODELS.sub("", x) + "\n" for x in read_lines(str(several)))
                )

    def table(self) -> Iterator[str]:
        """Yield the lines of the table."""
        yield (
            "| choice | BLEU on test_2016_flickr | gain over the baseline, paired "
            "| held-out gain on val |"
        )
        yield "|---|---|---|---|"
        for index, row in enumerate(ROWS):
            report = self.report(row)
            known = dict(report["headroom"]["rows"])
            if index == 0:
                yield f"| baseline's own choice | {show(known['baseline 1-best'])} | | |"
            gain = report["tuning"]["gain"] if row.tuned else None
            held_out = "not tuned" if not row.tuned else "none" if gain is None else show(gain)
            used = show(known["weights used"])
            yield f"| {row.label} | {used} | {show(report['headroom']['gain'])} | {held_out} |"
        yield f"| oracle | {show(known['oracle by corpus BLEU'])} | | |"

    def report(self, row: Row) -> dict[str, Any]:
        """Return the report of a row; compute it if it is missing."""
        path = self.run / f"{row.name}.json"
        if not path.exists():
            tune: list[str | Path] = []
            if row.tuned:
                tune = [
                    "--dev-nbest", self.path(row.lists, DEV), "--dev-source", self.text(DEV, "en"),
                    "--tune", self.text(DEV, "fr"), *self.arguments.options.split(),
                ]  # fmt: skip
            self.s2st([
                "rescore-nbest", self.path(row.lists, TEST), "--source", self.text(TEST, "en"),
                *tune, *row.options.split(), "--oracle", self.text(TEST, "fr"), "--report", path,
                "-o", self.run / f"{row.name}.fr",
            ])  # fmt: skip
        found: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return found


def show(interval: dict[str, float]) -> str:
    """Return a value with its 95 % interval."""
    return f"{interval['value']:.2f} [{interval['low']:.2f}, {interval['high']:.2f}]"


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
