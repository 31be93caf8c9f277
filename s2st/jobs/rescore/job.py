"""The job of `s2st rescore-nbest`: check options, load models, and rescore a file of n-best lists.

A list passes through `read_nbest`, `ListScorer` (the models' features), the weights (equal, given
or tuned), `rank` and `write_ranked`. The work queue keeps the scores. `rescore_lists` does the same
for lists in memory.

The module imports torch late, so that wrong options are reported at once.
"""

import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

from s2st.errors import DataError, UsageError
from s2st.jobs.options import ModelsConfig, RescoreConfig
from s2st.jobs.progress import Progress
from s2st.jobs.scoring_job_files import (
    JobFiles,
    count_lines,
    models_identity,
    open_queue,
    refuse_shared_stdin,
)
from s2st.options.resolution import Resolved
from s2st.process.device import ScoringDeviceConfig
from s2st.process.ranks import Ranks, read_ranks
from s2st.process.torch_import import import_torch
from s2st.text.overwrite_checks import check_destinations

if TYPE_CHECKING:
    import torch

    from s2st.jobs.load_models import LoadedModels
    from s2st.jobs.rescore.explanation import Explanation
    from s2st.jobs.rescore.inputs import Inputs
    from s2st.jobs.rescore.ranking import RankedList
    from s2st.jobs.work_queue import WorkQueue
    from s2st.rescoring.feature_checks import FeatureGuard
    from s2st.rescoring.feature_weights import Weights
    from s2st.scoring.base import Scorer
    from s2st.scoring.nbest_features import ListFeature
    from s2st.text.nbest_lists import NBestEntry

log = logging.getLogger("s2st")


def rescore_nbest(
    options: Resolved,
    nbest: Sequence[str],
    source: str,
    output: str,
    progress: Progress,
    write_explanation: "Callable[[str, Explanation], None] | None" = None,
) -> None:
    """Rescore the lists of a file or stream, or the merged lists of several systems.

    Args:
        options: resolved options of RESCORE_SPEC.
        nbest: path of the lists of each system, "-" for standard input.
        source: path of their source lines.
        output: path of the output, "-" for standard output.
        progress: receives the number of scored lists.
        write_explanation: writes the file of `--explain`; takes its path and content.

    Raises:
        UsageError: options, models and files are incompatible.
        DataError: lists or weights cannot be used.
    """
    models, config = options.config(ModelsConfig), options.config(RescoreConfig)
    paths = [*models.paths(), *config.channel_checkpoint]
    files = _files(config, nbest, source, output)
    _check(config, models, paths, files)
    job_ranks = files.join_ranks() if paths else read_ranks()
    if not paths and not job_ranks.first:  # without models there is no work to share
        return
    given = _given_weights(config)
    import_torch()
    from s2st.jobs.rescore.inputs import Inputs
    from s2st.jobs.rescore.list_files import ListFiles, rereadable
    from s2st.jobs.rescore.list_scorer import earlier_names
    from s2st.jobs.rescore.rescore_file import RescoringJob, reads_twice

    list_files = ListFiles(
        tuple(nbest), tuple(nbest), config.encoding_errors, not paths, config.nbest_format
    )
    inputs = Inputs(list_files, source, output)
    twice = reads_twice(config, given)
    part = _shard_ids(config, source, twice)
    with rereadable(list_files) if twice else nullcontext(list_files) as again:
        lists = again.read(None if part is None else part.__contains__)
        first = next(lists, [])  # report an error in the first line before loading models
        if not first and config.shard is None:  # a shard may be empty
            raise DataError("no lists", list_files.name)
        names = _feature_names(models, config)
        if not paths:
            names = earlier_names(first)
            if not names and config.consensus == "none":
                raise UsageError(
                    "no model: give --checkpoint FOLDER, or --consensus bleu or chrf to choose "
                    "without one"
                )
            inputs = replace(inputs, scored=names)
        guard = _guard(given, config, names, first, inputs)
        inputs = replace(inputs, guard=guard)
        tuner = options.entries["tuner"].build(options.configs["tuner"])
        used = names if paths else ()
        with _shared_features(options, used, inputs, files, job_ranks, progress) as shared:
            if not job_ranks.first:
                return
            job = RescoringJob(
                config, shared.features, tuner, given, inputs, progress, shared.queue
            )
            job.run(chain([first], lists) if first else lists, again)
            if config.explain is not None and write_explanation is not None:
                write_explanation(config.explain, job.explanation())
                log.info("wrote %s", config.explain)


