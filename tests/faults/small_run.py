"""The small training and the small preprocessing that faults are injected into."""

import json
import os
import random
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from harness import Outcome, Warm

WORDS = {"en": "a b c d e f", "fr": "v w x y"}
# eight updates in batches of 8 of 24 pairs, saved at updates 2, 3, 4, 6, 8 and, since the last one
# is validated after it was saved, at 8 again
OPTIONS = """
    --arch lstm --layers 1 --hidden-size 8 --embedding-size 8 --dropout 0.2 --lr 0.01 --device cpu
    --batch-size 8 --max-update 8 --save-interval-updates 2 --threads 1 --log-interval 3
""".split()  # noqa: SIM905


def write_texts(folder: Path) -> None:
    """24 training and 5 validation pairs of random words: FOLDER/{train,valid}.{en,fr}."""
    draw = random.Random(7)
    for split, count in (("train", 24), ("valid", 5)):
        for language, words in WORDS.items():
            lines = [
                " ".join(draw.choices(words.split(), k=draw.randint(1, 5))) for _ in range(count)
            ]
            Path(folder, f"{split}.{language}").write_text("\n".join(lines) + "\n")


def preprocess(warm: Warm, texts: Path, store: Path, **how: str) -> Outcome:
    """`s2st preprocess`, which reads the text from a TSV spool too."""
    return warm.run(
        "preprocess", "-s", "en", "-t", "fr", "--trainpref", texts / "train",
        "--validpref", texts / "valid", "--destdir", store, **how,
    )  # fmt: skip


@dataclass(frozen=True)
class SmallRun:
    """A store and what a straight training on it ends with."""

    warm: Warm
    store: Path
    result: str
    metrics: tuple[str, ...]
    operations: tuple[str, ...]
    seconds: float

    @classmethod
    def straight(cls, warm: Warm, folder: Path) -> "SmallRun":
        """Makes the store and trains once without a fault."""
        write_texts(folder)
        store = folder / "store"
        made = preprocess(warm, folder, store)
        assert made.code == 0, made.err
        run = cls(warm, store, "", (), (), 0.0)
        outcome = run.train(folder / "straight")
        assert outcome.code == 0, outcome.err
        result = end_of(folder / "straight")
        metrics = metrics_of(folder / "straight")
        return cls(warm, store, result, metrics, outcome.operations, outcome.seconds)

    def train(
        self, save_dir: Path, fault: str = "", kill_after: float | None = None,
        limits: dict[str, int] | None = None,
    ) -> Outcome:  # fmt: skip
        """The command, always the same one."""
        return self.warm.run(
            "train", self.store, "--save-dir", save_dir, *OPTIONS,
            fault=fault, kill_after=kill_after, limits=limits,
        )  # fmt: skip

    def ends_alike(self, save_dir: Path, torn: bool = False) -> bool:
        """Whether the same command, run again, ends as the straight run, leaving no leftovers.

        `torn`: files may have lost what was synced, so that metrics.jsonl may lack lines.
        """
        again = self.train(save_dir)
        quiet = again.code == 0 and "warning" not in again.err  # a torn checkpoint is warned of
        good = quiet and end_of(save_dir) == self.result and not leftovers(save_dir)
        return good and (torn or metrics_of(save_dir) == self.metrics)


def end_of(save_dir: Path) -> str:
    """One hash of the last checkpoint's weights, optimiser state and history."""
    last = save_dir / "checkpoint_last"
    state = json.loads((last / "training/state.json").read_bytes())["state"]
    digest = sha256(json.dumps(state["history"]).encode())
    for name in ("weights.safetensors", "training/optimizer.safetensors"):
        digest.update(sha256((last / name).read_bytes()).digest())
    best = save_dir / "checkpoint_best"
    weights = sha256((best / "weights.safetensors").read_bytes()).hexdigest()
    return f"{digest.hexdigest()} best {state['best_update']} {weights}"


def metrics_of(save_dir: Path) -> tuple[str, ...]:
    """The lines of metrics.jsonl, without speed and memory."""
    records = map(json.loads, (save_dir / "metrics.jsonl").read_text().splitlines())
    measured = ("source_words_per_second", "target_words_per_second", "memory_bytes")
    return tuple(
        json.dumps({name: value for name, value in record.items() if name not in measured})
        for record in records
    )


def leftovers(save_dir: Path) -> list[str]:
    """Unfinished files and folders in the save folder."""
    return sorted(name for name in os.listdir(save_dir) if ".tmp" in name)


def content_of(folder: Path) -> dict[str, str]:
    """Name -> sha256 of every file below a folder."""
    return {
        path.relative_to(folder).as_posix(): sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
