"""`s2st analyze states`: the encoder's final states of phrases, in two dimensions."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from s2st.errors import UsageError
from s2st.jobs.options import SCORE_SPEC, ModelsConfig
from s2st.jobs.scoring_setup import require_checkpoints
from s2st.options.resolution import Resolved
from s2st.process.device import ScoringDeviceConfig
from s2st.process.torch_import import import_torch
from s2st_cli.click_options import ConfiguredCommand
from s2st_cli.terminal_output import say, show, show_json

if TYPE_CHECKING:
    from s2st.analysis.state_pca import Pairs, Panel, Phrase

HELP = """The final encoder states of PHRASES in two dimensions (PCA), as figure 2 of Sutskever,
Vinyals & Le (2014). PHRASES (a file, or - for standard input) has lines `phrase`, `meaning TAB
phrase` or `panel TAB meaning TAB phrase`; each panel is an analysis of its own.

Output: each line with x and y, after tabs. On stderr: the share of the variance that the two
components hold, and where meanings are given, the mean cosine distance of phrases of the same and
of different meanings, of the same words in another order and of other words, and how often a
phrase's nearest neighbour has its meaning. The states of several checkpoints are put side by side.
"""


def run(options: Resolved, extra: Mapping[str, Any]) -> None:
    """Prints to stdout, and sums up on stderr."""
    if extra["vectors"] and not extra["json"]:
        raise UsageError("--vectors needs --json")
    models = options.config(ModelsConfig)
    paths = require_checkpoints(models)
    import_torch()
    from s2st.analysis.figures import figure_paths, require_matplotlib
    from s2st.analysis.state_pca import (
        draw_states,
        panel_figure,
        phrase_states,
        read_phrases,
    )
    from s2st.process.device import setup_device
    from s2st.scoring.load_scorers import load_scorer
    from s2st.text.output_destinations import check_destinations

    phrases = read_phrases(extra["phrases"])
    figure = extra["figure"]
    if figure is not None:
        require_matplotlib()
        names = list(dict.fromkeys(panel_figure(figure, phrase.panel) for phrase in phrases))
        figures = [str(path) for name in names for path in figure_paths(name)]
        check_destinations(figures, [], [extra["phrases"], *paths])
    device_config = options.config(ScoringDeviceConfig)
    device = setup_device(device_config)
    scorer = load_scorer(
        paths, device, device_config.precision, models.ensemble_weight, models.ensemble_mode
    )
    panels = phrase_states(scorer, phrases, extra["part"])
    if extra["json"]:
        for record in _records(phrases, panels, extra["vectors"]):
            show_json(record)
    else:
        for fields in _table(phrases, panels):
            show(*fields)
    for panel in panels:
        _sum_up(panel)
        if figure is not None:
            files = draw_states(panel_figure(figure, panel.name), panel)
            say("wrote {} and {}".format(*files))


def _table(phrases: "list[Phrase]", panels: "list[Panel]") -> list[list[str]]:
    """The fields of each phrase's line, in the order of the input."""
    rows: list[list[str]] = [[] for _ in phrases]
    for panel in panels:
        for row, index in enumerate(panel.indices):
            phrase, place = phrases[index], panel.places[row].tolist()
            names = [name for name in (phrase.panel, phrase.meaning, phrase.text) if name]
            # rounded first, so that none reads -0.000000
            rows[index] = [*names, *(f"{round(v, 6) + 0.0:.6f}" for v in place)]
    return rows


def _records(phrases: "list[Phrase]", panels: "list[Panel]", vectors: bool) -> list[dict[str, Any]]:
    """A JSON object a phrase, in the order of the input, then one a panel."""
    records: list[dict[str, Any]] = [{} for _ in phrases]
    for panel in panels:
        for row, index in enumerate(panel.indices):
            phrase, (x, y) = phrases[index], panel.places[row].tolist()
            records[index] = {
                "panel": phrase.panel, "meaning": phrase.meaning, "phrase": phrase.text,
                "x": x, "y": y,
            }  # fmt: skip
            if vectors:
                records[index]["vector"] = panel.vectors[row].tolist()
    return [*records, *map(_summary, panels)]


def _summary(panel: "Panel") -> dict[str, Any]:
    return {
        "panel": panel.name,
        "phrases": len(panel.phrases),
        "numbers": panel.vectors.shape[1],
        "explained": list(panel.explained),
        "unknown": list(panel.unknown),
        "distances": None if panel.distances is None else asdict(panel.distances),
    }


def _sum_up(panel: "Panel") -> None:
    def tell(text: str) -> None:
        say(f"{panel.name}{': ' if panel.name else ''}{text}")

    if panel.unknown:
        shown = ", ".join(panel.unknown[:10]) + (", ..." if len(panel.unknown) > 10 else "")
        tell(f"warning: words unknown to the model, {len(panel.unknown):,} in all: {shown}")
    x, y = panel.explained
    tell(
        f"{len(panel.phrases)} phrases, states of {panel.vectors.shape[1]:,} numbers; x holds "
        f"{x:.1%} of the variance, y {y:.1%}"
    )
    found = panel.distances
    if found is None:
        return
    for name, pairs, reordered, reworded in (
        ("same meaning", found.same, found.same_reordered, found.same_reworded),
        ("different meaning", found.different, found.different_reordered, found.different_reworded),
    ):
        tell(
            f"mean cosine distance, {name}: {_shown(pairs)}; same words {_shown(reordered)}, "
            f"other words {_shown(reworded)}"
        )
    if found.ratio is not None:
        tell(f"different meanings are {found.ratio:.2f} times as far apart as the same meaning")
    if found.neighbors is not None:
        tell(
            f"nearest neighbour has the same meaning: {found.neighbors:.1%} of phrases "
            f"(by chance {found.chance:.1%})"
        )


def _shown(pairs: "Pairs") -> str:
    if pairs.distance is None:
        return "no pairs"
    return f"{pairs.distance:.4f} (n = {pairs.count:,})"


command = ConfiguredCommand(
    "states",
    SCORE_SPEC,
    run,
    HELP,
    extra=[
        click.Argument(["phrases"], default="-"),
        click.Option(
            ["--part"], default="all", show_default=True, metavar="NAME",
            help="of the state: hidden, cell (LSTM), or what else the architecture has; or all",
        ),
        click.Option(
            ["--figure"], metavar="NAME",
            help="draw NAME.svg and NAME.png, or NAME-PANEL; needs matplotlib",
        ),
        click.Option(["--json"], is_flag=True, help="JSON lines: phrases, then a summary a panel"),
        click.Option(["--vectors"], is_flag=True, help="with --json: the states too"),
    ],
)  # fmt: skip
