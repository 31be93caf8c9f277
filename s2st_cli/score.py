"""`s2st score`: BLEU, chrF and TER of hypotheses, or log-probabilities of pairs under a model."""

import contextlib
import json
import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

import click

from s2st.components import Resolved
from s2st.device import ScoringDeviceConfig
from s2st.errors import DataError, UsageError
from s2st.pipelines.options import SCORE_SPEC, ModelsConfig
from s2st.ranks import RanksConfig, ranks
from s2st.training.progress import perplexity_text
from s2st_cli.dealing import join_ranks, models_identity, open_parts
from s2st_cli.generate import require_checkpoints
from s2st_cli.options import ConfiguredCommand, Number, NumberOption, refuse_shared_stdin
from s2st_cli.startup import import_torch

if TYPE_CHECKING:
    from s2st.pipelines.score import PairScore

log = logging.getLogger("s2st")
HELP = """Score hypothesis files HYP against --ref: BLEU as sacreBLEU computes it, the tokenised
BLEU of multi-bleu.pl (the paper's), chrF and, with --ter, TER. Several HYPs are compared with the
first by paired bootstrap.

With --checkpoint, --source and --target: log p(target | source) of each pair (natural log), and
the perplexity per token, EOS counted, on stderr. A language model needs no --source.
"""


def run(options: Resolved, extra: Mapping[str, Any]) -> None:
    """Chooses between the two uses."""
    has_model = bool(options.config(ModelsConfig).paths())
    has_pairs = bool(extra["source"] or extra["target"])
    if (extra["ref"] or extra["hyp"]) and (has_model or has_pairs):
        raise UsageError("HYP and --ref do not go with --checkpoint, --source and --target")
    if extra["ref"]:
        if extra["output_file"] != "-":
            raise UsageError("--output-file goes with --checkpoint, --source and --target")
        if ranks().first:  # there is nothing to deal
            _score_text(extra)
    elif has_model and extra["target"]:
        _score_pairs(options, extra)
    elif has_model:
        raise UsageError("with --checkpoint, --source FILE and --target FILE are needed")
    else:
        raise UsageError(
            "give HYP files and --ref FILE, or --checkpoint with --source and --target"
        )


def _score_text(extra: Mapping[str, Any]) -> None:
    from s2st.pipelines.evaluate import compare_systems, evaluate_system

    names = list(extra["hyp"]) or ["-"]
    refuse_shared_stdin(*names, *extra["ref"])
    if len(set(names)) < len(names):
        raise UsageError("a HYP file is given twice")
    references = [_lines(path) for path in extra["ref"]]
    systems = []
    for name in names:
        lines = _lines(name)
        for path, reference in zip(extra["ref"], references, strict=True):
            if len(lines) != len(reference):
                message = f"{len(lines)} lines, but {path} has {len(reference)}"
                raise DataError(message, name, min(len(lines), len(reference)) + 1)
        systems.append(("standard input" if name == "-" else name, lines))
    for name, lines in systems:
        scores = evaluate_system(
            name, lines, references, tokenize=extra["tokenize"],
            lowercase=extra["lowercase"], with_ter=extra["ter"],
        )  # fmt: skip
        metrics = [scores.bleu, scores.tokenized_bleu, scores.chrf]
        if scores.ter is not None:
            metrics.append(scores.ter)
        if len(systems) > 1 and not extra["json"]:
            print(name)
        if extra["json"]:
            record = {m.name: {"score": m.score, "signature": m.signature} for m in metrics}
            print(json.dumps({"system": name, **record}, ensure_ascii=False))
            continue
        for metric in metrics:
            print(metric.text)
    if len(systems) > 1:
        if not extra["json"]:
            print("paired bootstrap against", systems[0][0])
        results = compare_systems(
            systems, references, samples=extra["samples"], tokenize=extra["tokenize"],
            lowercase=extra["lowercase"], with_ter=extra["ter"],
        )  # fmt: skip
        for result in results:
            if extra["json"]:
                compared = {"baseline": systems[0][0], **asdict(result)}
                print(json.dumps(compared, ensure_ascii=False))
                continue
            p_value = "" if result.p_value is None else f"  p = {result.p_value:.4f}"
            print(
                f"{result.system}  {result.metric} {result.score:.2f}  "
                f"95% {result.mean:.2f} +- {result.half_width:.2f}{p_value}"
            )


