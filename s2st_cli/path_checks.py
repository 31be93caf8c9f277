"""Which parameters of the commands are paths, and the check of all paths of a command.

Every command calls `check_paths` before its work. Each parameter that takes text belongs to exactly
one of the sets below; a test enforces that. A parameter of a plugin that is in none of them counts
as an input.
"""

import contextlib
import importlib.util
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from s2st.errors import UsageError
from s2st.text.overwrite_checks import check_destinations, check_readable

INPUTS = frozenset(
    (
        "aligner", "alignment_lexicon", "attention", "bpe_codes", "channel_checkpoint",
        "checkpoint", "checkpoints", "compare",
        "config", "constraints", "data", "dev_nbest", "dev_source", "dict", "finetune_from",
        "folder", "input", "lexicon", "nbest", "oracle", "paths", "phrases", "prefix", "ref",
        "run_dir",
        "shortlist", "source", "source_embeddings", "source_sentencepiece", "source_vectors",
        "srcdict", "target",
        "target_embeddings", "target_sentencepiece", "text", "tgtdict", "tokenizer_json",
        "train_source", "tsv", "tune", "unk_dictionary", "vectors", "vocabulary", "weights",
        "word_alignments",
    )
)  # fmt: skip
LISTS = frozenset({"path"})  # paths separated by ":"
LABELED = frozenset({"hyp", "a", "b", "models"})  # FILE or label=FILE
PREFIXES = frozenset({"pair", "trainpref", "validpref", "testpref"})  # PREFIX of PREFIX.LANG
MODULES = frozenset({"plugin"})
OUTPUTS = frozenset({"output_file", "alignments", "explain", "npy", "report", "weights_out"})
FIGURES = frozenset({"figure"})  # NAME.svg and NAME.png
FOLDERS = frozenset({"destdir", "dir", "release", "save_dir"})
NO_FILES = frozenset(
    (
        "allow_host", "arch", "best_checkpoint_metric", "bleu_tokenize", "corpus_weight",
        "criterion", "freeze", "host", "kind", "lang", "lr_scheduler", "members", "memory", "next",
        "optimizer", "part", "prefix_text", "prune", "recipe", "search", "sentence", "shard",
        "source_lang", "target_lang", "temporary_folder", "title", "tokenize", "tokenizer",
        "tuner", "utility", "weight", "words",
    )
)  # fmt: skip


def check_paths(values: Mapping[str, Any]) -> None:
    """Refuse an output that is an input or lies within one, and an input without read permission.

    Args:
        values: name -> value of every parameter of the command.

    Raises:
        OutputError, UsageError: as `check_destinations`.
        InputMissingError: as `check_readable`.
    """
    inputs: list[str] = []
    outputs: list[str] = []
    folders: list[str] = []
    streams: list[str] = []
    for name, value in values.items():
        texts = list(_texts(value))
        if name in OUTPUTS:
            if "-" in texts:
                streams.append(name)
            outputs += texts
        elif name in FIGURES:
            outputs += [str(path) for text in texts for path in _figure_paths(text)]
        elif name in FOLDERS:
            folders += texts
        elif name not in NO_FILES:
            inputs += _files(name, texts, values)
    if len(streams) > 1:
        other = next(name for name in streams if name != "output_file").replace("_", "-")
        raise UsageError(f"--{other} needs a file: another output already uses stdout (-)")
    check_readable(inputs)
    if outputs or folders:
        check_destinations(outputs, folders, inputs)


def _figure_paths(name: str) -> tuple[Path, Path]:
    from s2st.analysis.figure_files import figure_paths

    if not name:
        raise UsageError("--figure needs a name")
    return figure_paths(name)


def _texts(value: Any) -> Iterator[str]:
    """The strings in a value: the value itself, or those in a tuple or list."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, tuple | list):
        for one in value:
            yield from _texts(one)


def _module_files(module: str) -> Iterator[str]:
    """The file of a plugin, which need not be imported yet."""
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None and module.isidentifier():  # find_spec("a.b") would import a
        with contextlib.suppress(ImportError, ValueError):
            spec = importlib.util.find_spec(module)
            file = spec.origin if spec is not None and spec.has_location else None
    if file is not None:
        yield file


def _files(name: str, texts: Iterable[str], values: Mapping[str, Any]) -> Iterator[str]:
    """The files and folders that the strings of an input parameter name."""
    for text in texts:
        if name in LISTS:
            yield from filter(None, text.split(":"))
        elif name in LABELED:
            yield text
            yield text.partition("=")[2] or text
        elif name in PREFIXES:
            yield from _prefix_files(text, values)
        elif name in MODULES:
            yield from _module_files(text)
        elif text:
            yield text


def _prefix_files(text: str, values: Mapping[str, Any]) -> Iterator[str]:
    """The files that one value of --trainpref or --pair names."""
    languages = [values.get("source_lang"), values.get("target_lang")]
    if values.get("pair"):
        pair, _, text = text.partition(":")
        languages = list(pair.split("-"))
    for prefix in {text, *text.split(","), *(part.partition("=")[2] for part in text.split(","))}:
        for language in languages if prefix else ():
            yield f"{prefix}.{language}"
            yield f"{prefix}.{language}.gz"
