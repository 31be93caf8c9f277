"""Sequences of vectors as lines: what `--source-vectors` gives to code that reads lines of text.

A `VectorLine` is a line whose tokens are vectors: its words are their numbers from 1, and its ids
carry the values. So preprocessing, translation, scoring and attention maps need no second path.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from s2st.errors import DataError, UsageError
from s2st.text.tokenizers import Tokenizer, TokenizerSpec
from s2st.text.vocabulary import SPECIALS

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Values = npt.NDArray[np.float32]

FIRST_VECTOR = len(SPECIALS)  # id of the first vector of a batch: the special tokens come before


class VectorLine(str):
    """A source that is a sequence of vectors. Its text describes it in output that names sources.

    Attributes:
        values: (L, D) float32, finite.
    """

    values: "Values"
    __slots__ = ("values",)

    def __new__(cls, values: "Values") -> "VectorLine":
        """Make the line of an array."""
        line = super().__new__(cls, f"[{len(values)} vectors of size {values.shape[1]}]")
        line.values = values
        return line

    def __reduce__(self) -> "tuple[type[VectorLine], tuple[Values]]":
        """Send only the array to another process."""
        return VectorLine, (self.values,)


class VectorWords(list[str]):
    """The words of a vector line: "1", "2", ..., with the vectors.

    Attributes:
        values: (L, D) float32.
    """

    def __init__(self, values: "Values") -> None:
        super().__init__(map(str, range(1, len(values) + 1)))
        self.values = values


class VectorIds(list[int]):
    """The ids of a vector line, which number its vectors, with the vectors.

    Attributes:
        values: (L, D) float32.
    """

    def __init__(self, values: "Values") -> None:
        super().__init__(range(FIRST_VECTOR, FIRST_VECTOR + len(values)))
        self.values = values


def content_key(ids: Sequence[int]) -> tuple[int, ...] | bytes:
    """Return a key that is equal for equal sentences: ids, or the bytes of vectors."""
    return ids.values.tobytes() if isinstance(ids, VectorIds) else tuple(ids)


class VectorTokenizer(Tokenizer):
    """Returns the vectors of a vector line; stands for a source side without text."""

    def __init__(self, spec: TokenizerSpec) -> None:
        self.vector_size = spec.config.vector_size

    def encode(self, line: str) -> list[str]:
        """Return the numbers of the vectors, as VectorWords.

        Raises:
            UsageError: the line is text.
            DataError: the vectors have another size than those of the training data.
        """
        if not isinstance(line, VectorLine):
            raise UsageError(
                "the model reads vectors, not text: give --source-vectors FILE to `s2st generate`, "
                "`score` or `tune-length`, or arrays to a model of s2st.load"
            )
        size = line.values.shape[1]
        if size != self.vector_size:
            raise DataError(
                f"vectors of size {size}, but the model reads vectors of size {self.vector_size}; "
                "compute them as for its training data"
            )
        return VectorWords(line.values)

    def decode(self, tokens: Iterable[str]) -> str:
        """Return the numbers, separated by spaces."""
        return " ".join(tokens)


def refuse_vectors(lines: Iterable[str], tokenizer: Tokenizer) -> None:
    """Raise UsageError if a model that reads text gets vectors."""
    if not tokenizer.vector_size and any(isinstance(line, VectorLine) for line in lines):
        raise UsageError("the model reads text, not vectors: give lines of text as the source")
