"""`s2st rescore-nbest`: SMT n-best lists to rescored 1-best text or re-sorted lists."""

import json
import logging
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from s2st import durable
from s2st.components import Resolved
from s2st.device import DeviceConfig
from s2st.errors import DataError, UsageError
from s2st.pipelines.options import RESCORE_SPEC, ModelsConfig, RescoreConfig
from s2st_cli.generate import require_checkpoints
from s2st_cli.options import ConfiguredCommand, refuse_shared_stdin
from s2st_cli.progress import ListProgress

if TYPE_CHECKING:
    from s2st.pipelines.rescore import ListScorer, RankedList, ScoredList
    from s2st.pipelines.tune import HeadroomReport, TuningReport
    from s2st.rescoring.collection import Collection
    from s2st.rescoring.weights import Weights
    from s2st.scoring.base import Scorer
    from s2st.text.nbest import NBestEntry

log = logging.getLogger("s2st")
HELP = """Rescore the Moses n-best lists in NBEST (a file, .gz, or - for standard input).

Each hypothesis gets the log-probability of the checkpoints (together, or with --feature-per
member each its own) as a feature S2ST0, S2ST1, ...; its new total is the even average of the
baseline's total and the new features, or as --weight, --weights or --tune say. Line i of 1-best
output belongs to line i of --source; a sentence without hypotheses gets an empty line.

--tune REF learns weights on development lists (--dev-nbest and --dev-source; NBEST itself where
they are left out) and says what they gain on lists that they were not learned on. --oracle REF
reports how much better a choice from the lists could be.
"""
LOPSIDED = 3.0  # ratio of two spreads that makes an even average nearly one score's choice alone


@dataclass(frozen=True)
class _Job:
    """Options and loaded models of one run."""

    config: RescoreConfig
    scorers: "Sequence[Scorer]"
    tuner: "Callable[..., Any]"
    given: "Weights | None"  # by --weight or --weights

    def lists(self, path: str, name: str | None = None) -> "Iterator[list[NBestEntry]]":
        """The lists of a file, streamed; `name` stands for it in messages."""
        from s2st.text.lines import read_lines
        from s2st.text.nbest import read_nbest

        return read_nbest(read_lines(path, self.config.encoding_errors), name or path)

    def sources(self, path: str) -> list[str]:
        """The source lines of a file."""
        from s2st.text.lines import read_lines

        return list(read_lines(path, self.config.encoding_errors))


def run(options: Resolved, extra: Mapping[str, Any]) -> None:
    """Loads the models and rescores."""
    models = options.config(ModelsConfig)
    config = options.config(RescoreConfig)
    paths = require_checkpoints(models)
    _check(config, models, paths, extra)
    from s2st.rescoring.weights import even_average

    given = _given_weights(config, len(paths) if config.feature_per == "member" else 1)
    probe = _Job(config, [], print, given)
    sources = probe.sources(extra["source"])
    own = config.baseline_features == "own" and given is None and config.dev_nbest is None
    tunes_here = bool(config.tune) and config.dev_nbest is None
    twice = config.normalize == "list" or bool(config.oracle) or own or tunes_here
    with ExitStack() as stack:
        path = stack.enter_context(_rereadable(extra["nbest"])) if twice else extra["nbest"]
        lists = probe.lists(path, extra["nbest"])
        first = next(lists, [])  # an error in the first line comes before the models are loaded
        job = _load(options, paths, config, given)
        all_lists = chain([first], lists) if first else lists
        tuning = None
        if config.tune and config.dev_nbest is not None:
            assert config.dev_source is not None
            tuning = _tune_on_development(job, config.dev_nbest, job.sources(config.dev_source))
        if twice:
            _two_passes(job, all_lists, path, sources, extra, tuning)
            return
        weights = tuning.weights if tuning is not None else given or even_average(len(job.scorers))
        _save_weights(config, weights)
        _one_pass(job, all_lists, sources, weights, extra)
        _save_report(config, tuning, None, weights, {})


