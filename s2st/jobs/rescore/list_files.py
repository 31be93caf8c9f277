"""The files of n-best lists: one file, or one for each system whose lists are merged."""

import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from s2st.errors import DataError
from s2st.jobs.options import RescoreConfig
from s2st.rescoring.earlier_totals import restored_totals
from s2st.rescoring.merge_checks import MergeCheck
from s2st.rescoring.merged_lists import merge_lists
from s2st.text.line_files import read_lines
from s2st.text.nbest_dialects import AUTO
from s2st.text.nbest_lists import NBestEntry, read_nbest

log = logging.getLogger("s2st")


@dataclass(frozen=True)
class ListFiles:
    """Files whose lists are read together.

    Attributes:
        paths: the files to read.
        names: their names in messages: they differ from the paths for a copy of standard input.
        encoding_errors: how to treat bad UTF-8, as for `read_lines`.
        use_scores: whether merging keeps the models' scores of an earlier rescoring.
        form: the format of each file, or "auto".
    """

    paths: tuple[str, ...]
    names: tuple[str, ...]
    encoding_errors: str | None
    use_scores: bool
    form: str = AUTO

    @property
    def name(self) -> str:
        """The name of all files together, for messages."""
        return " + ".join(self.names)

    @property
    def rereadable(self) -> bool:
        """Whether the files can be read twice; reading reports a missing one."""
        return not any(
            path == "-" or (os.path.exists(path) and not os.path.isfile(path))
            for path in self.paths
        )

    def read(self, wanted: Callable[[int], bool] | None = None) -> Iterator[list[NBestEntry]]:
        """Yield the lists with the systems' totals, merged if there are several files.

        Args:
            wanted: whether to parse the list with an id; called for each line of each file.

        Raises:
            DataError: see read_nbest, restored_totals and merge_lists.
        """
        streams = [
            restored_totals(
                read_nbest(read_lines(path, self.encoding_errors, name), name, wanted, self.form),
                name,
            )
            for path, name in zip(self.paths, self.names, strict=True)
        ]
        heads = None
        if wanted is not None and len(self.paths) > 1:  # a part of a file may be empty
            heads = [entries[0] for entries in map(self._first, range(len(self.paths)))]
        return merge_lists(streams, self.names, self.use_scores, heads)

    def checked(self, lists: Iterator[list[NBestEntry]]) -> Iterator[list[NBestEntry]]:
        """Yield lists that `read` returned; finally warn if the files have different sources."""
        check = MergeCheck(self.names)
        yield from check.watch(lists)
        for text in check.warnings():
            log.warning(text)

    def _first(self, index: int) -> list[NBestEntry]:
        name = self.names[index]
        lines = read_lines(self.paths[index], self.encoding_errors, name)
        found = next(read_nbest(lines, name, form=self.form), None)
        if found is None:
            raise DataError("no lists", name)
        return found


@dataclass(frozen=True)
class ListsInMemory:
    """Lists that are in memory, read in place of files.

    Attributes:
        lists: for each source line its hypotheses; empty for a line without a list.
        name: their name in messages.
    """

    lists: Sequence[Sequence[NBestEntry]]
    name: str = "lists"

    def read(self, wanted: Callable[[int], bool] | None = None) -> Iterator[list[NBestEntry]]:
        """Yield the lists that have hypotheses; `wanted` as for `ListFiles.read`."""
        found = (list(entries) for entries in self.lists if entries)
        chosen = (entries for entries in found if wanted is None or wanted(entries[0].id))
        return restored_totals(chosen, self.name)

    def checked(self, lists: Iterator[list[NBestEntry]]) -> Iterator[list[NBestEntry]]:
        """Return the lists; only files of several systems can have different sources."""
        return lists


def development_files(config: RescoreConfig, nbest: ListFiles) -> ListFiles:
    """Return the files of the development lists, read as those of the job's lists."""
    return replace(nbest, paths=config.dev_nbest, names=config.dev_nbest)


def keeps_words(config: RescoreConfig) -> bool:
    """Whether the job needs the score of every word."""
    return config.format == "words" or config.explain is not None


@contextmanager
def rereadable(files: ListFiles) -> Iterator[ListFiles]:
    """Yield the files; of standard input a copy, which can be read twice."""
    if "-" not in files.paths:
        yield files
        return
    with tempfile.NamedTemporaryFile(suffix=".nbest") as copy:
        shutil.copyfileobj(sys.stdin.buffer, copy)
        copy.flush()
        yield replace(files, paths=tuple(copy.name if x == "-" else x for x in files.paths))
