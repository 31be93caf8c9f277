"""Shared fixtures of the command line's tests: a way to run it, and tiny trained models."""

import contextlib
import io
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from made_once import made_once

from s2st.demo_corpus import Pair, read_corpus

TINY = [
    "--layers", "1", "--hidden-size", "16", "--embedding-size", "16", "--dropout", "0",
    "--max-epoch", "2", "--batch-size", "32", "--lr", "0.05", "--threads", "1",
]  # fmt: skip
# what in-process runs must not inherit or leave behind
STATELESS_LOGGER = "s2st"


@dataclass(frozen=True)
class Outcome:
    """What one run left: exit code, bytes on stdout, text on stderr."""

    code: int
    data: bytes
    err: str

    @property
    def out(self) -> str:
        return self.data.decode()

    @property
    def lines(self) -> list[str]:
        return self.out.split("\n")[:-1]

    def check_error(self, code: int, *parts: str) -> None:
        """Exactly one error line, no traceback, nothing on stdout."""
        assert self.code == code, self.err
        assert "Traceback" not in self.err
        assert "internal error" not in self.err
        errors = [line for line in self.err.splitlines() if line.startswith("s2st: error:")]
        assert len(errors) == 1, self.err
        assert self.err.splitlines()[-1] == errors[0]
        for part in parts:
            assert part in errors[0]
        assert self.data == b""


def run_in_process(*arguments: object, stdin: bytes = b"") -> Outcome:
    from s2st_cli.main import run

    stdout = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="")
    stderr = io.StringIO()
    streams = sys.stdin
    sys.stdin = io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8")
    try:
        with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
            code = run([str(argument) for argument in arguments])
    finally:
        sys.stdin = streams
    stdout.flush()
    return Outcome(code, stdout.buffer.getvalue(), stderr.getvalue())


def run_shell(script: str, *arguments: object, timeout: float = 120) -> Outcome:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    path = os.path.dirname(sys.executable)
    environment["PATH"] = path + os.pathsep + environment.get("PATH", "")
    done = subprocess.run(
        ["bash", "-c", script, "bash", *map(str, arguments)],
        capture_output=True, timeout=timeout, env=environment, check=False,
    )  # fmt: skip
    return Outcome(done.returncode, done.stdout, done.stderr.decode())


@pytest.fixture(scope="session")
def s2st() -> Callable[..., Outcome]:
    """Runs `s2st ARGUMENTS` in this process; `stdin` is bytes."""
    return run_in_process


@pytest.fixture(scope="session")
def shell() -> Callable[..., Outcome]:
    """Runs a bash script with arguments $1, $2, ... and s2st on the path."""
    return run_shell


@pytest.fixture(autouse=True, scope="session")
def _logger_as_it_was() -> Iterator[None]:
    """Puts the logger back, so that other tests hear it."""
    logger = logging.getLogger(STATELESS_LOGGER)
    before = logger.propagate, logger.handlers[:], logger.level
    yield
    logger.propagate, logger.handlers[:] = before[0], before[1]
    logger.setLevel(before[2])


@dataclass(frozen=True)
class World:
    """Texts, stores and checkpoints. `forward`, `reversed` and `gru` share a store."""

    folder: Path
    prefix: Path
    source: Path
    target: Path
    store: Path
    save_dir: Path
    forward: Path
    reversed: Path
    gru: Path
    other: Path


def write_texts(prefix: Path, pairs: Sequence[Pair]) -> None:
    for language, side in (("en", "source"), ("fr", "target")):
        text = "".join(getattr(pair, side) + "\n" for pair in pairs)
        Path(f"{prefix}.{language}").write_text(text, encoding="utf-8")


def must(outcome: Outcome) -> None:
    assert outcome.code == 0, outcome.err


def preprocess(train: Path, valid: Path, store: Path) -> None:
    must(
        run_in_process(
            "preprocess", "-s", "en", "-t", "fr", "--trainpref", train, "--validpref", valid,
            "--destdir", store, "--nwordssrc", 150, "--nwordstgt", 150,
        )
    )  # fmt: skip


@pytest.fixture(scope="session")
def tiny() -> list[str]:
    """Options of `s2st train` that make a model in a second."""
    return TINY


MODELS = (
    ("forward", "store", ["-a", "lstm", "--seed", "2"]),
    ("reversed", "store", ["-a", "lstm-reversed"]),
    ("gru", "store", ["-a", "gru"]),
    ("other", "other-store", ["-a", "lstm"]),
)


def make_world(folder: Path) -> None:
    """Writes two hundred pairs and trains four models for two epochs."""
    corpus = read_corpus(300, 20, 12)
    write_texts(folder / "train", corpus.train[:200])
    write_texts(folder / "valid", corpus.valid)
    write_texts(folder / "test", corpus.test)
    write_texts(folder / "other", corpus.train[200:])
    preprocess(folder / "train", folder / "valid", folder / "store")
    preprocess(folder / "other", folder / "valid", folder / "other-store")
    for name, store, options in MODELS:
        save = folder / name
        must(run_in_process("train", folder / store, *TINY, *options, "--save-dir", save))


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Two hundred pairs and four models, which all workers share: tests only read them."""
    folder = made_once(tmp_path_factory, "world", make_world)
    best = {name: folder / name / "checkpoint_best" for name, _, _ in MODELS}
    return World(
        folder, folder / "test", folder / "test.en", folder / "test.fr", folder / "store",
        folder / "forward", **best,
    )  # fmt: skip


@pytest.fixture(scope="session")
def attending(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The save folder of a model with attention, which all workers share: tests only read it."""

    def make(folder: Path) -> None:
        words = ("train", world.store, *TINY, "-a", "gru-attention", "--save-dir", folder / "run")
        outcome = run_in_process(*words)
        assert outcome.code == 0, outcome.err

    return made_once(tmp_path_factory, "attending", make) / "run"
