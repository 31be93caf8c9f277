"""Options of `s2st train-ngram`."""

import re
from dataclasses import dataclass

from s2st.errors import UsageError
from s2st.options.option_fields import option

UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
MIN_MEMORY = 1 << 16
MAX_ORDERS = 9


@dataclass(frozen=True)
class NGramConfig:
    """Options of n-gram training."""

    order: int = option(5, "length of the longest n-grams", minimum=1, maximum=MAX_ORDERS)
    lang: str = option("", "language of the text, for --tokenizer moses and for --dict")
    dict: str | None = option(
        None,
        "take the words of the model from a dict file, or from a checkpoint or store, whose "
        "tokenizer is used too "
        "[default: all words of the text]",
    )
    nwords: int | None = option(
        None, "keep only the N most frequent words", minimum=1, maximum=100_000_000
    )
    smoothing: str = option(
        "kneser-ney",
        "how words that never follow a context get their probability: modified Kneser-Ney, k more "
        "occurrences of every word (add-k), or not at all (none: count over count)",
        choices=("kneser-ney", "add-k", "none"),
    )
    add_k: float | None = option(
        None,
        "with --smoothing add-k: number of occurrences added to each count [default: 1]",
        minimum=0,
        maximum=1_000_000,
        open_minimum=True,
    )
    prune: str = option(
        "0",
        "drop n-grams that occur at most this many times: one number per order, rising from 0; "
        "the last one applies to all longer n-grams (example: 0,0,1)",
    )
    discount_fallback: bool = option(
        False, "use discounts 0.5, 1 and 1.5 if the text is too small or odd to estimate them"
    )
    memory: str = option("512M", "memory for sorting blocks of n-grams; the rest is on disk")
    temporary_folder: str | None = option(
        None, "folder for temporary files [default: the folder of the output]"
    )
    encoding_errors: str = option(
        "strict",
        "on bytes that are not UTF-8: stop (strict), or read them as U+FFFD (replace)",
        choices=("strict", "replace"),
    )

    @property
    def added(self) -> float:
        """Return the occurrences that `add-k` adds to each count; 0 for `none`."""
        if self.smoothing == "none":
            return 0.0
        return 1.0 if self.add_k is None else self.add_k

    def thresholds(self) -> list[int]:
        """Return for each order the count up to which n-grams are pruned; raise UsageError."""
        fields = re.split(r"[, ]+", self.prune.strip())
        if not all(field.isascii() and field.isdigit() and len(field) < 10 for field in fields):
            raise UsageError(f"--prune {self.prune}: use whole numbers such as 0,0,1")
        numbers = [int(field) for field in fields]
        if len(numbers) > self.order:
            raise UsageError(f"--prune {self.prune}: more numbers than --order {self.order}")
        if numbers != sorted(numbers) or numbers[0]:
            raise UsageError(f"--prune {self.prune}: numbers must rise from 0, as in 0,0,1")
        return numbers + numbers[-1:] * (self.order - len(numbers))

    def bytes(self) -> int:
        """Return --memory in bytes; raise UsageError."""
        match = re.fullmatch(r"(\d{1,9})([KMG]?)", self.memory)
        size = int(match[1]) * UNITS[match[2]] if match else 0
        if size < MIN_MEMORY:
            raise UsageError(f"--memory {self.memory}: use a size such as 512M, at least 64K")
        return size
