"""Files made to do harm, read in a process of little memory: `python hostile.py FOLDER`.

Prints one JSON line a case: its name, the class and exit code of the error, its message. A case is
a function that gets a store, a checkpoint and an empty folder, and reads what it spoiled.
"""

import gzip
import io
import json
import os
import pickle
import resource
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rotten import files_below, make_run, make_store
from tampering import reseal

from s2st.errors import S2STError
from s2st.jobs.verify_checksums import verify
from s2st.models.model_files import read_saved
from s2st.models.weight_files import load_tensors
from s2st.process.folder_manifest import MANIFEST, _seal_of, read_sealed
from s2st.text.line_files import read_lines
from s2st.text.nbest_lists import read_nbest
from s2st.text.vocabulary import Vocabulary

ROOM = 1 << 30  # bytes that the process may take beside what its imports took
Case = Callable[[Path, Path, Path], object]
WEIGHTS = "weights.safetensors"


class Canary:
    """Unpickling one creates the file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mknod, (str(self.path),)


def pickles(path: Path) -> dict[str, bytes]:
    """The canary as plain pickle, in torch's format and in an array of objects."""
    zipped, array = io.BytesIO(), io.BytesIO()
    torch.save({"weight": Canary(path)}, zipped)
    np.save(array, np.array([Canary(path)], dtype=object), allow_pickle=True)
    plain = pickle.dumps(Canary(path), protocol=4)
    return {"pickle": plain, "torch": zipped.getvalue(), "array": array.getvalue()}


def put(name: str, data: bytes, model: bool = False) -> Case:
    """Data in the place of a file, under a manifest that vouches for it."""

    def case(store: Path, checkpoint: Path, empty: Path) -> object:
        folder = checkpoint if model else store
        (folder / name).write_bytes(data)
        reseal(folder)
        return verify(folder)

    return case


def change(model: bool, edit: Callable[[dict[str, Any]], object]) -> Case:
    """A manifest with other values, sealed; in ASCII, which holds lone surrogates too."""

    def case(store: Path, checkpoint: Path, empty: Path) -> object:
        folder = checkpoint if model else store
        manifest = read_sealed(folder)
        edit(manifest)
        data = resealed(json.dumps(manifest).encode().removesuffix(b"}"))
        (folder / MANIFEST).write_bytes(data)
        return verify(folder)

    return case


def manifest_bytes(data: bytes) -> Case:
    """A manifest of these bytes."""

    def case(store: Path, checkpoint: Path, empty: Path) -> object:
        (store / MANIFEST).write_bytes(data)
        return read_sealed(store)

    return case


def safetensors(header: object, length: int | None = None, tail: bytes = b"\0" * 8) -> Case:
    """A file of tensors with this header."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    size = len(text) if length is None else length
    data = size.to_bytes(8, "little") + text + tail

    def case(store: Path, checkpoint: Path, empty: Path) -> object:
        (empty / "x.safetensors").write_bytes(data)
        return load_tensors(empty / "x.safetensors")

    return case


def array_header(text: str) -> Case:
    """Ids with this .npy header."""
    body = text.ljust(117).encode() + b"\n"
    data = b"\x93NUMPY\x01\x00" + len(body).to_bytes(2, "little") + body
    return put("train.en.ids.npy", data + b"\0" * 40)


def in_place_of(name: str, make: Callable[[Path, Path], object]) -> Case:
    """Something that is no plain file of the folder, in the place of a checkpoint's file."""

    def case(store: Path, checkpoint: Path, empty: Path) -> object:
        path = checkpoint / name
        path.rename(empty / "moved")
        make(path, empty / "moved")
        return read_saved(checkpoint)

    return case


def bomb(piece: bytes, times: int, read: Callable[[Path], object]) -> Case:
    """A .gz file that repeats a piece."""

    def case(store: Path, checkpoint: Path, empty: Path) -> object:
        with gzip.open(empty / "bomb.gz", "wb", compresslevel=1) as stream:
            for _ in range(times):
                stream.write(piece)
        return read(empty / "bomb.gz")

    return case


def read_lists(path: Path) -> int:
    return sum(len(entries) for entries in read_nbest(read_lines(path), str(path)))


def vocabulary_of(text: bytes, times: int = 1) -> Case:
    """A vocabulary of a text, repeated."""

    def case(store: Path, checkpoint: Path, empty: Path) -> object:
        with open(empty / "dict.txt", "wb") as stream:
            for _ in range(times):
                stream.write(text)
        return Vocabulary.load(empty / "dict.txt")

    return case


def listed(name: str, **facts: object) -> Callable[[dict[str, Any]], object]:
    """A manifest that lists such a file."""
    return lambda m: m["files"].update({name: {"size": 1, "sha256": "0" * 64, **facts}})


def sized(**options: int) -> Callable[[dict[str, Any]], object]:
    """A manifest of a model of other sizes."""
    return lambda m: m["architecture"]["options"].update(options)


