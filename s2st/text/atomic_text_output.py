"""Atomic writing of text outputs (weights, ARPA models, reports), compressed if named .gz."""

import sys
import zlib
from collections.abc import Iterable
from pathlib import Path

from s2st.errors import OutputError, reason
from s2st.process import durable_files
from s2st.process.stop_signals import held

GZIP = 31  # zlib's window bits for a gzip header, which then holds no time and no name


def write_whole(path: str | Path, pieces: Iterable[str | bytes]) -> None:
    """Write an output atomically; an old file stays until the new one is complete.

    Args:
        path: the file, compressed if its name ends in .gz; "-" is standard output. A link is
            followed; a device or pipe is written to in place.
        pieces: the content in pieces; text is encoded as UTF-8.

    Raises:
        OutputError: the output cannot be written. A closed pipe raises BrokenPipeError.
    """
    encoded = (piece.encode() if isinstance(piece, str) else piece for piece in pieces)
    if str(path) == "-":
        _write_stdout(encoded)
        return
    packer = zlib.compressobj(6, zlib.DEFLATED, GZIP) if str(path).endswith(".gz") else None
    with durable_files.replacing(Path(path)) as writer:
        for data in encoded:
            writer.write(packer.compress(data) if packer else data)
        if packer:
            writer.write(packer.flush())


def _write_stdout(pieces: Iterable[bytes]) -> None:
    try:
        for data in pieces:
            with held():
                sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"standard output: cannot be written: {reason(error)}") from error
