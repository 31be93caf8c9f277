"""Report of a training from its save folder: learning curve, sizes, options, attention."""

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from s2st.analysis.attention_map import attention_section
from s2st.analysis.figures import require_matplotlib
from s2st.analysis.report_document import (
    Cell,
    Column,
    Item,
    Marked,
    Report,
    Section,
    Table,
)
from s2st.analysis.study_report_reader import REPORT
from s2st.analysis.training_figures import metric_figures, perplexity_figure
from s2st.analysis.training_history import TrainingHistory, read_history
from s2st.data.batch_planner import DEFAULT_BATCH_SIZE
from s2st.errors import InputMissingError, UsageError
from s2st.jobs.train import TRAIN_SPEC
from s2st.models.base import parameters_by_part
from s2st.models.languages import ANY, LanguageChoice
from s2st.models.model_building import hollow_model
from s2st.models.model_files import read_saved
from s2st.models.model_record import ModelRecord
from s2st.options.option_fields import config_values
from s2st.options.resolution import OptionSource, resolve
from s2st.scoring.load_scorers import load_scorer
from s2st.text.line_files import read_aligned
from s2st.training.checkpoint import ResumedRun, read_run
from s2st.training.checkpoint_folder import BEST, LAST, likely_save_folder
from s2st.training.observer import perplexity_text

_BY_CORPUS = ("layers", "hidden_size", "embedding_size", "dropout")  # defaults depend on the corpus


def report_training(folder: Path, attention: tuple[str, str] | None = None) -> Report:
    """Build the report of a --save-dir of `s2st train`: metrics.jsonl and the last checkpoint.

    Args:
        folder: the save folder.
        attention: files of source and target lines; the report shows the best checkpoint's
            attention maps of some of them.

    Raises:
        InputMissingError: the folder is missing, or is neither a study nor a save folder; a file
            is missing.
        CheckpointError: a checkpoint or metrics.jsonl is damaged.
        UsageError: `attention` is given, but the model has no attention.
    """
    run = read_training(folder)
    history = read_history(folder, run)
    record = run.saved.record
    return Report(
        f"{folder.resolve().name}: {record.architecture}, {record.directions}",
        f"{best_text(history)} Trained for {run.state.update:,} updates.",
        _facts(run),
        (_curve(history), *_attention(folder, attention), _sizes(record), _options(run)),
    )


def read_training(folder: Path) -> ResumedRun:
    """Read the last checkpoint of a save folder; raise as `report_training`."""
    if not folder.is_dir():
        what = "not a folder" if folder.exists() else "no such folder"
        raise InputMissingError(f"{folder}: {what}")
    if not os.path.lexists(folder / LAST):
        message = f"holds neither {REPORT} (a study) nor {LAST} (a --save-dir of s2st train)"
        raise InputMissingError(f"{folder}: {message}{likely_save_folder(folder)}")
    return read_run(folder / LAST)


def best_text(history: TrainingHistory) -> str:
    """Describe the best validation in one sentence."""
    best = history.best
    if best is None or best.nll is None:
        return "No validation yet, or no validation data."
    perplexity = perplexity_text(best.nll)
    if history.metric in best.metrics:
        found = f"{history.metric}: {best.metrics[history.metric]:.2f} with perplexity {perplexity}"
    else:
        found = f"perplexity: {perplexity}"
    return f"Best validation {found}, at update {best.update:,} (epoch {best.epoch:.2f})."


def _attention(folder: Path, files: tuple[str, str] | None) -> list[Section]:
    if files is None:
        return []
    require_matplotlib()
    name = BEST if os.path.lexists(folder / BEST) else LAST
    languages = read_saved(folder / name, whole=False).record.languages
    choice = ANY if languages is None else LanguageChoice(*languages.pairs[0])
    scorer = load_scorer([str(folder / name)], torch.device("cpu"), languages=choice)
    return [attention_section(scorer, read_aligned(files))]


def perplexity(nll: float | None) -> float | None:
    """Return exp(nats per token), at most that of 700 nats."""
    return None if nll is None else math.exp(min(700.0, nll))


def _facts(run: ResumedRun) -> tuple[tuple[str, str], ...]:
    record = run.saved.record
    facts = [("checkpoint", run.saved.place.resolve().name)]
    for side, spec, vocabulary in (
        ("source", record.source_tokenizer, record.source_vocabulary),
        ("target", record.target_tokenizer, record.target_vocabulary),
    ):
        words = f"{len(vocabulary) - 4:,} words + 4 special, tokenizer {spec.name}"
        facts.append((side, f"{spec.language}: {words}"))
    facts.append(("data", f"sha256 {run.identity.data}"))
    facts += [(name, str(value)) for name, value in run.identity.environment.items()]
    if record.plugins:
        facts.append(("plugins", ", ".join(record.plugins)))
    return tuple((plain_text(name), plain_text(text)) for name, text in facts)


