"""Output of ranked lists: 1-best text, re-sorted Moses lists, or word scores as JSON lines."""

import json
import logging
from collections.abc import Iterator

from s2st.jobs.rescore.ranking import RankedList
from s2st.text.line_files import open_output
from s2st.text.nbest_lists import format_entry

log = logging.getLogger("s2st")


def write_ranked(ranked: Iterator[RankedList], form: str, sources: range, path: str) -> None:
    """Write all lists to a file or to standard output ("-").

    In 1-best output, line i belongs to source line i. A sentence without hypotheses gets an empty
    line.

    Args:
        ranked: lists in rising order of their ids.
        form: "1best", "nbest" or "words".
        sources: indices of the source lines that the output covers.
        path: path of the output.
    """
    line, changed, lists = sources.start, 0, 0
    with open_output(path) as write:
        for item in ranked:
            lists += 1
            changed += item.best != 0
            if form == "1best":
                for _ in range(line, item.id):
                    write("")
                line = item.id + 1
            write("\n".join(_FORMS[form](item)))
        if form == "1best":
            for _ in range(line, sources.stop):
                write("")
    log.info("in %d of %d lists the best hypothesis is not the first one", changed, lists)
    if lists < len(sources):
        count = len(sources)
        log.warning("%d of %d source lines have no hypotheses", count - lists, count)


def _best(item: RankedList) -> Iterator[str]:
    yield item.entries[item.best].hypothesis


def _nbest(item: RankedList) -> Iterator[str]:
    for index in item.order():
        yield format_entry(item.entries[index])


def _words(item: RankedList) -> Iterator[str]:
    names = item.scored.names
    for index in item.order():
        entry = item.entries[index]
        scores = {
            name: [float(value) for value in model[index]]
            for name, model in zip(names, item.scored.token_scores, strict=True)
        }
        record = {"id": entry.id, "hypothesis": entry.hypothesis, "total": entry.total}
        yield json.dumps({**record, "token_log_probs": scores}, ensure_ascii=False)


_FORMS = {"1best": _best, "nbest": _nbest, "words": _words}
