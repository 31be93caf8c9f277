"""One or two passes over a file of n-best lists: score, choose weights, rank, write, report.

If the weights are known in advance, the lists are streamed once. If weights or reports depend on
all lists (normalization, tuning on them, the oracle), the lists are read twice, and only numbers
stay in memory between the passes.
"""

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from s2st.errors import DataError
from s2st.jobs.options import RescoreConfig
from s2st.jobs.progress import Progress, watched
from s2st.jobs.rescore.explanation import Explainer, Explanation
from s2st.jobs.rescore.inputs import Inputs
from s2st.jobs.rescore.list_files import (
    ListFiles,
    ListsInMemory,
    development_files,
    keeps_words,
)
from s2st.jobs.rescore.list_scorer import EarlierScores, ListScorer
from s2st.jobs.rescore.output import write_ranked
from s2st.jobs.rescore.ranking import RankedList, features_of, present_scores, rank
from s2st.jobs.rescore.scored_list import KeptScores, ScoredList
from s2st.jobs.rescore.sharding import shard_lines
from s2st.jobs.rescore.tuning import (
    HeadroomReport,
    TuningReport,
    headroom,
    how,
    report_values,
    shown,
    tune,
)
from s2st.jobs.text_metrics import sacrebleu_words
from s2st.jobs.work_queue import WorkQueue
from s2st.rescoring.consensus import Consensus
from s2st.rescoring.feature_weights import (
    BASELINE,
    CONSENSUS,
    LENGTH,
    Weights,
    even_average,
    write_weights,
)
from s2st.rescoring.metrics import build_metric
from s2st.rescoring.score_spread import FiniteMeter, SpreadMeter
from s2st.rescoring.tuning_data import Collection, Collector
from s2st.rescoring.tuning_lists import Tuner
from s2st.scoring.nbest_features import ListFeature
from s2st.text.atomic_text_output import write_whole
from s2st.text.line_files import split_words
from s2st.text.nbest_lists import NBestEntry

log = logging.getLogger("s2st")
LOPSIDED = 3.0  # ratio of two spreads at which one score nearly decides an equal average alone
Lists = Iterator[list[NBestEntry]]


def reads_twice(config: RescoreConfig, given: Weights | None) -> bool:
    """Whether the weights or a report depend on all lists of the file."""
    fits = config.baseline_features == "own" and given is None and not config.dev_nbest
    tunes_here = bool(config.tune) and not config.dev_nbest
    return config.normalize == "list" or bool(config.oracle) or fits or tunes_here


