"""Checks of a checkpoint or store: checksums, vocabularies, splits."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from s2st.errors import CheckpointError, UsageError
from s2st.jobs.check.findings import BREAKS, KEPT_LINES, REMARK, WARNING, Finding
from s2st.jobs.verify_checksums import verify
from s2st.process.folder_manifest import kind_of, read_sealed
from s2st.rescoring.text_mismatch_check import Letters
from s2st.text.tokenizers import MODEL_KINDS
from s2st.text.vocabulary import SPECIALS, Vocabulary

MANY_UNKNOWN = 0.05  # of the tokens of a validation or test split
ESCAPED = 0.001  # of the words


def check_folder(path: str) -> Iterator[Finding]:
    """Yield findings about a checkpoint or store.

    Raises:
        InputMissingError: there is no such folder.
        UsageError: a plugin or package that it needs is missing.
    """
    folder = Path(path)
    try:
        verify(folder)
    except CheckpointError as error:
        yield Finding(BREAKS, "damaged", path, str(error).removeprefix(f"{path}: "))
        return
    except UsageError as error:
        yield Finding(BREAKS, "cannot-load", path, str(error).removeprefix(f"{path}: "))
        return
    manifest = read_sealed(folder)
    for side in ("source", "target"):
        record = manifest["tokenizers"][side]
        name = f"dict.{record['language']}.txt"
        yield from _vocabulary(Vocabulary.load(folder / name), f"{path}/{name}", record["name"])
    if kind_of(folder) == "s2st-store":
        yield from _splits(folder, path, manifest)


def folder_summary(path: str) -> str:
    """Return the kind of a folder, for the report."""
    kind = {"s2st-store": "store", "s2st-checkpoint": "checkpoint"}.get(kind_of(Path(path)) or "")
    return f"{path}: {kind or 'neither a checkpoint nor a store'}"


def _vocabulary(vocabulary: Vocabulary, name: str, tokenizer: str) -> Iterator[Finding]:
    words = vocabulary.tokens[len(SPECIALS) :]
    odd = [i + 1 for i, word in enumerate(words) if not word.isprintable()]
    if odd:
        text = f"{len(odd):,} words with control or invisible characters"
        yield Finding(REMARK, "odd-words", name, text, len(odd), tuple(odd[:KEPT_LINES]))
    if tokenizer in MODEL_KINDS or not words:
        return
    letters = Letters.of(words)
    if letters.lower_cased:
        text = "the text of this side was lowercased: give lowercased text"
        yield Finding(REMARK, "lowercased", name, text)
    if letters.escaped > ESCAPED * len(words):
        text = f"{letters.escaped:,} words with Moses escapes: give text with &apos; and so on"
        yield Finding(REMARK, "escaped", name, text, letters.escaped)


def _splits(folder: Path, path: str, manifest: Any) -> Iterator[Finding]:
    """Yield findings about unknown words, and about held-out pairs that are in training."""
    from s2st.data.store import Store

    for name, counts in manifest["splits"].items():
        for side in ("source", "target"):
            tokens, unknown = counts[side]["tokens"], counts[side]["unknown"]
            share = unknown / max(1, tokens)
            if not name.startswith("train") and share >= MANY_UNKNOWN:
                text = f"split {name}: {share:.1%} of the {side} tokens are unknown"
                text += ": see --tokenizer sentencepiece of preprocess"
                yield Finding(WARNING, "unknown-rate", path, text, unknown)
    store = Store(folder)
    if "train" not in store.splits:
        return
    training = _hashes(store, "train")
    for name in store.splits:
        if name.startswith("train"):
            continue
        found = np.flatnonzero(np.isin(_hashes(store, name), training)) + 1
        if len(found):
            text = (
                f"split {name}: {len(found):,} of {len(store.split(name)):,} pairs occur in train"
            )
            lines = tuple(found[:KEPT_LINES].tolist())
            yield Finding(WARNING, "in-training", path, text, len(found), lines)


def _hashes(store: Any, name: str) -> Any:
    """Return a 64-bit hash of the ids of each pair of a split."""
    corpus = store.split(name)
    pairs = range(len(corpus))
    texts = (corpus.source[i].tobytes() + b"|" + corpus.target[i].tobytes() for i in pairs)
    return np.fromiter(map(hash, texts), np.int64, len(corpus))
