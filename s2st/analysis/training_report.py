"""Report of a training from its save folder: learning curve, sizes, options, attention."""

import math
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from s2st.analysis.attention_map import attention_section
from s2st.analysis.figures import Series, draw_curves, require_matplotlib
from s2st.analysis.report_document import (
    Cell,
    Column,
    Figure,
    Item,
    Marked,
    Report,
    Section,
    Table,
)
from s2st.analysis.study_report_reader import REPORT
from s2st.data.batch_planner import DEFAULT_BATCH_SIZE
from s2st.errors import CheckpointError, InputMissingError, UsageError
from s2st.jobs.train import TRAIN_SPEC
from s2st.models.base import parameters_by_part
from s2st.models.model_files import ModelRecord, hollow_model
from s2st.options.option_fields import config_values
from s2st.options.resolution import OptionSource, resolve
from s2st.scoring.load_scorers import load_scorer
from s2st.text.line_files import read_aligned
from s2st.training.checkpoint import STATE, ResumedRun, read_run
from s2st.training.checkpoint_folder import BEST, LAST, likely_save_folder
from s2st.training.observer import perplexity_text

_HIGHEST_NLL = 20.0  # nats per token: larger losses would hide the rest of the curve
_BY_CORPUS = ("layers", "hidden_size", "embedding_size", "dropout")  # defaults depend on the corpus


def report_training(folder: Path, attention: tuple[str, str] | None = None) -> Report:
    """Build the report of a --save-dir of `s2st train` from its last checkpoint.

    Args:
        folder: the save folder.
        attention: files of source and target lines; the report shows the best checkpoint's
            attention maps of some of them.

    Raises:
        InputMissingError: the folder is missing, or is neither a study nor a save folder; a file
            is missing.
        CheckpointError: a checkpoint is damaged.
        UsageError: `attention` is given, but the model has no attention.
    """
    if not folder.is_dir():
        what = "not a folder" if folder.exists() else "no such folder"
        raise InputMissingError(f"{folder}: {what}")
    if not os.path.lexists(folder / LAST):
        message = f"holds neither {REPORT} (a study) nor {LAST} (a --save-dir of s2st train)"
        raise InputMissingError(f"{folder}: {message}{likely_save_folder(folder)}")
    run = read_run(folder / LAST)
    try:
        validations = [_validation(row) for row in run.state.history]
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise CheckpointError("damaged training history", str(folder / LAST / STATE)) from error
    record = run.saved.record
    source, target = record.source_tokenizer.language, record.target_tokenizer.language
    return Report(
        f"{folder.resolve().name}: {record.architecture}, {source} to {target}",
        _lead(run, validations),
        _facts(run),
        (_curve(run, validations), *_attention(folder, attention), _sizes(record), _options(run)),
    )


def _attention(folder: Path, files: tuple[str, str] | None) -> list[Section]:
    if files is None:
        return []
    require_matplotlib()
    name = BEST if os.path.lexists(folder / BEST) else LAST
    scorer = load_scorer([str(folder / name)], torch.device("cpu"))
    return [attention_section(scorer, read_aligned(files))]


# update, epoch, training and validation loss in nats per token, learning rate; None if unknown
_Validation = tuple[int, float, float | None, float | None, float | None]


def _validation(row: Mapping[str, Any]) -> _Validation:
    losses = [_finite(row[name]) if name in row else None for name in ("train_nll", "nll")]
    rate = _finite(row["learning_rate"]) if "learning_rate" in row else None
    epoch = _finite(row["epoch"])
    if type(row["update"]) is not int or epoch is None:
        raise TypeError("update, epoch")
    return row["update"], epoch, losses[0], losses[1], rate


def _finite(value: Any) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError("not a number")
    return float(value) if math.isfinite(value) else None


def _perplexity(nll: float | None) -> float | None:
    return None if nll is None else math.exp(min(700.0, nll))


def _lead(run: ResumedRun, validations: Sequence[_Validation]) -> str:
    state = run.state
    trained = f"Trained for {state.update:,} updates."
    for update, epoch, _, nll, _ in validations:
        if update == state.best_update and nll is not None:
            found = f"{perplexity_text(nll)}, at update {update:,} (epoch {epoch:.2f})"
            return f"Best validation perplexity: {found}. {trained}"
    return f"{trained} No validation yet, or no validation data."


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
    return tuple((_plain(name), _plain(text)) for name, text in facts)


def _plain(text: str) -> str:
    """Return a text that can be encoded: replace lone surrogates."""
    return text.encode("utf-8", "replace").decode()


def _curve(run: ResumedRun, validations: Sequence[_Validation]) -> Section:
    text: list[str] = []
    items: list[Item] = []
    curves = []
    for name, place in (("training", 2), ("validation", 3)):
        points = [(v[1], v[place]) for v in validations if (v[place] or math.inf) <= _HIGHEST_NLL]
        if points:
            xs, ys = [x for x, _ in points], [_perplexity(nll) or 0.0 for _, nll in points]
            curves.append(Series(name, xs, ys, markers=True))
    if curves:
        try:
            items.append(_draw(curves))
        except UsageError as error:
            text.append(f"The curve is left out: {error}.")
    smallest = min((v[4] for v in validations if v[4]), default=0.1)
    digits = min(12, max(2, 1 - math.floor(math.log10(smallest))))
    columns = (
        Column("update", True, 0),
        Column("epoch", True),
        Column("training", True),
        Column("validation", True),
        Column("learning rate", True, digits),
        Column("note"),
    )
    rows: list[tuple[Cell, ...]] = []
    for update, epoch, train, valid, rate in validations:
        best = Marked("best", "good") if update == run.state.best_update else None
        rows.append((update, epoch, _perplexity(train), _perplexity(valid), rate, best))
    items.append(Table("Perplexity per target token at each validation", columns, tuple(rows)))
    return Section("Training", tuple(text), tuple(items))


def _draw(curves: Sequence[Series]) -> Figure:
    require_matplotlib()
    with tempfile.TemporaryDirectory() as folder:
        svg, _ = draw_curves(
            Path(folder) / "curve", curves, x_label="epoch", y_label="perplexity", png=False
        )
        data = svg.read_bytes()
    ends = "; ".join(f"{one.name} from {one.y[0]:,.2f} to {one.y[-1]:,.2f}" for one in curves)
    alt = f"Curves of perplexity by epoch: {ends}"
    return Figure("Perplexity by epoch. Training perplexity is measured with dropout.", alt,
                  "image/svg+xml", data)  # fmt: skip


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
        text.append(f"The defaults are left out: {_plain(str(error))}.")
    rows, changed = [], []
    for name, value in values.items():
        default = defaults.get(name)
        shown = "by the corpus" if name in _BY_CORPUS and default is None else _shown(default)
        row = (_plain(name).replace("_", "-"), _shown(value), shown if name in defaults else "")
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


def _shown(value: Any) -> str:
    plain = {None: "none", True: "yes", False: "no"}
    if value is None or isinstance(value, bool):
        return plain[value]
    if isinstance(value, list | tuple):
        return ", ".join(map(_shown, value)) or "none"
    return _plain(str(value))
