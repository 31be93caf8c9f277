"""The job of `s2st analyze states`: the encoder's final states of phrases in two dimensions.

Importable without torch, so that wrong options are reported at once.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from s2st.analysis.options import StatesConfig
from s2st.errors import UsageError
from s2st.jobs.load_models import load_chosen_scorer
from s2st.jobs.options import ModelsConfig
from s2st.jobs.report_types import ReportLine
from s2st.jobs.scoring_job_files import require_checkpoints
from s2st.options.resolution import Resolved
from s2st.process.device import ScoringDeviceConfig
from s2st.process.torch_import import import_torch
from s2st.text.overwrite_checks import check_destinations

if TYPE_CHECKING:
    from s2st.analysis.state_pca import Pairs, Panel, Phrase

log = logging.getLogger("s2st")
SHOWN_UNKNOWN = 10  # unknown words that a warning names


def analyze_states(options: Resolved, source: str) -> Iterator[ReportLine]:
    """Places phrases in the plane by the principal components of their encoder states.

    Args:
        options: of STATES_SPEC.
        source: path of the phrases, "-" for standard input.

    Yields:
        One line or record for each phrase, and with `json` one record for each panel. Each
        panel's summary is logged and its figure is drawn at the end.

    Raises:
        UsageError: options that do not go together, or a model without such states.
        S2STError: files that cannot be read, loaded or written.
    """
    config, models = options.config(StatesConfig), options.config(ModelsConfig)
    if config.vectors and config.format != "json":
        raise UsageError("--vectors needs --format json")
    paths = require_checkpoints(models)
    import_torch()
    from s2st.analysis.figures import require_matplotlib
    from s2st.analysis.state_pca import draw_states, panel_figure, phrase_states, read_phrases
    from s2st.process.device import setup_device

    phrases = read_phrases(source)
    figure = config.figure
    if figure is not None:
        require_matplotlib()
        check_destinations(_figures(figure, phrases), [], [source, *paths])
    scorer = load_chosen_scorer(options, setup_device(options.config(ScoringDeviceConfig)))
    panels = phrase_states(scorer, phrases, config.part)
    yield from (
        _records(phrases, panels, config.vectors)
        if config.format == "json"
        else _table(phrases, panels)
    )
    for panel in panels:
        _log_summary(panel)
        if figure is not None:
            log.info("wrote %s and %s", *draw_states(panel_figure(figure, panel.name), panel))


def _figures(figure: str, phrases: "Sequence[Phrase]") -> list[str]:
    """The files of the panels' figures."""
    from s2st.analysis.figure_files import figure_paths
    from s2st.analysis.state_pca import panel_figure

    names = dict.fromkeys(panel_figure(figure, phrase.panel) for phrase in phrases)
    return [str(path) for name in names for path in figure_paths(name)]


def _table(phrases: "Sequence[Phrase]", panels: "Sequence[Panel]") -> list[str]:
    """The line of each phrase, with tabs, in the order of the input."""
    rows = [""] * len(phrases)
    for panel in panels:
        for row, index in enumerate(panel.indices):
            phrase, place = phrases[index], panel.places[row].tolist()
            names = [name for name in (phrase.panel, phrase.meaning, phrase.text) if name]
            # rounded first, so that no coordinate is printed as -0.000000
            rows[index] = "\t".join([*names, *(f"{round(v, 6) + 0.0:.6f}" for v in place)])
    return rows


def _records(
    phrases: "Sequence[Phrase]", panels: "Sequence[Panel]", vectors: bool
) -> list[dict[str, Any]]:
    """A record for each phrase, in the order of the input, then one for each panel."""
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


def _log_summary(panel: "Panel") -> None:
    """Logs unknown words, explained variance, and distances between meanings."""
    prefix = f"{panel.name}: " if panel.name else ""
    if panel.unknown:
        words = ", ".join(panel.unknown[:SHOWN_UNKNOWN])
        more = ", ..." if len(panel.unknown) > SHOWN_UNKNOWN else ""
        count = len(panel.unknown)
        log.warning("%sthe model does not know %d words: %s%s", prefix, count, words, more)
    x, y = panel.explained
    log.info(
        "%s%d phrases with states of %s numbers; x holds %s of the variance, y %s",
        prefix, len(panel.phrases), f"{panel.vectors.shape[1]:,}", f"{x:.1%}", f"{y:.1%}",
    )  # fmt: skip
    found = panel.distances
    if found is None:
        return
    for name, pairs, reordered, reworded in (
        ("same meaning", found.same, found.same_reordered, found.same_reworded),
        ("different meaning", found.different, found.different_reordered, found.different_reworded),
    ):
        log.info(
            "%smean cosine distance, %s: %s; same words %s, other words %s",
            prefix, name, _shown(pairs), _shown(reordered), _shown(reworded),
        )  # fmt: skip
    if found.ratio is not None:
        log.info(
            "%sphrases of different meaning are %.2f times as far apart as phrases of the same "
            "meaning", prefix, found.ratio,
        )  # fmt: skip
    if found.neighbors is not None:
        log.info(
            "%sthe nearest neighbor has the same meaning for %s of the phrases (by chance %s)",
            prefix, f"{found.neighbors:.1%}", f"{found.chance:.1%}",
        )  # fmt: skip


def _shown(pairs: "Pairs") -> str:
    if pairs.distance is None:
        return "no pairs"
    return f"{pairs.distance:.4f} (n = {pairs.count:,})"
