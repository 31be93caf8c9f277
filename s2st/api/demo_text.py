"""The demo's corpus as files of text, for examples and first steps."""

import os
from pathlib import Path

from s2st.api.arguments import Path as AnyPath
from s2st.api.arguments import path_of
from s2st.demo_corpus import read_corpus
from s2st.errors import OutputError, UsageError, reason
from s2st.options.option_fields import shown
from s2st.process import durable_files

SIDES = (("en", "source"), ("fr", "target"))


def write_demo_corpus(
    folder: AnyPath, train_size: int = 20000, valid_size: int = 500, test_size: int = 500
) -> None:
    """Write English and French text that ships with s2st: `train.en`, `train.fr`, `valid.en`, ...

    The text is lower-case, one sentence per line, with tokens separated by spaces. Files that
    already have this content stay.

    Args:
        folder: where to write; made if it does not exist.
        train_size: number of sentence pairs for training.
        valid_size: number of sentence pairs for validation.
        test_size: number of sentence pairs for tests.

    Raises:
        UsageError: a wrong size; there are 21,000 pairs in all.
        OutputError: a file exists with other content, or cannot be written.
    """
    sizes = (train_size, valid_size, test_size)
    for name, size in zip(("train_size", "valid_size", "test_size"), sizes, strict=True):
        if not isinstance(size, int) or isinstance(size, bool) or size < 0:
            raise UsageError(f"{name} must be a whole number from 0, not {shown(size)}")
    try:
        corpus = read_corpus(*sizes)
    except ValueError as error:
        raise UsageError(str(error)) from error
    place = Path(path_of(folder, "folder"))
    try:
        os.makedirs(place, exist_ok=True)
        for split, pairs in (
            ("train", corpus.train),
            ("valid", corpus.valid),
            ("test", corpus.test),
        ):
            for suffix, side in SIDES:
                text = "".join(getattr(pair, side) + "\n" for pair in pairs).encode()
                path = place / f"{split}.{suffix}"
                if path.exists():
                    if path.read_bytes() != text:
                        raise OutputError(f"{path}: exists with other content; use another folder")
                else:
                    durable_files.write_file(path, text)
    except OSError as error:
        raise OutputError(f"{place}: cannot be written: {reason(error)}") from error
