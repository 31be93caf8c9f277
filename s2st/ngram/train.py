"""Training of an n-gram model: text to an ARPA file; memory grows only with distinct words."""

import logging
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt

from s2st.errors import OutputError, UsageError, reason
from s2st.ngram.add_k import add_counts
from s2st.ngram.arpa_files import LOG10_OF_ZERO, SUFFIXES, tokenizer_comment
from s2st.ngram.counting import WordLimits, count_ngrams, read_text
from s2st.ngram.kneser_ney import Smoothed, smooth
from s2st.ngram.options import NGramConfig
from s2st.text.atomic_text_output import write_whole
from s2st.text.tokenizers import TokenizerSpec
from s2st.text.vocabulary import PAD_ID, Vocabulary

log = logging.getLogger("s2st")
LINES = 1 << 14  # lines written together


@dataclass(frozen=True)
class NGramReport:
    """Number of tokens of the text, including `<s>` and `</s>`, and of n-grams by order."""

    tokens: int
    ngrams: tuple[int, ...]


def train_ngrams(
    lines: Iterable[str],
    output: Path,
    config: NGramConfig,
    spec: TokenizerSpec,
    vocabulary: Vocabulary | None = None,
) -> NGramReport:
    """Train a model and write its ARPA file atomically.

    Args:
        lines: the text, one sentence per line; read once.
        output: NAME.arpa or NAME.arpa.gz.
        config: order, pruning, memory.
        spec: the tokenizer that splits lines into words.
        vocabulary: the words of the model; by default those of the text.

    Raises:
        UsageError: an invalid option or output name.
        DataError: the text is not UTF-8, or too small.
        OutputError: a file cannot be written.
    """
    if not output.name.endswith(SUFFIXES):
        raise UsageError(f"{output}: the output's name must end in {' or '.join(SUFFIXES)}")
    thresholds, memory = config.thresholds(), config.bytes()
    limits = WordLimits(vocabulary, config.nwords)
    tokenizer = spec.build()
    for remark in tokenizer.remarks():
        log.warning(remark)
    with _temporary_folder(config.temporary_folder or str(output.parent)) as folder:
        tokens, words = read_text(lines, tokenizer, limits, folder)
        counted = count_ngrams(tokens, len(words), config.order, folder, memory)
        if config.smoothing == "kneser-ney":
            fallback = config.discount_fallback
            orders = smooth(counted, thresholds, fallback, folder, memory)
        else:
            orders = add_counts(counted, config.added, folder, memory)
        sizes = tuple(_size(order, number) for number, order in enumerate(orders, start=1))
        write_whole(output, chain([tokenizer_comment(spec)], _arpa(words, orders, sizes)))
    return NGramReport(len(tokens), sizes)


@contextmanager
def _temporary_folder(parent: str) -> Iterator[Path]:
    """Yield a folder for arrays on disk, and remove it at the end."""
    try:
        with tempfile.TemporaryDirectory(prefix=".train-ngram.", dir=parent) as folder:
            yield Path(folder)
    except OSError as error:
        message = f"{parent}: cannot be written: {reason(error)}"
        raise OutputError(message) from error


def _size(order: Smoothed, number: int) -> int:
    """Return the number of n-grams that are written; <pad> is not."""
    if number == 1:
        return len(order.keys) - 1
    return len(order.keys) if order.kept is None else int(order.kept.sum())


def _arpa(
    vocabulary: Vocabulary, orders: Sequence[Smoothed], sizes: Sequence[int]
) -> Iterator[str]:
    """Yield the ARPA file in pieces."""
    yield "\\data\\\n" + "".join(f"ngram {n}={size}\n" for n, size in enumerate(sizes, start=1))
    for index, order in enumerate(orders):
        yield f"\n\\{index + 1}-grams:\n"
        for first in range(0, len(order.keys), LINES):
            places = np.arange(first, min(len(order.keys), first + LINES))
            if order.kept is not None:
                places = places[order.kept[places]]
            if index == 0:
                places = places[places != PAD_ID]
            yield _lines(vocabulary, orders, index, places)
    yield "\n\\end\\\n"


def _lines(
    vocabulary: Vocabulary, orders: Sequence[Smoothed], index: int, places: npt.NDArray[np.int64]
) -> str:
    """Format some n-grams of order index + 1 as lines."""
    order, size = orders[index], len(vocabulary)
    log_probs = _log10(order.probabilities[places])
    backoffs = _log10(order.backoffs[places]) if len(order.backoffs) else None
    words = []  # first words of the n-grams, then their second words, and so on
    for shorter in reversed(orders[: index + 1]):
        keys = shorter.keys[places]
        words.append([vocabulary.tokens[i] for i in (keys % size).tolist()])
        places = keys // size
    texts = map(" ".join, zip(*words, strict=True))
    if backoffs is None:
        rows = [f"{p:.8g}\t{text}\n" for p, text in zip(log_probs, texts, strict=True)]
    else:
        columns = zip(log_probs, texts, backoffs, strict=True)
        rows = [f"{p:.8g}\t{text}\t{b:.8g}\n" for p, text, b in columns]
    return "".join(rows)


def _log10(values: npt.NDArray[np.float64]) -> list[float]:
    """Return the logarithms of numbers; that of 0 is -99 by the convention of ARPA files."""
    with np.errstate(divide="ignore"):
        logs: list[float] = np.maximum(np.log10(values), LOG10_OF_ZERO).tolist()
    return logs