def _load(
    options: Resolved, paths: Sequence[str], config: RescoreConfig, given: "Weights | None"
) -> _Job:
    from s2st.device import setup_device
    from s2st.scoring.build import join, load_members

    models = options.config(ModelsConfig)
    device_config = options.config(DeviceConfig)
    scorers = load_members(paths, setup_device(device_config), device_config.precision)
    if config.feature_per == "ensemble" and len(scorers) > 1:
        scorers = [join(scorers, paths, models.ensemble_weight, models.ensemble_mode)]
    tuner = options.entries["tuner"].build(options.configs["tuner"])
    return _Job(config, scorers, tuner, given)


@contextmanager
def _rereadable(path: str) -> Iterator[str]:
    """The path, or a copy of standard input that can be read twice."""
    if path != "-":
        yield path
        return
    with tempfile.NamedTemporaryFile(suffix=".nbest") as copy:
        shutil.copyfileobj(sys.stdin.buffer, copy)
        copy.flush()
        yield copy.name


def _check(
    config: RescoreConfig, models: ModelsConfig, paths: Sequence[str], extra: Mapping[str, Any]
) -> None:
    inputs = [extra["nbest"], extra["source"], *config.tune, *config.oracle]
    inputs += [path for path in (config.dev_nbest, config.dev_source) if path is not None]
    refuse_shared_stdin(*inputs)
    if models.ensemble_weight and (config.feature_per == "member" or len(paths) == 1):
        raise UsageError("--ensemble-weight needs several checkpoints and --feature-per ensemble")
    if config.weight and config.weights is not None:
        raise UsageError("give --weight or --weights, not both")
    if (config.dev_nbest is None) != (config.dev_source is None):
        raise UsageError("--dev-nbest and --dev-source go together")
    if config.dev_nbest is not None and not config.tune:
        raise UsageError("--dev-nbest needs --tune REF, the reference of its lists")


def _given_weights(config: RescoreConfig, models: int) -> "Weights | None":
    from s2st.rescoring.weights import LENGTH, check_names, model_names, parse_weights, read_weights

    if config.weights is None and not config.weight:
        return None
    known = [*model_names(models), *([LENGTH] if config.length_feature else [])]
    if config.weights is not None:
        weights = read_weights(config.weights)
        check_names(weights, known, config.weights)
    else:
        weights = parse_weights(config.weight, models)
        check_names(weights, known, "--weight")
    return weights


# scoring


def _scorer(job: _Job, sources: Sequence[str], path: str) -> "ListScorer":
    from s2st.pipelines.rescore import ListScorer

    return ListScorer(job.scorers, sources, job.config.max_rows, path)


def _scored(
    job: _Job, scorer: "ListScorer", lists: "Iterator[list[NBestEntry]]", label: str
) -> "Iterator[ScoredList]":
    """The scored lists, with progress and, at the end, warnings about their text."""
    with ListProgress(label, len(scorer.sources)) as progress:
        for item in scorer.score(lists):
            progress.add(len(item.entries), item.rows_stepped, item.positions)
            yield item
    for text in scorer.warnings():
        log.warning("%s: %s", scorer.path, text)


def _collect(
    job: _Job,
    scored: "Iterator[ScoredList]",
    references: Sequence[str],
    sources: int,
    keep: "Callable[[ScoredList], None]",
) -> "Collection":
    """The numbers of all lists; `keep` is given each one too."""
    from s2st.pipelines.rescore import features_of
    from s2st.rescoring.collection import Collector

    lines = [job.sources(path) for path in references]
    for path, own in zip(references, lines, strict=True):
        if len(own) != sources:
            message = f"{len(own)} lines, but the source has {sources}"
            raise DataError(message, path, min(len(own), sources) + 1)
    collector = Collector(list(zip(*lines, strict=True)) if lines else None)
    for item in scored:
        texts = [entry.hypothesis for entry in item.entries]
        collector.add(item.id, texts, features_of(item, job.config.length_feature))
        keep(item)
    collection = collector.finish()
    if not collection.lists:
        raise DataError("no lists", None)
    if collection.dropped:
        log.warning(
            "%d hypotheses have a total or feature that is not finite; tuning and reports leave "
            "them out",
            collection.dropped,
        )
    return collection


