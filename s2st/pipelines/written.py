"""What a stopped `s2st generate` wrote, so that the same command goes on after it.

Batches are made from whole chunks of the input, so the chunk in which a run stopped is made again;
what is there of it already has to be what is made now. A run that stopped between two chunks
makes again the one batch that holds the last line written.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from s2st.errors import DataError, InputMissingError
from s2st.pipelines.translate import Translation

log = logging.getLogger("s2st")


@dataclass(frozen=True)
class Written:
    """The whole records of an output file; record i answers input line i.

    Attributes:
        path: the file.
        count: of the records.
        size: bytes that they take from the start of the file.
        last: the last of them as they stand.
    """

    path: str
    count: int
    size: int
    last: tuple[bytes, ...]


def read_written(path: str, lists: bool, most: int) -> Written:
    """Looks through an output file; one that is not there holds nothing.

    Args:
        path: the file.
        lists: records are Moses lists, ids from 0; else lines. What follows the last newline is
            no record, nor is the last list, which may lack hypotheses.
        most: records that are kept.

    Raises:
        InputMissingError: it cannot be read.
        DataError: lists whose ids are not 0, 1, 2, ...
    """
    records: deque[bytes] = deque(maxlen=most)
    count = size = 0
    try:
        if Path(path).exists():
            for record in _lists(path) if lists else _lines(path):
                records.append(record)
                count += 1
                size += len(record)
    except OSError as error:
        raise InputMissingError(f"{path}: cannot be read: {error.strerror}") from error
    return Written(path, count, size, tuple(records))


def _lines(path: str) -> Iterator[bytes]:
    with open(path, "rb") as stream:
        for line in stream:
            if line.endswith(b"\n"):
                yield line


def _lists(path: str) -> Iterator[bytes]:
    lines: list[bytes] = []
    wanted = 0
    for number, line in enumerate(_lines(path), start=1):
        identifier = line.partition(b" ")[0]
        if lines and identifier == b"%d" % (wanted + 1):
            yield b"".join(lines)
            lines = []
            wanted += 1
        if identifier != b"%d" % wanted:
            raise DataError(f"not a list of this run: its id is not {wanted}", path, number)
        lines.append(line)


def go_on(
    translations: Iterator[Translation],
    written: Written,
    make_record: Callable[[Translation], str],
) -> Iterator[Translation]:
    """The translations that are still to be written, after a check of those made again.

    Args:
        translations: of `translate(..., start=written.count - 1)`.
        written: what is there.
        make_record: the lines of a translation, without the last newline.

    Raises:
        DataError: what is there is of another input or another run.
    """
    first_kept = written.count - len(written.last)
    seen = 0
    for translation in translations:
        if translation.line >= written.count:
            yield translation
            continue
        seen = translation.line + 1
        record = make_record(translation).encode() + b"\n"
        if record != written.last[translation.line - first_kept]:
            raise DataError(
                f"its answer to input line {seen} is not what this run gives (other models, "
                "options, threads or version of torch?); run without --resume, or name another "
                "--output-file",
                written.path,
            )
    if seen < written.count:
        message = f"{written.count} input lines are answered in it, but the input has fewer"
        raise DataError(message, written.path)
