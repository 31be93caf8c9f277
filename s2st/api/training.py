"""The jobs `preprocess` and `train` as functions whose keywords are the commands' options."""

import contextlib
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from s2st.api.arguments import Path, load_plugins, path_of
from s2st.api.keywords import Option, refuse_names, resolved_keywords
from s2st.data.preprocess_options import PreprocessConfig
from s2st.data.preprocess_report import PreprocessReport
from s2st.errors import UsageError
from s2st.jobs.preprocess import PREPROCESS_SPEC
from s2st.jobs.preprocess import preprocess as run_preprocess
from s2st.jobs.train import TRAIN_SPEC, run_training
from s2st.jobs.training_recipes import RECIPES
from s2st.jobs.training_result import TrainResult
from s2st.options.option_fields import shown
from s2st.options.resolution import OptionSource, Resolved, named_sources
from s2st.process.bounded_read import unreadable
from s2st.process.consistent_reads import one_run
from s2st.process.torch_import import import_torch
from s2st.text.overwrite_checks import check_destinations
from s2st.training.observer import Observer, UpdateReport, ValidationReport
from s2st.training.options import EmbeddingsConfig, FinetuneConfig, TrainerConfig

Callback = Callable[[UpdateReport | ValidationReport], object]
log = logging.getLogger("s2st")


def preprocess(
    *, config: Path | None = None, plugin: Sequence[str] = (), **options: Option
) -> PreprocessReport:
    """Turn parallel text into a store, as `s2st preprocess` does.

    Args:
        config: TOML file of options; the keywords override it.
        plugin: modules that register more components.
        options: options of `s2st preprocess`, such as `source_lang="en"`, `target_lang="fr"`,
            `trainpref="train"`, `destdir="bin"`.

    Returns:
        The counts of the store. Under torchrun, the first process returns them.

    Raises:
        UsageError: wrong options.
        S2STError: files cannot be read or written.
    """
    with one_run():
        sources = _sources(plugin, config, None)
        resolved = resolved_keywords("s2st.preprocess()", PREPROCESS_SPEC, options, sources)
        if resolved.config(PreprocessConfig).tsv == "-":
            raise UsageError("s2st.preprocess(): tsv='-' is for the command only; name a file")
        report = run_preprocess(resolved)
    if report is None:
        raise UsageError("s2st.preprocess(): call it in the first process of torchrun only")
    return report


def train(
    data: Path,
    *,
    callback: Callback | None = None,
    config: Path | None = None,
    recipe: str | None = None,
    plugin: Sequence[str] = (),
    **options: Option,
) -> TrainResult:
    """Train a model on a store, as `s2st train` does; the same call resumes a stopped training.

    An exception in `callback` and Ctrl-C end the training; the last checkpoint remains.

    Args:
        data: folder of the store.
        callback: called with each report of updates and of validations.
        config: TOML file of options; the keywords override it.
        recipe: named set of options; `config` and the keywords override it.
        plugin: modules that register more components.
        options: options of `s2st train`, such as `arch="lstm"`, `max_epoch=3`, `save_dir="model"`.

    Raises:
        UsageError: wrong options.
        S2STError: data cannot be read, or checkpoints cannot be written.
    """
    folder = path_of(data, "data")
    if callback is not None and not callable(callback):
        raise UsageError(f"callback must be a function, not {shown(callback)}")
    refuse_names("s2st.train()", options, ("dry_run",))
    _check_readable(folder)
    with one_run():
        sources = _sources(plugin, config, recipe)
        resolved = resolved_keywords("s2st.train()", TRAIN_SPEC, options, sources)
        _check_save_dir(resolved, folder)
        import_torch()
        with _all_messages():
            return run_training(folder, resolved, _CallbackObserver(callback), lambda: 0)


def _sources(plugin: Sequence[str], config: Path | None, recipe: str | None) -> list[OptionSource]:
    """Load the plugins, and return the options of the recipe and of the file."""
    load_plugins(plugin)
    file = None if config is None else path_of(config, "config")
    return named_sources(RECIPES, recipe, file)


def _check_readable(path: str) -> None:
    """Raise InputMissingError for a name that the system refuses, such as one that is too long."""
    try:
        os.stat(path)
    except FileNotFoundError:
        return  # reading the store reports it
    except OSError as error:
        raise unreadable(path, error) from error


def _check_save_dir(options: Resolved, data: str) -> None:
    """Raise UsageError if the save folder is inside what the training reads."""
    embeddings = options.config(EmbeddingsConfig)
    inputs = (
        data, options.config(FinetuneConfig).finetune_from, embeddings.source_embeddings,
        embeddings.target_embeddings,
    )  # fmt: skip
    named = [path for path in inputs if path is not None]
    check_destinations([], [options.config(TrainerConfig).save_dir], named)


class _CallbackObserver(Observer):
    """Passes the reports of a training on to a function."""

    def __init__(self, call: Callback | None) -> None:
        self._call = call

    def updated(self, report: UpdateReport) -> None:
        """Pass on."""
        if self._call is not None:
            self._call(report)

    def validated(self, report: ValidationReport) -> None:
        """Pass on."""
        if self._call is not None:
            self._call(report)


class _Louder(logging.Handler):
    """Handler that takes the place of a logger's own, with the level that the logger had."""

    def __init__(self, logger: logging.Logger) -> None:
        super().__init__(logger.getEffectiveLevel())
        self._handlers = logger.handlers[:]
        self._parent = logger.parent if logger.propagate else None

    def emit(self, record: logging.LogRecord) -> None:
        """Handle a record as the logger would have done."""
        for handler in self._handlers:
            if record.levelno >= handler.level:
                handler.handle(record)
        if self._parent is not None:
            self._parent.callHandlers(record)


@contextlib.contextmanager
def _all_messages() -> Iterator[None]:
    """Let `train.log` receive every message, while the program hears what its level asks for."""
    before: Mapping[str, Any] = {
        "level": log.level, "propagate": log.propagate, "handlers": log.handlers[:],
    }  # fmt: skip
    if log.isEnabledFor(logging.INFO):
        yield
        return
    log.handlers[:] = [_Louder(log)]
    log.propagate = False
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.handlers[:] = before["handlers"]
        log.propagate = before["propagate"]
        log.setLevel(before["level"])