class RescoringJob:
    """The rescoring of one file of lists.

    Args:
        config: features, weights, output.
        features: the models.
        tuner: tunes the weights if `config.tune` names references.
        given: the user's weights, None if there are none.
        inputs: the files of the job.
        progress: receives the number of scored lists.
        queue: has the scores of a stopped run or of other ranks, and keeps those of this process.

    Attributes:
        report: weights and reports as JSON values, after `run`.
    """

    def __init__(
        self,
        config: RescoreConfig,
        features: Sequence[ListFeature],
        tuner: Tuner,
        given: Weights | None,
        inputs: Inputs,
        progress: Progress,
        queue: WorkQueue,
    ) -> None:
        self.config = config
        self.features = features
        self.tuner = tuner
        self.given = given
        self.inputs = inputs
        self.progress = progress
        self.queue = queue
        self.names = inputs.scored or tuple(feature.name for feature in features)
        self.even = even_average(self.names)
        tokenize = None if config.tokenize == "none" else sacrebleu_words(config.tokenize)
        self.metric = build_metric(config.metric, tokenize, config.tokenize)
        self.consensus: Consensus | None = None
        if config.consensus != "none":
            kind: Any = config.consensus
            self.consensus = Consensus(kind, config.consensus_scale, tokenize or split_words)
        self.report: dict[str, Any] = {}
        self._explainer: Explainer | None = None
        self._read: dict[str, list[str]] = {}  # references
        self.sources = inputs.lines(inputs.source, config.encoding_errors)
        self.part = shard_lines(config.shard, len(self.sources))
        self.development_sources: list[str] = []
        if config.tune and config.dev_source is not None:
            self.development_sources = inputs.lines(config.dev_source, config.encoding_errors)

    def run(self, lists: Lists, files: ListFiles | ListsInMemory) -> None:
        """Rescore the lists, write the output, and report.

        Args:
            lists: all lists of the file.
            files: the same lists, which are read again if `reads_twice` is true.
        """
        config = self.config
        lists = self.inputs.nbest.checked(self._guarded(lists, self.inputs.nbest.name))
        if config.tune or config.oracle:
            log.info(how(self.metric))
        tuning = None
        self._references(config.oracle, self.sources)  # report wrong references before scoring
        if config.tune and config.dev_nbest:
            assert isinstance(self.inputs.nbest, ListFiles)  # lists in memory are tuned as they are
            tuning = self._tune_on_development(development_files(config, self.inputs.nbest))
        if reads_twice(config, self.given):
            self._two_passes(lists, files, tuning)
        else:
            self._one_pass(lists, tuning)

    def _one_pass(self, lists: Lists, tuning: TuningReport | None) -> None:
        weights = tuning.weights if tuning is not None else self.given or self.even
        self._save_weights(weights)
        meter = SpreadMeter()

        def ranked() -> Iterator[RankedList]:
            for item in self._scored(lists):
                if self.names:
                    meter.add(item)
                yield rank(item, weights, self.config.length_feature, centered=False)

        self._write(ranked(), weights)
        if self.given is None and tuning is None and self.names:
            _warn_if_lopsided(*meter.spreads())
        self._save_report(tuning, None, weights, {})

    def _two_passes(
        self, lists: Lists, files: ListFiles | ListsInMemory, tuning: TuningReport | None
    ) -> None:
        config = self.config
        kept = KeptScores(config.tuning_memory << 20, keeps_words(config))

        scored = self._scored(lists)
        references = config.oracle or (config.tune if tuning is None else ())
        collection = self._collect(
            scored, references, self.sources, self.inputs.nbest.name, kept.append
        )
        if config.tune and tuning is None:
            tuning = self._tune(collection)
        weights = self._weights(collection, tuning)
        self._save_weights(weights)
        found = None
        if config.oracle:
            found = headroom(collection, self.even, weights, self.metric)
            for line in found.lines():
                log.info(line)
        again = self._guarded(files.read(), files.name)
        centered = config.normalize == "list"
        self._write(
            (rank(item, weights, config.length_feature, centered) for item in kept.restored(again)),
            weights,
        )
        spread = collection.spread()
        even = self.given is None and tuning is None and self.names
        if even and config.normalize == "none" and config.baseline_features == "total":
            _warn_if_lopsided(spread[BASELINE], spread[self.names[0]])
        self._save_report(tuning, found, weights, spread)

    # scores

    def _guarded(self, lists: Lists, name: str) -> Lists:
        """Check the features of the lists while they are read."""
        return lists if self.inputs.guard is None else self.inputs.guard.watch(lists, name)

    def _references(self, paths: Sequence[str], sources: Sequence[str]) -> list[list[str]]:
        """Return the lines of references; raise DataError if their number is not the source's."""
        for path in paths:
            if path not in self._read:  # a pipe can be read only once
                self._read[path] = self.inputs.lines(path, self.config.encoding_errors)
        lines = [self._read[path] for path in paths]
        for path, text in zip(paths, lines, strict=True):
            if len(text) != len(sources):
                message = f"{len(text)} lines, but the source has {len(sources)}"
                raise DataError(message, path, min(len(text), len(sources)) + 1)
        return lines

    def _scored(self, lists: Lists) -> Iterator[ScoredList]:
        """Yield the lists of the job with their scores."""
        name, before = self.inputs.nbest.name, len(self.development_sources)
        yield from self._scored_of(lists, self.sources, name, "lists", len(self.part), before)

    def _scored_of(
        self,
        lists: Lists,
        sources: Sequence[str],
        name: str,
        label: str,
        total: int,
        first_task: int,
    ) -> Iterator[ScoredList]:
        """Yield the scored lists, report progress, and finally log warnings about their text.

        Args:
            lists: the lists.
            sources: their source lines.
            name: name of the lists in messages.
            label: name of the lists in the progress.
            total: number of lists.
            first_task: number of the task that starts with list 0.
        """
        config = self.config
        if not self.features:
            scorer: ListScorer | EarlierScores = EarlierScores(self.inputs.scored, name)
        else:
            words = keeps_words(config)
            scorer = ListScorer(
                self.features, sources, config.max_rows, name, self.queue, first_task, words
            )
        for item in watched(scorer.score(lists), label, total, self.progress):
            yield self._with_consensus(item)
        if isinstance(scorer, ListScorer) and scorer.resumed and self.queue.ranks.size == 1:
            log.info("%s: used the scores of %d lists from a stopped run", name, scorer.resumed)
        for text in scorer.warnings():
            log.warning("%s: %s", name, text)

    def _with_consensus(self, item: ScoredList) -> ScoredList:
        if self.consensus is None:
            return item
        texts = [entry.hypothesis for entry in item.entries]
        return replace(item, consensus=self.consensus.values(texts, present_scores(item)))

    def _collect(
        self,
        scored: Iterator[ScoredList],
        references: Sequence[str],
        sources: Sequence[str],
        name: str,
        keep: Callable[[ScoredList], None],
    ) -> Collection:
        """Collect features and statistics of the metric of all lists.

        Args:
            scored: the scored lists.
            references: paths of references; empty if the metric is not needed.
            sources: the source lines.
            name: name of the lists in messages.
            keep: called with each list.
        """
        lines = self._references(references, sources)
        collector = Collector(
            list(zip(*lines, strict=True)) if lines else None,
            self.metric,
            self.config.tuning_memory << 20,
        )
        for item in scored:
            texts = [entry.hypothesis for entry in item.entries]
            collector.add(item.id, texts, features_of(item, self.config.length_feature))
            keep(item)
        collection = collector.finish()
        if not collection.lists:
            raise DataError("no lists with finite totals and features", name)
        for text in collection.left_out(0 if sources is self.sources else len(sources)):
            log.warning("%s: %s", name, text)
        return collection

    # weights

    def _weights(self, collection: Collection, tuning: TuningReport | None) -> Weights:
        return self._initial_weights(collection) if tuning is None else tuning.weights

    def _initial_weights(self, collection: Collection) -> Weights:
        """Return the weights for the case that nothing is learned."""
        if self.config.baseline_features == "own":
            return self._default_weights(collection)
        weights = self.given or self.even
        return collection.normalized(weights) if self.config.normalize == "list" else weights

    def _default_weights(self, collection: Collection) -> Weights:
        """Return the user's weights, or weights that give each score equal influence.

        Weights of equal influence are divided by the scores' spreads, and include the baseline's
        own features if the options ask for them.
        """
        if self.given is not None:
            normalize = self.config.normalize == "list"
            return collection.normalized(self.given) if normalize else self.given
        even = dict(self.even.values)
        if self.config.length_feature:
            even[LENGTH] = (0.0,)
        if self.consensus is not None:
            even[CONSENSUS] = (0.0,)
        scaled = dict(collection.normalized(Weights(even)).values)
        if self.config.baseline_features == "own":
            share = scaled.pop(BASELINE)[0]
            for name, numbers in collection.baseline_weights().values.items():
                scaled.setdefault(name, tuple(share * number for number in numbers))
        return Weights(scaled)

    def _tune_on_development(self, files: ListFiles) -> TuningReport:
        sources, name = self.development_sources, files.name
        lists = files.checked(self._guarded(files.read(), name))
        scored = self._scored_of(lists, sources, name, "development lists", len(sources), 0)
        return self._tune(self._collect(scored, self.config.tune, sources, name, lambda item: None))

    def _tune(self, collection: Collection) -> TuningReport:
        own_features = self.config.baseline_features == "own"
        start, initial = self._default_weights(collection), self._initial_weights(collection)
        folds, metric = self.config.folds, self.metric
        with shown(self.tuner, folds, self.progress) as tuner:
            report = tune(collection, tuner, start, initial, own_features, folds, metric)
        for line in report.lines():
            log.info(line)
        warning = report.warning()
        if warning is not None:
            log.warning(warning)
        return report

    # output

    def explanation(self) -> Explanation:
        """Return why choices changed; call it after `run`, with `--explain`."""
        assert self._explainer is not None
        return self._explainer.finish()

    def _explained(self, ranked: Iterator[RankedList], weights: Weights) -> Iterator[RankedList]:
        config = self.config
        if config.explain is None:
            return ranked
        paths = config.oracle or (() if config.dev_nbest else config.tune)
        references = self._references(paths, self.sources)
        self._explainer = Explainer(weights, self.sources, references, self.metric, self.features)
        return self._explainer.watch(ranked)

    def _write(self, ranked: Iterator[RankedList], weights: Weights) -> None:
        meter = FiniteMeter()
        ranked = self._explained(ranked, weights)
        totals = meter.watch(ranked, lambda item: [entry.total for entry in item.entries])
        if isinstance(self.inputs.output, str):
            write_ranked(totals, self.config.format, self.part, self.inputs.output)
        else:
            for item in totals:
                self.inputs.output(item)
        for text in meter.warnings(self.inputs.nbest.name):
            log.warning(text)

    def _save_weights(self, weights: Weights) -> None:
        items = weights.values.items()
        shown = [" ".join([f"{name}=", *(f"{v:.4g}" for v in values)]) for name, values in items]
        log.info("weights: %s", "  ".join(shown))
        if self.config.weights_out is not None:
            write_weights(self.config.weights_out, weights)
            log.info("wrote %s", self.config.weights_out)

    def _save_report(
        self,
        tuning: TuningReport | None,
        found: HeadroomReport | None,
        weights: Weights,
        spread: dict[str, float],
    ) -> None:
        self.report = report_values(tuning, found, weights, spread)
        if self.config.report is not None:
            text = json.dumps(self.report, indent=1) + "\n"
            write_whole(self.config.report, [text])
            log.info("wrote %s", self.config.report)


def _warn_if_lopsided(baseline: float, model: float) -> None:
    if 0 < min(baseline, model) < max(baseline, model) / LOPSIDED:
        larger = "the model's" if model > baseline else "the baseline's"
        log.warning(
            "the standard deviation within lists is %.3g for the baseline's totals and %.3g for "
            "the model's scores, so an equal average nearly follows %s choice alone; use --tune "
            "REF to learn a balance, or --normalize list to equalize them",
            baseline, model, larger,
        )  # fmt: skip
