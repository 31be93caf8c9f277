"""`s2st score`: BLEU, chrF and TER of hypotheses, or log-probabilities of pairs under a model."""

from collections.abc import Mapping, Sequence
from typing import Any

import click

from s2st.errors import DataError, UsageError
from s2st.jobs.options import SCORE_SPEC, ModelsConfig
from s2st.jobs.score import score_pairs
from s2st.jobs.scoring_setup import refuse_shared_stdin
from s2st.options.resolution import Resolved
from s2st.process.ranks import ranks
from s2st.training.observer import perplexity_text
from s2st_cli.click_options import ConfiguredCommand, Number, NumberOption
from s2st_cli.progress_display import JobProgress
from s2st_cli.score_output import print_comparison, print_scores
from s2st_cli.terminal_output import say

HELP = """Score hypothesis files HYP against --ref: BLEU as sacreBLEU computes it, the tokenised
BLEU of multi-bleu.perl (the paper's), chrF and, with --ter, TER. Each line says how its figure was
computed; sacreBLEU tokenises both sides by --tokenize, multi-bleu.perl takes tokens as they stand.
Several HYPs are compared with the first by paired bootstrap.

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
        if extra["output_file"] != "-" or extra["resume"]:
            raise UsageError(
                "--output-file and --resume go with --checkpoint, --source and --target"
            )
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
    from s2st.jobs.text_metrics import compare_systems, evaluate_system

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
        print_scores(scores, as_json=extra["json"], named=len(systems) > 1)
    if len(systems) > 1:
        results = compare_systems(
            systems, references, samples=extra["samples"], tokenize=extra["tokenize"],
            lowercase=extra["lowercase"], with_ter=extra["ter"],
        )  # fmt: skip
        print_comparison(systems[0][0], results, as_json=extra["json"])


def _score_pairs(options: Resolved, extra: Mapping[str, Any]) -> None:
    source, target = extra["source"], extra["target"]
    refuse_shared_stdin(*(path for path in (source, target) if path is not None))
    totals = score_pairs(
        options, source, target, extra["output_file"], extra["json"], extra["resume"], JobProgress()
    )
    if totals is not None:
        what = "pairs" if totals.reads_source else "lines"
        say(
            f"{totals.pairs:,} {what}, {totals.tokens:,} target tokens with EOS "
            f"({totals.unknown:,} unknown), log-probability {totals.log_prob:.3f}, perplexity "
            f"{perplexity_text(-totals.log_prob / totals.tokens, 4)}"
        )


def _lines(path: str) -> Sequence[str]:
    from s2st.text.line_files import read_lines

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
            ["--resume"], is_flag=True, help="go on with a stopped run that wrote --output-file"
        ),
        click.Option(
            ["--tokenize"], default="13a", show_default=True, metavar="NAME",
            help="sacreBLEU's tokeniser; none for text that is tokenised already",
        ),
        click.Option(
            ["--lowercase"], is_flag=True,
            help="lowercase both sides for both BLEUs; chrF is always cased, TER never",
        ),
        click.Option(["--ter"], is_flag=True, help="TER too; slow on long files"),
        click.Option(["--json"], is_flag=True, help="JSON lines"),
        NumberOption(
            ["--samples"], type=Number(int, 1, 1_000_000), default=1000,
            help="resamplings of the paired bootstrap",
        ),
    ],
)  # fmt: skip