def _tune_on_development(job: _Job, path: str, sources: Sequence[str]) -> "TuningReport":
    scorer = _scorer(job, sources, path)
    scored = _scored(job, scorer, job.lists(path), "development lists")
    collection = _collect(job, scored, job.config.tune, len(sources), lambda item: None)
    return _tune(job, collection)


def _tune(job: _Job, collection: "Collection") -> "TuningReport":
    from s2st.pipelines.tune import tune

    own = job.config.baseline_features == "own"
    start = _default_weights(job, collection)
    report = tune(collection, job.tuner, start, own, job.config.folds)
    for line in report.lines():
        log.info(line)
    warning = report.warning()
    if warning is not None:
        log.warning(warning)
    return report


def _default_weights(job: _Job, collection: "Collection") -> "Weights":
    """The given weights; else an even average of scores on one scale, own features included."""
    from s2st.rescoring.weights import BASELINE, LENGTH, Weights, even_average

    if job.given is not None:
        return job.given
    even = dict(even_average(len(job.scorers)).values)
    if job.config.length_feature:
        even[LENGTH] = (0.0,)
    scaled = dict(collection.normalized(Weights(even)).values)
    if job.config.baseline_features == "own":
        share = scaled.pop(BASELINE)[0]
        for name, numbers in collection.baseline_weights().values.items():
            scaled.setdefault(name, tuple(share * number for number in numbers))
    return Weights(scaled)


# output


def _one_pass(
    job: _Job,
    lists: "Iterator[list[NBestEntry]]",
    sources: Sequence[str],
    weights: "Weights",
    extra: Mapping[str, Any],
) -> None:
    """Streams: a few lists are in memory at a time."""
    from s2st.pipelines.rescore import rank
    from s2st.rescoring.spread import SpreadMeter

    meter = SpreadMeter()
    scorer = _scorer(job, sources, extra["nbest"])

    def ranked() -> "Iterator[RankedList]":
        for item in _scored(job, scorer, lists, "lists"):
            meter.add(item)
            yield rank(item, weights, job.config.length_feature, centered=False)

    _write(job, ranked(), len(sources), extra["output_file"])
    if job.given is None and not job.config.tune:
        _warn_if_lopsided(*meter.spreads())


def _two_passes(
    job: _Job,
    lists: "Iterator[list[NBestEntry]]",
    path: str,
    sources: Sequence[str],
    extra: Mapping[str, Any],
    tuning: "TuningReport | None",
) -> None:
    """Scores everything, decides on the weights, then reads the lists again and ranks them.

    Between the passes only numbers stay in memory.
    """
    from s2st.pipelines.rescore import ScoredList, rank
    from s2st.pipelines.tune import headroom
    from s2st.rescoring.weights import even_average

    config = job.config
    kept: list[ScoredList] = []

    def keep(item: ScoredList) -> None:
        tokens = item.token_scores if config.output == "words" else ()
        kept.append(replace(item, entries=(), token_scores=tokens))

    scored = _scored(job, _scorer(job, sources, extra["nbest"]), lists, "lists")
    references = config.oracle or (config.tune if tuning is None else ())
    collection = _collect(job, scored, references, len(sources), keep)
    even = even_average(len(job.scorers))
    if config.tune and tuning is None:
        tuning = _tune(job, collection)
    if tuning is not None:
        weights = tuning.weights
    elif config.baseline_features == "own":
        weights = _default_weights(job, collection)
    else:
        weights = job.given or even
        if config.normalize == "list":
            weights = collection.normalized(weights)
    _save_weights(config, weights)
    found: HeadroomReport | None = None
    if config.oracle:
        found = headroom(collection, even, weights)
        for line in found.lines():
            log.info(line)
    centered = config.normalize == "list"
    ranked = (
        rank(replace(item, entries=tuple(entries)), weights, config.length_feature, centered)
        for entries, item in zip(job.lists(path, extra["nbest"]), kept, strict=True)
    )
    _write(job, ranked, len(sources), extra["output_file"])
    if job.given is None and tuning is None and config.normalize == "none":
        spread = collection.spread()
        _warn_if_lopsided(spread["Baseline"], max(v for n, v in spread.items() if "S2ST" in n))
    _save_report(config, tuning, found, weights, collection.spread())


