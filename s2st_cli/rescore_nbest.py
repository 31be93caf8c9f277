"""`s2st rescore-nbest`: SMT n-best lists to rescored 1-best text or re-sorted lists."""

import logging
import time
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any

import click

from s2st.components import Resolved
from s2st.device import DeviceConfig
from s2st.errors import UsageError
from s2st.pipelines.options import RESCORE_SPEC, ModelsConfig, RescoreConfig
from s2st_cli.generate import require_checkpoints
from s2st_cli.options import ConfiguredCommand, refuse_shared_stdin

if TYPE_CHECKING:
    from s2st.pipelines.rescore import RescoredList

log = logging.getLogger("s2st")
HELP = """Rescore the Moses n-best lists in NBEST (a file, .gz, or - for standard input).

Each hypothesis gets the log-probability of the checkpoints (together, or with --feature-per
member each its own) as a feature S2ST0, S2ST1, ...; its new total is the even average of the
baseline's total and the new features, or as --weight says. Line i of 1-best output belongs to
line i of --source; a sentence without hypotheses gets an empty line.
"""


def run(options: Resolved, extra: Mapping[str, Any]) -> None:
    """Loads the models and rescores."""
    models = options.config(ModelsConfig)
    config = options.config(RescoreConfig)
    paths = require_checkpoints(models)
    refuse_shared_stdin(extra["nbest"], extra["source"])
    if models.ensemble_weight and (config.feature_per == "member" or len(paths) == 1):
        raise UsageError("--ensemble-weight needs several checkpoints and --feature-per ensemble")
    from s2st.device import setup_device
    from s2st.pipelines.rescore import BASELINE, parse_weights, rescore
    from s2st.scoring.build import join, load_members
    from s2st.text.lines import open_output, read_lines
    from s2st.text.nbest import format_entry, read_nbest

    count = len(paths) if config.feature_per == "member" else 1
    weights = parse_weights(config.weight, count)
    device_config = options.config(DeviceConfig)
    sources = list(read_lines(extra["source"], config.encoding_errors))
    lists = read_nbest(read_lines(extra["nbest"], config.encoding_errors), extra["nbest"])
    first = next(lists, [])  # an error in the first line comes before the models are loaded
    scorers = load_members(paths, setup_device(device_config), device_config.precision)
    if config.feature_per == "ensemble" and len(scorers) > 1:
        scorers = [join(scorers, paths, models.ensemble_weight, models.ensemble_mode)]
    all_lists = chain([first], lists) if first else lists
    rescored = rescore(scorers, all_lists, sources, weights, config.max_rows, extra["nbest"])
    report = _Report(weights[BASELINE])
    with open_output(extra["output_file"]) as write:
        line = 0
        for item in report.watch(rescored):
            if config.output == "nbest":
                for entry in item.sorted_entries():
                    write(format_entry(entry))
                continue
            for _ in range(line, item.id):
                write("")
            write(item.entries[item.best].hypothesis)
            line = item.id + 1
        if config.output == "1best":
            for _ in range(line, len(sources)):
                write("")
    report.tell(len(sources))


class _Report:
    """Counts for the log, and a look at whether the two scores are on one scale."""

    def __init__(self, baseline_weight: float) -> None:
        self._baseline_weight = baseline_weight
        self._started = time.perf_counter()
        self._lists = self._hypotheses = self._stepped = self._positions = self._changed = 0

    def watch(self, lists: "Iterator[RescoredList]") -> "Iterator[RescoredList]":
        for item in lists:
            self._lists += 1
            self._hypotheses += len(item.entries)
            self._stepped += item.rows_stepped
            self._positions += item.positions
            self._changed += item.best != 0
            yield item

    def tell(self, sources: int) -> None:
        seconds = time.perf_counter() - self._started
        log.info(
            "%s hypotheses in %s lists, %.0f hypotheses/s; %s of %s positions computed "
            "(shared prefixes once); 1-best changed in %s lists",
            f"{self._hypotheses:,}", f"{self._lists:,}", self._hypotheses / max(1e-9, seconds),
            f"{self._stepped:,}", f"{self._positions:,}", f"{self._changed:,}",
        )  # fmt: skip
        if self._lists < sources:
            log.warning("%d of %d source lines have no hypotheses", sources - self._lists, sources)


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
