"""The plan of the comparison, and its steps: which s2st command makes which file."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from multi30k.corpus import (
    SHARED,
    CorpusError,
    find_text,
    first_hypotheses,
    plain_or_gz,
    put_lines,
)
from study.expand import option_words
from study.steps import Step, StudyError

from s2st.demo_corpus import read_corpus
from s2st.text.atomic_text_output import write_whole
from s2st.text.line_files import read_lines, split_words
from s2st.text.vocabulary import SPECIALS, UNK_ID

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PARTS = {"train": "train", "valid": "val", "test": "test_2016_flickr"}  # and Multi30k's names
STORE, BACK_STORE = "bin", "bin-back"
BACK = "channel"  # the model of the other translation direction
NGRAM = "models/ngram/fr.arpa"
LEXICON = "models/lexicon/en-fr.tsv"
TOGETHER = "together"  # name of the rescoring with features of several models


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        kind: "translation", "language" (a neural language model), "ngram", or "lexicon" (the most
            probable translation of each word, in the order of the source).
        options: options of `s2st train`, `train-ngram` or `train-lexicon`.
    """

    name: str
    label: str
    kind: str
    options: Mapping[str, Any]


@dataclass(frozen=True)
class Plan:
    """The whole comparison.

    Attributes:
        demo_pairs: training pairs of the corpus of `s2st demo`; 0 for Multi30k.
        nbest: hypotheses per list to rescore: the first ones of real lists.
        lists_by: for a generated corpus, the row whose model makes the lists.
        updates: number of updates in the run that measures words per second.
        together: rows whose scores are tuned together, with those of the channel model.
    """

    demo_pairs: int
    nbest: int
    lists_by: str
    updates: int
    preprocess: Mapping[str, Any]
    train: Mapping[str, Any]
    channel: Mapping[str, Any]
    together: tuple[str, ...]
    rows: tuple[Row, ...]


def read_plan(path: Path) -> Plan:
    """Read a plan; raise StudyError if it is incomplete."""
    try:
        content = tomllib.loads(path.read_text("utf-8"))
        rows = tuple(Row(name, **values) for name, values in content.pop("rows").items())
        plan = Plan(rows=rows, **{key.replace("-", "_"): own for key, own in content.items()})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise StudyError(f"{path}: not a plan: {error}") from error
    unknown = {*plan.together, *filter(None, [plan.lists_by])} - {row.name for row in rows}
    if unknown:
        raise StudyError(f"{path}: no row {min(unknown)!r}")
    return replace(plan, together=tuple(plan.together))


def put_texts(plan: Plan, data: Path | None, lists: Path | None, run: Path) -> bool:
    """Write RUN/data and, from real lists, RUN/lists.

    Returns:
        Whether there are n-best lists, or a step will make them.

    Raises:
        StudyError: the text is missing and cannot be downloaded.
    """
    (run / "data").mkdir(parents=True, exist_ok=True)
    if plan.demo_pairs:
        made = read_corpus(plan.demo_pairs, 100, 100)
        for part in PARTS:
            pairs = getattr(made, part)
            put_lines(run / f"data/{part}.en", [pair.source for pair in pairs])
            put_lines(run / f"data/{part}.fr", [pair.target for pair in pairs])
        return True
    names = [f"{name}.{language}" for name in PARTS.values() for language in ("en", "fr")]
    try:
        found = find_text(data, names, run / "download")
    except CorpusError as error:
        raise StudyError(str(error)) from error
    for part, name in PARTS.items():
        for language in ("en", "fr"):
            lines = read_lines(str(plain_or_gz(found, f"{name}.{language}")))
            put_lines(run / f"data/{part}.{language}", list(lines))
    folder = lists or SHARED / "smt-multi30k"
    for part in ("valid", "test"):
        path = folder / f"{PARTS[part]}.1000best.gz"
        if not path.is_file():
            if lists is not None:
                raise StudyError(f"{path}: no such file (name its folder with --lists)")
            return False
        own = (run / f"lists/{part}.nbest", run / f"lists/{part}.size")
        if not own[1].exists() or own[1].read_text() != f"{plan.nbest}\n":
            own[0].parent.mkdir(exist_ok=True)
            write_whole(str(own[0]), first_hypotheses(str(path), plan.nbest))
            put_lines(own[1], [str(plan.nbest)])
    return True


def expand(plan: Plan, lists: bool) -> list[Step]:
    """Return all steps in order of priority."""
    steps = [_preprocess(plan, STORE, "en", "fr"), _preprocess(plan, BACK_STORE, "fr", "en")]
    steps += [_training(plan, row) for row in plan.rows]
    if lists:
        steps.append(_train(plan, BACK, plan.channel, BACK_STORE))
    if lists and plan.lists_by:
        steps += _made_lists(plan)
    for row in plan.rows:
        if row.kind != "lexicon":
            steps += _scoring(row)
        if lists and row.kind != "lexicon":
            steps += _rescoring(row.name, ["--checkpoint", checkpoint(row)], [checkpoint(row)])
    if lists:
        steps += _together(plan)
    steps += [_speed(plan, row) for row in plan.rows if row.kind in ("translation", "language")]
    return steps


def checkpoint(row: Row) -> str:
    """Return the path of a row's model."""
    files = {"ngram": NGRAM, "lexicon": LEXICON}
    return files.get(row.kind, f"models/{row.name}/checkpoint_best")


