"""Checks of what Python programs pass: lines of text, paths, and plugins."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
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
    if not _iterable(lines):
        raise UsageError(f"{name} must be a list of lines, not {shown(lines)}")
    if isinstance(lines, Mapping | Set):
        raise UsageError(f"{name} must be a list of lines, not a {type(lines).__name__}")
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
    if isinstance(lines, str | bytes | bytearray | Mapping | Set) or not _iterable(lines):
        return lines_of(lines, name)  # type: ignore[arg-type]  # raises
    items: list[Any] = list(lines)
    size = 0 if side.absent else side.tokenizer.vector_size
    # strings of NumPy are text and have __array__ too
    if not items or isinstance(items[0], str) or not hasattr(items[0], "__array__"):
        if items and size and not isinstance(items[0], str | bytes):
            raise UsageError(
                f"{name}, line 1: an array of NumPy (L, D) was expected, not {shown(items[0])}"
            )
        return lines_of(items, name)
    if not side.absent and not size:
        raise UsageError(f"{name}: the model reads text, not vectors; give lines of text")
    if getattr(lines, "ndim", 3) == 2:
        raise UsageError(f"{name} must be arrays (L, D), not one; for one line, give [array]")
    return [
        _vector_line(item, f"{name}, line {number}") for number, item in enumerate(items, start=1)
    ]


def _iterable(lines: object) -> bool:
    """Return whether lines can be iterated over; an array without dimensions only looks so."""
    try:
        iter(lines)  # type: ignore[call-overload]
    except TypeError:
        return False
    return True


def _vector_line(item: object, where: str) -> str:
    import numpy as np

    from s2st.text.vector_lines import VectorLine

    if not hasattr(item, "__array__"):
        raise UsageError(f"{where}: an array (L, D) was expected as in line 1, not {shown(item)}")
    try:
        array = np.asarray(item)
    except (TypeError, ValueError, RuntimeError) as error:  # a tensor of a GPU, or with gradients
        raise UsageError(f"{where}: cannot be read as an array of NumPy: {error}") from error
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


def phrase_lines(constraints: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield the phrases of each line, separated by tabs, as in a file of `--constraints`."""
    if isinstance(constraints, str) or not isinstance(constraints, Iterable):
        raise UsageError(
            f"constraints must be a list of phrases for each line, not {shown(constraints)}"
        )
    for number, phrases in enumerate(constraints, start=1):
        if isinstance(phrases, str) or not isinstance(phrases, Iterable):
            raise UsageError(
                f"constraints, line {number} must be a list of phrases, not {shown(phrases)}"
            )
        yield "\t".join(lines_of(phrases, f"constraints, line {number}"))
