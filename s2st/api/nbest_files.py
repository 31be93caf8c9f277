"""Files of n-best lists: `read_nbest` and `write_nbest`."""

from collections.abc import Sequence

from s2st.api.arguments import Path, path_of, paths_of
from s2st.api.keywords import resolved_keywords
from s2st.api.records import Candidate, Hypothesis
from s2st.api.rescoring import candidate_of, entries_of
from s2st.errors import UsageError
from s2st.jobs.options import RESCORE_LISTS_SPEC, RescoreConfig
from s2st.jobs.rescore.list_files import ListFiles
from s2st.process.consistent_reads import one_run
from s2st.text.line_files import open_output, read_lines
from s2st.text.nbest_dialects import AUTO
from s2st.text.nbest_lists import format_entry
from s2st.text.nbest_lists import read_nbest as read_entries
from s2st.text.overwrite_checks import check_destinations


def read_nbest(paths: Path | Sequence[Path], nbest_format: str = AUTO) -> list[list[Candidate]]:
    """Read n-best lists of any format that `s2st rescore-nbest` reads.

    Args:
        paths: a file, or one file of each system; their lists are merged.
        nbest_format: the format, such as "moses"; "auto" recognizes it.

    Returns:
        For each id from 0 its candidates in the order of the file; empty for an id without a list.
        The totals of one file are those written in it. Merged lists that have been rescored have
        the systems' own totals, as with `s2st rescore-nbest`.

    Raises:
        InputMissingError: a file cannot be read.
        DataError: a file is no file of n-best lists; the message names the line.
        UsageError: an unknown format.
    """
    names = paths_of(paths, "paths")
    if "-" in names:
        raise UsageError("paths: standard input is for commands only; name a file")
    chosen = {"nbest_format": nbest_format}
    options = resolved_keywords("s2st.read_nbest()", RESCORE_LISTS_SPEC, chosen)
    form = options.config(RescoreConfig).nbest_format
    lists: list[list[Candidate]] = []
    with one_run():
        if len(names) == 1:
            found = read_entries(read_lines(names[0]), names[0], form=form)
        else:
            found = ListFiles(names, names, None, False, form).read()
        for entries in found:
            lists += [[] for _ in range(entries[0].id - len(lists))]
            lists.append([candidate_of(entry) for entry in entries])
    return lists


def write_nbest(path: Path, lists: Sequence[Sequence[str | Candidate | Hypothesis]]) -> None:
    """Write lists as `s2st generate --format moses` does; the file is replaced.

    Args:
        path: the file, compressed if its name ends in .gz.
        lists: the candidates of each id from 0.

    Raises:
        UsageError: `lists` are not lists of hypotheses.
        OutputError: the file cannot be written.
    """
    name = path_of(path, "path")
    if name == "-":
        raise UsageError("path: standard output is for commands only; name a file")
    check_destinations([name], [], [])
    with open_output(name) as write:
        for entries in entries_of(lists):
            for entry in entries:
                write(format_entry(entry))
