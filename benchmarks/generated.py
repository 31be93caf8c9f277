"""Seeded corpora of any size for the benchmarks: text, or a store of random ids.

Words follow a Zipf-Mandelbrot law without an end, so that the vocabulary grows with the corpus as
in real text (about 6 % of the words are the most frequent one); lengths are those of WMT's news
and parliament sentences: mean 25 words, long tail. Everything is written in pieces.
"""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from s2st.data.id_writer import SideWriter
from s2st.data.preprocess import SideCounts, SplitReport
from s2st.data.store import FORMAT, VERSION
from s2st.process import durable_files
from s2st.process.folder_manifest import MANIFEST, seal
from s2st.text.tokenizers import NoneConfig, TokenizerSpec
from s2st.text.vocabulary import SPECIALS, Vocabulary

LANGUAGES = ("en", "fr")
PIECE = 20_000  # pairs
SHIFT, TAIL = 10.0, 0.6  # p(rank) ~ (1 + rank / SHIFT) ** -(1 + TAIL)
CONSONANTS = {"en": "bdlnst", "fr": "cdlnrs"}
VOWELS = {"en": "aeiou", "fr": "aéiou"}

Lengths = npt.NDArray[np.int64]


def pair_lengths(generator: np.random.Generator, pairs: int) -> tuple[Lengths, Lengths]:
    """Words of the source and target sentences, from 1 to 240; mean 25, correlated."""
    source = 0.5 + generator.gamma(2.0, 12.25, pairs)
    target = source * generator.normal(1.0, 0.15, pairs)
    first, second = (np.clip(np.rint(x), 1, 240).astype(np.int64) for x in (source, target))
    return first, second


def ranks(generator: np.random.Generator, words: int) -> npt.NDArray[np.int64]:
    """Frequency ranks of words, from 0; below 10^12."""
    uniform = 1.0 - generator.random(words)  # above 0
    return np.minimum(SHIFT * (uniform ** (-1 / TAIL) - 1), 1e12).astype(np.int64)


def spelled(rank: int, language: str) -> str:
    """The word of a rank: consonants and vowels in turn, the shorter the more frequent."""
    consonants, vowels = CONSONANTS[language], VOWELS[language]
    base, text, rest = len(consonants) * len(vowels), "", rank + 1
    while rest:
        rest, digit = divmod(rest - 1, base)
        text = consonants[digit // len(vowels)] + vowels[digit % len(vowels)] + text
    return text


def pieces(pairs: int) -> Iterator[int]:
    """Sizes of the pieces."""
    for first in range(0, pairs, PIECE):
        yield min(PIECE, pairs - first)


def write_text(prefix: Path, pairs: int, words: int | None = None, seed: int = 1) -> int:
    """Writes PREFIX.en and PREFIX.fr; returns their bytes.

    Args:
        prefix, pairs: where and how many.
        words: no more different ones a side than this; by default they grow with the corpus.
        seed: of the draws.
    """
    generator = np.random.default_rng([seed, pairs])
    files = [open(f"{prefix}.{language}", "wb") for language in LANGUAGES]  # noqa: SIM115
    try:
        for count in pieces(pairs):
            for stream, language, lengths in zip(
                files, LANGUAGES, pair_lengths(generator, count), strict=True
            ):
                stream.write(_lines(generator, lengths, language, words))
        return sum(stream.tell() for stream in files)
    finally:
        for stream in files:
            stream.close()


def _lines(
    generator: np.random.Generator, lengths: Lengths, language: str, words: int | None
) -> bytes:
    drawn = ranks(generator, int(lengths.sum()))
    if words is not None:
        drawn %= words
    different, places = np.unique(drawn, return_inverse=True)
    spelling = np.array([spelled(rank, language) for rank in different.tolist()], dtype=object)
    chosen = spelling[places].tolist()
    ends = np.cumsum(lengths).tolist()
    starts = [0, *ends]
    return "".join(
        " ".join(chosen[first:last]) + "\n" for first, last in zip(starts, ends, strict=False)
    ).encode()


def write_store(folder: Path, pairs: int, words: int = 80_000, seed: int = 1) -> None:
    """A store with one split of random sentences, its arrays written without text."""
    generator = np.random.default_rng([seed, pairs])
    folder.mkdir(parents=True)
    writers = [SideWriter(folder, "train", language) for language in LANGUAGES]
    for count in pieces(pairs):
        for writer, lengths in zip(writers, pair_lengths(generator, count), strict=True):
            ids = ranks(generator, int(lengths.sum())) % words + len(SPECIALS)
            writer.append(ids.astype(np.int32), lengths)
    for writer, language in zip(writers, LANGUAGES, strict=True):
        writer.close()
        names = [spelled(rank, language) for rank in range(words)]
        Vocabulary(names, [1] * words).save(folder / f"dict.{language}.txt")
    sides = [SideCounts(writer.ids.length, 0) for writer in writers]
    report = SplitReport("train", pairs, sides[0], sides[1], 0, 0)
    durable_files.write_file(folder / MANIFEST, seal(_manifest(folder, report)))


def _manifest(folder: Path, report: SplitReport) -> dict[str, Any]:
    specs = [TokenizerSpec("none", NoneConfig(), language) for language in LANGUAGES]
    files = {
        path.name: {"size": path.stat().st_size, "sha256": durable_files.sha256_of(path)}
        for path in sorted(folder.iterdir())
    }
    return {
        "format": FORMAT,
        "version": VERSION,
        "source_language": LANGUAGES[0],
        "target_language": LANGUAGES[1],
        "tokenizers": {"source": specs[0].record(), "target": specs[1].record()},
        "splits": {report.name: asdict(report)},
        "files": files,
    }
