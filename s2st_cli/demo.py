"""`s2st demo`: the whole job on a small corpus, by the commands a user types."""

import json
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from s2st.demo_corpus import Pair, read_corpus
from s2st.errors import S2STError, UsageError
from s2st.options.config import MOST_INTEGER
from s2st.process import durable_files
from s2st.training.observer import perplexity_text
from s2st_cli.click_options import Command, Number, NumberOption
from s2st_cli.terminal_output import narrate, show

MOST_PAIRS = 21_000  # what comes with s2st
DATA = "--trainpref data/train --validpref data/valid --testpref data/test"
SMALL = "--hidden-size 128 --embedding-size 128 --dropout 0.1 --lr 0.003"
NBEST = 50
MODELS = ("baseline", "forward", "reversed")
RESCORERS = ("forward", "reversed", "ensemble")


@dataclass(frozen=True)
class Row:
    """One line of the final table; None where a figure does not apply."""

    system: str
    bleu: float
    nats: float | None  # exp of which is the perplexity


@click.command(cls=Command)
@click.option("--dir", "folder", default="s2st-demo", show_default=True, help="folder to work in")
@click.option(
    "--train-size",
    cls=NumberOption,
    type=Number(int, 1, MOST_PAIRS),
    default=20000,
    help="training pairs",
)
@click.option(
    "--test-size",
    cls=NumberOption,
    type=Number(int, 1, MOST_PAIRS),
    default=500,
    help="test pairs, and as many validation pairs; all three sets have 21,000 pairs at most",
)
@click.option(
    "--max-epoch",
    cls=NumberOption,
    type=Number(int, 1, 1_000_000),
    default=8,
    help="epochs of the two LSTMs",
)
@click.option(
    "--seed",
    cls=NumberOption,
    type=Number(int, 0, MOST_INTEGER),
    default=1,
    help="seed of the models",
)
def command(folder: str, train_size: int, test_size: int, max_epoch: int, seed: int) -> None:
    """Run the whole job on a small English-French corpus that comes with s2st.

    preprocess, train, generate, score, rescore-nbest: every command is printed before it runs.
    Takes a few minutes on two CPU cores.
    """
    started = time.perf_counter()
    demo = _Demo(Path(folder))
    narrate(f"working in {folder}, where the commands below can be repeated; a few minutes in all")
    demo.write_corpus(train_size, test_size)
    demo.call(f"preprocess -s en -t fr {DATA} --destdir bin")
    train = f"train bin {SMALL} --seed {seed} --log-interval 200"
    weak = max(1, max_epoch // 2)  # the baseline: another cell, forward, half the epochs
    demo.call(f"{train} --arch gru --max-epoch {weak} --save-dir baseline")
    demo.call(f"{train} --arch lstm-forward --max-epoch {max_epoch} --save-dir forward")
    demo.call(f"{train} --arch lstm-reversed --max-epoch {max_epoch} --save-dir reversed")
    for name in MODELS:
        demo.call(f"generate {_models(name)} --beam 5 -o {name}.fr data/test.en")
    demo.call(f"generate {_models('ensemble')} --beam 5 -o ensemble.fr data/test.en")
    demo.call(
        f"generate {_models('baseline')} --beam {NBEST} --nbest {NBEST} --format moses "
        "-o baseline.nbest data/test.en"
    )
    for name in RESCORERS:
        demo.call(
            f"rescore-nbest baseline.nbest --source data/test.en {_models(name)} "
            f"-o rescored-{name}.fr"
        )
    demo.show_samples()
    rows = demo.table()
    _print_table(rows, train_size, time.perf_counter() - started)


def _models(name: str) -> str:
    members = ("forward", "reversed") if name == "ensemble" else (name,)
    return " ".join(f"--checkpoint {member}/checkpoint_best" for member in members)


class _Demo:
    """The working folder and the commands run in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write_corpus(self, train_size: int, test_size: int) -> None:
        """Writes data/{train,valid,test}.{en,fr}."""
        durable_files.refuse_existing(self.folder)
        try:
            corpus = read_corpus(train_size, test_size, test_size)
        except ValueError as error:
            raise UsageError(f"--train-size plus twice --test-size: {error}") from error
        durable_files.make_folder(self.folder / "data")
        for name, pairs in (
            ("train", corpus.train),
            ("valid", corpus.valid),
            ("test", corpus.test),
        ):
            self._write(name, pairs)
        narrate(f"wrote {train_size:,} training, {test_size:,} validation and test pairs, such as")
        for pair in corpus.train[:3]:
            narrate(f"    {pair.source}\n    {pair.target}")

    def _write(self, name: str, pairs: Sequence[Pair]) -> None:
        data = self.folder / "data"
        for suffix, lines in (
            ("en", [pair.source for pair in pairs]),
            ("fr", [pair.target for pair in pairs]),
        ):
            durable_files.write_file(data / f"{name}.{suffix}", ("\n".join(lines) + "\n").encode())

    def call(self, arguments: str) -> str:
        """Prints and runs one s2st command; its standard output. Raises S2STError if it fails."""
        narrate(f"\n$ s2st {arguments}")
        words = [sys.executable, "-m", "s2st_cli", *shlex.split(arguments)]
        with subprocess.Popen(
            words, cwd=self.folder, stdout=subprocess.PIPE, encoding="utf-8"
        ) as process:
            try:
                output, _ = process.communicate()
            except BaseException:  # a signal: the command ends in its own way, not by SIGKILL
                process.terminate()
                raise
        code = process.returncode
        if code != 0:
            raise S2STError(f"`s2st {arguments}` failed with exit code {code}")
        return output

    def show_samples(self) -> None:
        """A few test sentences with the systems' outputs."""
        names = ["data/test.en", "data/test.fr", "baseline.fr", "ensemble.fr"]
        columns = [(self.folder / name).read_text("utf-8").split("\n") for name in names]
        narrate("")
        for row in zip(*(column[:3] for column in columns), strict=True):
            for label, text in zip(
                ("source", "reference", "baseline", "ensemble"), row, strict=True
            ):
                narrate(f"  {label:<9} {text}")
            narrate("")

    def table(self) -> list[Row]:
        """BLEU of every output and perplexity of every model on the test set."""
        files = [f"{name}.fr" for name in (*MODELS, "ensemble")]
        files += [f"rescored-{name}.fr" for name in RESCORERS]
        bleu = {}
        for file in files:
            found = self.call(f"score {file} --ref data/test.fr --tokenize none --json")
            bleu[file] = json.loads(found)["tokenized BLEU"]["score"]
        rows = []
        for name in (*MODELS, "ensemble"):
            rows.append(Row(name, bleu[f"{name}.fr"], self._nats(name)))
        for name in RESCORERS:
            rows.append(Row(f"baseline, rescored by {name}", bleu[f"rescored-{name}.fr"], None))
        return rows

    def _nats(self, name: str) -> float:
        """-log p a token of the test set."""
        arguments = f"score {_models(name)} --source data/test.en --target data/test.fr --json"
        lines = self.call(arguments).splitlines()
        values: list[float] = [
            value for line in lines for value in json.loads(line)["token_log_probs"]
        ]
        return -sum(values) / len(values)


def _print_table(rows: Sequence[Row], train_size: int, seconds: float) -> None:
    width = max(len(row.system) for row in rows)
    show(f"{'system':<{width}}  {'BLEU':>6}  {'perplexity':>10}")
    for row in rows:
        perplexity = "" if row.nats is None else perplexity_text(row.nats)
        show(f"{row.system:<{width}}  {row.bleu:6.2f}  {perplexity:>10}")
    whole = int(seconds)
    show(
        "BLEU: multi-bleu.perl, tokens split at white space, cased; perplexity: per target token, "
        "the end of each sentence counted"
    )
    show(f"({train_size:,} training pairs, beam 5, {whole // 60} min {whole % 60:02} s in all)")
    show()
    show("The same with your own files:")
    show("  s2st preprocess -s en -t fr --trainpref T --validpref V --destdir bin")
    show("  s2st train bin --save-dir model")
    show("  s2st generate --checkpoint model/checkpoint_best < input.en > output.fr")
