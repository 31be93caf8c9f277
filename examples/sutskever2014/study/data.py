"""Put the text and the lists of a study into RUN/data and RUN/lists."""

from collections.abc import Iterable
from pathlib import Path

from multi30k.corpus import (
    SHARED,
    CorpusError,
    find_text,
    plain_or_gz,
    put_first_hypotheses,
)

from s2st.demo_corpus import read_corpus
from s2st.process import durable_files
from s2st.text.line_files import read_lines
from study.plan import Plan
from study.steps import StudyError

HERE = Path(__file__).resolve().parent


def put_corpus(plan: Plan, named: Path | None, run: Path) -> None:
    """Write RUN/data/{train,valid,test}.LANG and RUN/data/phrases.tsv.

    Raises:
        StudyError: a file is missing and cannot be downloaded.
    """
    corpus = plan.corpus
    folder = run / "data"
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "phrases.tsv", read_lines(str(HERE.parent / plan.analysis.phrases)))
    if corpus.demo_pairs:
        made = read_corpus(corpus.demo_pairs, corpus.demo_test_pairs, corpus.demo_test_pairs)
        for part, pairs in (("train", made.train), ("valid", made.valid), ("test", made.test)):
            _write(folder / f"{part}.{corpus.source}", [pair.source for pair in pairs])
            _write(folder / f"{part}.{corpus.target}", [pair.target for pair in pairs])
        return
    parts = {"train": corpus.train, "valid": corpus.valid, "test": corpus.test}
    names = [f"{n}.{lang}" for n in parts.values() for lang in (corpus.source, corpus.target)]
    try:
        found = find_text(named, names, run / "download")
    except CorpusError as error:
        raise StudyError(str(error)) from error
    for part, name in parts.items():
        for language in (corpus.source, corpus.target):
            lines = read_lines(str(plain_or_gz(found, f"{name}.{language}")))
            _write(folder / f"{part}.{language}", lines)


def put_lists(plan: Plan, named: Path | None, run: Path) -> bool:
    """Put real lists in RUN/lists/{valid,test}.nbest.gz, unless a model of the study makes them.

    They are links to the files, or the first hypotheses of each list if the plan wants only these.

    Returns:
        Whether there are lists; without them the study has no rescoring.
    """
    if plan.lists.model:
        return True
    folder = named or SHARED / "smt-multi30k"
    sources = {"valid": folder / plan.lists.valid, "test": folder / plan.lists.test}
    missing = [path for path in sources.values() if not path.is_file()]
    if missing and named is not None:
        raise StudyError(f"{missing[0]}: no such file (name its folder with --lists)")
    if missing:
        return False
    (run / "lists").mkdir(parents=True, exist_ok=True)
    for part, path in sources.items():
        link = run / "lists" / f"{part}.nbest.gz"
        if part == "valid" and plan.lists.valid_nbest:
            if link.is_symlink():  # of a plan that wanted whole lists; never write to its target
                link.unlink()
            put_first_hypotheses(path, link, plan.lists.valid_nbest)
        elif not link.is_symlink() or link.resolve() != path.resolve():
            link.unlink(missing_ok=True)
            link.symlink_to(path.resolve())
    return True


def _write(path: Path, lines: Iterable[str]) -> None:
    """Write a file only if its content differs, so that steps need not hash it again."""
    content = "".join(f"{line}\n" for line in lines).encode()
    if not path.exists() or path.read_bytes() != content:
        durable_files.replace_file(path, content)
