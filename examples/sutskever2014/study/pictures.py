"""Draw the figures that no `s2st analyze` command draws: training, model weight, beam size."""

import math

from s2st.analysis.figures import Series, draw_curves
from study.expand import rescored, timed_translation
from study.tables import RESCORERS, Figures, Item, depth_models, layers


def draw_all(figures: Figures) -> list[Item]:
    """Draw figures into RUN/figures and return them as items of the report."""
    made = [_training(figures), _depths(figures), *_beams(figures)]
    if figures.lists:
        made.append(_weights(figures))
    return made


def _curve(figures: Figures, member: str, label: str) -> Series:
    history = figures.measures.history(member)
    return Series(
        label, [row["epoch"] for row in history], [math.exp(row["nll"]) for row in history]
    )


def _training(figures: Figures) -> Item:
    roles = figures.plan.roles
    models = [figures.plan.model(name) for name in (roles.rnn, roles.forward, roles.reversed)]
    series = [_curve(figures, f"{own.name}-{own.seeds[0]}", own.label) for own in models]
    return _draw(
        figures, "training", series, "epoch", "perplexity of the validation set",
        "Training curves: perplexity of the validation set after each epoch, first seed each.",
    )  # fmt: skip


def _depths(figures: Figures) -> Item:
    series = [
        _curve(figures, name, f"{count} layer{'s' if count > 1 else ''}")
        for model, name in depth_models(figures.plan)
        for count in [layers(figures.plan, model)]
    ]
    return _draw(
        figures, "depth", series, "epoch", "perplexity of the validation set",
        "Training curves by depth, reversed LSTM.",
    )  # fmt: skip


def _beams(figures: Figures) -> list[Item]:
    plan, measures = figures.plan, figures.measures
    quality, time = [], []
    for name in plan.search.curve_systems:
        system, beams = plan.system(name), plan.search.curve_beams
        label = system.label.partition(", seed")[0]
        own = [
            measures.bleu([timed_translation(system.name, beam, plan.corpus.target)]).interval()
            for beam in beams
        ]
        seconds = [
            measures.json(f"steps/time-{system.name}-beam{beam}.json")["seconds"] for beam in beams
        ]
        values = [one.value for one in own]
        low, high = [one.low for one in own], [one.high for one in own]
        quality.append(Series(label, beams, values, low, high, markers=True))
        time.append(Series(label, beams, seconds, markers=True))
    count = len(measures.references)
    return [
        _draw(
            figures, "beam-bleu", quality, "beam size", "BLEU",
            "BLEU by beam size, with 95 % intervals (of each point, not of differences).",
            log_x=True,
        ),
        _draw(
            figures, "beam-time", time, "beam size", f"seconds for {count:,} sentences",
            "Time of the whole command by beam size, including start-up; nothing else ran on the "
            "machine.", log_x=True,
        ),
    ]  # fmt: skip


def _weights(figures: Figures) -> Item:
    series = []
    for role in RESCORERS:
        report = figures.measures.json(rescored(figures.rescorer(role), "report"))
        curve = report["headroom"]["curve"]
        series.append(Series(figures.label(role), [x for x, _ in curve], [y for _, y in curve]))
    return _draw(
        figures, "weights", series, "share of the model", "BLEU of the test lists",
        "Rescoring: BLEU by the model's share of the score; both scores are divided by their "
        "spread within the lists. 0 is the lists' own choice, 1 that of the model alone.",
    )  # fmt: skip


def _draw(
    figures: Figures, name: str, series: list[Series], x_label: str, y_label: str, caption: str,
    log_x: bool = False,
) -> Item:  # fmt: skip
    folder = figures.measures.run / "figures"
    folder.mkdir(exist_ok=True)
    draw_curves(folder / name, series, x_label=x_label, y_label=y_label, log_x=log_x)
    return figure_item(name, caption)


def figure_item(name: str, caption: str) -> Item:
    """Return the report item of a figure in RUN/figures."""
    return {"kind": "figure", "path": f"figures/{name}.svg", "caption": caption, "alt": caption}