def rescore_lists(
    options: Resolved,
    models: "LoadedModels",
    lists: "Sequence[Sequence[NBestEntry]]",
    texts: Mapping[str, Sequence[str]],
    write: "Callable[[RankedList], object]",
    channel: "Sequence[tuple[str, Scorer]]" = (),
) -> Mapping[str, Any]:
    """Rescore lists in memory; the results are those of `rescore_nbest` for one file.

    Args:
        options: resolved options of RESCORE_LISTS_SPEC. `tune` and `oracle` are names in `texts`.
        models: the models.
        lists: for each source line its hypotheses, whose ids are the numbers of the lines from 0.
        texts: the source lines under the name "sources", and the references under their names.
        write: takes each ranked list, in order.
        channel: paths and models of the opposite direction.

    Returns:
        Weights and reports as JSON values.

    Raises:
        UsageError: options, models and lists are incompatible.
        DataError: lists or weights cannot be used.
    """
    from s2st.jobs.rescore.inputs import Inputs
    from s2st.jobs.rescore.list_files import ListsInMemory
    from s2st.jobs.rescore.rescore_file import RescoringJob
    from s2st.jobs.work_queue import WorkQueue
    from s2st.rescoring.feature_weights import model_names

    config = options.config(RescoreConfig)
    given = _given_weights(config)
    scorers = models.members if config.feature_per == "member" else [models.scorer]
    names = model_names(len(scorers), len(channel))
    source = ListsInMemory(lists)
    inputs = Inputs(source, "sources", write, texts=texts)
    first = next(source.read(), [])
    if not first:
        raise DataError("no lists", source.name)
    inputs = replace(inputs, guard=_guard(given, config, names, first, inputs))
    tuner = options.entries["tuner"].build(options.configs["tuner"])
    features = _features(names, scorers, channel)
    job = RescoringJob(config, features, tuner, given, inputs, Progress(), WorkQueue())
    job.run(source.read(), source)
    return job.report


def _files(config: RescoreConfig, nbest: Sequence[str], source: str, output: str) -> JobFiles:
    """Return the files of the job, with the development lists if they are scored."""
    inputs = {**_numbered("NBEST", nbest), "--source": source}
    if config.tune and config.dev_nbest and config.dev_source is not None:
        inputs |= {**_numbered("--dev-nbest", config.dev_nbest), "--dev-source": config.dev_source}
    return JobFiles(inputs, output)


def _numbered(name: str, paths: Sequence[str]) -> dict[str, str]:
    """Return the files of an argument by its name: NBEST, NBEST 2, NBEST 3, ..."""
    return {name if i == 0 else f"{name} {i + 1}": path for i, path in enumerate(paths)}