def _score_pairs(options: Resolved, extra: Mapping[str, Any]) -> None:
    import_torch()
    from s2st.device import setup_device
    from s2st.pipelines.dealt import deal
    from s2st.pipelines.score import plan, score_pairs
    from s2st.scoring.build import load_scorer
    from s2st.text.lines import check_outputs, open_output, read_aligned

    files = [path for path in (extra["source"], extra["target"]) if path is not None]
    output = extra["output_file"]
    refuse_shared_stdin(*files)
    check_outputs([output], files)
    own = join_ranks(files, output)
    models = options.config(ModelsConfig)
    device_config = options.config(ScoringDeviceConfig)
    device = setup_device(device_config)
    scorer = load_scorer(
        require_checkpoints(models), device, device_config.precision,
        models.ensemble_weight, models.ensemble_mode,
    )  # fmt: skip
    if extra["source"] is None and not scorer.source.empty:
        raise UsageError("the model translates: --source FILE is needed beside --target")
    if extra["source"] is not None and scorer.source.empty:
        log.info("the model reads no source: --source is left aside")
    pairs = (("", *row)[-2:] for row in read_aligned(files))
    answer = partial(_answer, as_json=extra["json"])
    total, tokens, unknown, lines = 0.0, 0, 0, 0
    with contextlib.ExitStack() as stack:
        if own.size > 1:
            names = ("source", "target")
            inputs = {f"--{name}": extra[name] for name in names if extra[name] is not None}
            identity = {**models_identity(options, device), "--json": extra["json"]}
            total_lines = sum(1 for _ in read_aligned(files))
            parts = stack.enter_context(open_parts(own, output, identity, inputs, total_lines))
            seconds = options.config(RanksConfig).rank_timeout
            answers: Iterator[Sequence[Any]] = deal(
                plan(scorer, pairs), answer, parts, own, seconds
            )
        else:
            answers = map(answer, score_pairs(scorer, pairs))
        first = next(answers, None)
        if not own.first:
            return
        with open_output(output) as write:
            for record, log_prob, own_tokens, own_unknown in chain(
                [] if first is None else [first], answers
            ):
                write(record)
                total += log_prob
                tokens += own_tokens
                unknown += own_unknown
                lines += 1
    if not tokens:
        raise DataError("no lines", extra["target"])
    print(
        f"s2st: {lines:,} pairs, {tokens:,} target tokens with EOS ({unknown:,} unknown), "
        f"log-probability {total:.3f}, perplexity {perplexity_text(-total / tokens, 4)}",
        file=sys.stderr,
    )


def _answer(pair: "PairScore", as_json: bool) -> tuple[str, float, int, int]:
    """A pair's line of output, and its log-probability, tokens and unknown words."""
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


def _lines(path: str) -> Sequence[str]:
    from s2st.text.lines import read_lines

    return list(read_lines(path))


command = ConfiguredCommand(
    "score",
    SCORE_SPEC,
    run,
    HELP,
    extra=[
        click.Argument(["hyp"], nargs=-1),
        click.Option(["--ref", "-r"], multiple=True, metavar="FILE", help="reference; repeatable"),
        click.Option(["--source"], metavar="FILE", help="source lines, with --checkpoint"),
        click.Option(["--target"], metavar="FILE", help="target lines, with --checkpoint"),
        click.Option(
            ["-o", "--output-file"], default="-", metavar="FILE",
            help="where to write the log-probabilities",
        ),
        click.Option(
            ["--tokenize"], default="13a", show_default=True, metavar="NAME",
            help="sacreBLEU's tokeniser; none for text that is tokenised already",
        ),
        click.Option(["--lowercase"], is_flag=True, help="BLEU without regard to case"),
        click.Option(["--ter"], is_flag=True, help="TER too; slow on long files"),
        click.Option(["--json"], is_flag=True, help="JSON lines"),
        NumberOption(
            ["--samples"], type=Number(int, 1, 1_000_000), default=1000,
            help="resamplings of the paired bootstrap",
        ),
    ],
)  # fmt: skip
