"""Train models with attention on few pairs, with and without guided alignment.

    python examples/guided_alignment/run.py [--pairs N] [--epochs N] [--data DIR] [--run DIR]

The script prints every command. Run it again to resume it after a stop. It prints a table and
writes it to RUN/results.md.
"""

import argparse
import json
import sys
from itertools import islice
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))  # for the modules of all examples

from multi30k.corpus import CorpusError, find_text, plain_or_gz, put_lines  # noqa: E402
from one_command import s2st  # noqa: E402

from s2st.errors import S2STError  # noqa: E402
from s2st.process import durable_files  # noqa: E402
from s2st.text.line_files import read_lines  # noqa: E402
from s2st.training.save_folder_lock import hold_work_folder  # noqa: E402

ARCHITECTURES = {
    "GRU with attention": "--arch gru-attention --layers 1 --hidden-size 256 --embedding-size 128 "
    "--dropout 0.3 --lr 0.002",
    "Transformer": "--arch transformer --layers 3 --hidden-size 128 --heads 4 --dropout 0.2 "
    "--lr 0.003 --lr-scheduler inverse-sqrt --warmup-updates 300",
}
WEIGHTS = (None, 0.1, 1.0)  # of the alignment loss; None for cross entropy alone
SPLITS = {"train": "train", "valid": "val", "test": "test_2016_flickr"}
HEAD = "| model | alignment weight | valid perplexity | BLEU | BLEU, unknown words replaced |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=5000, help="training pairs")
    parser.add_argument("--epochs", type=int, default=12, help="training epochs")
    parser.add_argument("--data", type=Path, help="folder with Multi30k's tokenized text")
    parser.add_argument("--run", type=Path, default=HERE / "run", help="folder to work in")
    options = parser.parse_args()
    try:
        with hold_work_folder(options.run):
            work(options.run, options.data, options.pairs, options.epochs)
    except (S2STError, CorpusError) as error:
        sys.exit(str(error))


def work(run: Path, data: Path | None, pairs: int, epochs: int) -> None:
    """Write the texts, train, translate, and print the table."""
    names = [f"{split}.{language}" for split in SPLITS.values() for language in ("en", "fr")]
    found = find_text(data, names, run / "download")
    for split, name in SPLITS.items():
        for language in ("en", "fr"):
            lines = read_lines(str(plain_or_gz(found, f"{name}.{language}")))
            put_lines(run / f"{split}.{language}", list(islice(lines, pairs)))
    store, lexicon = run / "bin", run / "lexicon.tsv"
    if not store.exists():
        texts = f"--trainpref {run}/train --validpref {run}/valid"
        s2st(f"preprocess -s en -t fr {texts} --thresholdsrc 2 --thresholdtgt 2 --destdir {store}")
    if not lexicon.exists():
        s2st(f"train-lexicon {store} -o {lexicon}")
    lines = [HEAD, "|---|---:|---:|---:|---:|"]
    for label, words in ARCHITECTURES.items():
        lines += [row(run, label, words, weight, epochs) for weight in WEIGHTS]
    text = "\n".join(lines) + "\n"
    durable_files.replace_file(run / "results.md", text.encode())
    print(text, end="")


def row(run: Path, label: str, words: str, weight: float | None, epochs: int) -> str:
    """Train a model, translate the test set, and return the row of the table."""
    save = run / f"{words.split()[1]}-{weight or 0:g}"
    guide = ""
    if weight is not None:
        guide = "--criterion guided-alignment --alignment-lexicon "
        guide += f"{run}/lexicon.tsv --alignment-weight {weight:g}"
    end = f"--max-epoch {epochs} --threads 1 --save-dir {save}"
    s2st(f"train {run}/bin {words} {guide} {end}")  # a complete run ends at once
    scores = []
    replaced = f"--replace-unk --unk-dictionary {run}/lexicon.tsv"
    for name, more in (("plain", ""), ("replaced", replaced)):
        output = run / f"{save.name}.{name}.fr"
        if not output.exists():
            s2st(f"generate --checkpoint {save}/checkpoint_best {more} {run}/test.en -o {output}")
        score = s2st(f"score {output} --ref {run}/test.fr --tokenize none --format json")
        scores.append(json.loads(score or "")["BLEU"]["score"])
    best = min(perplexities(save / "metrics.jsonl"))
    shown = "none" if weight is None else f"{weight:g}"
    return f"| {label} | {shown} | {best:.2f} | {scores[0]:.2f} | {scores[1]:.2f} |"


def perplexities(metrics: Path) -> list[float]:
    """Return the validation perplexities of a run."""
    records = (json.loads(line) for line in read_lines(str(metrics)))
    return [record["perplexity"] for record in records if record["event"] == "validation"]


if __name__ == "__main__":
    main()
