"""Options of `s2st train-ngram`."""

import re
from dataclasses import dataclass

from s2st.errors import UsageError
from s2st.options.config import option

UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
LEAST_MEMORY = 1 << 16
MOST_ORDERS = 9


@dataclass(frozen=True)
class NGramConfig:
    """How an n-gram model is trained."""

    order: int = option(5, "words of the longest n-grams", minimum=1, maximum=MOST_ORDERS)
    lang: str = option("", "language of the text, for --tokenizer moses and for --dict")
    dict: str | None = option(
        None,
        "words of the model: a dict file, or a checkpoint or store, whose tokenizer comes along "
        "[default: all words of the text]",
    )
    nwords: int | None = option(
        None, "keep this many words of the text", minimum=1, maximum=100_000_000
    )
    prune: str = option(
        "0",
        "leave out n-grams seen this many times or less, one number an order, rising, the first 0, "
        "the last for all longer ones: 0,0,1",
    )
    discount_fallback: bool = option(
        False, "discounts 0.5, 1 and 1.5 where the text is too small or odd to tell them"
    )
    memory: str = option("512M", "of the blocks that are sorted at once; the rest is on disk")
    temporary_folder: str | None = option(
        None, "where blocks are kept meanwhile [default: the folder of the output]"
    )
    encoding_errors: str = option(
        "strict", "bad UTF-8: stop, or go on with U+FFFD", choices=("strict", "replace")
    )

    def thresholds(self) -> list[int]:
        """For each order the count up to which its n-grams are left out; raises UsageError."""
        fields = re.split(r"[, ]+", self.prune.strip())
        if not all(field.isascii() and field.isdigit() and len(field) < 10 for field in fields):
            raise UsageError(f"--prune {self.prune}: whole numbers such as 0,0,1 are needed")
        numbers = [int(field) for field in fields]
        if len(numbers) > self.order:
            raise UsageError(f"--prune {self.prune}: more numbers than --order {self.order}")
        if numbers != sorted(numbers) or numbers[0]:
            raise UsageError(f"--prune {self.prune}: numbers must rise from 0, as in 0,0,1")
        return numbers + numbers[-1:] * (self.order - len(numbers))

    def bytes(self) -> int:
        """The memory as a number; raises UsageError."""
        match = re.fullmatch(r"(\d{1,9})([KMG]?)", self.memory)
        size = int(match[1]) * UNITS[match[2]] if match else 0
        if size < LEAST_MEMORY:
            raise UsageError(f"--memory {self.memory}: a size such as 512M is needed, at least 64K")
        return size
