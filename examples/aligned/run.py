"""Compare the aligned RNN with an LSTM encoder-decoder of the same size on artificial languages.

    python examples/aligned/run.py [--run DIR] [--pairs N] [--epochs N] [--task NAME ...]

There are three languages of 8 words. The script prints every command before it runs it.
"""

import argparse
import random
import sys
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))  # for the module of all examples

from one_command import s2st  # noqa: E402

WORDS = list("abcdefgh")
FIRST = dict(zip(WORDS, "ABCDEFGH", strict=True))
SECOND = dict(zip(WORDS, "HGFEDCBA", strict=True))
SIZES = "--layers 1 --hidden-size 64 --embedding-size 32 --dropout 0"
TRAINING = "--batch-size 32 --lr 0.01 --log-interval 1000000"
MODELS = {"aligned-rnn": "--arch aligned-rnn --cell lstm", "lstm-reversed": "--arch lstm-reversed"}
SPLITS = ("train", "valid", "test")


def cipher(words: list[str]) -> list[str]:
    """Translate word by word; each `a` switches the table, so only the past matters."""
    made, tables = [], (FIRST, SECOND)
    for word in words:
        if word == "a":
            tables = tables[::-1]
        made.append(tables[0][word])
    return made


def backwards(words: list[str]) -> list[str]:
    """Translate each word, and reverse the order."""
    return [FIRST[word] for word in reversed(words)]


def dropping(words: list[str]) -> list[str]:
    """Translate each word, and drop every `h` but a leading one: targets can be shorter."""
    return [FIRST[word] for place, word in enumerate(words) if word != "h" or not place]


Task = Callable[[list[str]], list[str]]
TASKS: dict[str, Task] = {"cipher": cipher, "backwards": backwards, "dropping": dropping}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, default=HERE / "run", help="new folder to work in")
    parser.add_argument("--pairs", type=int, default=3000, help="training pairs")
    parser.add_argument("--epochs", type=int, default=5, help="training epochs")
    parser.add_argument(
        "--task", action="append", choices=TASKS, help="language to run; repeatable (all)"
    )
    options = parser.parse_args()
    if options.run.exists():
        sys.exit(f"{options.run} already exists: remove it, or name another folder with --run")
    rows = [
        "| " + " | ".join(["words right, %", *MODELS]) + " |",
        "|---" * (len(MODELS) + 1) + "|",
    ]
    for name in options.task or TASKS:
        folder = options.run / name
        references = write_texts(folder, TASKS[name], options.pairs)
        prefixes = f"--trainpref {folder}/train --validpref {folder}/valid"
        s2st(f"preprocess -s x -t y {prefixes} --destdir {folder}/bin")
        cells = [
            words_right(folder, model, options.epochs, references, may_fail=name == "dropping")
            for model in MODELS
        ]
        rows.append(f"| {name} | " + " | ".join(cells) + " |")
    print("\n".join(rows))


def write_texts(folder: Path, task: Task, pairs: int) -> list[list[str]]:
    """Write three splits of random sentences of 2 to 6 words; return the test targets."""
    folder.mkdir(parents=True)
    draw = random.Random(1)
    references: list[list[str]] = []
    for split in SPLITS:
        sources = [
            draw.choices(WORDS, k=draw.randint(2, 6))
            for _ in range(pairs if split == "train" else 300)
        ]
        references = [task(words) for words in sources]
        for suffix, side in (("x", sources), ("y", references)):
            lines = "".join(" ".join(words) + "\n" for words in side)
            (folder / f"{split}.{suffix}").write_text(lines, "utf-8")
    return references


def words_right(
    folder: Path, model: str, epochs: int, references: list[list[str]], may_fail: bool
) -> str:
    """Train, translate the test sources, and return the % of words right in their place."""
    save = folder / model
    trained = s2st(
        f"train {folder}/bin {MODELS[model]} {SIZES} {TRAINING} --max-epoch {epochs} "
        f"--save-dir {save}",
        may_fail,
    )
    if trained is None:
        return "refused"
    made = s2st(f"generate --beam 1 --checkpoint {save}/checkpoint_best {folder}/test.x")
    assert made is not None
    hypotheses = [line.split() for line in made.splitlines()]
    right = sum(
        mine == its
        for hypothesis, reference in zip(hypotheses, references, strict=True)
        for mine, its in zip(hypothesis, reference, strict=False)
    )
    return f"{100 * right / sum(map(len, references)):.1f}"


if __name__ == "__main__":
    main()
