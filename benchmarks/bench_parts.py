"""What `make bench` runs: every benchmark with its inputs, peers, sizes and minutes."""

from collections.abc import Mapping
from dataclasses import dataclass, field

PEERS = ("opennmt", "fairseq", "joeynmt", "marian")
TRANSFORMER_PEERS = ("opennmt", "fairseq", "ctranslate2")
ALL_PEERS = (*PEERS, "ctranslate2")
TINY = ("--layers", "1", "--hidden-size", "16", "--dropout", "0")
TINY_PEAK = ("--peak-size", "256")
TINY_SCALE = (
    "--pairs", "100", "200", "--words", "50", "--workers", "1", "--lengths", "5", "10",
    "--beams", "1", "2", "--members", "1", "--length", "5", "--beam", "2", "--sentences", "2",
    "--layers", "1", "--width", "16", "--target-words", "50",
)  # fmt: skip


@dataclass(frozen=True)
class Part:
    """One benchmark.

    Attributes:
        name: of its results.
        inputs: its options that name an input, and which one; repeated where that is several.
        peers: whose interpreters it takes.
        quick: options of a run at toy size.
        gpu: at full size it is for a GPU only.
        script: its file is SCRIPT.py; None for the name.
        options: of every run.
        full, short: options of a complete and of a short run.
        minutes: of a complete and of a short run on two idle cores.
    """

    name: str
    inputs: Mapping[str, str] = field(default_factory=dict)
    peers: tuple[str, ...] = ()
    quick: tuple[str, ...] = ()
    gpu: bool = False
    script: str | None = None
    options: tuple[str, ...] = ()
    full: tuple[str, ...] = ()
    short: tuple[str, ...] = ()
    minutes: tuple[float, float] = (0.0, 0.0)

    @property
    def file(self) -> str:
        """The file of the benchmark."""
        return f"{self.script or self.name}.py"


def training(
    size: str,
    peers: tuple[str, ...],
    rounds: int,
    ways: tuple[str, ...],
    *minutes: float,
    dropout: str = "",
) -> Part:
    """Training of one size; a short run has so many rounds, and these of our own ways."""
    quick = "--width", "16", "--updates", "2", "--warm", "1", "--repeats", "1", *TINY_PEAK
    return Part(
        f"training-{size}" + "-dropout" * bool(dropout), {"--store": "store"}, peers, quick,
        script="training", options=("--size", size, *(("--dropout", dropout) if dropout else ())),
        full=("--repeats", "3" if rounds > 1 else "1"),
        short=("--repeats", str(rounds), "--ways", *ways), minutes=(minutes[0], minutes[1]),
    )  # fmt: skip


def decoding(name: str, models: str, peers: tuple[str, ...], *minutes: float) -> Part:
    """Decoding of a test set; a short run has fewer beams, of the slowest peers one."""
    return Part(
        name, {"--checkpoint": models, "--text": "test.en", "--reference": "test.fr"}, peers,
        ("--count", "4", "--beams", "1", "2", "--repeats", "1", *TINY_PEAK), script="decoding",
        full=("--repeats", "3"), short=("--beams", "1", "5", "12", "--slow-beams", "1"),
        minutes=(minutes[0], minutes[1]),
    )  # fmt: skip


def rescoring(size: str) -> Part:
    """Scoring of n-best lists."""
    inputs = {
        "--lists": "lists", "--source": "test.en", "--train-source": "train.en",
        "--train-target": "train.fr",
    }  # fmt: skip
    quick = "--width", "16", "--words", "100", "--count", "1", "--repeats", "1", *TINY_PEAK
    return Part(
        f"rescoring-{size}", inputs, PEERS[:2], quick, script="rescoring",
        options=("--size", size), full=("--count", "12", "--repeats", "3"),
        short=("--count", "6", "--repeats", "2"), minutes=(9, 2.5),
    )  # fmt: skip


PARTS = (
    training("S", PEERS, 2, ("s2st, bfloat16", "random batches"), 8, 4.5),
    training("L", PEERS, 1, ("s2st, bfloat16",), 6, 4),
    training("T", PEERS[:2], 2, ("s2st, bfloat16",), 4, 2),
    training("S", PEERS[:3], 2, ("s2st, bfloat16",), 4, 3, dropout="0.3"),
    training("T", PEERS[:2], 2, ("s2st, bfloat16",), 4, 2, dropout="0.3"),
    decoding("decoding-S", "models", PEERS, 20, 7),
    decoding("decoding-T", "transformer", TRANSFORMER_PEERS, 12, 6.5),
    rescoring("S"),
    rescoring("T"),
    Part(
        "int8_cost",
        {
            "--checkpoint": "checkpoint",
            "--lists": "lists",
            "--source": "test.en",
            "--reference": "test.fr",
        },
        quick=("--count", "4"),
        short=("--count", "40"),
        minutes=(3, 0.5),
    ),
    Part(
        "scale",
        {"--plot": "plots"},
        quick=(*TINY_SCALE, *TINY_PEAK, "--repeats", "1"),
        short=("--repeats", "1", "--pairs", "10000", "100000"),
        minutes=(10, 1),
    ),
    Part(
        "memory",
        quick=("--words", "50/50", "--layers", "1", "--width", "16", "--updates", "1", *TINY_PEAK),
        short=("--words", "160000/80000", "--optimizer", "sgd", "--updates", "4"),
        minutes=(12, 1),
    ),
    Part(
        "startup",
        {"--checkpoint": "checkpoint", "--lines": "test.en"},
        quick=("--repeats", "1", "--only", "generate", "--count", "2", "--beam", "2"),
        short=("--repeats", "5"),
        minutes=(3.5, 2),
    ),
    Part(
        "searches",
        {"--checkpoint": "checkpoint", "--lines": "test.en"},
        quick=("--repeats", "1", "--max-len-b", "2"),
        short=("--repeats", "2", "--count", "200"),
        minutes=(10, 3.5),
    ),
    Part(
        "waiting",
        {"--store": "store"},
        quick=("--width", "16", "--updates", "1", "--repeats", "1"),
        minutes=(2.5, 2.5),
    ),
    Part(
        "serving",
        {"--checkpoint": "checkpoint", "--lines": "test.en"},
        quick=("--count", "3", "--clients", "1", "2", "--beam", "2"),
        full=("--clients", "1", "2", "4", "16", "64"),
        minutes=(1, 0.5),
    ),
    Part(
        "gpu",
        {"--store": "store", "--lists": "lists", "--source": "test.en"},
        quick=(
            "--layers", "2", "--width", "16", "--source-words", "300", "--target-words", "200",
            "--batch", "8", "--updates", "3", "--sentences", "6", "--count", "2", "--beam", "3",
            "--repeats", "1", "--precision", "float32", *TINY_PEAK,
        ),
        gpu=True,
    ),
)  # fmt: skip
