"""The job of `s2st check`: read a corpus, n-best list, checkpoint or store, and report findings."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from s2st.errors import UsageError
from s2st.jobs.check.findings import CheckReport, Finding, sorted_findings
from s2st.jobs.check.folder_check import check_folder, folder_summary
from s2st.jobs.check.model_fit import ModelFit, Side
from s2st.jobs.check.nbest_scan import NBestScan
from s2st.jobs.check.pair_scan import TextPairs, overlap
from s2st.jobs.check.text_scan import TextScan
from s2st.jobs.options import report_format
from s2st.options.option_fields import option
from s2st.options.resolution import CommandSpec, Resolved
from s2st.text.nbest_dialects import dialect_of
from s2st.text.tokenizers import ABSENT, VECTORS

PEEKED_LINES = 10  # whose fields tell n-best lists from text


@dataclass(frozen=True)
class CheckConfig:
    """What `check` reads and prints."""

    source_lang: str = option("", "source language, the suffix of its files", flags=("-s",))
    target_lang: str = option("", "target language, the suffix of its files", flags=("-t",))
    testpref: tuple[str, ...] = option(
        (), "held-out text: check it too, and whether it occurs in PATH; may be repeated"
    )
    checkpoint: str | None = option(
        None, "check that the text fits this model: unknown words, case, tokenization"
    )
    source: str | None = option(None, "source lines of the n-best list PATH")
    max_length: int = option(
        250, "number of words of a long line, as in preprocess", minimum=1, maximum=1_000_000
    )
    line_numbers: int = option(
        5, "line numbers that the text report shows for each finding", minimum=0, maximum=1000
    )
    format: str = report_format("one JSON object")


CHECK_SPEC = CommandSpec(fixed=(CheckConfig,))


def check(options: Resolved, paths: Sequence[str]) -> CheckReport:
    """Read the inputs and return the findings.

    Args:
        options: of CHECK_SPEC.
        paths: a prefix (with languages), one or two text files, an n-best list, or the folder of a
            checkpoint or store.

    Raises:
        UsageError: options that contradict each other, or too many paths.
        InputMissingError: a file cannot be read.
    """
    config = options.config(CheckConfig)
    if len(paths) == 1 and os.path.isdir(paths[0]):
        return _folder(config, paths[0])
    prefix = len(paths) == 1 and config.source_lang and config.target_lang
    files = _files(paths[0], config) if prefix else list(paths)
    if len(files) > 2:
        raise UsageError("give a prefix with -s and -t, two parallel files, or one file or folder")
    if len(files) == 1 and _is_nbest(files[0]):
        return _lists(config, files[0])
    if config.source is not None:
        raise UsageError(f"--source is the source of n-best lists, which {paths[0]} has not")
    return _texts(config, files)


def _files(prefix: str, config: CheckConfig) -> list[str]:
    from s2st.data.corpus_texts import text_file

    return [text_file(prefix, language) for language in (config.source_lang, config.target_lang)]


def _folder(config: CheckConfig, path: str) -> CheckReport:
    for name in ("testpref", "checkpoint", "source", "source_lang", "target_lang"):
        if getattr(config, name):
            flag = name.replace("_", "-")
            raise UsageError(f"--{flag} has no effect: {path} is a folder, not a text")
    return CheckReport((folder_summary(path),), sorted_findings(check_folder(path)))


def _is_nbest(path: str) -> bool:
    """Whether most of the first lines are those of an n-best list in a known format."""
    if path == "-":
        raise UsageError("check reads files, not standard input")
    first = []
    for line in TextScan(path, 1).lines():
        first.append(line.count("|||") >= 3 or dialect_of(line) is not None)
        if len(first) == PEEKED_LINES:
            break
    return bool(first) and sum(first) * 2 > len(first)


@dataclass(frozen=True)
class _ModelSides:
    """Tokenizers and vocabularies of a model.

    Attributes:
        source, target: of the model, or of its first language pair.
        by_language: of every language.
    """

    source: Side
    target: Side
    by_language: Mapping[str, Side]

    @classmethod
    def read(cls, checkpoint: str) -> "_ModelSides":
        """Read a checkpoint, without its weights."""
        from s2st.models.model_files import read_saved

        record = read_saved(checkpoint, whole=False).record
        sides = [(side.tokenizer, side.vocabulary) for side in record.sides]
        return cls(
            (record.source_tokenizer, record.source_vocabulary),
            (record.target_tokenizer, record.target_vocabulary),
            {spec.language: (spec, vocabulary) for spec, vocabulary in sides},
        )

    @property
    def has_source(self) -> bool:
        """Whether the model reads text as its source; false for a language model."""
        return self.source[0].name not in (ABSENT, VECTORS)


def _fit(config: CheckConfig, files: Sequence[str]) -> ModelFit | None:
    """Return what compares texts with the model, None without --checkpoint.

    A file belongs to the language of its suffix. If the model does not have that language, two
    files are source and target, and one file is of the source, if the model reads one.
    """
    if config.checkpoint is None:
        return None
    model = _ModelSides.read(config.checkpoint)
    default = [model.source, model.target] if model.has_source else [model.target] * 2
    names = _suffixes(files)
    sides = [model.by_language.get(n, side) for n, side in zip(names, default, strict=False)]
    return ModelFit(sides, config.checkpoint, [False] * len(sides))


def _suffixes(files: Sequence[str]) -> list[str]:
    """Return the suffix of each file without that of compression, "" if there is none."""
    compressed = (".gz", ".xz", ".bz2")
    names = [Path(file) for file in files]
    plain = [name.with_suffix("") if name.suffix in compressed else name for name in names]
    return [name.suffix.removeprefix(".") for name in plain]


def _lists(config: CheckConfig, path: str) -> CheckReport:
    if config.testpref:
        raise UsageError(f"--testpref has no effect: {path} has n-best lists")
    findings: list[Finding] = []
    read: list[str] = []
    sources = fit = None
    if config.checkpoint is not None:
        model = _ModelSides.read(config.checkpoint)
        target = model.by_language.get(config.target_lang, model.target)
        fit = ModelFit([target], config.checkpoint, [True])
    if config.source is not None:
        of_source = None
        if config.checkpoint is not None and model.has_source:
            source = model.by_language.get(config.source_lang, model.source)
            of_source = ModelFit([source], config.checkpoint, [False])
        text = TextPairs([config.source], config.max_length, of_source)
        text.read()
        sources = text.scans[0].count
        read.append(text.summary())
        findings += [f for f in text.findings() if f.kind not in ("empty", "duplicates")]
    lists = NBestScan(path, sources, fit)
    lists.read()
    findings += lists.findings()
    return CheckReport((lists.summary(), *read), sorted_findings(findings))


def _texts(config: CheckConfig, files: Sequence[str]) -> CheckReport:
    training = TextPairs(files, config.max_length, _fit(config, files))
    training.read()
    findings = list(training.findings())
    read = [training.summary()]
    for prefix in config.testpref:
        held_out = TextPairs(_held_out(prefix, config, files), config.max_length)
        held_out.read()
        findings += [f for f in held_out.findings() if f.kind not in ("empty", "long")]
        findings += overlap(training, held_out)
        read.append(held_out.summary())
    return CheckReport(tuple(read), sorted_findings(findings))


def _held_out(prefix: str, config: CheckConfig, files: Sequence[str]) -> list[str]:
    """Return the files of --testpref: PREFIX.LANG with -s and -t, or with the suffixes of PATH."""
    from s2st.data.corpus_texts import text_file

    if config.source_lang and config.target_lang:
        return _files(prefix, config)
    suffixes = _suffixes(files)
    if not all(suffixes):
        raise UsageError("--testpref needs -s and -t, since PATH has no suffix that is a language")
    return [text_file(prefix, suffix) for suffix in suffixes]
