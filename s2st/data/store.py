"""The store that `preprocess` writes and `train` reads: vocabularies, manifest, mapped id arrays.

A split NAME of languages L has `NAME.L.ids.npy` (int32, all sentences end to end, no EOS) and
`NAME.L.offsets.npy` (int64, one more than sentences): sentence i is ids[offsets[i]:offsets[i+1]].
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from s2st.data.arrays import open_array
from s2st.errors import CheckpointError, InputMissingError
from s2st.manifest import MANIFEST, read_manifest
from s2st.text.tokenizers import TokenizerSpec, load_spec
from s2st.text.vocabulary import Vocabulary

FORMAT = "s2st-store"
VERSION = 1
CHECK_CHUNK = 1 << 20  # ids


@dataclass(frozen=True)
class Side:
    """One language of one split. `ids` and `offsets` are memory-mapped."""

    ids: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> npt.NDArray[np.int32]:
        return self.ids[self.offsets[index] : self.offsets[index + 1]]

    def lengths(self) -> npt.NDArray[np.int64]:
        """Words of every sentence, without EOS."""
        return np.diff(self.offsets)


@dataclass(frozen=True)
class ParallelCorpus:
    """A split: sentence i of `source` is the translation of sentence i of `target`."""

    source: Side
    target: Side

    def __len__(self) -> int:
        return len(self.source)


class Store:
    """A store opened for reading. Raises InputMissingError or CheckpointError on opening."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.manifest = _read_manifest(self.folder)
        self.source_language: str = self.manifest["source_language"]
        self.target_language: str = self.manifest["target_language"]
        self.source_vocabulary = Vocabulary.load(self._path(f"dict.{self.source_language}.txt"))
        self.target_vocabulary = Vocabulary.load(self._path(f"dict.{self.target_language}.txt"))
        tokenizers = self.manifest["tokenizers"]
        self.source_tokenizer: TokenizerSpec = load_spec(tokenizers["source"], self.folder)
        self.target_tokenizer: TokenizerSpec = load_spec(tokenizers["target"], self.folder)

    @property
    def splits(self) -> list[str]:
        """Names of the splits: train, valid, valid1, ..., test, ..."""
        return list(self.manifest["splits"])

    def content_hash(self) -> str:
        """One hash over all arrays and vocabularies, from the manifest's checksums."""
        import hashlib

        files = self.manifest["files"]
        text = "".join(f"{name} {files[name]['sha256']}\n" for name in sorted(files))
        return hashlib.sha256(text.encode()).hexdigest()

    def split(self, name: str) -> ParallelCorpus:
        """Opens a split; raises InputMissingError if there is none of that name."""
        if name not in self.manifest["splits"]:
            known = ", ".join(self.splits) or "none"
            raise InputMissingError(f"{self.folder}: no split {name!r} (it has: {known})")
        source = self._side(name, self.source_language, len(self.source_vocabulary))
        target = self._side(name, self.target_language, len(self.target_vocabulary))
        if len(source) != len(target):
            message = f"split {name}: {len(source)} source and {len(target)} target sentences"
            raise CheckpointError(message, str(self.folder))
        return ParallelCorpus(source, target)

    def _side(self, split: str, language: str, vocabulary_size: int) -> Side:
        ids = open_array(self._path(f"{split}.{language}.ids.npy"), np.int32)
        offsets = open_array(self._path(f"{split}.{language}.offsets.npy"), np.int64)
        name = str(self._path(f"{split}.{language}.offsets.npy"))
        if len(offsets) == 0 or offsets[0] != 0 or offsets[-1] != len(ids):
            raise CheckpointError("the offsets do not fit the ids", name)
        if np.any(np.diff(offsets) < 0):
            raise CheckpointError("the offsets go back", name)
        for start in range(0, len(ids), CHECK_CHUNK):
            part = ids[start : start + CHECK_CHUNK]
            if part.min() < 0 or part.max() >= vocabulary_size:
                message = "ids that are not in the vocabulary"
                raise CheckpointError(message, str(self._path(f"{split}.{language}.ids.npy")))
        return Side(ids, offsets)

    def _path(self, name: str) -> Path:
        return self.folder / name


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    if not folder.is_dir():
        raise InputMissingError(f"{folder}: no such folder; `s2st preprocess` makes one")
    try:
        manifest = read_manifest(folder, FORMAT, VERSION)
    except OSError as error:
        raise InputMissingError(
            f"{folder}: not a folder that `s2st preprocess` wrote ({MANIFEST} cannot be read)"
        ) from error
    for key, kind in (("files", dict), ("splits", dict), ("tokenizers", dict)):
        if not isinstance(manifest.get(key), kind):
            raise CheckpointError(f"damaged: no {key!r}", str(path))
    if not all(
        isinstance(facts, dict) and "sha256" in facts for facts in manifest["files"].values()
    ):
        raise CheckpointError("damaged: no checksums", str(path))
    if not {"source", "target"} <= set(manifest["tokenizers"]):
        raise CheckpointError("damaged: no tokenizer of each side", str(path))
    for key in ("source_language", "target_language"):
        value = manifest.get(key)
        if not isinstance(value, str) or "/" in value or value.startswith("."):
            raise CheckpointError(f"damaged: no usable {key!r}", str(path))
    return manifest
