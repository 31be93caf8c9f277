"""Reads the files of the systems to compare: `label=FILE` arguments, references and source."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from s2st.errors import DataError, UsageError
from s2st.jobs.scoring_job_files import refuse_shared_stdin

HYP_HELP = (
    "HYP is FILE or label=FILE (an existing file of that whole name takes precedence). The default "
    "label is the file's name without extensions. One file may be standard input (-)."
)


@dataclass(frozen=True)
class Texts:
    """Texts with the same number of lines, at least one.

    Attributes:
        systems: label and lines of each.
        references: the lines of each reference set.
        source: the source lines; None without a source file.
    """

    systems: tuple[tuple[str, list[str]], ...]
    references: tuple[list[str], ...]
    source: list[str] | None


def read_texts(hyps: Sequence[str], refs: Sequence[str], source: str | None) -> Texts:
    """Reads all files into memory.

    Args:
        hyps: FILE or label=FILE of each system.
        refs: path of each reference.
        source: path of the source lines, if any.

    Raises:
        UsageError: there is no reference, two systems have one label, or two inputs are
            standard input.
        InputMissingError: a file cannot be read.
        DataError: a file is not UTF-8 or empty, or numbers of lines differ.
    """
    if not refs:
        raise UsageError("give the reference: --ref FILE")
    named = [_label_and_path(hyp) for hyp in hyps]
    labels = [label for label, _ in named]
    for label in labels:
        if labels.count(label) > 1:
            raise UsageError(
                f"two systems have the label {label}: give each its own, as in label=FILE"
            )
    paths = [path for _, path in named] + list(refs) + ([] if source is None else [source])
    refuse_shared_stdin(*paths)
    texts = [_read(path) for path in paths]
    against, wanted = refs[0], len(texts[len(named)])
    for path, lines in zip(paths, texts, strict=True):
        if len(lines) != wanted:
            message = f"{len(lines)} lines, but {_shown(against)} has {wanted}"
            raise DataError(message, path, min(len(lines), wanted) + 1)
    end = len(named) + len(refs)
    return Texts(
        tuple(zip(labels, texts[: len(named)], strict=True)),
        tuple(texts[len(named) : end]),
        None if source is None else texts[end],
    )


def _label_and_path(hyp: str) -> tuple[str, str]:
    label, equals, path = hyp.partition("=")
    if not equals or os.path.exists(hyp):
        name = Path(hyp).name
        return "standard input" if hyp == "-" else name.split(".")[0] or name, hyp
    if not label or not label.isprintable() or not path:
        raise UsageError(f"{hyp!r}: give FILE or label=FILE")
    return label, path


def _read(path: str) -> list[str]:
    from s2st.text.line_files import read_lines

    lines = list(read_lines(path))
    if not lines:
        raise DataError("the file is empty", path)
    return lines


def _shown(path: str) -> str:
    return "standard input" if path == "-" else path