def plain_text(text: str) -> str:
    """Return a text that can be encoded: replace lone surrogates."""
    return text.encode("utf-8", "replace").decode()


def _curve(history: TrainingHistory) -> Section:
    text: list[str] = []
    items: list[Item] = []
    try:
        figure = perplexity_figure(history)
        items += [] if figure is None else [figure]
        items += metric_figures([("validation", history)])
    except UsageError as error:
        text.append(f"The curve is left out: {error}.")
    rates = (one.learning_rate for one in history.validations if one.learning_rate)
    digits = min(12, max(2, 1 - math.floor(math.log10(min(rates, default=0.1)))))
    metrics = history.metric_names()
    columns = (  # the best value first: a phone shows three or four columns
        Column("update", True, 0),
        Column("validation", True),
        *(Column(name, True) for name in metrics),
        Column("note"),
        Column("training", True),
        Column("epoch", True),
        Column("learning rate", True, digits),
    )
    rows: list[tuple[Cell, ...]] = []
    for one in history.validations:
        best = Marked("best", "good") if one is history.best else None
        values = (one.metrics.get(name) for name in metrics)
        losses = perplexity(one.nll), perplexity(one.train_nll)
        rows.append((one.update, losses[0], *values, best, losses[1], one.epoch, one.learning_rate))
    items.append(Table("Perplexity per target token at each validation", columns, tuple(rows)))
    return Section("Training", tuple(text), tuple(items))


def _sizes(record: ModelRecord) -> Section:
    parts = parameters_by_part(hollow_model(record.architecture, record.config, record.sizes))
    rows = [(name.replace("_", " "), weights, biases) for name, (weights, biases) in parts.items()]
    total = ("total", sum(row[1] for row in rows), sum(row[2] for row in rows))
    columns = (Column("part"), Column("weights", True, 0), Column("biases", True, 0))
    table = Table("Parameters by part of the model", columns, (*rows, total))
    rows_of = record.sizes
    text = f"{rows_of.source_vocabulary:,} source and {rows_of.target_vocabulary:,} target words"
    return Section("Size", (f"Vocabularies: {text}, including special tokens.",), (table,))


def _options(run: ResumedRun) -> Section:
    values = {**run.identity.options, **run.identity.other}
    values.pop("save_dir", None)  # a path of the author's machine says nothing to the reader
    defaults: dict[str, Any] = {}
    text: list[str] = []
    try:
        defaults = _defaults(values)
    except UsageError as error:  # a component of a plugin that is not loaded
        text.append(f"The defaults are left out: {plain_text(str(error))}.")
    rows, changed = [], []
    for name, value in values.items():
        default = defaults.get(name)
        shown = "by the corpus" if name in _BY_CORPUS and default is None else shown_value(default)
        row = (
            plain_text(name).replace("_", "-"),
            shown_value(value),
            shown if name in defaults else "",
        )
        rows.append(row)
        if name in defaults and row[1] != row[2]:
            changed.append(row)
    columns = (Column("option"), Column("value"), Column("default"))
    items: tuple[Item, ...] = (Table("All options", columns, tuple(rows)),)
    if changed:
        items = (Table("Options that differ from the defaults", columns, tuple(changed)), *items)
    return Section("Options", tuple(text), items)


def _defaults(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the default values of all options for the components that the run chose."""
    chosen = {}
    for role in TRAIN_SPEC.roles:
        name = values.get(role.name)
        if isinstance(name, str) and name != role.registry.get(role.default).base:
            chosen[role.name] = name
    options = resolve(TRAIN_SPEC, [OptionSource("the run", chosen)])
    defaults: dict[str, Any] = {
        role.name: role.registry.get(role.default).base for role in TRAIN_SPEC.roles
    }
    for record in (*options.fixed.values(), *options.configs.values()):
        defaults.update(config_values(record))
    # what a new run in one process chooses (`s2st.jobs.automatic_options`)
    defaults["update_freq"] = 1
    if values.get("max_tokens") is None:
        defaults["batch_size"] = DEFAULT_BATCH_SIZE
    return defaults


def shown_value(value: Any) -> str:
    """Return the value of an option as text."""
    plain = {None: "none", True: "yes", False: "no"}
    if value is None or isinstance(value, bool):
        return plain[value]
    if isinstance(value, list | tuple):
        return ", ".join(map(shown_value, value)) or "none"
    return plain_text(str(value))
