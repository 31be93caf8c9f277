"""The job of `s2st demo`: train, translate and rescore on a small corpus.

It runs the program's own commands, as a user types them, each in a process of its own.
"""

import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from s2st.demo_corpus import Pair, read_corpus
from s2st.errors import S2STError, UsageError
from s2st.options.option_fields import MAX_INTEGER, load_json, option
from s2st.options.resolution import CommandSpec, Resolved
from s2st.process import durable_files, durable_folders
from s2st.training.observer import perplexity_text

MAX_PAIRS = 21_000  # size of the corpus that s2st ships
DATA = "--trainpref data/train --validpref data/valid --testpref data/test"
SMALL = "--hidden-size 128 --embedding-size 128 --dropout 0.1 --lr 0.003"
NBEST = 50
MODELS = ("baseline", "forward", "reversed")
RESCORERS = ("forward", "reversed", "ensemble")


@dataclass(frozen=True)
class DemoConfig:
    """Folder and sizes of a demo."""

    dir: str = option(
        "s2st-demo",
        "folder to create; it will hold all data, models and translations",
    )
    train_size: int = option(20_000, "training pairs", minimum=1, maximum=MAX_PAIRS)
    test_size: int = option(
        500,
        f"test pairs, and as many validation pairs; the three sets share {MAX_PAIRS:,} pairs",
        minimum=1,
        maximum=MAX_PAIRS,
    )
    max_epoch: int = option(
        8,
        "epochs of the two LSTMs; the baseline trains for half as many",
        minimum=1,
        maximum=1_000_000,
    )
    seed: int = option(1, "random seed of the models", minimum=0, maximum=MAX_INTEGER)
    only_data: bool = option(
        False, "only write the texts, data/{train,valid,test}.{en,fr} in the folder"
    )


DEMO_SPEC = CommandSpec(fixed=(DemoConfig,))


def run_demo(options: Resolved, narrate: Callable[[str], None]) -> Iterator[str]:
    """Run all commands of the demo in a new folder.

    Args:
        options: resolved options of DEMO_SPEC.
        narrate: receives each command before it runs, and samples of the data.

    Yields:
        The lines of the final table and of the advice under it.

    Raises:
        UsageError: more pairs than the corpus has.
        OutputError: the folder exists or cannot be written.
        S2STError: a command failed.
    """
    started = time.perf_counter()
    config = options.config(DemoConfig)
    folder = Path(config.dir)
    demo = _Demo(folder, narrate)
    if not config.only_data:
        narrate(
            f"working in {folder}; you can repeat the commands below there; takes a few minutes"
        )
    demo.write_corpus(config.train_size, config.test_size)
    if config.only_data:
        return
    demo.call(f"preprocess -s en -t fr {DATA} --destdir bin")
    demo.train(config)
    demo.translate()
    demo.show_samples()
    rows = demo.table()
    yield from _table(rows, config.train_size, time.perf_counter() - started)


@dataclass(frozen=True)
class _Row:
    """One line of the final table; `nats` is None for a system without a model of its own."""

    system: str
    bleu: float
    nats: float | None  # the perplexity is exp(nats)


def _models(name: str) -> str:
    members = ("forward", "reversed") if name == "ensemble" else (name,)
    return " ".join(f"--checkpoint {member}/checkpoint_best" for member in members)


