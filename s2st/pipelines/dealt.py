"""One job over several processes: pieces are claimed, computed, kept in a folder, then merged.

The folder OUTPUT.parts/ holds the finished pieces and lives until the output is whole: a rank that
is started again, or the same command later, does only what is not there. A claim is a lock on one
byte of one file, which the kernel gives back however its process ends. Were two ranks to compute
one piece nevertheless, they would write the same bytes.
"""

import contextlib
import json
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from s2st import durable
from s2st.config import load_json
from s2st.errors import InputMissingError, OutputError, UsageError
from s2st.interrupt import held
from s2st.pipelines.journal import differences
from s2st.pipelines.pieces import A, Piece
from s2st.ranks import Ranks, process_group

log = logging.getLogger("s2st")
SUFFIX = ".parts"
JOB = "job.json"
CLAIMS = "claims"
OPENING = (1 << 62) - 1  # the byte of the claims file that is locked while the folder is opened
TELL_EVERY = 0.5  # seconds between two looks at what all ranks have finished


@dataclass(frozen=True)
class PieceName:
    """A piece within its job: a number that no other has, and how many lines it answers."""

    number: int
    lines: int

    @property
    def file(self) -> str:
        """Its file in the folder; the lines tell progress without opening it."""
        return f"{self.number}+{self.lines}"


class Parts:
    """The folder of one job, as one rank sees it.

    Args:
        output: the file that the job writes; the folder is OUTPUT.parts.
        identity: what the pieces depend on (models, options, inputs, number format, ...).
        tell: is told now and then how many lines all ranks together have answered; None: nobody
            asks.

    Attributes:
        job: the context in which the job is done; where that ends well, the ranks that have met
            wait for each other once more.

    Raises:
        UsageError: the folder that is there is of a job with another identity.
        OutputError: it cannot be written.
    """

    def __init__(
        self, output: Path, identity: Mapping[str, Any], tell: Callable[[int], None] | None = None
    ) -> None:
        self.path = output.with_name(output.name + SUFFIX)
        self.tell = tell
        self.job = contextlib.ExitStack()
        self._told = 0.0
        self._locks = True
        durable.make_folder(self.path)
        try:
            self._claims = os.open(self.path / CLAIMS, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise OutputError(f"{self.path}: cannot be written: {error.strerror}") from error
        self._lock(OPENING, wait=True)
        try:
            self._check(json.dumps(dict(identity), sort_keys=True).encode())
        finally:
            self._unlock(OPENING)

    def claim(self, piece: PieceName) -> bool:
        """Whether this rank is to compute a piece: it is neither finished nor another's."""
        path = self.path / piece.file
        mine = not path.exists() and self._lock(piece.number)
        if mine and path.exists():  # finished just before its lock was given back
            self._unlock(piece.number)
            mine = False
        self._tell()
        return mine

    def publish(self, piece: PieceName, data: bytes) -> None:
        """Keeps a claimed piece, whole or not at all; raises OutputError."""
        with held():
            durable.replace_file(self.path / piece.file, data)
        self._unlock(piece.number)
        self._tell()

    def read(self, piece: PieceName) -> bytes:
        """A finished piece; raises InputMissingError."""
        try:
            return (self.path / piece.file).read_bytes()
        except OSError as error:
            message = f"{self.path / piece.file}: cannot be read: {error.strerror}"
            raise InputMissingError(f"{message}; the same command makes it again") from error

    def meet(self, own: Ranks, seconds: float) -> None:
        """Waits until every rank has come here: then every piece is finished.

        They stay joined until the job is done, each waiting as long for what is left to rank 0.

        Raises:
            LostRankError: a rank ended, or needs more seconds for its last pieces.
        """
        import torch

        self.job.enter_context(process_group(own, torch.device("cpu"), seconds))
        self._tell(now=True)

    def close(self, remove: bool) -> None:
        """Gives the locks back and, where the output is whole, removes the folder."""
        os.close(self._claims)
        if remove:
            durable.retire_folder(self.path)

    def _check(self, job: bytes) -> None:
        path = self.path / JOB
        if not path.exists():
            durable.replace_file(path, job)
            return
        found = path.read_bytes()
        if found == job:
            return
        what = differences(found, job) or "nothing that is known"
        raise UsageError(
            f"{self.path}: left by a run that differs in {what}; remove it, or name another "
            "--output-file"
        )

    def _lock(self, byte: int, wait: bool = False) -> bool:
        """Locks a byte of the claims; False where another process has it."""
        try:
            import fcntl
        except ImportError:  # Windows: every rank computes what is not finished
            return True
        try:
            fcntl.lockf(self._claims, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB), 1, byte)
        except (BlockingIOError, PermissionError):
            return False
        except OSError as error:
            if self._locks:
                self._locks = False
                log.warning("%s: no locks here (%s): ranks repeat work", self.path, error.strerror)
        return True

    def _unlock(self, byte: int) -> None:
        with contextlib.suppress(ImportError, OSError):
            import fcntl

            fcntl.lockf(self._claims, fcntl.LOCK_UN, 1, byte)

    def _tell(self, now: bool = False) -> None:
        if self.tell is not None and (now or time.monotonic() - self._told > TELL_EVERY):
            names = (name.partition("+")[2] for name in os.listdir(self.path) if name[0] != ".")
            self.tell(sum(int(lines) for lines in names if lines))
            self._told = time.monotonic()


def deal(
    chunks: Iterable[Iterable[Piece[A]]],
    encode: Callable[[A], Any],
    parts: Parts,
    own: Ranks,
    seconds: float,
) -> Iterator[Any]:
    """Computes this rank's share; then rank 0 yields all answers, by line, the others none.

    Args:
        chunks: the pieces of all ranks, those of one chunk of lines together.
        encode: an answer as what JSON can hold; it is this that is yielded.
        parts: of the job.
        own: this rank.
        seconds: how long to wait for the others at the end.

    Raises:
        LostRankError: a rank ended, or needs more seconds for its last pieces.
    """
    planned: list[list[PieceName]] = []
    for pieces in chunks:
        names = []
        for piece in pieces:
            name = PieceName(min(piece.lines), len(piece.lines))
            if parts.claim(name):
                answers = [(answer.line, encode(answer)) for answer in piece.compute()]
                parts.publish(name, json.dumps(answers).encode())
            names.append(name)
        if own.first:
            planned.append(names)
    parts.meet(own, seconds)
    for names in planned:
        merged = [answer for name in names for answer in load_json(parts.read(name))]
        for _, value in sorted(merged, key=lambda answer: answer[0]):
            yield value
