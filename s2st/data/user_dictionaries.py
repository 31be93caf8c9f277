"""Dictionaries of a user: a `dict.LANG.txt` file, or the folder of a store or checkpoint."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from s2st.errors import DataError, InputMissingError, UsageError
from s2st.process.consistent_reads import is_folder, once, steady
from s2st.process.folder_manifest import MANIFEST, read_sealed, verify_files
from s2st.text.tokenizer_files import load_spec
from s2st.text.tokenizers import TokenizerSpec
from s2st.text.vocabulary import Vocabulary


def dictionary_tokenizer(path: str, language: str) -> TokenizerSpec | None:
    """Return the tokenizer of a `--srcdict` or `--tgtdict` folder; None for a dictionary file."""
    return read_dictionary(path, language)[0]


def read_dictionary(path: str, language: str) -> tuple[TokenizerSpec | None, Vocabulary]:
    """Return the tokenizer and the vocabulary of a language in a dictionary.

    Within one command, a second call returns the same vocabulary, even if another process has
    replaced the file.

    Args:
        path: a `dict.LANG.txt` file, a checkpoint or a store.
        language: the language to look up in a checkpoint or a store.

    Returns:
        The tokenizer (None for a `dict.LANG.txt` file) and the vocabulary.

    Raises:
        InputMissingError, DataError: the dictionary cannot be read.
        UsageError: the folder has no vocabulary for the language.
    """
    folder = Path(path)
    if not is_folder(path):
        return None, once("dictionary", path, lambda: Vocabulary.load(folder))
    return once(
        f"dictionary of {language}",
        path,
        lambda: steady(folder, lambda place: _read_dictionary(place, path, language)),
    )


def _read_dictionary(folder: Path, path: str, language: str) -> tuple[TokenizerSpec, Vocabulary]:
    try:
        manifest = read_sealed(folder)
        sides = [load_spec(record, folder, manifest) for record in tokenizer_records(manifest)]
    except OSError as error:
        raise InputMissingError(f"{path}: neither a checkpoint nor a store") from error
    except (KeyError, TypeError) as error:
        raise DataError("damaged: no valid tokenizers", str(folder / MANIFEST)) from error
    for spec in sides:
        if spec.language == language:
            name = f"dict.{language}.txt"
            verify_files(folder, manifest, [name])
            return spec, Vocabulary.load(folder / name)
    raise UsageError(f"{path}: has no vocabulary for language {language!r}")


def tokenizer_records(manifest: Mapping[str, Any]) -> list[Any]:
    """Return the records of the tokenizers of a store or checkpoint, also one of several pairs."""
    several = manifest.get("languages")
    if several is None:
        return [manifest["tokenizers"][side] for side in ("source", "target")]
    return list(several["tokenizers"] if isinstance(several, dict) else several)
