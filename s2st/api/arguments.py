"""Checks of what Python programs pass: lines of text, paths, and plugins."""

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from s2st.errors import DataError, UsageError
from s2st.options.option_fields import shown
from s2st.options.registry import load_plugin

if TYPE_CHECKING:
    import numpy.typing as npt

    from s2st.scoring.base import TextSide

    Sources = Iterable[str] | Iterable[npt.NDArray[Any]]

Path = str | os.PathLike[str]


def lines_of(lines: Iterable[str], name: str = "lines") -> list[str]:
    """Return lines as a list, without the line end that lines of an open file have.

    Args:
        lines: a list, an open file or another iterable of text.
        name: name of the argument, for messages.

    Raises:
        UsageError: `lines` is one text, or not text at all.
        DataError: a line contains a line break, or cannot be encoded as UTF-8.
    """
    if isinstance(lines, str | bytes | bytearray):
        kind = "one text" if isinstance(lines, str) else "bytes"
        raise UsageError(f"{name} must be a list of lines, not {kind}; for one line, give [line]")
    if not isinstance(lines, Iterable):
        raise UsageError(f"{name} must be a list of lines, not {shown(lines)}")
    return [_line(line, f"{name}, line {number}") for number, line in enumerate(lines, start=1)]


def sources_of(lines: "Sources", side: "TextSide", name: str = "lines") -> list[str]:
    """Return lines of text as `lines_of`, or arrays as lines of vectors.

    Args:
        lines: text; or for each line an array (L, D) of L vectors, such as an array (N, L, D).
        side: the source side of the model.
        name: name of the argument, for messages.

    Raises:
        UsageError: see `lines_of`; or an array has another shape, or the model reads text.
        DataError: see `lines_of`; or a number is not finite.
    """
    if isinstance(lines, str | bytes | bytearray) or not isinstance(lines, Iterable):
        return lines_of(lines, name)
    items: list[Any] = list(lines)
    if not items or not hasattr(items[0], "__array__"):
        return lines_of(items, name)
    if not side.absent and not side.tokenizer.vector_size:
        raise UsageError(f"{name}: the model reads text, not vectors; give lines of text")
    return [
        _vector_line(item, f"{name}, line {number}") for number, item in enumerate(items, start=1)
    ]


def _vector_line(item: object, where: str) -> str:
    import numpy as np

    from s2st.text.vector_lines import VectorLine

    if not hasattr(item, "__array__"):
        raise UsageError(f"{where}: an array (L, D) was expected as in line 1, not {shown(item)}")
    array = np.asarray(item)
    if array.ndim != 2 or array.dtype.kind not in "fiub" or not array.shape[1]:
        raise UsageError(
            f"{where}: an array (L, D) of L vectors of D numbers was expected, not one of shape "
            f"{array.shape} and type {array.dtype}"
        )
    with np.errstate(over="ignore"):
        values = np.array(array, dtype=np.float32)  # a copy: the caller may change the array
    if not np.isfinite(values).all():
        raise DataError(f"{where}: a number is not finite as float32")
    return VectorLine(values)


def _line(line: object, where: str) -> str:
    if not isinstance(line, str):
        raise UsageError(f"{where}: a line must be text (str), not {shown(line)}")
    text = str(line).removesuffix("\n")
    if text != line:
        text = text.removesuffix("\r")
    if "\n" in text:
        raise DataError(f"{where}: contains a line break; divide the text into lines")
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise DataError(f"{where}: contains a surrogate, which is not a character") from error
    return text


def path_of(path: Path, name: str) -> str:
    """Return a path as text; raise UsageError if it is none.

    Args:
        path: text or an object such as `pathlib.Path`.
        name: name of the argument, for messages.
    """
    if not isinstance(path, str | os.PathLike):
        raise UsageError(f"{name} must be a path, not {shown(path)}")
    text = os.fspath(path)
    if not isinstance(text, str) or not text or "\0" in text:
        raise UsageError(f"{name} must be a path of text, not {shown(text)}")
    return text


def paths_of(paths: Path | Sequence[Path], name: str) -> tuple[str, ...]:
    """Return one path or several as a tuple; raise UsageError for anything else."""
    if isinstance(paths, str | os.PathLike):
        return (path_of(paths, name),)
    if not isinstance(paths, Iterable):
        raise UsageError(f"{name} must be a path or a list of paths, not {shown(paths)}")
    found = tuple(path_of(path, f"{name}, item {i}") for i, path in enumerate(paths, start=1))
    if not found:
        raise UsageError(f"{name} must name at least one path")
    return found


def load_plugins(modules: Sequence[str]) -> None:
    """Import plugin modules, which register their components; raise UsageError.

    Args:
        modules: one name or several.
    """
    names = [modules] if isinstance(modules, str) else modules
    if not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
        raise UsageError(f"plugin must be a list of names of modules, not {shown(modules)}")
    for name in names:
        load_plugin(name)
