"""N-best lists: files of lists in any dialect, read one list at a time.

The dialect is recognized by the first hypothesis; `nbest_dialects.py` has the table of dialects.
s2st writes the lines of Moses (`nbest_entries.py`).
"""

from collections.abc import Callable, Iterable, Iterator

from s2st.errors import DataError
from s2st.text.nbest_dialects import AUTO, Dialect, recognize
from s2st.text.nbest_entries import (
    ENTRY_MEMORY,
    MAX_MEMORY,
    VALUE_MEMORY,
    Entries,
    NBestEntry,
    Numbered,
    Wanted,
    format_entry,
    format_exactly,
    format_number,
    parse_entry,
)

__all__ = [
    "MAX_MEMORY",
    "NBestEntry",
    "NBestReader",
    "format_entry",
    "format_exactly",
    "format_number",
    "parse_entry",
    "read_nbest",
]


class NBestReader:
    """Reads the lists of one file once.

    Args:
        lines: the lines of the file.
        path: name of the file, for messages.
        form: name of the dialect, or "auto" to recognize it by the first hypothesis.

    Attributes:
        dialect: the dialect of the file.

    Raises:
        DataError: the lines cannot be read.
    """

    def __init__(self, lines: Iterable[str], path: str, form: str = AUTO) -> None:
        self._path = path
        self._found, self._lines = recognize(enumerate(lines, start=1), form)

    @property
    def dialect(self) -> Dialect:
        """Return the dialect of the file."""
        return self._found.dialect

    def lists(self, wanted: Wanted = None, in_order: bool = True) -> Iterator[list[NBestEntry]]:
        """Yield the lists, one in memory at a time; ids may have gaps.

        Args:
            wanted: whether to parse the list with an id; called for each line, in order.
            in_order: whether ids must rise. Otherwise, a list may come in several parts.

        Raises:
            DataError: a malformed line; ids that are not in rising order; a list that takes more
                than MAX_MEMORY, about 100,000 hypotheses.
        """
        current: list[NBestEntry] = []
        room = MAX_MEMORY
        for entry, size in self._entries(wanted):
            if current and entry.id != current[0].id:
                if in_order and entry.id < current[0].id:
                    message = f"id {entry.id} after id {current[0].id}; {self._remedy()}"
                    raise DataError(message, self._path, entry.line)
                yield current
                current, room = [], MAX_MEMORY
            current.append(entry)
            values = sum(len(numbers) for _, numbers in entry.features)
            room -= size + ENTRY_MEMORY + VALUE_MEMORY * values
            if room < 0:
                raise DataError(f"list {entry.id} is too large for memory", self._path, entry.line)
        if current:
            yield current

    def _remedy(self) -> str:
        return (
            "`s2st convert-nbest` sorts them" if self.dialect.unsorted else "sort the lists by id"
        )

    def _entries(self, wanted: Wanted) -> Entries:
        """Yield each entry with the characters that it takes; explain errors."""
        last = (0, "")

        def remembered() -> Numbered:
            nonlocal last
            for item in self._lines:
                last = item
                yield item

        try:
            yield from self._found.entries(remembered(), self._path, wanted)
        except DataError as error:
            if error.line != last[0]:  # bytes that are not text, for example
                raise
            text = str(error) + self._found.explanation(last[1], error.line)
            explained = DataError(text)
            explained.path, explained.line = error.path, error.line
            raise explained from error


def read_nbest(
    lines: Iterable[str],
    path: str,
    wanted: Callable[[int], bool] | None = None,
    form: str = AUTO,
) -> Iterator[list[NBestEntry]]:
    """Yield the lists of a file, one in memory at a time; see NBestReader."""
    yield from NBestReader(lines, path, form).lists(wanted)
