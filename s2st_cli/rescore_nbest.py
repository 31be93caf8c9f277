"""`s2st rescore-nbest`: SMT n-best lists to rescored 1-best text or re-sorted lists."""

import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from s2st.components import Resolved
from s2st.device import ScoringDeviceConfig
from s2st.errors import DataError, UsageError
from s2st.pipelines.options import RESCORE_SPEC, ModelsConfig, RescoreConfig
from s2st.ranks import Ranks, RanksConfig, ranks
from s2st_cli.dealing import join_ranks, models_identity, open_parts
from s2st_cli.generate import is_resumable, require_checkpoints
from s2st_cli.options import ConfiguredCommand, refuse_shared_stdin
from s2st_cli.progress import ListProgress
from s2st_cli.startup import import_torch

if TYPE_CHECKING:
    import torch

    from s2st.pipelines.rescore_job import Inputs
    from s2st.pipelines.scored import ScoredList
    from s2st.rescoring.layout import FeatureGuard
    from s2st.rescoring.weights import Weights
    from s2st.scoring.features import ListFeature
    from s2st.text.nbest import NBestEntry

log = logging.getLogger("s2st")
HELP = """Rescore the Moses n-best lists in NBEST (a file, .gz, or - for standard input).

Each hypothesis gets the log-probability of the checkpoints (together, or with --feature-per
member each its own) as a feature S2ST0, S2ST1, ...; its new total is the even average of the
baseline's total and the new features, or as --weight, --weights or --tune say. Line i of 1-best
output belongs to line i of --source; a sentence without hypotheses gets an empty line.

Without --checkpoint, the scores that an earlier run left in the lists (--output nbest) are used:
other weights, tuning and reports without scoring again.

--tune REF learns weights on development lists (--dev-nbest and --dev-source; NBEST itself where
they are left out) and says what they gain on lists that they were not learned on. --oracle REF
reports how much better a choice from the lists could be.
"""


def run(options: Resolved, extra: Mapping[str, Any]) -> None:
    """Loads the models and rescores."""
    models = options.config(ModelsConfig)
    config = options.config(RescoreConfig)
    paths = [*models.paths(), *config.channel_checkpoint]
    _check(config, models, paths, extra)
    own = _join(config, paths, extra)
    if not paths and not own.first:  # no scores to compute: there is nothing to deal
        return
    given = _given_weights(config)
    import_torch()
    from s2st.pipelines.journal import Journal
    from s2st.pipelines.rescore import earlier_names, shard_lines
    from s2st.pipelines.rescore_job import Inputs, RescoringJob, reads_twice, rereadable
    from s2st.text.lines import read_lines
    from s2st.text.nbest import read_nbest

    inputs = Inputs(extra["nbest"], extra["source"], extra["output_file"])
    twice = reads_twice(config, given)
    ids = None
    if config.shard is not None:
        if twice:
            raise UsageError(
                "--shard: these options need all lists (learn the weights once, with --dev-nbest "
                "or into --weights-out, and give the shards --weights)"
            )
        count = sum(1 for _ in read_lines(inputs.source, config.encoding_errors))
        part = shard_lines(config.shard, count)
        # the last part also sees ids that no source line has, which are an error
        ids = range(part.start, sys.maxsize) if part.stop == count else part
    with rereadable(inputs.nbest) if twice else nullcontext(inputs.nbest) as path:
        lists = read_nbest(
            read_lines(path, config.encoding_errors, inputs.nbest), inputs.nbest, ids
        )
        first = next(lists, [])  # an error in the first line comes before the models are loaded
        if not first and config.shard is None:  # a shard may well have none
            raise DataError("no lists", inputs.nbest)
        names = _feature_names(models, config)
        if not paths:
            names = earlier_names(first)
            if not names:
                require_checkpoints(models)
            inputs = replace(inputs, scored=names)
        guard = _guard(given, config, names, first, inputs)
        inputs = replace(inputs, guard=guard)
        tuner = options.entries["tuner"].build(options.configs["tuner"])
        features = _load(options, names) if paths else []
        identity = _identity(options, features[0].scorer.device) if paths else {}
        with _dealt(options, identity, features, inputs, own) as resume:
            if not own.first:
                return
            journal = None
            if paths and is_resumable(inputs.output):
                words = config.output == "words"
                journal = Journal(Path(inputs.output), identity, resume, words)
            finished = False
            try:
                job = RescoringJob(config, features, tuner, given, inputs, _watch, journal)
                job.run(chain([first], lists) if first else lists, path)
                finished = True
            finally:
                if journal is not None:
                    journal.close(finished)


def _join(config: RescoreConfig, paths: Sequence[str], extra: Mapping[str, Any]) -> Ranks:
    """This process among those of the job."""
    if not paths:
        return ranks()
    inputs = [extra["nbest"], extra["source"], config.dev_nbest, config.dev_source]
    return join_ranks([path for path in inputs if path is not None], extra["output_file"])


