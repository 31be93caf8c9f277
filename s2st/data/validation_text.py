"""The text of a store's validation splits, which metrics of translations need."""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from s2st.process import durable_files
from s2st.text.tokenizers import ABSENT

VALIDATION = "valid"  # start of the names of splits whose text a store keeps
_LINES = 1000  # per write


def text_path(folder: Path, split: str, language: str) -> Path:
    """Return the file with the lines of a validation split in a language."""
    return folder / f"{split}.{language}.txt"


def with_text_kept(
    folder: Path, split: str, languages: Sequence[str], pairs: Iterable[tuple[str, ...]]
) -> Iterator[tuple[str, ...]]:
    """Yield the pairs of a split, and write their lines to the folder of a store.

    Args:
        folder: the folder of the store.
        split: name of the split.
        languages: language of each side; a side without text has no file.
        pairs: lines of each pair.

    Raises:
        OutputError: a file cannot be written.
    """
    with contextlib.ExitStack() as stack:
        writers = {
            side: stack.enter_context(durable_files.Writer(text_path(folder, split, language)))
            for side, language in enumerate(languages)
            if language != ABSENT
        }
        pairs = iter(pairs)
        while some := list(islice(pairs, _LINES)):
            for side, writer in writers.items():
                writer.write("".join(f"{pair[side]}\n" for pair in some).encode())
            yield from some
