"""The job of `s2st analyze gradients`: how strongly source words influence target words, and how
many steps lie between them.

Importable without torch, so that wrong options are reported at once.
"""

import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s2st.analysis.options import GradientsConfig
from s2st.errors import DataError, UsageError
from s2st.jobs.report_types import ReportLine
from s2st.jobs.scoring_job_files import refuse_shared_stdin
from s2st.models.languages import LanguageChoice
from s2st.options.resolution import Resolved
from s2st.process.device import PlaceConfig
from s2st.process.torch_import import import_torch
from s2st.text.overwrite_checks import check_destinations

if TYPE_CHECKING:
    from s2st.analysis.gradient_profile import GradientProfile
    from s2st.analysis.sentence_links import Pair
    from s2st.analysis.source_gradients import Differentiable
    from s2st.analysis.time_lags import LagSummary

log = logging.getLogger("s2st")


@dataclass(frozen=True)
class _Measured:
    """A model with its label, its path and the averages of its gradients."""

    label: str
    path: str
    model: "Differentiable"
    profile: "GradientProfile"


def analyze_gradients(
    options: Resolved, models: Sequence[str], source: str, target: str
) -> Iterator[ReportLine]:
    """Measures gradients of one or several models, and time lags of aligned words.

    Args:
        options: of GRADIENTS_SPEC.
        models: CHECKPOINT or label=CHECKPOINT of each model.
        source, target: paths of the lines.

    Yields:
        The tables line by line, or a record for each model and then for each order of reading.

    Raises:
        UsageError: wrong options, or a model without a source.
        DataError: files that do not fit together, or no pair with words on both sides.
        S2STError: files that cannot be read, loaded or written.
    """
    config = options.config(GradientsConfig)
    named = _named(models)
    config.check()
    refuse_shared_stdin(source, target, config.word_alignments or "", config.lexicon or "")
    import_torch()
    from s2st.analysis.sentence_links import add_links, read_pairs
    from s2st.analysis.source_gradients import load_differentiable
    from s2st.process.device import setup_device

    _check_figure(config, [source, target, *(path for _, path in named)])
    device = setup_device(options.config(PlaceConfig))
    languages = LanguageChoice(config.source_lang, config.target_lang)
    pairs = list(islice(read_pairs(source, target, config.word_alignments), config.sentences))
    measured: list[_Measured] = []
    for label, path in named:
        model = load_differentiable(path, device, languages)
        if not measured:
            pairs = add_links(pairs, model, config.lexicon, config.aligner, device)
        measured.append(_Measured(label, path, model, _profile(model, pairs, config.bins)))
    lags = _lags(measured[0].model, pairs)
    yield from (
        _records(measured, lags)
        if config.format == "json"
        else _tables(measured, lags, config.min_pairs)
    )
    if config.figure is not None:
        from s2st.analysis.gradient_profile import draw_profiles

        profiles = [(one.label, one.profile) for one in measured]
        files = draw_profiles(config.figure, profiles, config.min_pairs, config.title)
        log.info("wrote %s and %s", *files[:2])
        log.info("wrote %s and %s", *files[2:])


def _named(models: Sequence[str]) -> list[tuple[str, str]]:
    """Labels and paths; a checkpoint's default label is the name of its save folder."""
    found: list[tuple[str, str]] = []
    for model in models:
        label, equals, path = model.partition("=")
        if not equals or os.path.exists(model):
            folder = Path(os.path.abspath(model))
            label = folder.parent.name if folder.name.startswith("checkpoint") else folder.name
            path = model
        elif not label or not label.isprintable() or not path:
            raise UsageError(f"{model!r}: give CHECKPOINT or label=CHECKPOINT")
        if label in dict(found):
            raise UsageError(f"two models have the label {label}: give each its own, as in a=PATH")
        found.append((label, path))
    return found