@contextmanager
def _dealt(
    options: Resolved,
    identity: Mapping[str, Any],
    features: "Sequence[ListFeature]",
    inputs: "Inputs",
    own: Ranks,
) -> Iterator[bool]:
    """Whether the job goes on with a journal; where ranks share it, they have made that first."""
    config = options.config(RescoreConfig)
    if own.size == 1 or not features:
        yield config.resume
        return
    from s2st.pipelines.dealt_lists import deal_lists
    from s2st.pipelines.journal import write_journal
    from s2st.pipelines.rescore import shard_lines
    from s2st.text.lines import read_lines

    def count(path: str) -> int:
        return sum(1 for _ in read_lines(path, config.encoding_errors))

    total = len(shard_lines(config.shard, count(inputs.source)))
    files = {"NBEST": inputs.nbest, "--source": inputs.source}
    if config.tune and config.dev_nbest is not None and config.dev_source is not None:
        files |= {"--dev-nbest": config.dev_nbest, "--dev-source": config.dev_source}
        total += count(config.dev_source)
    about = {**identity, "--encoding-errors": config.encoding_errors}
    with open_parts(own, inputs.output, about, files, total) as parts:
        pieces = deal_lists(config, features, inputs.nbest, inputs.source, parts)
        parts.meet(own, options.config(RanksConfig).rank_timeout)
        if own.first:
            write_journal(Path(inputs.output), identity, map(parts.read, pieces))
        yield True


def _identity(options: Resolved, device: "torch.device") -> dict[str, Any]:
    """What the scores of the lists depend on."""
    from s2st.scoring.build import fingerprints

    config = options.config(RescoreConfig)
    return {
        **models_identity(options, device),
        "--feature-per": config.feature_per,
        "channel checkpoints": fingerprints(config.channel_checkpoint),
        "--max-rows": config.max_rows,
        "--shard": config.shard,
        "whether --output is words": config.output == "words",
    }


def _guard(
    given: "Weights | None",
    config: RescoreConfig,
    names: tuple[str, ...],
    first: "Sequence[NBestEntry]",
    inputs: "Inputs",
) -> "FeatureGuard":
    """Checks weights and development lists against the first list, and later all lists."""
    from s2st.rescoring.layout import FeatureGuard, FeatureRules

    rules = FeatureRules(
        names, scored=bool(inputs.scored), length=config.length_feature,
        own=config.baseline_features == "own", tunes=bool(config.tune),
    )  # fmt: skip
    guard = FeatureGuard(rules, given, first, inputs.nbest)
    if config.tune and config.dev_nbest is not None:
        guard.check_start(config.dev_nbest, config.encoding_errors)
    return guard


def _feature_names(models: ModelsConfig, config: RescoreConfig) -> tuple[str, ...]:
    """Names of the features that the checkpoints give."""
    from s2st.rescoring.weights import model_names

    direct = len(models.paths())
    if config.feature_per == "ensemble":
        direct = min(direct, 1)
    return model_names(direct, len(config.channel_checkpoint))


def _load(options: Resolved, names: Sequence[str]) -> "Sequence[ListFeature]":
    """The features, in the order of their names."""
    from s2st.device import setup_device
    from s2st.scoring.build import check_channel, join, load_members
    from s2st.scoring.features import ChannelFeature, DirectFeature, ListFeature

    models, config = options.config(ModelsConfig), options.config(RescoreConfig)
    device_config = options.config(ScoringDeviceConfig)
    device, precision = setup_device(device_config), device_config.precision
    paths = models.paths()
    scorers = load_members(paths, device, precision)
    if config.feature_per == "ensemble" and len(scorers) > 1:
        scorers = [join(scorers, paths, models.ensemble_weight, models.ensemble_mode)]
    features: list[ListFeature] = list(map(DirectFeature, names, scorers))
    channel = load_members(config.channel_checkpoint, device, precision)
    for path, scorer in zip(config.channel_checkpoint, channel, strict=True):
        check_channel(scorer, path, scorers)
    return [*features, *map(ChannelFeature, names[len(features) :], channel)]


def _watch(label: str, total: int, lists: "Iterator[ScoredList]") -> "Iterator[ScoredList]":
    with ListProgress(label, total) as progress:
        for item in lists:
            progress.add(len(item.entries), item.rows_stepped, item.positions)
            yield item


def _check(
    config: RescoreConfig, models: ModelsConfig, paths: Sequence[str], extra: Mapping[str, Any]
) -> None:
    inputs = [extra["nbest"], extra["source"], *config.tune, *config.oracle]
    inputs += [path for path in (config.dev_nbest, config.dev_source) if path is not None]
    refuse_shared_stdin(*inputs)
    _check_outputs(config, extra["output_file"], [*inputs, config.weights])
    if models.ensemble_weight and (config.feature_per == "member" or len(models.paths()) == 1):
        raise UsageError("--ensemble-weight needs several checkpoints and --feature-per ensemble")
    if config.weight and config.weights is not None:
        raise UsageError("give --weight or --weights, not both")
    if config.weights is not None and config.normalize == "list":
        raise UsageError("a weights file weighs the raw features: leave --normalize out")
    if not paths and (config.output == "words" or config.feature_per == "member" or config.resume):
        raise UsageError("--output words, --feature-per member and --resume need a --checkpoint")
    if (config.dev_nbest is None) != (config.dev_source is None):
        raise UsageError("--dev-nbest and --dev-source go together")
    if config.dev_nbest is not None and not config.tune:
        raise UsageError("--dev-nbest needs --tune REF, the reference of its lists")


def _check_outputs(config: RescoreConfig, output: str, inputs: Sequence[str | None]) -> None:
    from s2st.pipelines.journal import SUFFIX
    from s2st.text.lines import check_outputs

    journal = output + SUFFIX if is_resumable(output) else None
    check_outputs([output, journal, config.report, config.weights_out], inputs)
    if config.resume and journal is None:
        raise UsageError("--resume needs an --output-file that is a file")


def _given_weights(config: RescoreConfig) -> "Weights | None":
    from s2st.rescoring.weights import parse_weights, read_weights

    if config.weights is not None:
        return read_weights(config.weights)
    return parse_weights(config.weight) if config.weight else None


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
