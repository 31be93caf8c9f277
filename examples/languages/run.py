"""English to French and to Korean: a model for each, one encoder with two decoders, and tags.

    python examples/languages/run.py [--pairs N] [--train OPTIONS] [--data DIR] [--run DIR]

The script prints each command. Run it again with the same options to resume it after a stop. It
prints its tables and writes them to RUN/results.md, and the figures beside them.
"""

import argparse
import json
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from multi30k.corpus import SHARED, plain_or_gz  # noqa: E402
from views import Row, compare, render  # noqa: E402

from s2st.errors import S2STError  # noqa: E402
from s2st.process import durable_files  # noqa: E402
from s2st.text.line_files import read_lines  # noqa: E402
from s2st.training.save_folder_lock import hold_work_folder  # noqa: E402

TARGETS = {"fr": "13a", "ko": "char"}  # sacreBLEU's tokenizer of each language
LABELS = {
    "alone": "a model for each pair",
    "shared": "one encoder, two decoders",
    "tags": "one model, tags",
}
TRAIN = "-a transformer --max-epoch 30"
VALID, TEST = 300, 500  # at most that many pairs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=SHARED, help="folder of the corpora")
    parser.add_argument(
        "--corpus", default="ddtp", help="NAME of the folders NAME-en-fr and NAME-en-ko (ddtp)"
    )
    parser.add_argument("--run", type=Path, default=HERE / "run", help="folder to work in")
    parser.add_argument("--pairs", type=int, default=10_000, help="training pairs per language")
    parser.add_argument("--pieces", type=int, default=4000, help="SentencePiece pieces (4000)")
    parser.add_argument(
        "--train", default=TRAIN, help=f"options of `s2st train` for every system ({TRAIN})"
    )
    parser.add_argument("--beam", type=int, default=4, help="beam (4)")
    arguments = parser.parse_args()
    try:
        with hold_work_folder(arguments.run):
            Study(arguments).work()
    except S2STError as error:
        sys.exit(f"error: {error}")