def _check(
    config: RescoreConfig, models: ModelsConfig, paths: Sequence[str], files: JobFiles
) -> None:
    inputs = [*files.inputs.values(), *config.tune, *config.oracle]
    if "--dev-source" not in files.inputs:  # wrong options are reported below
        dev = [] if config.dev_source is None else [config.dev_source]
        inputs += [*config.dev_nbest, *dev]
    refuse_shared_stdin(*inputs)
    reports = (config.report, config.weights_out, config.explain)
    written = [path for path in reports if path is not None]
    if config.explain is not None and not config.explain.endswith((".html", ".json")):
        raise UsageError(f"--explain {config.explain}: name a file that ends in .html or .json")
    weights = [] if config.weights is None else [config.weights]
    check_destinations([files.output, *written], [], [*inputs, *weights, *paths])
    if models.ensemble_weight and (config.feature_per == "member" or len(models.paths()) == 1):
        raise UsageError("--ensemble-weight needs several checkpoints and --feature-per ensemble")
    if config.weight and config.weights is not None:
        raise UsageError("give --weight or --weights, not both")
    if config.weights is not None and config.normalize == "list":
        raise UsageError("--weights applies to raw features: leave out --normalize list")
    if not paths and (config.format == "words" or config.feature_per == "member" or config.resume):
        raise UsageError("--format words, --feature-per member and --resume need a --checkpoint")
    _check_development(config, sum(name.startswith("NBEST") for name in files.inputs))
    if config.resume:
        files.check_resume()


def _check_development(config: RescoreConfig, systems: int) -> None:
    if bool(config.dev_nbest) != (config.dev_source is not None):
        raise UsageError("--dev-nbest and --dev-source must be given together")
    if config.dev_nbest and not config.tune:
        raise UsageError("--dev-nbest needs --tune REF, the reference of its lists")
    if config.dev_nbest and len(config.dev_nbest) != systems:
        raise UsageError(
            f"{len(config.dev_nbest)} --dev-nbest for {systems} NBEST: give one for each, in the "
            "same order"
        )


def _shard_ids(config: RescoreConfig, source: str, twice: bool) -> range | None:
    """Return the ids of the lists of `--shard`, None for all lists."""
    if config.shard is None:
        return None
    from s2st.jobs.rescore.sharding import shard_lines

    if twice:
        raise UsageError(
            "--shard cannot be used with options that need all lists; tune the weights once (with "
            "--dev-nbest, or on all lists with --weights-out), and give each shard --weights"
        )
    count = count_lines(source, config.encoding_errors)
    part = shard_lines(config.shard, count)
    # the last shard also reads ids beyond the source, to report them as an error
    return range(part.start, sys.maxsize) if part.stop == count else part


@dataclass(frozen=True)
class _Shared:
    """The models of the job as features, and its work queue."""

    features: "Sequence[ListFeature]"
    queue: "WorkQueue"


@contextmanager
def _shared_features(
    options: Resolved,
    names: Sequence[str],
    inputs: "Inputs",
    files: JobFiles,
    ranks: Ranks,
    progress: Progress,
) -> Iterator[_Shared]:
    """Load the models and open the work queue.

    If there are several ranks, they have scored all lists when the context starts.

    Args:
        options: resolved options of the job.
        names: names of the models' features; empty if the lists already have the scores.
        inputs: the lists of the job and their source.
        files: the files of the job.
        ranks: this process among the ranks of the job.
        progress: receives the progress of all ranks if there are several.
    """
    from s2st.jobs.rescore.distributed_scoring import score_share
    from s2st.jobs.rescore.list_files import ListFiles, development_files
    from s2st.jobs.work_queue import WorkQueue
    from s2st.process.device import setup_device

    if not names:  # the lists already have the scores
        yield _Shared([], WorkQueue())
        return
    config = options.config(RescoreConfig)
    device = setup_device(options.config(ScoringDeviceConfig))
    assert isinstance(inputs.nbest, ListFiles)
    parts = [(inputs.nbest, inputs.source, config.shard)]
    if "--dev-source" in files.inputs:
        dev = development_files(config, inputs.nbest)
        parts.insert(0, (dev, files.inputs["--dev-source"], None))

    def count() -> int:
        from s2st.jobs.rescore.sharding import shard_lines

        lines = ((count_lines(text, config.encoding_errors), shard) for _, text, shard in parts)
        return sum(len(shard_lines(shard, total)) for total, shard in lines)

    identity = _identity(options, device) if files.lasting else {}
    with open_queue(files, ranks, options, identity, config.resume, progress, count) as queue:
        features = _load(options, names, device)
        if ranks.size > 1:
            score_share(config, features, parts, queue)
            queue.meet()
        yield _Shared(features, queue)


