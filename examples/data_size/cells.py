"""The plan of the comparison by amount of data, and its cells: one model on one corpus."""

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from multi30k.corpus import plain_or_gz
from study.expand import option_words
from study.steps import CHILD, StudyError

from s2st.process import durable_files
from s2st.text.line_files import read_lines

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

STOPPED = 128 + 15  # exit code of a training that SIGTERM stopped
NOTE_SECONDS = 5.0  # how often the training time of a cell is noted


@dataclass(frozen=True)
class Corpus:
    """Training pairs from one or more folders.

    Attributes:
        folders: their names under the folder of the data.
        languages: source and target.
        pairs: training pairs, evenly from all of the folders' pairs.
        pieces: size of each side's SentencePiece vocabulary.
        bleu: sacreBLEU's tokenizer.
    """

    name: str
    label: str
    folders: tuple[str, ...]
    languages: tuple[str, str]
    pairs: int
    pieces: int
    bleu: str


@dataclass(frozen=True)
class Model:
    """One column of options. `options` are those of `s2st train`."""

    name: str
    label: str
    tokenizer: str
    options: dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """The whole comparison. `lenpen` are the length penalties of the translations."""

    beam: int
    lenpen: tuple[float, ...]
    train: dict[str, Any]
    corpora: tuple[Corpus, ...]
    models: tuple[Model, ...]


def read_plan(path: Path) -> Plan:
    """Read a plan; raise StudyError if it is incomplete."""
    try:
        content = tomllib.loads(path.read_text("utf-8"))
        corpora = [
            Corpus(name, **{**own, "folders": tuple(own["folders"])})
            for name, own in content.pop("corpora").items()
        ]
        models = [Model(name, **own) for name, own in content.pop("models").items()]
        content["lenpen"] = tuple(content["lenpen"])
        return Plan(corpora=tuple(corpora), models=tuple(models), **content)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise StudyError(f"{path}: not a plan: {error}") from error


def cpu_seconds(process: int) -> float:
    """Return the CPU time of a process, on which other work of the machine has no influence.

    Raises:
        StudyError: the system does not tell (it is not Linux).
    """
    try:
        text = Path(f"/proc/{process}/stat").read_text("utf-8", "replace")
    except OSError as error:
        raise StudyError(f"the CPU time of a training cannot be read: {error}") from error
    user, system = text.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


