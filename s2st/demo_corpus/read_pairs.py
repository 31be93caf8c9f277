"""Sentence pairs of the demo corpus: English and French, split into train, valid and test.

`english.txt.bz2` and `french.txt.bz2` have one sentence per line; lines of equal number form a
pair. `examples/demo_corpus` has the grammar that generated both files.
"""

import bz2
from dataclasses import dataclass
from importlib.resources import files
from itertools import islice


@dataclass(frozen=True)
class Pair:
    """An English sentence and its French translation: lower-case, tokens separated by spaces."""

    source: str
    target: str


@dataclass(frozen=True)
class DemoCorpus:
    """The three splits. All source sentences are distinct, also between splits."""

    train: tuple[Pair, ...]
    valid: tuple[Pair, ...]
    test: tuple[Pair, ...]


def read_corpus(train_size: int = 20000, valid_size: int = 500, test_size: int = 500) -> DemoCorpus:
    """Read a parallel corpus, the same for the same sizes.

    The first stored pairs are the test set, the next ones the validation set, and training pairs
    follow: a different `train_size` changes neither test nor validation pairs.

    Args:
        train_size: number of training pairs.
        valid_size: number of validation pairs.
        test_size: number of test pairs.

    Returns:
        The splits, with exactly as many pairs as asked for.

    Raises:
        ValueError: a size is negative, or all together exceed the number of stored pairs.
    """
    sizes = (test_size, valid_size, train_size)
    if min(sizes) < 0:
        raise ValueError(f"a size must not be negative: {min(sizes)}")
    sources, targets = _sentences("english"), _sentences("french")
    total = sum(sizes)
    if total > len(sources):
        raise ValueError(f"the demo corpus has {len(sources):,} pairs, not {total:,}")
    stored = map(Pair, sources, targets)
    test, valid, train = (tuple(islice(stored, size)) for size in sizes)
    return DemoCorpus(train=train, valid=valid, test=test)


def _sentences(language: str) -> list[str]:
    stored = files(__package__).joinpath(f"{language}.txt.bz2").read_bytes()
    return bz2.decompress(stored).decode().splitlines()