def _identity(options: Resolved, device: "torch.device") -> Mapping[str, Any]:
    """Return everything that the scores depend on besides the content of the inputs."""
    from s2st.jobs.rescore.list_files import keeps_words
    from s2st.scoring.load_scorers import fingerprints

    config = options.config(RescoreConfig)
    return {
        **models_identity(options, device),
        "--feature-per": config.feature_per,
        "channel checkpoints": fingerprints(config.channel_checkpoint),
        "--max-rows": config.max_rows,
        "--shard": config.shard,
        "--encoding-errors": config.encoding_errors,
        "--nbest-format": config.nbest_format,
        "whether every word's score is kept": keeps_words(config),
    }


def _guard(
    given: "Weights | None",
    config: RescoreConfig,
    names: tuple[str, ...],
    first: "Sequence[NBestEntry]",
    inputs: "Inputs",
) -> "FeatureGuard":
    """Check weights and development lists against the first list; return the guard of all lists."""
    from s2st.jobs.rescore.list_files import ListFiles, development_files
    from s2st.rescoring.feature_checks import FeatureGuard, FeatureRules

    rules = FeatureRules(
        names, scored=bool(inputs.scored), length=config.length_feature,
        consensus=config.consensus != "none",
        own_features=config.baseline_features == "own", tunes=bool(config.tune),
    )  # fmt: skip
    guard = FeatureGuard(rules, given, first, inputs.nbest.name)
    if config.tune and config.dev_nbest and isinstance(inputs.nbest, ListFiles):
        dev = development_files(config, inputs.nbest)
        if dev.rereadable:
            guard.check_start(dev.read(), dev.name)
    return guard


def _feature_names(models: ModelsConfig, config: RescoreConfig) -> tuple[str, ...]:
    """Return the names of the features of the checkpoints."""
    from s2st.rescoring.feature_weights import model_names

    direct = len(models.paths())
    if config.feature_per == "ensemble":
        direct = min(direct, 1)
    return model_names(direct, len(config.channel_checkpoint))


def _load(
    options: Resolved, names: Sequence[str], device: "torch.device"
) -> "Sequence[ListFeature]":
    """Load the models as features, in the order of the names."""
    from s2st.scoring.load_scorers import join, load_members

    models, config = options.config(ModelsConfig), options.config(RescoreConfig)
    precision = options.config(ScoringDeviceConfig).precision
    paths = models.paths()
    scorers = load_members(paths, device, precision, models.languages)
    if config.feature_per == "ensemble" and len(scorers) > 1:
        scorers = [join(scorers, paths, models.ensemble_weight, models.ensemble_mode)]
    channel = load_members(
        config.channel_checkpoint, device, precision, models.languages.reversed()
    )
    named = list(zip(config.channel_checkpoint, channel, strict=True))
    return _features(names, scorers, named)


def _features(
    names: Sequence[str], scorers: "Sequence[Scorer]", channel: "Sequence[tuple[str, Scorer]]"
) -> "Sequence[ListFeature]":
    """Return loaded models as features, in the order of the names.

    Args:
        names: names of the features.
        scorers: the models of the lists' direction.
        channel: paths and models of the opposite direction.

    Raises:
        UsageError: a channel model has another direction.
    """
    from s2st.scoring.load_scorers import check_channel
    from s2st.scoring.nbest_features import ChannelFeature, DirectFeature, ListFeature

    features: list[ListFeature] = list(map(DirectFeature, names, scorers))
    for path, scorer in channel:
        check_channel(scorer, path, scorers)
    others = [scorer for _, scorer in channel]
    return [*features, *map(ChannelFeature, names[len(features) :], others)]


def _given_weights(config: RescoreConfig) -> "Weights | None":
    from s2st.rescoring.feature_weights import parse_weights, read_weights

    if config.weights is not None:
        return read_weights(config.weights)
    return parse_weights(config.weight) if config.weight else None
