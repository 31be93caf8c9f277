"""Store: the folder of a preprocessed corpus, with vocabularies, manifest and mapped id arrays.

A store has one language pair or several. A split has sentences of one pair: `train`, `valid`, ...,
or with several pairs `train.en-fr`, `train.en-ko`, ... The training split of a pair can have
several corpora, one after the other; their names and sizes are in the manifest.

For a split NAME and a language L, `NAME.L.ids.npy` (int32) has the ids of all sentences one after
the other, without EOS. `NAME.L.offsets.npy` (int64) has one more entry than there are sentences:
sentence i is ids[offsets[i]:offsets[i+1]]. `NAME.L.txt` has the lines of a validation split.
With `--source-vectors`, `NAME.L.vectors.npy` (float32) replaces the ids of the source: the numbers
of all vectors, one vector after the other.
"""

from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from s2st.data.array_files import open_array
from s2st.data.parallel_corpus import ParallelCorpus, Side
from s2st.data.validation_text import text_path
from s2st.errors import CheckpointError, InputMissingError
from s2st.process.bounded_read import missing
from s2st.process.consistent_reads import check_same, stamp_of, steady
from s2st.process.folder_manifest import MANIFEST, check_size, files_of, read_manifest, verify_files
from s2st.text.line_files import read_lines
from s2st.text.tokenizer_files import load_spec
from s2st.text.tokenizers import ABSENT, TokenizerSpec
from s2st.text.vocabulary import UNK_ID, Vocabulary

FORMAT = "s2st-store"
VERSION = 1
VERSION_OF_PAIRS = 2  # of a store with several language pairs
CHECK_CHUNK = 1 << 20  # ids