class Study:
    """The commands of the example; each runs once. A finished step is a file or folder."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.options = arguments
        self.run: Path = arguments.run
        (self.run / "done").mkdir(exist_ok=True)

    def work(self) -> None:
        """Run the steps that are not done yet, and print the tables."""
        self._check_options()
        for target in TARGETS:
            self._write_texts(target)
        for target in TARGETS:
            self._model(f"alone-{target}", ["-s", "en", "-t", target, *self._texts([target])], [])
        pairs = self._texts(list(TARGETS), pair=True)
        self._model("shared", pairs, ["--decoders", "per-language"])
        self._model("tags", [*pairs, "--joined-dictionary"], [])
        for target in TARGETS:
            for kind in LABELS:
                self._translate(kind, target)
        text = "\n".join([*self._scores(), "", *render(self._views())]) + "\n"
        durable_files.replace_file(self.run / "results.md", text.encode())
        print(text, end="")

    def _check_options(self) -> None:
        """Refuse to resume with other options, which would mix two experiments."""
        values = {k: str(v) for k, v in vars(self.options).items() if k != "run"}
        path = self.run / "options.json"
        if path.exists() and json.loads(path.read_text("utf-8")) != values:
            sys.exit(f"error: {path}: this folder has other options; name another --run")
        durable_files.replace_file(path, json.dumps(values).encode())

    def _write_texts(self, target: str) -> None:
        """Write the first pairs of the corpus: training, then validation; its valid set is test."""
        folder = self.run / "text" / target
        folder.mkdir(parents=True, exist_ok=True)
        corpus, pairs = self.options.data / f"{self.options.corpus}-en-{target}", self.options.pairs
        parts = {
            "train": ("train", 0, pairs),
            "valid": ("train", pairs, pairs + VALID),
            "test": ("valid", 0, TEST),
        }
        for name, (split, first, last) in parts.items():
            for language in ("en", target):
                lines = read_lines(plain_or_gz(corpus, f"{split}.{language}"))
                text = "".join(f"{line}\n" for line in islice(lines, first, last))
                durable_files.replace_file(folder / f"{name}.{language}", text.encode())

    def _texts(self, targets: Sequence[str], pair: bool = False) -> list[str]:
        """Return the options of `preprocess` that name the texts."""
        words = []
        for target in targets:
            prefix, folder = f"en-{target}:" if pair else "", self.run / "text" / target
            words += ["--pair" if pair else "--trainpref", f"{prefix}{folder}/train"]
            words += ["--validpref", f"{prefix}{folder}/valid"]
        return words

    def _model(self, name: str, texts: Sequence[str], options: Sequence[str]) -> None:
        """Preprocess and train a model."""
        store, done = self.run / "stores" / name, self.run / "done" / name
        store.parent.mkdir(exist_ok=True)
        if not store.exists():
            pieces = self.options.pieces * (2 if name == "tags" else 1)
            tokenizer = ["--tokenizer", "sentencepiece", "--sentencepiece-vocab-size", pieces]
            self._s2st("preprocess", *texts, *tokenizer, "--destdir", store)
        if not done.exists():
            save, chosen = self.run / "models" / name, shlex.split(self.options.train)
            self._s2st("train", store, *chosen, *options, "--save-dir", save)
            done.touch()

    def _checkpoint(self, kind: str, target: str) -> Path:
        name = f"alone-{target}" if kind == "alone" else kind
        return self.run / "models" / name / "checkpoint_best"

    def _output(self, kind: str, target: str) -> Path:
        return self.run / "out" / f"{kind}.{target}"

    def _translate(self, kind: str, target: str) -> None:
        output = self._output(kind, target)
        output.parent.mkdir(exist_ok=True)
        if not output.exists():
            part = output.with_suffix(f".{target}.part")
            self._s2st(
                "generate", "--checkpoint", self._checkpoint(kind, target), "--target-lang",
                target, "--beam", self.options.beam, "-o", part,
                self.run / "text" / target / "test.en",
            )  # fmt: skip
            part.rename(output)

    def _scores(self) -> list[str]:
        """Return the table of BLEU and chrF with intervals, and p-values against "alone"."""
        lines = ["| target | system | BLEU | p | chrF | p |", "|---|---|---:|---:|---:|---:|"]
        for target, tokenizer in TARGETS.items():
            outputs = [self._output(kind, target) for kind in LABELS]
            reference = self.run / "text" / target / f"test.{target}"
            text = self._s2st("score", *outputs, "--ref", reference, "--tokenize", tokenizer,
                              "--format", "json")  # fmt: skip
            rows = [json.loads(line) for line in text.splitlines()]
            for kind, output in zip(LABELS, outputs, strict=True):
                cells = [target, LABELS[kind]]
                for metric in ("BLEU", "chrF2"):
                    (row,) = [r for r in rows if r.get("metric") == metric
                              and r["system"] == str(output)]  # fmt: skip
                    cells.append(f"{row['score']:.2f} ± {row['half_width']:.2f}")
                    cells.append("" if row["p_value"] is None else f"{row['p_value']:.3f}")
                lines.append(f"| {' | '.join(cells)} |")
        return lines

    def _views(self) -> list[Row]:
        """Compare what the decoders of both languages see of the same English sentences."""
        sentences = list(read_lines(self.run / "text" / "ko" / "test.en"))
        return [
            compare(
                LABELS[kind],
                [(self._checkpoint(kind, target), target) for target in TARGETS],
                sentences,
                self.run / f"views-{kind}",
            )
            for kind in LABELS
        ]

    def _s2st(self, *words: object) -> str:
        """Run a command; return its stdout."""
        command = [str(word) for word in words]
        say(f"$ s2st {shlex.join(command)}")
        started = time.perf_counter()
        whole = [sys.executable, "-m", "s2st_cli", *command]
        result = subprocess.run(whole, stdout=subprocess.PIPE, text=True)
        if result.returncode:
            sys.exit(result.returncode)
        say(f"  {time.perf_counter() - started:.0f} s")
        return result.stdout


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
