"""The job of `s2st score --checkpoint`: log-probabilities of pairs of lines, and perplexity.

The module imports torch late, so that wrong options are reported at once.
"""

import contextlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

from s2st.errors import DataError, UsageError
from s2st.jobs.options import ModelsConfig
from s2st.jobs.progress import Progress
from s2st.jobs.scoring_setup import JobFiles, models_identity, open_queue, require_checkpoints
from s2st.options.resolution import Resolved
from s2st.process.device import ScoringDeviceConfig
from s2st.process.ranks import Ranks
from s2st.process.torch_import import import_torch
from s2st.text.line_files import open_output, read_aligned
from s2st.text.output_destinations import check_destinations

if TYPE_CHECKING:
    import torch

    from s2st.jobs.pair_scoring_tasks import PairScore
    from s2st.scoring.base import Scorer

log = logging.getLogger("s2st")


@dataclass
class PairTotals:
    """Sums over the pairs of a job.

    Attributes:
        reads_source: false for a language model, which scores single lines.
        pairs: number of pairs.
        tokens: number of target tokens, EOS included.
        unknown: number of target tokens that are not in the vocabulary.
        log_prob: sum of the log-probabilities, in nats.
    """

    reads_source: bool = True
    pairs: int = 0
    tokens: int = 0
    unknown: int = 0
    log_prob: float = 0.0

    def add(self, log_prob: float, tokens: int, unknown: int) -> None:
        """Add one pair."""
        self.pairs += 1
        self.tokens += tokens
        self.unknown += unknown
        self.log_prob += log_prob


def score_pairs(
    options: Resolved,
    source: str | None,
    target: str,
    output: str,
    as_json: bool,
    resume: bool,
    progress: Progress,
) -> PairTotals | None:
    """Write log p(target | source) of each pair of lines.

    Args:
        options: resolved options of SCORE_SPEC.
        source, target: paths of the pairs, "-" for standard input; a language model needs no
            source.
        output: path of the output, "-" for standard output.
        as_json: whether to write each token's log-probability as JSON.
        resume: whether to continue a stopped run.
        progress: receives the progress of all ranks if there are several.

    Returns:
        The sums over all pairs; None on ranks above 0.

    Raises:
        UsageError: options, models and files are incompatible.
        DataError: the files have different numbers of lines, or no lines.
    """
    require_checkpoints(options.config(ModelsConfig))
    inputs = {} if source is None else {"--source": source}
    files = JobFiles({**inputs, "--target": target}, output)
    paths = list(files.inputs.values())
    check_destinations([output], [], [*paths, *options.config(ModelsConfig).paths()])
    if resume:
        files.check_resume()
    ranks = files.join_ranks()
    totals = _write_scores(options, files, paths, ranks, as_json, resume, progress)
    if totals is not None and not totals.tokens:
        raise DataError("no lines", target)
    return totals


def _write_scores(
    options: Resolved,
    files: JobFiles,
    paths: Sequence[str],
    ranks: Ranks,
    as_json: bool,
    resume: bool,
    progress: Progress,
) -> PairTotals | None:
    """Score this rank's share of the pairs; on rank 0 write all scores and return their sums."""
    import_torch()
    from s2st.jobs.pair_scoring_tasks import plan
    from s2st.jobs.work_queue import in_order
    from s2st.process.device import setup_device

    device = setup_device(options.config(ScoringDeviceConfig))
    identity = {}
    if files.lasting:
        identity = {**models_identity(options, device), "--json": as_json}
    with contextlib.ExitStack() as stack:
        count = partial(_count, paths)
        queue = stack.enter_context(
            open_queue(files, ranks, options, identity, resume, progress, count)
        )
        scorer = _load(options, device, has_source=len(paths) == 2)
        totals = PairTotals(reads_source=not scorer.source.absent)
        pairs = (("", *row)[-2:] for row in read_aligned(paths))
        answers = in_order(plan(scorer, pairs), partial(_answer, as_json=as_json), queue)
        first = next(answers, None)  # an error in the first line must leave the output unchanged
        if not ranks.first:
            return None
        write = stack.enter_context(open_output(files.output))
        for record, *sums in chain([] if first is None else [first], answers):
            write(record)
            totals.add(*sums)
    return totals


def _load(options: Resolved, device: "torch.device", has_source: bool) -> "Scorer":
    """Load the models; refuse or ignore `--source` as they need."""
    from s2st.scoring.load_scorers import load_scorer

    models, precision = options.config(ModelsConfig), options.config(ScoringDeviceConfig).precision
    scorer = load_scorer(
        models.paths(), device, precision, models.ensemble_weight, models.ensemble_mode
    )
    if not has_source and not scorer.source.absent:
        raise UsageError("the model has a source side: give --source FILE as well as --target")
    if has_source and scorer.source.absent:
        log.info("the model is a language model: --source is ignored")
    return scorer


def _count(paths: Sequence[str]) -> int:
    return sum(1 for _ in read_aligned(paths))


def _answer(pair: "PairScore", as_json: bool) -> tuple[str, float, int, int]:
    """Return a pair's line of output, log-probability, number of tokens and of unknown words."""
    record = f"{pair.log_prob:.6f}"
    if as_json:
        values = {
            "line": pair.line,
            "log_prob": pair.log_prob,
            "tokens": [*pair.tokens, "</s>"],
            "token_log_probs": list(pair.token_log_probs),
        }
        record = json.dumps(values, ensure_ascii=False)
    return record, pair.log_prob, len(pair.token_log_probs), pair.unknown
