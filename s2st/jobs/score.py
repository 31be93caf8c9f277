"""The job of `s2st score --checkpoint`: log-probabilities of given pairs of lines, and perplexity.

`score_pairs` reads and writes files; `score_lines` does the same for lines in memory.

Importable without torch, so that wrong options are reported at once.
"""

import contextlib
import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, zip_longest
from typing import TYPE_CHECKING

from s2st.errors import DataError, UsageError
from s2st.jobs.load_models import load_chosen_scorer
from s2st.jobs.options import ModelsConfig, ScoreConfig
from s2st.jobs.progress import Progress
from s2st.jobs.scoring_job_files import (
    JobFiles,
    check_vectors,
    models_identity,
    open_queue,
    refuse_shared_stdin,
    require_checkpoints,
    source_inputs,
    source_lines,
)
from s2st.options.resolution import Resolved
from s2st.process.device import ScoringDeviceConfig
from s2st.process.torch_import import import_torch
from s2st.text.line_files import aligned, open_output, read_lines
from s2st.text.overwrite_checks import check_destinations
from s2st.training.observer import perplexity_text

if TYPE_CHECKING:
    from s2st.jobs.pair_scoring_tasks import PairScore
    from s2st.scoring.base import Scorer

log = logging.getLogger("s2st")


@dataclass
class PairTotals:
    """Sums over the pairs of a job. `log_prob` is in nats; `tokens` counts EOS.

    Attributes:
        reads_source: false for a language model, which scores single lines.
    """

    reads_source: bool = True
    pairs: int = 0
    tokens: int = 0
    unknown: int = 0
    impossible: int = 0
    log_prob: float = 0.0

    def add(self, log_prob: float, tokens: int, unknown: int, impossible: int) -> None:
        """Count one pair."""
        self.impossible += impossible
        self.pairs += 1
        self.tokens += tokens
        self.unknown += unknown
        self.log_prob += log_prob

    def summary(self) -> str:
        """The sums and the perplexity per token, as one line; needs at least one token."""
        what = "pairs" if self.reads_source else "lines"
        zero = ""
        if self.impossible:
            zero = (
                f"; tokens of probability 0 (log10 -99 in an ARPA file): {self.impossible:,}; the "
                "model calls their lines impossible, and the true perplexity is infinite"
            )
        return (
            f"{self.pairs:,} {what}, {self.tokens:,} target tokens with EOS "
            f"({self.unknown:,} unknown), log-probability {self.log_prob:.3f}, perplexity "
            f"{perplexity_text(-self.log_prob / self.tokens, 4)}{zero}"
        )


def score_pairs(options: Resolved, output: str, progress: Progress) -> PairTotals | None:
    """Write log p(target | source) of each pair of lines.

    Args:
        options: of SCORE_SPEC. Its `source` and `target` are paths of the pairs, "-" for standard
            input; a language model needs no source.
        output: path of the output, "-" for standard output.
        progress: shows what several ranks have finished.

    Returns:
        The sums over all pairs; None on every rank but the first.

    Raises:
        UsageError: options, models and files that do not go together.
        DataError: files of unequal length, or without lines.
    """
    config = options.config(ScoreConfig)
    files = _job_files(config, options.config(ModelsConfig), output)
    paths = list(files.inputs.values())
    job_ranks = files.join_ranks()
    import_torch()
    from s2st.jobs.pair_scoring_tasks import plan
    from s2st.jobs.work_queue import in_order
    from s2st.process.device import setup_device

    device = setup_device(options.config(ScoringDeviceConfig))
    identity = {}
    if files.lasting:
        identity = {**models_identity(options, device), "--format": config.format}
    totals = PairTotals()
    with contextlib.ExitStack() as stack:
        count = partial(_count, paths)
        queue = stack.enter_context(
            open_queue(files, job_ranks, options, identity, config.resume, progress, count)
        )
        scorer = load_chosen_scorer(options, device)
        check_vectors(config.source_vectors, scorer)
        totals.reads_source = not scorer.source.absent
        given = config.source is not None or config.source_vectors is not None
        _check_source(scorer, given, "--source FILE", "--target")
        pairs = _pairs(config)
        answers = in_order(
            plan(scorer, pairs), partial(_answer, as_json=config.format == "json"), queue
        )
        first = next(answers, None)  # what fails before the first line leaves the output as it was
        if not job_ranks.first:
            return None
        write = stack.enter_context(open_output(output))
        for record, *sums in chain([] if first is None else [first], answers):
            write(record)
            totals.add(*sums)
    if not totals.tokens:
        raise DataError("no lines", config.target)
    return totals