def _check_figure(config: GradientsConfig, inputs: Sequence[str]) -> None:
    """Refuses figures that cannot be drawn or would overwrite an input."""
    if config.figure is None:
        return
    from s2st.analysis.figure_files import figure_paths
    from s2st.analysis.figures import require_matplotlib
    from s2st.analysis.gradient_profile import map_figure

    require_matplotlib()
    names = (config.figure, map_figure(config.figure))
    check_destinations([str(path) for name in names for path in figure_paths(name)], [], inputs)


def _profile(model: "Differentiable", pairs: Sequence["Pair"], bins: int) -> "GradientProfile":
    from s2st.analysis.gradient_profile import ProfileSums
    from s2st.analysis.sentence_links import spans_of
    from s2st.analysis.source_gradients import gradient_norms

    sums = ProfileSums(bins, model.reads_reversed, model.target.right_to_left)
    for pair in pairs:
        sides = (model.source, pair.source), (model.target, pair.target)
        tokens = [side.tokenizer.encode(line) for side, line in sides]
        if not all(tokens):
            continue
        spans = None if pair.links is None else spans_of(pair, model)
        ids = model.source.ids(tokens[0]), model.target.ids(tokens[1])
        sums.add(gradient_norms(model.model, *ids, model.tag), pair.links, spans or ((), ()))
    if not sums.sentences:
        raise DataError("no pair of lines has words on both sides")
    return sums.profile()


def _lags(model: "Differentiable", pairs: Sequence["Pair"]) -> "list[LagSummary]":
    """The lags of the links, counted in the tokens of a model, for both orders of reading."""
    from s2st.analysis.sentence_links import spans_of
    from s2st.analysis.time_lags import link_lags, summarize

    linked = [pair for pair in pairs if pair.links]
    if not linked:
        return []
    backwards = model.target.right_to_left
    return [
        summarize(
            order,
            [
                link_lags(pair.links or (), spans_of(pair, model), order == "reversed", backwards)
                for pair in linked
            ],
        )
        for order in ("forward", "reversed")
    ]


def _order(model: "Differentiable") -> str:
    return "reversed" if model.reads_reversed else "forward"


def _tables(
    measured: Sequence[_Measured], lags: "Sequence[LagSummary]", least: int
) -> Iterator[str]:
    """The models, the lags if there are alignments, and the curves; separated by empty lines."""
    names = ["sentences", "pairs", "norm", "links", "aligned norm", "aligned share"]
    yield "\t".join(["model", "architecture", "order", *names])
    for one in measured:
        found, aligned = one.profile, one.profile.aligned
        cells = [one.label, one.model.architecture, _order(one.model)]
        cells += [str(found.sentences), str(found.pairs), f"{found.norm:.4e}"]
        if aligned is None:
            cells += ["-"] * 3
        else:
            cells += [str(aligned.links), f"{aligned.norm:.4e}", f"{aligned.share:.4f}"]
        yield "\t".join(cells)
    if lags:
        yield ""
        yield "\t".join(["order", "sentences", "links", "minimal lag", "mean lag", "smallest lag"])
        for lag in lags:
            means = [f"{lag.minimal:.2f}", f"{lag.mean:.2f}", str(lag.smallest)]
            yield "\t".join([lag.order, str(lag.sentences), str(lag.links), *means])
    yield ""
    yield "\t".join(["model", "lag", "pairs", "norm"])
    for one in measured:
        for point in one.profile.by_lag:
            if point.pairs >= least:
                yield f"{one.label}\t{point.lag}\t{point.pairs}\t{point.norm:.4e}"


def _records(
    measured: Sequence[_Measured], lags: "Sequence[LagSummary]"
) -> Iterator[dict[str, Any]]:
    for one in measured:
        profile = {**asdict(one.profile), "by_position": one.profile.by_position.tolist()}
        yield {
            "model": one.label, "checkpoint": one.path, "architecture": one.model.architecture,
            "order": _order(one.model), **profile,
        }  # fmt: skip
    for lag in lags:
        yield {
            **asdict(lag),
            "counts": [{"lag": steps, "links": count} for steps, count in lag.counts],
        }
