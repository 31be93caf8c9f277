"""Checks before a training resumes: options that change the mathematics, data, environment.

A checkpoint of an older version lacks newer options. They count as having had their defaults.
"""

import logging
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s2st.data.batch_planner import BatchingConfig
from s2st.data.corpus_mixing import MixingConfig
from s2st.data.subword_sampling import SubwordSamplingConfig
from s2st.errors import UsageError
from s2st.options.option_fields import config_values, option_specs
from s2st.options.resolution import Resolved
from s2st.process import durable_files
from s2st.process.bounded_read import unreadable
from s2st.process.consistent_reads import note_path
from s2st.process.device import DeviceConfig
from s2st.process.ranks import read_ranks
from s2st.training.options import (
    EmbeddingsConfig,
    FinetuneConfig,
    LanguagesConfig,
    TrainerConfig,
    ValidationConfig,
)
from s2st.training.validation import PERPLEXITY

if TYPE_CHECKING:
    from s2st.training.checkpoint import RunIdentity

log = logging.getLogger("s2st")
METRIC_ROLE = "best_checkpoint_metric"
ROLES = ("arch", "criterion", "optimizer", "lr_scheduler", METRIC_ROLE)
TRAINER = ("update_freq", "clip_norm", "normalization", "seed", "ema_decay")


def identity_options(options: Resolved, architecture: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the options that change the mathematics, and the other options, as JSON values.

    Args:
        options: resolved options of the command.
        architecture: options of the architecture, with all sizes.
    """
    values: dict[str, Any] = {role: entry.base for role, entry in options.entries.items()}
    values.update(config_values(architecture))
    for role in ROLES[1:]:
        values.update(config_values(options.configs[role]))
    values.update(config_values(options.config(BatchingConfig)))
    values.update(config_values(options.config(MixingConfig)))
    values.update(config_values(options.config(LanguagesConfig)))
    sampling = options.config(SubwordSamplingConfig)
    values.update(config_values(sampling if sampling.subword_sampling else SubwordSamplingConfig()))
    trainer = config_values(options.config(TrainerConfig))
    device = config_values(options.config(DeviceConfig))
    values.update({name: trainer.pop(name) for name in TRAINER})
    values["precision"] = device.pop("precision")
    files = _content_files(options)
    values = {name: value for name, value in values.items() if name not in files}
    if read_ranks().first:
        values |= _file_hashes(files)
    validation = config_values(options.config(ValidationConfig))
    if options.entries[METRIC_ROLE].base != PERPLEXITY:  # the metric depends on the beam
        values["validate_beam"] = validation.pop("validate_beam")
    vectors = config_values(options.config(EmbeddingsConfig))
    chosen: dict[str, Any] = {name: value for name, value in vectors.items() if value is True}
    begin = options.config(FinetuneConfig)
    if begin.finetune_from is not None:
        chosen["finetune_from"] = os.path.normpath(begin.finetune_from)
    if begin.freeze:
        chosen["freeze"] = sorted(set(begin.freeze))
    if begin.extend_vocabulary:
        trainer["extend_vocabulary"] = True
    return {**values, **chosen}, {**trainer, **validation, **device}


def _content_files(options: Resolved) -> dict[str, str]:
    """Return option name -> path for the files whose content counts."""
    configs = [*(options.configs[role] for role in ROLES), options.config(EmbeddingsConfig)]
    return {
        spec.name: getattr(config, spec.name)
        for config in configs
        for spec in option_specs(type(config))
        if spec.content and getattr(config, spec.name) is not None
    }


def _file_hashes(files: Mapping[str, str]) -> dict[str, str]:
    """Return option name -> sha256 of each file that exists.

    Raises:
        InputMissingError: a file exists but cannot be read.
    """
    found = {}
    for name, path in files.items():
        if Path(path).is_file():
            try:
                note_path(path)
                found[name] = f"sha256:{durable_files.sha256_of(Path(path))}"
            except OSError as error:
                raise unreadable(path, error) from error
    return found


def keep_hashes_of_missing_files(
    old: "RunIdentity", new: "RunIdentity", options: Resolved
) -> "RunIdentity":
    """Return the new identity with the old hashes of files that no longer exist."""
    names = _content_files(options)
    kept = {n: old.options[n] for n in names if n in old.options and n not in new.options}
    return replace(new, options={**new.options, **kept})


def check_identity(old: "RunIdentity", new: "RunIdentity", options: Resolved, path: str) -> None:
    """Refuse to resume with other data or with options that change the mathematics.

    Args:
        old, new: identity of the checkpoint and of this command.
        options: resolved options of this command.
        path: the checkpoint, for messages.

    Raises:
        UsageError: they differ; the message names the options.
    """
    records = (
        TrainerConfig, FinetuneConfig, MixingConfig, LanguagesConfig, SubwordSamplingConfig
    )  # fmt: skip
    configs = [*(options.configs[role] for role in ROLES), *map(options.config, records)]
    defaults = {s.name: s.default for config in configs for s in option_specs(type(config))}
    defaults[METRIC_ROLE] = PERPLEXITY
    plain = {name: list(v) if isinstance(v, tuple) else v for name, v in defaults.items()}
    before = {**{name: plain.get(name) for name in new.options}, **old.options}
    for role in ROLES:  # an older s2st wrote some names with "_"
        if role in before and before[role] != new.options.get(role):
            before[role] = before[role].replace("_", "-")
    changed = [
        f"--{name.replace('_', '-')} was {_said(before.get(name))}, "
        f"is {_said(new.options.get(name))}"
        for name in sorted(before)
        if before.get(name) != new.options.get(name)
    ]
    if changed:
        raise UsageError(
            f"{path} was trained with other options ({'; '.join(changed)}); "
            f"give the same options, or another --save-dir; with --finetune-from {path}, a new run "
            "begins with these weights"
        )
    if old.data != new.data:
        message = "was trained on other data (the store's checksum differs)"
        raise UsageError(
            f"{path} {message}; give the same store, or another --save-dir; with --finetune-from "
            f"{path}, a new run begins with these weights"
        )


def _said(value: object) -> object:
    """An option's value for a message."""
    return "not set" if value is None else value


def log_changes(old: "RunIdentity", new: "RunIdentity") -> None:
    """Log differences that do not change the mathematics."""
    for before, now, text in (
        (old.other, new.other, "options changed since the last run: %s"),
        (
            old.environment,
            new.environment,
            "last bits may differ from those of an uninterrupted run: %s",
        ),
    ):
        changed = [
            f"{name.replace('_', '-')} was {_said(before.get(name))}, is {_said(value)}"
            for name, value in now.items()
            if before.get(name) != value
        ]
        if changed:
            log.info(text, "; ".join(changed))
