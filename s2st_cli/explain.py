"""`s2st explain`: how models translate one sentence, as one HTML file."""

import logging
from collections.abc import Mapping
from typing import Any

import click

from s2st.jobs.options import ModelsConfig
from s2st.jobs.scoring_job_files import require_checkpoints
from s2st.options.resolution import CommandSpec, Resolved
from s2st.process.device import ScoringDeviceConfig
from s2st.search.registry import BeamConfig
from s2st.text.atomic_text_output import write_whole
from s2st_cli.click_options import ConfiguredCommand
from s2st_cli.page_models import load_models
from s2st_server.options import PageConfig

log = logging.getLogger("s2st")
HELP = """Write a page that shows how models translate SENTENCE.

The HTML file needs no network. It holds what the page of `s2st serve` shows: the beam, the words
that the model considered, and its attention or states. Several --checkpoint options make an
ensemble; --compare shows another model beside it.
"""
SPEC = CommandSpec(fixed=(ModelsConfig, PageConfig, BeamConfig, ScoringDeviceConfig))


def run(options: Resolved, extra: Mapping[str, Any]) -> None:
    """Explain the sentence with every model, and write the page."""
    from s2st_server.answers import explanation
    from s2st_server.page import written_page

    page = options.config(PageConfig)
    require_checkpoints(options.config(ModelsConfig))
    answers, models = [], load_models(options, page)
    for shown in models:
        found = shown.model.explain(
            extra["sentence"],
            prefix=extra["prefix_text"] or "",
            alternatives=page.alternatives,
            **shown.search,
        )
        answers.append(explanation(shown.name, found))
    described = [shown.described() for shown in models]
    output = extra["output_file"]
    write_whole(output, [written_page(extra["sentence"], described, answers)])
    if output != "-":
        log.info("wrote %s", output)


command = ConfiguredCommand(
    "explain",
    SPEC,
    run,
    HELP,
    extra=[
        click.Argument(["sentence"]),
        click.Option(["-o", "--output-file"], default="-", metavar="FILE", help="output file"),
        click.Option(
            ["--prefix-text"], metavar="TEXT", help="text with which the translation begins"
        ),
    ],
)