def _write(job: _Job, ranked: "Iterator[RankedList]", sources: int, path: str) -> None:
    from s2st.text.lines import open_output

    line = changed = lists = 0
    with open_output(path) as write:
        for item in ranked:
            lists += 1
            changed += item.best != 0
            if job.config.output == "1best":
                for _ in range(line, item.id):
                    write("")
                line = item.id + 1
            for text in _FORMATS[job.config.output](item):
                write(text)
        if job.config.output == "1best":
            for _ in range(line, sources):
                write("")
    log.info("the choice differs from the first hypothesis in %d of %d lists", changed, lists)
    if lists < sources:
        log.warning("%d of %d source lines have no hypotheses", sources - lists, sources)


def _best(item: "RankedList") -> Iterator[str]:
    yield item.entries[item.best].hypothesis


def _nbest(item: "RankedList") -> Iterator[str]:
    from s2st.text.nbest import format_entry

    for index in item.order():
        yield format_entry(item.entries[index])


def _words(item: "RankedList") -> Iterator[str]:
    from s2st.rescoring.weights import model_names

    names = model_names(len(item.scored.token_scores))
    for index in item.order():
        entry = item.entries[index]
        scores = {
            name: [float(value) for value in model[index]]
            for name, model in zip(names, item.scored.token_scores, strict=True)
        }
        record = {"id": entry.id, "hypothesis": entry.hypothesis, "total": entry.total}
        yield json.dumps({**record, "token_log_probs": scores}, ensure_ascii=False)


_FORMATS = {"1best": _best, "nbest": _nbest, "words": _words}


def _warn_if_lopsided(baseline: float, model: float) -> None:
    ratio = max(baseline, model) / max(1e-12, min(baseline, model))
    if ratio > LOPSIDED:
        larger = "the model's" if model > baseline else "the baseline's"
        log.warning(
            "within a list the baseline's totals spread by %.3g and the model's by %.3g: an even "
            "average is nearly %s choice alone; --normalize list or --tune REF puts them on one "
            "scale",
            baseline, model, larger,
        )  # fmt: skip


def _save_weights(config: RescoreConfig, weights: "Weights") -> None:
    from s2st.rescoring.weights import write_weights

    shown = "  ".join(
        f"{n}= {' '.join(f'{v:.4g}' for v in own)}" for n, own in weights.values.items()
    )
    log.info("weights: %s", shown)
    if config.weights_out is not None:
        write_weights(config.weights_out, weights)


def _save_report(
    config: RescoreConfig,
    tuning: "TuningReport | None",
    found: "HeadroomReport | None",
    weights: "Weights",
    spread: Mapping[str, float],
) -> None:
    if config.report is None:
        return
    from s2st.pipelines.tune import report_values

    values = report_values(tuning, found, weights, dict(spread))
    durable.write_file(Path(config.report), json.dumps(values, indent=1).encode() + b"\n")


command = ConfiguredCommand(
    "rescore-nbest",
    RESCORE_SPEC,
    run,
    HELP,
    extra=[
        click.Argument(["nbest"]),
        click.Option(
            ["--source"], required=True, metavar="FILE", help="source lines; id i is line i from 0"
        ),
        click.Option(["-o", "--output-file"], default="-", metavar="FILE", help="where to write"),
    ],
)
