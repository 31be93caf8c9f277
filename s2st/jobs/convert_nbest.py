"""The job of `s2st convert-nbest`: n-best lists of any known format to the format of Moses."""

import logging
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from s2st.errors import DataError
from s2st.jobs.scoring_job_files import refuse_shared_stdin
from s2st.options.option_fields import option
from s2st.options.resolution import CommandSpec, Resolved
from s2st.text.atomic_text_output import write_whole
from s2st.text.line_files import read_lines
from s2st.text.nbest_dialects import AUTO, NAMES
from s2st.text.nbest_lists import NBestEntry, NBestReader, format_entry, format_exactly
from s2st.text.overwrite_checks import check_destinations

log = logging.getLogger("s2st")


@dataclass(frozen=True)
class ConvertNBestConfig:
    """The input of `convert-nbest`."""

    nbest_format: str = option(
        AUTO, "format of the n-best lists; auto recognizes it", choices=(AUTO, *NAMES)
    )
    encoding_errors: str = option(
        "strict", "on invalid UTF-8: stop, or replace it with U+FFFD", choices=("strict", "replace")
    )


CONVERT_NBEST_SPEC = CommandSpec(fixed=(ConvertNBestConfig,))


def convert_nbest(options: Resolved, inputs: Sequence[str], output: str) -> None:
    """Write the lists of all inputs in the format of Moses, in rising order of their ids.

    Numbers are written with all their digits, so that the converted lists score as the original
    ones. Lists are streamed, unless a format is unsorted (fairseq): its lines then wait in a
    temporary file.

    Args:
        options: of CONVERT_NBEST_SPEC.
        inputs: paths of the lists, "-" for standard input.
        output: the file to write, "-" for standard output.

    Raises:
        UsageError: the output is an input.
        DataError: an input cannot be read, or an id occurs in two inputs.
    """
    config = options.config(ConvertNBestConfig)
    refuse_shared_stdin(*inputs)
    check_destinations([output], [], inputs)
    files = [_File(path, config) for path in inputs]
    for file in files:
        log.info("%s: format %s", file.shown, file.reader.dialect.name)
    unsorted = any(file.reader.dialect.unsorted for file in files)
    write_whole(output, _sorted(files) if unsorted else _streamed(files))
    if output != "-":
        log.info("wrote %s", output)


class _File:
    """An input: its name and its reader."""

    def __init__(self, path: str, config: ConvertNBestConfig) -> None:
        self.path = path
        self.shown = "standard input" if path == "-" else path
        lines = read_lines(path, config.encoding_errors)
        self.reader = NBestReader(lines, path, config.nbest_format)


def _streamed(files: Sequence[_File]) -> Iterator[str]:
    """Yield the lines of all lists, whose ids must rise over all files."""
    before: tuple[int, _File] | None = None
    count = 0
    for file in files:
        for entries in file.reader.lists():
            identifier = entries[0].id
            if before is not None and identifier <= before[0]:
                _refuse(entries[0], file, before[1], before[0])
            before = identifier, file
            count += 1
            yield _lines(entries)
    _check_any(count, files)


def _sorted(files: Sequence[_File]) -> Iterator[str]:
    """Yield the lines of all lists, sorted by id; equal ids of one file are joined."""
    places: dict[int, list[tuple[int, int]]] = {}  # positions and lengths in the temporary file
    owners: dict[int, _File] = {}
    with tempfile.TemporaryFile() as waiting:
        for file in files:
            for entries in file.reader.lists(in_order=False):
                identifier = entries[0].id
                owner = owners.setdefault(identifier, file)
                if owner is not file:
                    _refuse(entries[0], file, owner, identifier)
                text = _lines(entries).encode()
                places.setdefault(identifier, []).append((waiting.tell(), len(text)))
                waiting.write(text)
        _check_any(len(places), files)
        for identifier in sorted(places):
            for position, length in places[identifier]:
                waiting.seek(position)
                yield waiting.read(length).decode()


def _refuse(entry: NBestEntry, file: _File, other: _File, before: int) -> None:
    if entry.id == before:
        message = f"list {entry.id} is in {other.shown}, too; convert lists of two systems apart"
    else:
        message = f"id {entry.id} after id {before} of {other.shown}; give the files in order"
    raise DataError(message, file.path, entry.line)


def _check_any(count: int, files: Sequence[_File]) -> None:
    if not count:
        raise DataError("no lists", files[0].path)
    log.info("%s lists", f"{count:,}")


def _lines(entries: Sequence[NBestEntry]) -> str:
    return "".join(f"{format_entry(entry, format_exactly)}\n" for entry in entries)