def score_lines(
    scorer: "Scorer", sources: Iterable[str] | None, targets: Iterable[str]
) -> "Iterator[PairScore]":
    """Yield log p(target | source) of each pair, in order; the results are those of `score_pairs`.

    Args:
        scorer: the model or ensemble.
        sources: the source lines; None for a language model.
        targets: the target lines.

    Raises:
        UsageError: the model needs a source.
        DataError: sources and targets differ in number, or the model cannot score a pair.
    """
    from s2st.jobs.pair_scoring_tasks import score_pairs as score_texts

    _check_source(scorer, sources is not None, "sources", "targets")
    texts = (("", line) for line in targets) if sources is None else _paired(sources, targets)
    return score_texts(scorer, texts)


def _paired(sources: Iterable[str], targets: Iterable[str]) -> Iterator[tuple[str, str]]:
    for number, (source, target) in enumerate(zip_longest(sources, targets), start=1):
        if source is None or target is None:
            ends = ("sources", "targets") if source is None else ("targets", "sources")
            raise DataError(
                f"{ends[0]} end after {number - 1} lines, but {ends[1]} have more; give as many "
                "of both"
            )
        yield source, target


def _check_source(scorer: "Scorer", given: bool, source: str, target: str) -> None:
    """Raise UsageError if a model that translates gets no source.

    Args:
        scorer: the model or ensemble.
        given: whether there is a source.
        source, target: names of the two inputs, for messages.
    """
    if not given and not scorer.source.absent:
        raise UsageError(f"the model translates: {source} is needed beside {target}")
    if given and scorer.source.absent:
        log.info("the model reads no source: %s is ignored", source.split()[0])


def _job_files(config: ScoreConfig, models: ModelsConfig, output: str) -> JobFiles:
    """Return the inputs and the output of the job, after checks that need no model."""
    require_checkpoints(models)
    if config.target is None:
        raise UsageError("--checkpoint needs the pairs to score: --source FILE and --target FILE")
    inputs = source_inputs(config.source, config.source_vectors)
    files = JobFiles({**inputs, "--target": config.target}, output)
    paths = list(files.inputs.values())
    refuse_shared_stdin(*paths)
    check_destinations([output], [], [*paths, *models.paths()])
    if config.resume:
        files.check_resume()
    return files


def _pairs(config: ScoreConfig) -> Iterator[tuple[str, ...]]:
    """Return the pairs of the files; without a source, the sources are empty lines."""
    assert config.target is not None
    targets = read_lines(config.target)
    source = config.source_vectors or config.source
    if source is None:
        return (("", line) for line in targets)
    sources = source_lines(source, vectors=config.source_vectors is not None)
    return aligned([source, config.target], [sources, targets])


def _count(paths: Sequence[str]) -> int:
    return sum(1 for _ in read_lines(paths[-1]))


def _answer(pair: "PairScore", as_json: bool) -> tuple[str, float, int, int, int]:
    """A pair's line of output, and its log-probability, tokens, unknown and impossible words."""
    record = f"{pair.log_prob:.6f}"
    if as_json:
        values = {
            "line": pair.line,
            "log_prob": pair.log_prob,
            "tokens": [*pair.tokens, "</s>"],
            "token_log_probs": list(pair.token_log_probs),
        }
        record = json.dumps(values, ensure_ascii=False)
    return record, pair.log_prob, len(pair.token_log_probs), pair.unknown, pair.impossible
