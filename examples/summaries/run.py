"""Learn headlines of match reports, and compare ROUGE with that of the first sentence.

    python examples/summaries/run.py [--pairs N] [--epochs N] [--run DIR]

The script prints every command. Run it again to resume it after a stop. It prints a table and
writes it to RUN/results.md. It needs s2st[rouge].
"""

import argparse
import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))  # for the module of all examples

from multi30k.corpus import put_lines  # noqa: E402
from one_command import s2st  # noqa: E402
from reports import draw_splits  # noqa: E402

from s2st.errors import S2STError  # noqa: E402
from s2st.process import durable_files  # noqa: E402
from s2st.text.line_files import read_lines  # noqa: E402
from s2st.training.save_folder_lock import hold_work_folder  # noqa: E402

MODELS = {
    "reversed LSTM": "--arch lstm-reversed",
    "LSTM with attention": "--arch lstm-attention",
}
OPTIONS = "--layers 1 --hidden-size 128 --embedding-size 64 --dropout 0.1 --lr 0.002 --threads 1"
KINDS = ("ROUGE-1", "ROUGE-2", "ROUGE-L")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=5000, help="training pairs")
    parser.add_argument("--epochs", type=int, default=10, help="training epochs")
    parser.add_argument("--run", type=Path, default=HERE / "run", help="folder to work in")
    options = parser.parse_args()
    try:
        with hold_work_folder(options.run):
            work(options.run, options.pairs, options.epochs)
    except S2STError as error:
        sys.exit(str(error))


def work(run: Path, pairs: int, epochs: int) -> None:
    """Write the texts, train, summarize, and print the table."""
    for split, drawn in draw_splits(pairs, 500, 2014).items():
        for suffix, side in zip(("text", "headline"), zip(*drawn, strict=True), strict=True):
            put_lines(run / f"{split}.{suffix}", side)
    first = [line.partition(" . ")[0] + " ." for line in read_lines(str(run / "test.text"))]
    put_lines(run / "first.headline", first)
    if not (run / "bin").exists():
        texts = f"--trainpref {run}/train --validpref {run}/valid"
        s2st(f"preprocess -s text -t headline {texts} --destdir {run}/bin")
    lines = ["| summary | " + " | ".join(KINDS) + " |", "|---|---:|---:|---:|"]
    lines.append(row("the first sentence", run / "first.headline", run))
    for label, words in MODELS.items():
        save, output = (run / f"{words.split()[-1]}{end}" for end in ("", ".headline"))
        if not output.exists():
            s2st(f"train {run}/bin {words} {OPTIONS} --max-epoch {epochs} --save-dir {save}")
            s2st(f"generate --checkpoint {save}/checkpoint_best {run}/test.text -o {output}")
        lines.append(row(label, output, run))
    text = "\n".join(lines) + "\n"
    durable_files.replace_file(run / "results.md", text.encode())
    print(text, end="")


def row(label: str, summaries: Path, run: Path) -> str:
    """Return a row of the table."""
    words = f"score {summaries} --ref {run}/test.headline --tokenize none --rouge --format json"
    found = json.loads(s2st(words))
    return f"| {label} | " + " | ".join(f"{found[kind]['score']:.2f}" for kind in KINDS) + " |"


if __name__ == "__main__":
    main()