def translate_words(plan: Plan, run: Path) -> None:
    """Write the word-for-word translations of the test set; unknown words stay as they are."""
    for row in plan.rows:
        if row.kind == "lexicon":
            best: dict[str, str] = {}
            for line in read_lines(str(run / LEXICON)):  # the best translation of a word is first
                source, target, _ = line.split("\t")
                if target != SPECIALS[UNK_ID]:
                    best.setdefault(source, target)
            lines = [
                " ".join(best.get(word, word) for word in split_words(line))
                for line in read_lines(str(run / "data/test.en"))
            ]
            put_lines(run / f"out/{row.name}.fr", lines)


def _preprocess(plan: Plan, store: str, source: str, target: str) -> Step:
    words = ["preprocess", "-s", source, "-t", target, "--trainpref", "data/train"]
    words += ["--validpref", "data/valid", *option_words(plan.preprocess), "--destdir", store]
    inputs = [f"data/{part}.{lang}" for part in ("train", "valid") for lang in (source, target)]
    return Step(f"preprocess-{store}", tuple(words), tuple(inputs), (store,))


def _training(plan: Plan, row: Row) -> Step:
    if row.kind == "lexicon":
        words = ("train-lexicon", STORE, *option_words(row.options), "-o", LEXICON)
        return Step(f"train-{row.name}", words, (STORE,), (LEXICON,))
    if row.kind != "ngram":
        return _train(plan, row.name, row.options, STORE)
    words = ("train-ngram", "data/train.fr", *option_words(row.options), "-o", NGRAM)
    return Step(f"train-{row.name}", words, ("data/train.fr",), (NGRAM,))


def _train(plan: Plan, name: str, options: Mapping[str, Any], store: str) -> Step:
    folder = f"models/{name}"
    words = ("train", store, *option_words({**plan.train, **options}), "--save-dir", folder)
    outputs = (f"{folder}/checkpoint_best", f"{folder}/checkpoint_last")
    return Step(f"train-{name}", words, (store,), outputs, owned=(folder,))


def _speed(plan: Plan, row: Row) -> Step:
    """Return a step that trains some updates alone on the machine."""
    folder = f"speed/{row.name}"
    more = {"max-update": plan.updates, "log-interval": 10, "batch-size": 64}
    words = ("train", STORE, *option_words({**plan.train, **row.options, **more}))
    words += ("--save-dir", folder)
    outputs = (f"{folder}/checkpoint_last",)
    return Step(f"speed-{row.name}", words, (STORE,), outputs, owned=(folder,), alone=True)


def _scoring(row: Row) -> Iterator[Step]:
    """Yield steps that score the test set, and translate it with beam 5."""
    path, output = checkpoint(row), f"out/{row.name}.scores.jsonl"
    words = ["score", "--checkpoint", path, "--target", "data/test.fr", "--format", "json"]
    words += ["--source", "data/test.en"] if row.kind == "translation" else []
    inputs = (path, "data/test.en", "data/test.fr")
    yield Step(f"score-{row.name}", tuple(words), inputs, (output,), stdout=output)
    if row.kind == "translation":
        output = f"out/{row.name}.fr"
        words = ["generate", "--checkpoint", path, "--beam", "5", "-o", output, "data/test.en"]
        yield Step(f"generate-{row.name}", tuple(words), (path, "data/test.en"), (output,))


def _made_lists(plan: Plan) -> Iterator[Step]:
    row = next(row for row in plan.rows if row.name == plan.lists_by)
    path, size = checkpoint(row), str(plan.nbest)
    for part in ("valid", "test"):
        source, output = f"data/{part}.en", f"lists/{part}.nbest"
        words = ("generate", "--checkpoint", path, "--beam", size, "--nbest", size)
        words += ("--format", "moses", "-o", output, source)
        yield Step(f"lists-{part}", words, (path, source), (output,))


def _rescoring(name: str, flags: Sequence[str], paths: Sequence[str]) -> Iterator[Step]:
    """Yield steps that score both sets of lists, tune weights, and choose hypotheses."""
    scored = {}
    for part in ("valid", "test"):
        lists, source = f"lists/{part}.nbest", f"data/{part}.en"
        scored[part] = output = f"rescored/{name}.{part}.nbest"
        words = ("rescore-nbest", lists, "--source", source, *flags, "--format", "nbest")
        inputs = (*paths, lists, source)
        yield Step(f"rescore-{name}-{part}", (*words, "-o", output), inputs, (output,))
    outputs = (f"rescored/{name}.fr", f"rescored/{name}.weights")
    words = ("rescore-nbest", scored["test"], "--source", "data/test.en")
    words += ("--dev-nbest", scored["valid"], "--dev-source", "data/valid.en")
    words += ("--tune", "data/valid.fr", "--length-feature", "--weights-out", outputs[1])
    inputs = (*scored.values(), "data/test.en", "data/valid.en", "data/valid.fr")
    yield Step(f"tune-{name}", (*words, "-o", outputs[0]), inputs, outputs)


def _together(plan: Plan) -> Iterator[Step]:
    rows = [row for row in plan.rows if row.name in plan.together]
    channel = f"models/{BACK}/checkpoint_best"
    flags = [word for row in rows for word in ("--checkpoint", checkpoint(row))]
    flags += ["--feature-per", "member", "--channel-checkpoint", channel]
    yield from _rescoring(TOGETHER, flags, [*map(checkpoint, rows), channel])
    first = next(f"rescored/{row.name}.test.nbest" for row in plan.rows if row.kind != "lexicon")
    words = ("rescore-nbest", first, "--source", "data/test.en", "--weight", "Baseline=1")
    output = "out/baseline.fr"
    yield Step("choose-baseline", (*words, "-o", output), (first, "data/test.en"), (output,))
