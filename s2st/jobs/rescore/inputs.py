"""What a rescoring job reads and writes: files, or lists and lines in memory."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from s2st.jobs.rescore.list_files import ListFiles, ListsInMemory
from s2st.jobs.rescore.ranking import RankedList
from s2st.rescoring.feature_checks import FeatureGuard
from s2st.text.line_files import read_lines


@dataclass(frozen=True)
class Inputs:
    """The files of a job; "-" is standard input or output.

    Attributes:
        nbest: the files of the lists, or the lists in memory.
        source: path of the source lines.
        output: path of the output, or a function that takes each ranked list.
        scored: models' features of an earlier rescoring to take from the lists; if there are any,
            no model computes scores.
        guard: checks the features of all lists.
        texts: lines in memory, by the name that stands for their path.
    """

    nbest: ListFiles | ListsInMemory
    source: str
    output: str | Callable[[RankedList], object]
    scored: tuple[str, ...] = ()
    guard: FeatureGuard | None = None
    texts: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def lines(self, path: str, encoding_errors: str) -> list[str]:
        """Return the lines of a text, which is a file or in memory.

        Raises:
            InputMissingError: the file cannot be read.
            DataError: it is not UTF-8.
        """
        if path in self.texts:
            return list(self.texts[path])
        return list(read_lines(path, encoding_errors))
