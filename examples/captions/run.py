"""Describe small drawn pictures: the source is a sequence of vectors, the target is English.

    python examples/captions/run.py [--run DIR] [--scenes N] [--epochs N] [--model NAME ...]

The script draws the scenes, writes their patches as vectors, trains each model, and prints BLEU and
the share of captions that are right. It prints every command before it runs it.
"""

import argparse
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))  # for the module of all examples

import numpy as np  # noqa: E402
from one_command import s2st, say  # noqa: E402
from scenes import Pixels, make_scenes, patches  # noqa: E402

MODELS = {
    "lstm-forward": "--arch lstm-forward",
    "gru-attention": "--arch gru-attention",
    "transformer": "--arch transformer --heads 4",
}
TRAINING = (
    "--layers 1 --hidden-size 128 --dropout 0.1 --batch-size 32 --lr 0.002 --log-interval 1000000"
)
HELD_OUT = 300  # scenes of the validation and of the test split
SHOWN = 8  # pictures of the figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, default=HERE / "run", help="new folder to work in")
    parser.add_argument("--scenes", type=int, default=6000, help="training scenes")
    parser.add_argument("--epochs", type=int, default=12, help="training epochs")
    parser.add_argument("--model", action="append", choices=MODELS, help="repeatable (all)")
    options = parser.parse_args()
    if options.run.exists():
        sys.exit(f"{options.run} already exists: remove it, or name another folder with --run")
    folder = options.run
    folder.mkdir(parents=True)
    known = set(write_split(folder, "train", options.scenes, 1)[1])
    write_split(folder, "valid", HELD_OUT, 2)
    pictures, references = write_split(folder, "test", HELD_OUT, 3)
    splits = [f"--{name}pref {folder}/{name}" for name in ("train", "valid", "test")]
    vectors = [f"--source-vectors {folder}/{name}.npy" for name in ("train", "valid", "test")]
    s2st(f"preprocess -s image -t en {' '.join(splits + vectors)} --destdir {folder}/bin")
    rows = ["| model | BLEU | captions right, % | of new captions, % |", "|---|---|---|---|"]
    for name in options.model or MODELS:
        hypotheses = captions_of(folder, name, options.epochs)
        rows.append(
            f"| {name} | {' | '.join(scores(folder, name, hypotheses, references, known))} |"
        )
        draw(folder / f"{name}.png", pictures, references, hypotheses)
    print("\n".join(rows))


def write_split(folder: Path, name: str, count: int, seed: int) -> tuple[Pixels, list[str]]:
    """Draw the scenes of a split; write vectors (scenes, 36, 48) and captions."""
    pictures, captions = make_scenes(count, seed)
    np.save(folder / f"{name}.npy", np.stack([patches(picture) for picture in pictures]))
    (folder / f"{name}.en").write_text("".join(f"{line}\n" for line in captions), "utf-8")
    return pictures, captions


def captions_of(folder: Path, model: str, epochs: int) -> list[str]:
    """Train a model, and return its captions of the test pictures."""
    save = folder / model
    s2st(f"train {folder}/bin {MODELS[model]} {TRAINING} --max-epoch {epochs} --save-dir {save}")
    return s2st(
        f"generate --checkpoint {save}/checkpoint_best --source-vectors {folder}/test.npy"
    ).splitlines()


def scores(
    folder: Path, model: str, hypotheses: list[str], references: list[str], known: set[str]
) -> list[str]:
    """Return BLEU and the % of right captions: of all, and of those that training had not."""
    output = folder / f"{model}.en"
    output.write_text("".join(f"{line}\n" for line in hypotheses), "utf-8")
    report = s2st(f"score {output} --ref {folder}/test.en --tokenize none")
    bleu = report.split(" = ")[1].split()[0]
    pairs = list(zip(hypotheses, references, strict=True))
    new = [(mine, its) for mine, its in pairs if its not in known]
    shares = [
        f"{100 * sum(mine == its for mine, its in some) / len(some):.1f}" if some else "-"
        for some in (pairs, new)
    ]
    return [bleu, shares[0], f"{shares[1]} ({len(new)})"]


def draw(path: Path, pictures: Pixels, references: list[str], hypotheses: list[str]) -> None:
    """Draw some pictures with the model's captions, the wrong ones among them in red."""
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError:
        say("no pictures: pip install 's2st[analysis]'")
        return
    wrong = [
        i for i, pair in enumerate(zip(hypotheses, references, strict=True)) if pair[0] != pair[1]
    ]
    right = [i for i in range(len(references)) if i not in set(wrong)]
    chosen = [*wrong[: SHOWN // 4], *right][:SHOWN]
    with mpl.rc_context({"font.size": 8}):
        figure = Figure(figsize=(12, 8), layout="constrained")
        for axes, index in zip(figure.subplots(2, SHOWN // 2).flat, chosen, strict=False):
            axes.imshow(pictures[index], interpolation="nearest")
            axes.set_axis_off()
            text, color = hypotheses[index], "black"
            if index in wrong:
                text, color = f"{text}\n(right: {references[index]})", "#B00020"
            axes.set_title("\n".join(wrapped(text)), color=color)
        figure.savefig(path, dpi=130)
    say(f"drew {path}")


def wrapped(text: str, width: int = 40) -> list[str]:
    """Break a text into lines, at spaces and at the line breaks that it has."""
    lines: list[str] = []
    for line in text.split("\n"):
        lines.append("")
        for word in line.split():
            if len(lines[-1]) + len(word) >= width:
                lines.append("")
            lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


if __name__ == "__main__":
    main()