class _Demo:
    """The working folder and the commands that run in it."""

    def __init__(self, folder: Path, narrate: Callable[[str], None]) -> None:
        self.folder = folder
        self.narrate = narrate

    def write_corpus(self, train_size: int, test_size: int) -> None:
        """Write data/{train,valid,test}.{en,fr}."""
        durable_folders.refuse_existing(self.folder)
        try:
            corpus = read_corpus(train_size, test_size, test_size)
        except ValueError as error:
            raise UsageError(f"--train-size plus twice --test-size: {error}") from error
        durable_folders.make_folder(self.folder / "data")
        for name, pairs in (
            ("train", corpus.train),
            ("valid", corpus.valid),
            ("test", corpus.test),
        ):
            self._write(name, pairs)
        self.narrate(
            f"wrote {train_size:,} training pairs and {test_size:,} validation and test pairs each:"
        )
        for pair in corpus.train[:3]:
            self.narrate(f"    {pair.source}\n    {pair.target}")

    def _write(self, name: str, pairs: Sequence[Pair]) -> None:
        data = self.folder / "data"
        for suffix, lines in (
            ("en", [pair.source for pair in pairs]),
            ("fr", [pair.target for pair in pairs]),
        ):
            durable_files.write_file(data / f"{name}.{suffix}", ("\n".join(lines) + "\n").encode())

    def call(self, arguments: str) -> str:
        """Narrate and run one s2st command; return its stdout. Raise S2STError if it fails."""
        self.narrate(f"\n$ s2st {arguments}")
        words = [sys.executable, "-m", "s2st_cli", *shlex.split(arguments)]
        with subprocess.Popen(
            words, cwd=self.folder, stdout=subprocess.PIPE, encoding="utf-8"
        ) as process:
            try:
                output, _ = process.communicate()
            except BaseException:  # on a signal the command stops in an orderly way, not by SIGKILL
                process.terminate()
                raise
        code = process.returncode
        if code != 0:
            raise S2STError(f"`s2st {arguments}` failed with exit code {code}")
        return output

    def train(self, config: DemoConfig) -> None:
        """Train a weak baseline (another cell, half the epochs) and two LSTMs."""
        train = f"train bin {SMALL} --seed {config.seed} --log-interval 200"
        weak = max(1, config.max_epoch // 2)
        self.call(f"{train} --arch gru --max-epoch {weak} --save-dir baseline")
        for name in ("forward", "reversed"):
            arch = f"--arch lstm-{name} --max-epoch {config.max_epoch}"
            self.call(f"{train} {arch} --save-dir {name}")

    def translate(self) -> None:
        """Translate the test set with every model, and rescore the baseline's n-best lists."""
        for name in (*MODELS, "ensemble"):
            self.call(f"generate {_models(name)} --beam 5 -o {name}.fr data/test.en")
        self.call(
            f"generate {_models('baseline')} --beam {NBEST} --nbest {NBEST} --format moses "
            "-o baseline.nbest data/test.en"
        )
        for name in RESCORERS:
            self.call(
                f"rescore-nbest baseline.nbest --source data/test.en {_models(name)} "
                f"-o rescored-{name}.fr"
            )

    def show_samples(self) -> None:
        """Narrate a few test sentences with the systems' translations."""
        names = ["data/test.en", "data/test.fr", "baseline.fr", "ensemble.fr"]
        columns = [(self.folder / name).read_text("utf-8").split("\n") for name in names]
        self.narrate("")
        for row in zip(*(column[:3] for column in columns), strict=True):
            for label, text in zip(
                ("source", "reference", "baseline", "ensemble"), row, strict=True
            ):
                self.narrate(f"  {label:<9} {text}")
            self.narrate("")

    def table(self) -> list[_Row]:
        """BLEU of every output and perplexity of every model on the test set."""
        files = [f"{name}.fr" for name in (*MODELS, "ensemble")]
        files += [f"rescored-{name}.fr" for name in RESCORERS]
        bleu = {}
        for file in files:
            found = self.call(f"score {file} --ref data/test.fr --tokenize none --format json")
            bleu[file] = load_json(found)["tokenized BLEU"]["score"]
        rows = []
        for name in (*MODELS, "ensemble"):
            rows.append(_Row(name, bleu[f"{name}.fr"], self._nats(name)))
        for name in RESCORERS:
            rows.append(_Row(f"baseline, rescored by {name}", bleu[f"rescored-{name}.fr"], None))
        return rows

    def _nats(self, name: str) -> float:
        """Mean of -log p over the tokens of the test set."""
        arguments = (
            f"score {_models(name)} --source data/test.en --target data/test.fr --format json"
        )
        lines = self.call(arguments).splitlines()
        values: list[float] = [
            value for line in lines for value in load_json(line)["token_log_probs"]
        ]
        return -sum(values) / len(values)


def _table(rows: Sequence[_Row], train_size: int, seconds: float) -> Iterator[str]:
    width = max(len(row.system) for row in rows)
    yield f"{'system':<{width}}  {'BLEU':>6}  {'perplexity':>10}"
    for row in rows:
        perplexity = "" if row.nats is None else perplexity_text(row.nats)
        yield f"{row.system:<{width}}  {row.bleu:6.2f}  {perplexity:>10}"
    whole = int(seconds)
    yield (
        "BLEU: multi-bleu.perl, tokens split at white space, cased; perplexity: per target token, "
        "the end of each sentence counted"
    )
    yield f"({train_size:,} training pairs, beam 5, {whole // 60} min {whole % 60:02} s in all)"
    yield ""
    yield "To do the same with your own files:"
    yield "  s2st preprocess -s en -t fr --trainpref T --validpref V --destdir bin"
    yield "  s2st train bin --save-dir model"
    yield "  s2st generate --checkpoint model/checkpoint_best < input.en > output.fr"