class Store:
    """A store opened for reading. Raises InputMissingError or CheckpointError on opening.

    Opening a split raises CheckpointError if another process has replaced the folder meanwhile.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        steady(self.folder, self._open)

    def _open(self, place: Path) -> None:
        """Reads everything except the splits from a folder whose links are resolved."""
        self._place, self._stamp = place, stamp_of(place)
        self.manifest = _read_manifest(place)
        self.source_language: str = self.manifest["source_language"]
        self.target_language: str = self.manifest["target_language"]
        self._files = files_of(place, self.manifest)
        self.vocabularies = {name: self._vocabulary(name) for name in self._languages()}
        self.tokenizers: dict[str, TokenizerSpec] = self._tokenizers()

    def _languages(self) -> list[str]:
        several = [record["language"] for record in self.manifest.get("languages", [])]
        return several or [self.source_language, self.target_language]

    def _tokenizers(self) -> dict[str, TokenizerSpec]:
        records = self.manifest.get("languages")
        if records is None:
            sides = self.manifest["tokenizers"]
            records = [sides["source"], sides["target"]]
        names = self._languages()
        specs = (load_spec(record, self._place, self.manifest) for record in records)
        return dict(zip(names, specs, strict=True))

    @property
    def source_vocabulary(self) -> Vocabulary:
        """The vocabulary of the (first) source language."""
        return self.vocabularies[self.source_language]

    @property
    def target_vocabulary(self) -> Vocabulary:
        """The vocabulary of the (first) target language."""
        return self.vocabularies[self.target_language]

    @property
    def source_tokenizer(self) -> TokenizerSpec:
        """The tokenizer of the (first) source language."""
        return self.tokenizers[self.source_language]

    @property
    def target_tokenizer(self) -> TokenizerSpec:
        """The tokenizer of the (first) target language."""
        return self.tokenizers[self.target_language]

    @property
    def several_pairs(self) -> bool:
        """Whether the store was made for several language pairs, even if it has only one."""
        return "languages" in self.manifest

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The language pairs of the splits, each once, in the order of the splits."""
        return list(dict.fromkeys(map(self.pair, self.splits)))

    def pair(self, split: str) -> tuple[str, str]:
        """Return the source and the target language of a split."""
        record = self.manifest["splits"][split] if self.several_pairs else {}
        source = record.get("source_language", self.source_language)
        return source, record.get("target_language", self.target_language)

    def corpora(self, split: str) -> list[tuple[str, int]]:
        """Return name and number of pairs of each corpus of a split.

        The list is empty in a store of an earlier version. Raises CheckpointError.
        """
        record = self.manifest["splits"][split]
        rows = record.get("corpora", []) if isinstance(record, dict) else None
        try:
            found = [(row["name"], row["pairs"]) for row in rows or ()]
        except (TypeError, KeyError) as error:
            raise self._damaged_corpora(split) from error
        for name, pairs in found:
            if not (_is_name(name) and isinstance(pairs, int) and pairs > 0):
                raise self._damaged_corpora(split)
        if rows is None or (found and sum(pairs for _, pairs in found) != record.get("pairs")):
            raise self._damaged_corpora(split)
        return found

    def _damaged_corpora(self, split: str) -> CheckpointError:
        message = f"damaged: no valid corpora of split {split}"
        return CheckpointError(message, str(self._place / MANIFEST))

    @property
    def splits(self) -> list[str]:
        """Names of the splits: train, valid, valid1, ..., test, ..."""
        return list(self.manifest["splits"])

    def content_hash(self) -> str:
        """Return one hash of all arrays and vocabularies, from the manifest's checksums.

        It covers the names and sizes of the corpora of splits with several.
        """
        import hashlib

        files = self._files
        text = "".join(f"{name} {files[name]['sha256']}\n" for name in sorted(files))
        for split in self.splits:
            corpora = self.corpora(split)
            if len(corpora) > 1 or self.several_pairs:
                text += f"{split} {self.pair(split)} {corpora}\n"
        return hashlib.sha256(text.encode()).hexdigest()

    def split(self, name: str) -> ParallelCorpus:
        """Open a split; raise InputMissingError if there is none of that name."""
        if name not in self.manifest["splits"]:
            known = ", ".join(self.splits) or "none"
            raise InputMissingError(f"{self.folder}: no split {name!r} (it has: {known})")
        languages = self.pair(name)
        source, target = (self._side(name, language) for language in languages)
        if len(source) != len(target):
            message = f"split {name}: {len(source)} source and {len(target)} target sentences"
            raise CheckpointError(message, str(self.folder))
        check_same(self._place, self._stamp)
        corpora = self.corpora(name)
        if corpora and sum(size for _, size in corpora) != len(source):
            raise self._damaged_corpora(name)
        return ParallelCorpus(source, target, *languages)

    def text(self, name: str) -> tuple[list[str], list[str]]:
        """Return the source and the target lines of a validation split; no lines if absent.

        Raises:
            CheckpointError: an older version of s2st made the store, without text; or the text is
                damaged.
        """
        sides: list[list[str]] = []
        pairs = len(self.split(name))
        for language in self.pair(name):
            path = text_path(self._place, name, language)
            if language == ABSENT:
                sides.append([])
            elif self.tokenizers[language].vector_size:
                sides.append(self.split(name).source.vector_lines())
            elif path.name not in self._files:
                message = f"has no text of the split {name}; run `s2st preprocess` again"
                raise CheckpointError(message, str(self.folder))
            else:
                check_size(self._place, self._files, path.name)
                sides.append(list(islice(read_lines(path), pairs + 1)))
                if len(sides[-1]) != pairs:
                    message = f"damaged: it must have {pairs} lines, one per pair"
                    raise CheckpointError(message, str(path))
        check_same(self._place, self._stamp)
        return sides[0], sides[1]

    def verify(self) -> None:
        """Check the hashes of all files and the range of all ids; raise CheckpointError.

        This takes about a second per GB. Opening checks only sizes, headers and offsets.
        """
        verify_files(self._place, self.manifest)
        check_same(self._place, self._stamp)
        for name in self.splits:
            corpus = self.split(name)
            for side in (corpus.source, corpus.target):
                for start in range(0, len(side.ids), CHECK_CHUNK):
                    part = side.ids[start : start + CHECK_CHUNK]
                    side.check_range(int(part.min()), int(part.max()))
            target = text_path(self._place, name, self.pair(name)[1])
            if target.name in self._files:
                self.text(name)

    def _side(self, split: str, language: str) -> Side:
        size = self.tokenizers[language].vector_size
        kind = "vectors" if size else "ids"
        ids_path = check_size(self._place, self._files, f"{split}.{language}.{kind}.npy")
        path = check_size(self._place, self._files, f"{split}.{language}.offsets.npy")
        offsets = open_array(path, np.int64)
        vectors = None
        if size:
            values = open_array(ids_path, np.float32)
            if len(values) % size:
                raise CheckpointError(f"damaged: no vectors of size {size}", str(ids_path))
            vectors = values.reshape(-1, size)
            ids = np.broadcast_to(np.int32(UNK_ID), (len(vectors),))
        else:
            ids = open_array(ids_path, np.int32)
        if len(offsets) == 0 or offsets[0] != 0 or offsets[-1] != len(ids):
            raise CheckpointError("the offsets do not fit the ids", str(path))
        steps = (offsets[i : i + CHECK_CHUNK + 1] for i in range(0, len(offsets), CHECK_CHUNK))
        if any(np.any(part[1:] < part[:-1]) for part in steps):
            raise CheckpointError("the offsets go back", str(path))
        words = len(self.vocabularies[language])
        return Side(ids, offsets, words, str(ids_path), vectors=vectors)

    def _vocabulary(self, language: str) -> Vocabulary:
        name = f"dict.{language}.txt"
        verify_files(self._place, self.manifest, [name])
        return Vocabulary.load(self._place / name)


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    if not folder.is_dir():
        raise missing(folder, "no such folder; `s2st preprocess` makes one")
    try:
        manifest = read_manifest(folder, FORMAT, VERSION, VERSION_OF_PAIRS)
    except OSError as error:
        raise InputMissingError(
            f"{folder}: not a folder that `s2st preprocess` wrote ({MANIFEST} cannot be read)"
        ) from error
    for key in ("splits", "tokenizers"):
        if not isinstance(manifest.get(key), dict):
            raise CheckpointError(f"damaged: no {key!r}", str(path))
    if not {"source", "target"} <= set(manifest["tokenizers"]):
        raise CheckpointError("damaged: a side has no tokenizer", str(path))
    for key in ("source_language", "target_language"):
        value = manifest.get(key)
        if not _is_name(value) or value.startswith("."):
            raise CheckpointError(f"damaged: no valid {key!r}", str(path))
    if not all(map(_is_name, manifest["splits"])):
        raise CheckpointError("damaged: a split has no valid name", str(path))
    if "languages" in manifest and not _languages_fit(manifest):
        raise CheckpointError("damaged: no valid languages", str(path))
    return manifest


def _languages_fit(manifest: Mapping[str, Any]) -> bool:
    """Whether every language of a store of several pairs is known."""
    try:
        known = {record["language"] for record in manifest["languages"]}
        used = [manifest["source_language"], manifest["target_language"]]
        for split in manifest["splits"].values():
            used += [split["source_language"], split["target_language"]]
    except (TypeError, KeyError):
        return False
    return all(map(_is_name, known)) and known.issuperset(used)


def _is_name(value: object) -> TypeGuard[str]:
    """Whether a value can be part of a file name."""
    return isinstance(value, str) and value.isprintable() and "/" not in value and len(value) < 100
