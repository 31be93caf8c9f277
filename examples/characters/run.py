"""Learn addition and dates character by character, and draw how the share of right answers grows.

    python examples/characters/run.py [--task addition|dates] [--comparison order|teacher-forcing]
        [--pairs N] [--epochs N] [--run DIR]

The comparisons: order (source forward, reversed, reversed with the context at every step, with
attention), and teacher-forcing (on, half, off). The script prints every command. Run it again to
resume it after a stop. It writes tables and figures to RUN.
"""

import argparse
import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))  # for the module of all examples

from one_command import s2st  # noqa: E402
from tasks import TASKS, draw_splits  # noqa: E402

from s2st import load  # noqa: E402
from s2st.analysis.figures import Series, draw_curves  # noqa: E402
from s2st.errors import S2STError  # noqa: E402
from s2st.process import durable_files  # noqa: E402
from s2st.text.line_files import read_lines  # noqa: E402
from s2st.training.save_folder_lock import hold_work_folder  # noqa: E402

REVERSED = "--arch lstm-reversed"
SAMPLING = f"{REVERSED} --criterion scheduled-sampling --teacher-forcing-updates 1"
COMPARISONS = {
    "order": {
        "forward": "--arch lstm-forward",
        "reversed": REVERSED,
        "reversed, context at every step": f"{REVERSED} --context every-step",
        "attention": "--arch lstm-attention",
    },
    "teacher-forcing": {
        "teacher forcing on": REVERSED,
        "teacher forcing half": f"{SAMPLING} --teacher-forcing 0.5",
        "teacher forcing off": f"{SAMPLING} --teacher-forcing 0",
    },
}
OPTIONS = (
    "--layers 1 --hidden-size 128 --embedding-size 32 --dropout 0 --batch-size 128 --lr 0.002 "
    "--lr-scheduler fixed --patience none --threads 1 --log-interval 1000000"
)
SEED = 2014


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--task", action="append", choices=TASKS, help="repeatable (all)")
    parser.add_argument("--comparison", action="append", choices=COMPARISONS, help="(all)")
    parser.add_argument("--pairs", type=int, default=20_000, help="training pairs")
    parser.add_argument("--epochs", type=int, default=20, help="training epochs")
    parser.add_argument("--run", type=Path, default=HERE / "run", help="folder to work in")
    options = parser.parse_args()
    try:
        with hold_work_folder(options.run):
            for task in options.task or TASKS:
                for comparison in options.comparison or COMPARISONS:
                    compare(options, task, comparison)
    except S2STError as error:
        sys.exit(str(error))


def compare(options: argparse.Namespace, task: str, comparison: str) -> None:
    """Train all models of a comparison; print its table, and write table and figure."""
    folder = options.run / f"{task}-{options.pairs}"
    write_texts(folder, task, options.pairs)
    prefixes = f"--trainpref {folder}/train --validpref {folder}/valid"
    if not (folder / "bin").exists():
        s2st(f"preprocess -s x -t y {prefixes} --tokenizer characters --destdir {folder}/bin")
    curves = {
        label: accuracies(folder, name_of(label), words, options.epochs)
        for label, words in COMPARISONS[comparison].items()
    }
    epochs = list(range(1, options.epochs + 1))
    rows = [f"| right answers, %: {task} | " + " | ".join(map(str, epochs)) + " |"]
    rows.append("|---" + "|---:" * len(epochs) + "|")
    for label, curve in curves.items():
        rows.append(f"| {label} | " + " | ".join(f"{value:.1f}" for value in curve) + " |")
    text = "\n".join(rows) + "\n"
    path = options.run / f"{task}-{comparison}"
    durable_files.replace_file(path.with_suffix(".md"), text.encode())
    draw_curves(
        path,
        [Series(label, epochs, curve) for label, curve in curves.items()],
        x_label="epoch", y_label="right answers on the test set, %", title=f"{task}: {comparison}",
        png=False,
    )  # fmt: skip
    print(text, flush=True)


def name_of(label: str) -> str:
    """Return the folder name of a model: one for both names of the reversed LSTM."""
    same = {"teacher forcing on": "reversed"}
    return same.get(label, label).replace(",", "").replace(" ", "-")


def write_texts(folder: Path, task: str, pairs: int) -> None:
    """Write the three splits, unless they exist."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, drawn in draw_splits(task, pairs, 1000, SEED).items():
        for suffix, side in zip("xy", zip(*drawn, strict=True), strict=True):
            path = folder / f"{split}.{suffix}"
            if not path.exists():
                durable_files.replace_file(path, "".join(f"{line}\n" for line in side).encode())


def accuracies(folder: Path, model: str, options: str, epochs: int) -> list[float]:
    """Train a model, and return the percentage of right answers after each epoch."""
    record, save = folder / f"{model}.{epochs}.json", folder / model
    if record.exists():
        return list(json.loads(record.read_text("utf-8")))
    s2st(
        f"train {folder}/bin {options} {OPTIONS} --max-epoch {epochs} --keep-last {epochs} "
        f"--save-dir {save}"
    )
    questions, references = (list(read_lines(str(folder / f"test.{x}"))) for x in "xy")
    found = []
    for checkpoint in sorted(save.glob("checkpoint_[0-9]*")):
        answers = load(checkpoint, threads=1).translate(questions, beam=1)
        right = sum(own == its for own, its in zip(answers, references, strict=True))
        found.append(100 * right / len(references))
    durable_files.replace_file(record, json.dumps(found).encode())
    return found


if __name__ == "__main__":
    main()
