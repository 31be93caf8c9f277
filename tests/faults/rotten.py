"""Small checkpoints and stores of every kind of file, and ways in which a disk damages files."""

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from s2st.data.preprocess import write_store
from s2st.data.preprocess_options import PreprocessConfig
from s2st.data.store import Store
from s2st.models.model_building import build_model
from s2st.models.model_record import ModelRecord
from s2st.models.registry import ARCHITECTURES
from s2st.text.tokenizers import NoneConfig, SentencePieceConfig, TokenizerSpec
from s2st.training.checkpoint import RunIdentity, TrainingState, optimizer_tensors
from s2st.training.checkpoint_folder import CheckpointFolder

WORDS = {"en": "a b c d e f", "fr": "vu wa xe yo"}


def make_store(folder: Path) -> Path:
    """A store with a SentencePiece model for the target; two splits."""
    draw = random.Random(3)
    for split, count in (("train", 12), ("valid", 3)):
        for language, words in WORDS.items():
            lines = [
                " ".join(draw.choices(words.split(), k=draw.randint(1, 5))) for _ in range(count)
            ]
            Path(folder, f"{split}.{language}").write_text("\n".join(lines) + "\n")
    config = PreprocessConfig(
        "en", "fr", trainpref=(str(folder / "train"),), validpref=(str(folder / "valid"),),
        destdir=str(folder / "store"),
    )  # fmt: skip
    pieces = SentencePieceConfig(sentencepiece_vocab_size=14, sentencepiece_coverage=1.0)
    specs = TokenizerSpec("none", NoneConfig(), "en"), TokenizerSpec("sentencepiece", pieces, "fr")
    return write_store(config, *specs).folder


def make_run(folder: Path, store: Path, updates: tuple[int, ...] = (3,)) -> Path:
    """A save folder whose checkpoints hold Adam's state; returns the last checkpoint's folder."""
    opened = Store(store)
    config = ARCHITECTURES.get("lstm").config_type(
        layers=1, hidden_size=3, embedding_size=2, dropout=0.0
    )
    record = ModelRecord(
        "lstm", config, opened.source_vocabulary, opened.target_vocabulary,
        opened.source_tokenizer, opened.target_tokenizer,
    )  # fmt: skip
    torch.manual_seed(1)
    model = build_model("lstm", config, record.sizes)
    optimizer = torch.optim.Adam(model.parameters())
    save_dir = CheckpointFolder(folder, keep_last=len(updates))
    save_dir.prepare()
    for update in updates:
        for parameter in model.parameters():
            parameter.grad = torch.randn_like(parameter)
        optimizer.step()
        state = TrainingState(update, best_update=updates[0], best_nll=2.5)
        tensors = model.state_dict(), optimizer_tensors(optimizer)
        save_dir.save(record, *tensors, state, RunIdentity({"lr": 0.1}, "data"))
    return folder / f"checkpoint_{updates[-1]:07d}"


def flip(data: bytes, draw: random.Random) -> bytes:
    """One bit the other way."""
    changed = bytearray(data)
    changed[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def truncate(data: bytes, draw: random.Random) -> bytes:
    """A shorter file."""
    return data[: draw.randrange(len(data))]


def zero_tail(data: bytes, draw: random.Random) -> bytes:
    """The last blocks never reached the disk: zeros from a place before the last other byte."""
    last = max(place for place, byte in enumerate(data) if byte)
    start = draw.randrange(last + 1)
    return data[:start] + bytes(len(data) - start)


def files_below(folder: Path) -> list[Path]:
    """Every file of a folder, by name."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def damaged_copies(
    folder: Path, damage: Callable[[bytes, random.Random], bytes], times: int, draw: random.Random
) -> Iterator[tuple[Path, Path]]:
    """Damages one file of a copy after the other, `times` in all, and mends it again.

    Yields the copy's folder and the damaged file.
    """
    copy = folder.with_name(f"{folder.name}-rot")
    shutil.copytree(folder, copy)
    files = files_below(copy)
    for number in range(times):
        path = files[number % len(files)]
        data = path.read_bytes()
        changed = damage(data, draw)
        assert changed != data
        path.write_bytes(changed)
        yield copy, path
        path.write_bytes(data)
