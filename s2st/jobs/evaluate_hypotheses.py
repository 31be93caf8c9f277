"""The job of `s2st score --ref`: BLEU, chrF, TER and ROUGE of files as lines of a report.

Importable without sacreBLEU, so that wrong options are reported at once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from s2st.errors import DataError, UsageError
from s2st.jobs.options import ModelsConfig, ScoreConfig
from s2st.jobs.report_types import ReportLine
from s2st.jobs.scoring_job_files import refuse_shared_stdin
from s2st.options.resolution import Resolved
from s2st.process.ranks import read_ranks
from s2st.text.line_files import read_lines

if TYPE_CHECKING:
    from s2st.jobs.paired_comparison import PairedResult
    from s2st.jobs.text_metrics import SystemScores

System = tuple[str, list[str]]  # name and lines


def scores_texts(options: Resolved, hyps: Sequence[str], output: str) -> bool:
    """Whether `s2st score` compares texts with references; false where a model scores pairs.

    Args:
        options: of SCORE_SPEC.
        hyps: the arguments HYP.
        output: the value of --output-file.

    Raises:
        UsageError: options of both uses, or too few for either.
    """
    config = options.config(ScoreConfig)
    has_model = bool(options.config(ModelsConfig).paths())
    has_pairs = bool(config.source or config.source_vectors or config.target)
    if (config.ref or hyps) and (has_model or has_pairs):
        raise UsageError("HYP and --ref cannot be combined with --checkpoint, --source or --target")
    if config.ref and (output != "-" or config.resume):
        raise UsageError("--output-file and --resume need --checkpoint, --source and --target")
    if not config.ref and not has_model:
        raise UsageError("give HYP files and --ref FILE, or --checkpoint, --source and --target")
    return bool(config.ref)


def score_texts(config: ScoreConfig, hyps: Sequence[str]) -> Iterator[ReportLine]:
    """Score hypothesis files and compare several of them with the first by paired bootstrap.

    Args:
        config: references, metrics and form of the output.
        hyps: paths of the hypotheses, "-" for standard input; none for standard input alone.

    Yields:
        The report: records where `config.format` is "json", text otherwise. Only the first rank
        yields anything.

    Raises:
        UsageError: a file is given twice, two inputs are standard input, or an unknown tokenizer.
        InputMissingError, DataError: a file that cannot be read, or numbers of lines that differ.
    """
    if not read_ranks().first:
        return
    from s2st.jobs.paired_comparison import compare_systems
    from s2st.jobs.rouge import rouge
    from s2st.jobs.text_metrics import evaluate_system

    systems, references = _read(hyps or ["-"], config.ref)
    several = len(systems) > 1
    for name, lines in systems:
        scores = evaluate_system(
            name, lines, references, tokenize=config.tokenize, lowercase=config.lowercase,
            with_ter=config.ter,
        )  # fmt: skip
        if config.rouge:
            scores = replace(scores, rouge=rouge(name, lines, references))
        yield from [_record(scores)] if config.format == "json" else _lines(scores, named=several)
    if several:
        results = compare_systems(
            systems, references, samples=config.samples, tokenize=config.tokenize,
            lowercase=config.lowercase, with_ter=config.ter,
        )  # fmt: skip
        yield from _comparison(systems[0][0], results, config.format == "json")


def _read(hyps: Sequence[str], refs: Sequence[str]) -> tuple[list[System], list[list[str]]]:
    """The systems and the references, all with the same number of lines."""
    refuse_shared_stdin(*hyps, *refs)
    if len(set(hyps)) < len(hyps):
        raise UsageError("a HYP file is given twice")
    references = [list(read_lines(path)) for path in refs]
    systems = []
    for name in hyps:
        lines = list(read_lines(name))
        for path, reference in zip(refs, references, strict=True):
            if len(lines) != len(reference):
                message = f"{len(lines)} lines, but {path} has {len(reference)}"
                raise DataError(message, name, min(len(lines), len(reference)) + 1)
        systems.append(("standard input" if name == "-" else name, lines))
    return systems, references


def _record(scores: "SystemScores") -> ReportLine:
    figures = {
        metric.name: {"score": metric.score, "signature": metric.signature, "how": metric.how}
        for metric in scores.metrics()
    }
    return {"system": scores.name, **figures}


def _lines(scores: "SystemScores", named: bool) -> list[str]:
    name = [scores.name] if named else []
    return [*name, *(metric.line() for metric in scores.metrics())]


def _comparison(
    baseline: str, results: Sequence["PairedResult"], as_json: bool
) -> Iterator[ReportLine]:
    """The paired bootstrap against the first system."""
    if as_json:
        for result in results:
            yield {"baseline": baseline, **asdict(result)}
        return
    yield f"paired bootstrap against {baseline} (95%: mean +- half the interval's width)"
    for result in results:
        yield f"{result.system}  {result.metric} ({result.how}) = {result.figures()}"