def cases(store: Path, checkpoint: Path, canary: Path) -> dict[str, Case]:
    """Name -> case."""
    made: dict[str, Case] = {}
    for kind, data in pickles(canary).items():
        made[f"{kind} as manifest"] = manifest_bytes(data)
        made[f"{kind} as sealed manifest"] = manifest_bytes(resealed(data))
        for folder in (store, checkpoint):
            for path in files_below(folder):
                name = path.relative_to(folder).as_posix()
                if name != MANIFEST:
                    made[f"{kind} as {folder.name}/{name}"] = put(name, data, folder is checkpoint)
    tensor = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    for name, header in {
        "2^60 numbers": {"x": {**tensor, "shape": [2**60]}},
        "2^64 numbers": {"x": {**tensor, "shape": [2**32, 2**32]}},
        "offsets of 2^60": {"x": {**tensor, "data_offsets": [0, 2**60]}},
        "offsets that go back": {"x": {**tensor, "data_offsets": [8, 0]}},
        "a shape of text": {"x": {**tensor, "shape": ["2"]}},
        "a header of 90 MB": b'{"__metadata__":{"a":"' + b"a" * 90_000_000 + b'"',
        "a header of many lists": b"[" + b"[]," * 5_000_000,
        "a deep header": b"[" * 1_000_000,
    }.items():
        made[f"tensors: {name}"] = safetensors(header)
    for length in (2**62, 2**63, 2**64 - 1, 10**9):
        made[f"tensors: header length {length}"] = safetensors({"x": tensor}, length)
    deep, wide = b"[" * 1_000_000, b'{"a":[' + b"[]," * 2_000_000
    for name, data in {"deep": deep, "wide": wide, "large": b" " * (1 << 26)}.items():
        made[f"manifest: {name}"] = manifest_bytes(resealed(data))
    made["array: objects"] = array_header(
        "{'descr': '|O', 'fortran_order': False, 'shape': (10,), }"
    )
    for shape in (f"({2**60},)", f"({2**62}, {2**62})", "(-1,)"):
        text = f"{{'descr': '<i4', 'fortran_order': False, 'shape': {shape}, }}"
        made[f"array: {shape}"] = array_header(text)
    for name in ("../x", "/etc/passwd", "a/../../x", "", "\0", "\ud800", "x" * 5000):
        for model in (False, True):
            made[f"listed name {name[:9]!r} {model}"] = change(model, listed(name))
    for size in (2**63, -1, 1.5, "1", None):
        made[f"declared size {size}"] = change(True, listed(WEIGHTS, size=size))
    for options in ({"hidden_size": 2**40}, {"hidden_size": 2**62}, {"layers": 10**9},
                    {"embedding_size": 2**31}):  # fmt: skip
        made[f"a model of {options}"] = change(True, sized(**options))
    made["link out of the folder"] = in_place_of(
        "dict.en.txt", lambda p, moved: p.symlink_to(moved)
    )
    made["link to itself"] = in_place_of(WEIGHTS, lambda p, moved: p.symlink_to(p))
    made["pipe"] = in_place_of(WEIGHTS, lambda p, moved: os.mkfifo(p))
    made["folder"] = in_place_of(WEIGHTS, lambda p, moved: p.mkdir())
    made["manifest is a pipe"] = in_place_of(MANIFEST, lambda p, moved: os.mkfifo(p))
    made["word of 10^7 characters"] = vocabulary_of(b"a" * 10**7 + b" 3\n")
    made["count of 10^7 digits"] = vocabulary_of(b"a " + b"3" * 10**7 + b"\n")
    made["vocabulary of one line of 200 MB"] = vocabulary_of(b"a" * 10**6, 200)
    made["bomb: one line"] = bomb(b"a" * 10**6, 300, lambda path: list(read_lines(path)))
    made["bomb: one list"] = bomb(b"0 ||| a ||| F= 1 ||| 1\n" * 1000, 2000, read_lists)
    made["bomb: one list of long lines"] = bomb(
        b"0 ||| " + b"a" * 10**6 + b" ||| F= 1 ||| 1\n", 400, read_lists
    )
    return made


def resealed(data: bytes) -> bytes:
    """A manifest's bytes with a seal that fits."""
    return data + _seal_of(data)


def report(name: str, case: Case, store: Path, checkpoint: Path, scratch: Path) -> dict[str, Any]:
    """Runs a case on copies."""
    shutil.rmtree(scratch, ignore_errors=True)
    copies = [scratch / folder.name for folder in (store, checkpoint)]
    for folder, copy in zip((store, checkpoint), copies, strict=True):
        shutil.copytree(folder, copy)
    (scratch / "empty").mkdir()
    try:
        case(*copies, scratch / "empty")
    except S2STError as error:
        return {"name": name, "own": True, "code": error.exit_code, "message": str(error)}
    except Exception as error:
        message = f"{type(error).__name__}: {error}"[:300]
        return {"name": name, "own": False, "code": 0, "message": message}
    return {"name": name, "own": False, "code": 0, "message": "no error"}


def main() -> None:
    folder = Path(sys.argv[1])
    store = make_store(folder)
    run = make_run(folder / "run", store)
    made = cases(store, run, folder / "canary")
    verify(store)
    verify(run)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + ROOM
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    for name, case in made.items():
        print(json.dumps(report(name, case, store, run, folder / "scratch")), flush=True)


if __name__ == "__main__":
    main()
