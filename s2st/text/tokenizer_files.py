"""Tokenizers in the files of a store or checkpoint: their records, and their trained models."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from s2st.errors import CheckpointError
from s2st.options.option_fields import OptionSpec, make_config, option_specs
from s2st.process import durable_files
from s2st.process.bounded_read import read_bounded
from s2st.process.folder_manifest import files_of, read_listed, verify_files
from s2st.text.tokenizers import MAX_MODEL_BYTES, MODEL_KINDS, TOKENIZERS, TokenizerSpec


def model_file_name(name: str, language: str) -> str:
    """Return the name of a language's trained model in a store or checkpoint.

    Args:
        name: the tokenizer; one that is not in MODEL_KINDS has no such file today.
        language: the language.
    """
    kind = MODEL_KINDS.get(name)
    return f"{name}.{language}.model" if kind is None else kind.file.format(language)


def save_models(folder: Path, specs: Iterable[TokenizerSpec]) -> list[str]:
    """Write the trained models of the specs into a folder; return the file names."""
    names = []
    for spec in specs:
        if spec.model is not None:
            names.append(model_file_name(spec.name, spec.language))
            durable_files.write_file(folder / names[-1], spec.model)
    return names


def load_spec(record: Any, folder: Path, manifest: Mapping[str, Any]) -> TokenizerSpec:
    """Rebuild a spec from its record; read its model if the folder's manifest lists one.

    Raises:
        CheckpointError: a damaged record, or a model file that differs from the manifest.
        UsageError: an unknown tokenizer or option.
    """
    try:
        name, language, options = record["name"], record["language"], record["options"]
    except (TypeError, KeyError) as error:
        raise CheckpointError(
            "damaged: the record of the tokenizer is malformed", str(folder)
        ) from error
    texts = isinstance(name, str) and isinstance(language, str) and isinstance(options, dict)
    if not texts or not language.isprintable() or "/" in language or language.startswith("."):
        raise CheckpointError("damaged: the record of the tokenizer is malformed", str(folder))
    config = recorded_config(name, options, f"{folder}: tokenizer {name}")
    model = None
    file_name = model_file_name(name, language)
    if file_name in files_of(folder, manifest):
        verify_files(folder, manifest, [file_name])
        model = read_listed(folder / file_name, MAX_MODEL_BYTES)
    return TokenizerSpec(name, config, language, model)


def recorded_config(name: str, options: Mapping[str, Any], where: str) -> Any:
    """Return the config of a tokenizer from its record in a file.

    A number outside its range becomes the default: earlier versions had wider ranges for options
    that only training uses.

    Raises:
        UsageError: an unknown tokenizer or option, or a value of the wrong type.
    """
    config_type = TOKENIZERS.get(name).config_type
    specs = {spec.name: spec for spec in option_specs(config_type)}
    values = {
        name: value
        for name, value in options.items()
        if name not in specs or not _outside(specs[name], value)
    }
    config: Any = make_config(config_type, values, where)
    return config


def _outside(spec: OptionSpec, value: Any) -> bool:
    """Whether a value is a number outside an option's range."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return spec.range.fault(value) is not None


def read_model(path: str, name: str = "sentencepiece") -> bytes:
    """Read the file of a trained model that the user named.

    Args:
        path: the file.
        name: the tokenizer.

    Raises:
        InputMissingError: it cannot be read.
        DataError: it is larger than a model can be.
    """
    return read_bounded(path, MAX_MODEL_BYTES, MODEL_KINDS[name].what)
