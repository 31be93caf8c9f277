"""Scores of n-best lists as they are made, in a file beside the output: a stopped run goes on.

The first line says what the scores depend on; then one JSON line a list, in the order of the
lists. Lists that were scored together are written together, the last one marked as the end, since
scoring has to go on after whole groups to give the same bytes. A torn tail is cut off.
"""

import contextlib
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from io import BufferedRandom
from pathlib import Path
from typing import Any

import numpy as np

from s2st import durable
from s2st.config import load_json
from s2st.errors import DataError, OutputError, UsageError
from s2st.interrupt import held
from s2st.pipelines.scored import ScoredList
from s2st.text.nbest import NBestEntry

log = logging.getLogger("s2st")
SUFFIX = ".scores"


class Journal:
    """The journal of one run.

    Args:
        output: the file that the run writes; the journal is OUTPUT.scores.
        identity: what the scores depend on (models, number format, threads, ...).
        resume: go on with a journal that is there; else it is replaced.
        keep_tokens: keep every word's score, not the sums alone.

    Raises:
        UsageError: the journal that is there is of a run with another identity.
        OutputError: it cannot be written.
    """

    def __init__(
        self, output: Path, identity: Mapping[str, Any], resume: bool, keep_tokens: bool
    ) -> None:
        self.path = output.with_name(output.name + SUFFIX)
        self.keep_tokens = keep_tokens
        self.taken = 0
        header = _header(identity)
        try:
            there = self.path.exists()
            self._stream: BufferedRandom = open(self.path, "r+b" if there else "w+b")  # noqa: SIM115
            found = self._stream.readline() if there else b""
            if resume and found.endswith(b"\n"):
                self._check_header(found, header)
                self._end = self._whole()
            else:
                if resume:
                    log.info("%s: nothing to go on from, starting at the beginning", self.path)
                elif found:
                    log.warning("%s: a stopped run left it; --resume would go on", self.path)
                self._stream.seek(0)
                self._stream.truncate()
                self._stream.write(header)
                self._end = len(header)
            self._stream.truncate(self._end)
            self._stream.seek(len(header))
        except OSError as error:
            raise OutputError(f"{self.path}: cannot be written: {error.strerror}") from error

    def take(self, entries: Sequence[NBestEntry], source: str) -> ScoredList | None:
        """The scores of the next list, where an earlier run made them.

        Raises:
            DataError: they are of another list or source line.
        """
        if self._stream.tell() >= self._end:
            return None
        record = load_json(self._stream.readline())
        if record["text"] != _digest(entries, source):
            raise DataError(
                f"its list {self.taken + 1} is of other text than list {entries[0].id} of the "
                f"input; remove it, or run without --resume",
                str(self.path),
                self.taken + 2,
            )
        self.taken += 1
        try:
            tokens = tuple(
                tuple(np.array(row, dtype=np.float32) for row in m) for m in record["tokens"]
            )
            scores = np.array(record["scores"], dtype=np.float64)
            if scores.ndim != 2 or len(scores) != len(entries) or not scores.size:
                raise ValueError("not a row of scores for each hypothesis")
        except (TypeError, ValueError) as error:
            message = "damaged; remove it, or run without --resume"
            raise DataError(message, str(self.path), self.taken + 1) from error
        return ScoredList(tuple(entries), scores, tokens, 0, 0)

    def add(self, group: Sequence[ScoredList], sources: Sequence[str]) -> None:
        """Notes lists that were scored together; raises OutputError."""
        lines = journal_lines(group, sources, self.keep_tokens)
        try:
            with held():
                self._stream.write(lines)
                self._stream.flush()
                self._end = self._stream.tell()
        except OSError as error:
            raise OutputError(f"{self.path}: cannot be written: {error.strerror}") from error

    def close(self, finished: bool) -> None:
        """Ends it; a finished run needs it no more."""
        with contextlib.suppress(OSError):  # of a full disk: `add` said so already
            self._stream.close()
        if finished:
            self.path.unlink(missing_ok=True)

    def _check_header(self, found: bytes, header: bytes) -> None:
        if found == header:
            return
        what = differences(found, header) or "its first line is damaged"
        raise UsageError(
            f"{self.path}: made by a run that differs in {what}; remove it, or run without --resume"
        )

    def _whole(self) -> int:
        """Where the last whole group ends."""
        end = position = self._stream.tell()
        for line in self._stream:
            position += len(line)
            try:
                record = load_json(line)
                if not line.endswith(b"\n") or not {"text", "scores", "tokens"} <= record.keys():
                    break
                if record["end"]:
                    end = position
            except (ValueError, AttributeError, KeyError):
                break
        return end


def journal_lines(group: Sequence[ScoredList], sources: Sequence[str], keep_tokens: bool) -> bytes:
    """The lines of lists that were scored together, or of several such groups."""
    lines = []
    for index, item in enumerate(group):
        tokens = item.token_scores if keep_tokens else ()
        record = {
            "text": _digest(item.entries, sources[item.id]),
            "scores": item.model_scores.tolist(),
            "tokens": [[row.tolist() for row in model] for model in tokens],
            "end": index == len(group) - 1,
        }
        lines.append(json.dumps(record).encode() + b"\n")
    return b"".join(lines)


def write_journal(output: Path, identity: Mapping[str, Any], pieces: Iterable[bytes]) -> None:
    """Makes the journal of a run anew from lines that others computed; raises OutputError."""
    with durable.Writer(output.with_name(output.name + SUFFIX)) as writer:
        writer.write(_header(identity))
        for lines in pieces:
            writer.write(lines)


def differences(found: bytes, wanted: bytes) -> str:
    """The names of what differs between two identities as JSON; empty where one is damaged."""
    try:
        before, now = load_json(found), load_json(wanted)
        return ", ".join(sorted(name for name in now if before.get(name) != now[name]))
    except (ValueError, AttributeError):
        return ""


def _header(identity: Mapping[str, Any]) -> bytes:
    return json.dumps(dict(identity), sort_keys=True).encode() + b"\n"


def _digest(entries: Sequence[NBestEntry], source: str) -> str:
    digest = blake2b(source.encode(), digest_size=8)
    for entry in entries:
        digest.update(b"\n" + entry.hypothesis.encode())
    return digest.hexdigest()