class Cells:
    """Computes cells in a folder. A finished cell is a file, so a stopped run goes on.

    Args:
        plan: the comparison.
        data: folder of the corpora.
        folder: folder to work in.
        budget: seconds of CPU time of training per model.
        threads: CPU threads of a command.
        say: called with each command.
    """

    def __init__(
        self, plan: Plan, data: Path, folder: Path, budget: float, threads: int,
        say: Callable[[str], None],
    ) -> None:  # fmt: skip
        self.plan = plan
        self.data = data
        self.folder = folder
        self.budget = budget
        self.threads = threads
        self.say = say
        (folder / "cells").mkdir(parents=True, exist_ok=True)

    def cell(self, corpus: Corpus, model: Model) -> dict[str, Any]:
        """Return what is known about a cell; empty if it was never begun."""
        path = self._path(corpus, model)
        try:
            content = json.loads(path.read_text("utf-8"))
        except FileNotFoundError:
            return {}
        if content["made_of"] != self._made_of(corpus, model):
            raise StudyError(f"{path}: made by another plan; use another --run")
        return dict(content)

    def finished(self, corpus: Corpus, model: Model) -> bool:
        """Whether the training has ended by itself, or has had the whole budget."""
        cell = self.cell(corpus, model)
        return "scores" in cell and (cell["ended"] or cell["seconds"] >= self.budget)

    def compute(self, corpus: Corpus, model: Model) -> None:
        """Train, translate and score; raise StudyError if a command fails."""
        if self.finished(corpus, model):
            return
        texts = self._texts(corpus)
        source, target = corpus.languages
        store = self._store(corpus, model, texts)
        content = self.cell(corpus, model) or {
            "made_of": self._made_of(corpus, model), "seconds": 0.0, "ended": False,
        }  # fmt: skip
        content.pop("scores", None)
        save = self.folder / "models" / f"{corpus.name}.{model.name}"
        command, options = ["train", store, "--save-dir", save], self.plan.train | model.options
        self._train([*command, *option_words(options)], content, self._path(corpus, model))
        if not content["ended"]:  # validate the last weights too; they may be the best
            self._run(*command, *option_words({**options, "max-epoch": 0}))
        scores = {}
        for lenpen in self.plan.lenpen:
            output = self.folder / "out" / f"{corpus.name}.{model.name}.{lenpen:g}.{target}"
            output.parent.mkdir(exist_ok=True)
            output.unlink(missing_ok=True)
            beam = ["--beam", self.plan.beam, "--lenpen", lenpen]
            best = ["--checkpoint", save / "checkpoint_best", *beam]
            self._run("generate", *best, "-o", output, texts / f"test.{source}")
            reference = [
                "--ref",
                texts / f"test.{target}",
                "--tokenize",
                corpus.bleu,
                "--format",
                "json",
            ]
            found = json.loads(self._run("score", output, *reference))
            scores[f"{lenpen:g}"] = {key: found[key]["score"] for key in ("BLEU", "chrF2")}
        self._write(self._path(corpus, model), {**content, "scores": scores})

    def _train(self, words: Sequence[object], content: dict[str, Any], note: Path) -> None:
        """Train until the end or until the budget is spent; note the seconds in `content`."""
        before, noted = content["seconds"], time.monotonic()
        process = self._start(words)
        stopped = False
        try:
            while process.poll() is None:
                content["seconds"] = round(before + cpu_seconds(process.pid), 1)
                if time.monotonic() > noted + NOTE_SECONDS:
                    noted = time.monotonic()
                    self._write(note, content)
                time.sleep(0.05)
                if content["seconds"] >= self.budget and not stopped:
                    process.terminate()
                    stopped = True
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
            self._write(note, content)
        if process.returncode not in (0, STOPPED) or (process.returncode and not stopped):
            raise StudyError(f"s2st {words[0]} failed; its last line says why")
        content["ended"] = process.returncode == 0

    def _texts(self, corpus: Corpus) -> Path:
        """Write the text of a corpus, and return its folder."""
        folder = self.folder / "text" / corpus.name
        folder.mkdir(parents=True, exist_ok=True)
        for language in corpus.languages:
            train = list(self._lines(corpus, "train", language))
            held_out = list(self._lines(corpus, "valid", language))
            if len(train) < corpus.pairs:
                raise StudyError(f"{corpus.name}: only {len(train)} pairs, not {corpus.pairs}")
            chosen = [train[i * len(train) // corpus.pairs] for i in range(corpus.pairs)]
            for name, lines in (
                ("train", chosen), ("valid", held_out[::2]), ("test", held_out[1::2]),
            ):  # fmt: skip
                path = folder / f"{name}.{language}"
                content = "".join(f"{line}\n" for line in lines).encode()
                if not path.exists() or path.read_bytes() != content:
                    durable_files.replace_file(path, content)
        return folder

    def _lines(self, corpus: Corpus, split: str, language: str) -> Iterator[str]:
        for name in corpus.folders:
            path = plain_or_gz(self.data / name, f"{split}.{language}")
            if not path.exists():
                raise StudyError(f"{path}: no such file; name the folder of the data with --data")
            yield from read_lines(str(path))

    def _store(self, corpus: Corpus, model: Model, texts: Path) -> Path:
        store = self.folder / "stores" / f"{corpus.name}.{model.tokenizer}"
        if not store.exists():
            store.parent.mkdir(exist_ok=True)
            languages = ["-s", corpus.languages[0], "-t", corpus.languages[1]]
            texts_of = ["--trainpref", texts / "train", "--validpref", texts / "valid"]
            own = ["--tokenizer", model.tokenizer]
            if model.tokenizer == "sentencepiece":
                own += ["--sentencepiece-vocab-size", str(corpus.pieces)]
            self._run("preprocess", *languages, *texts_of, *own, "--destdir", store)
        return store

    def _made_of(self, corpus: Corpus, model: Model) -> dict[str, Any]:
        """Return everything that a cell depends on except the budget, as JSON returns it."""
        plan = {"beam": self.plan.beam, "lenpen": self.plan.lenpen, "train": self.plan.train}
        values = {"corpus": asdict(corpus), "model": asdict(model), **plan}
        return dict(json.loads(json.dumps(values)))

    def _path(self, corpus: Corpus, model: Model) -> Path:
        return self.folder / "cells" / f"{corpus.name}.{model.name}.json"

    def _write(self, path: Path, content: Mapping[str, Any]) -> None:
        durable_files.replace_file(path, (json.dumps(content, indent=1) + "\n").encode())

    def _run(self, *words: object) -> str:
        process = self._start(words, subprocess.PIPE)
        try:
            output, _ = process.communicate()
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
        if process.returncode:
            raise StudyError(f"s2st {words[0]} failed; its last line says why")
        return str(output)

    def _start(self, words: Sequence[object], output: int | None = None) -> Any:
        command = [sys.executable, "-m", "s2st_cli", *map(str, words)]
        if sys.platform == "linux":
            command = [sys.executable, str(CHILD), str(os.getpid()), *command]
        self.say(f"$ s2st {shlex.join(map(str, words))}")
        environment = {**os.environ, "OMP_NUM_THREADS": str(self.threads)}
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, env=environment, text=True
        )
