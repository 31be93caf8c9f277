"""The words whose vectors point most nearly the same way: a look into an embedding table."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from s2st.errors import UsageError
from s2st.text.word_vectors import WordVectors

MOST_SPELLINGS = 100_000  # words that are looked through for near spellings, the first ones


@dataclass(frozen=True)
class Neighbor:
    """A word, and the cosine of the angle between its vector and another's."""

    word: str
    similarity: float


def nearest(
    vectors: WordVectors, words: Sequence[str], count: int, where: str
) -> dict[str, list[Neighbor]]:
    """The `count` words nearest to each of `words` by cosine similarity, nearest first.

    A word is not its own neighbour. Ties go to the word that comes first; a vector of zeros is
    at right angles to all.

    Args:
        vectors: all words.
        words: the words asked for.
        count: neighbours a word; fewer where there are fewer words.
        where: what the vectors are, for messages.

    Raises:
        UsageError: a word has no vector; near spellings are named.
    """
    places = {word: row for row, word in enumerate(vectors.words)}
    for word in words:
        if word not in places:
            raise UsageError(f"{word!r}: {where} has no such word{_near(word, vectors.words)}")
    norms = np.linalg.norm(vectors.table, axis=1)
    norms[norms == 0] = 1
    found = {}
    for word in words:
        own = places[word]
        cosines = vectors.table @ (vectors.table[own] / norms[own]) / norms
        order = np.argsort(-cosines, kind="stable")
        rows = order[order != own][:count].tolist()
        found[word] = [Neighbor(vectors.words[row], float(cosines[row])) for row in rows]
    return found


def _near(word: str, known: Sequence[str]) -> str:
    """Words spelt like it, as the end of a message."""
    alike = [other for other in known[:MOST_SPELLINGS] if abs(len(other) - len(word)) <= 2]
    near = difflib.get_close_matches(word, alike, n=3)
    return f"; did you mean {' or '.join(near)}?" if near else ""


def checkpoint_vectors(path: str, side: str | None = None) -> tuple[str, WordVectors]:
    """A side of a checkpoint, and its embeddings without the special tokens.

    Args:
        path: the checkpoint.
        side: "source" or "target"; left out, the first of them that has words.

    Raises:
        UsageError: the architecture has no such table.
        S2STError: a checkpoint that cannot be used.
    """
    import torch

    from s2st.models.model_files import load_saved

    saved, model = load_saved(path, torch.device("cpu"))
    if side is None:
        side = "source" if len(saved.record.source_vocabulary) > 4 else "target"
    table = getattr(model.embeddings(), side)
    if table is None:
        raise UsageError(f"{path}: {saved.record.architecture} has no {side} embeddings")
    vocabulary = getattr(saved.record, f"{side}_vocabulary")
    return side, WordVectors(vocabulary.tokens[4:], table.weight.detach()[4:].float().numpy())
