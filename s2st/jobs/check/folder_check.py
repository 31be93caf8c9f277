"""Checks of a checkpoint or store: checksums, vocabularies, splits."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from s2st.data.user_dictionaries import tokenizer_records
from s2st.errors import CheckpointError, UsageError
from s2st.jobs.check.findings import BREAKS, KEPT_LINES, REMARK, WARNING, Finding
from s2st.jobs.verify_checksums import verify
from s2st.process.folder_manifest import kind_of, read_sealed
from s2st.rescoring.text_mismatch_check import Letters
from s2st.text.tokenizers import MODEL_KINDS
from s2st.text.vocabulary import UNK_ID, Vocabulary

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
    for record in tokenizer_records(manifest):
        name = f"dict.{record['language']}.txt"
        yield from _vocabulary(Vocabulary.load(folder / name), f"{path}/{name}", record["name"])
    if kind_of(folder) == "s2st-store":
        yield from _splits(folder, path, manifest)


def folder_summary(path: str) -> str:
    """Return the kind of a folder, for the report."""
    kind = {"s2st-store": "store", "s2st-checkpoint": "checkpoint"}.get(kind_of(Path(path)) or "")
    return f"{path}: {kind or 'neither a checkpoint nor a store'}"


def _vocabulary(vocabulary: Vocabulary, name: str, tokenizer: str) -> Iterator[Finding]:
    words = vocabulary.tokens[vocabulary.first_word :]
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
            tokens, unknown = _counted(counts, side)
            if not name.startswith("train") and unknown >= MANY_UNKNOWN * tokens:
                text = (
                    f"split {name}: {unknown / tokens:.1%} of the {side} tokens are unknown: see "
                )
                text += "--tokenizer sentencepiece of preprocess"
                yield Finding(WARNING, "unknown-rate", path, text, unknown)
    store = Store(folder)
    for name in store.splits:
        training = re.sub("^(valid|test)[0-9]*", "train", name)  # of the same language pair
        if training == name or training not in store.splits:
            continue
        hashes = _hashes(store, name)
        found = np.flatnonzero(np.isin(hashes, _hashes(store, training)) & (hashes != 0)) + 1
        if len(found):
            text = f"split {name}: {len(found):,} of {len(hashes):,} pairs occur in {training}"
            lines = tuple(found[:KEPT_LINES].tolist())
            yield Finding(WARNING, "in-training", path, text, len(found), lines)


def _counted(counts: Any, side: str) -> tuple[int, int]:
    """Return the numbers of tokens and of unknown tokens in a record of a split."""
    try:
        return max(1, int(counts[side]["tokens"])), int(counts[side]["unknown"])
    except (KeyError, TypeError, ValueError):
        return 1, 0


def _hashes(store: Any, name: str) -> Any:
    """Return a 64-bit hash of the ids of each pair of a split; 0 for pairs with unknown words."""
    corpus = store.split(name)

    def hashed(index: int) -> int:
        source, target = corpus.source[index], corpus.target[index]
        if UNK_ID in source or UNK_ID in target:
            return 0
        return hash(source.tobytes() + b"|" + target.tobytes())

    return np.fromiter(map(hashed, range(len(corpus))), np.int64, len(corpus))
