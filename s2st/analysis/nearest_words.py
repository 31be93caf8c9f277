"""Nearest neighbors of words in an embedding table, by cosine similarity."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from s2st.errors import UsageError
from s2st.text.word_vectors import WordVectors

MAX_SPELLINGS = 100_000  # search only so many words for similar spellings


@dataclass(frozen=True)
class Neighbor:
    """A word, and the cosine similarity of its vector to that of another word."""

    word: str
    similarity: float


def nearest(
    vectors: WordVectors, words: Sequence[str], count: int, where: str
) -> dict[str, list[Neighbor]]:
    """Find the `count` nearest neighbors of each word by cosine similarity, nearest first.

    A word is not its own neighbor. On a tie, the earlier word comes first. A vector of zeros has
    similarity 0 to all others.

    Args:
        vectors: vectors of all words.
        words: the words whose neighbors to find.
        count: number of neighbors per word, fewer if there are fewer words.
        where: name of the vectors, for messages.

    Raises:
        UsageError: a word has no vector; the message suggests similar spellings.
    """
    places = {word: row for row, word in enumerate(vectors.words)}
    for word in words:
        if word not in places:
            raise UsageError(f"{word!r}: {where} has no such word{_near(word, vectors.words)}")
    norms = np.linalg.norm(vectors.table, axis=1)
    norms[norms == 0] = 1
    found = {}
    for word in words:
        place = places[word]
        cosines = vectors.table @ (vectors.table[place] / norms[place]) / norms
        order = np.argsort(-cosines, kind="stable")
        rows = order[order != place][:count].tolist()
        found[word] = [Neighbor(vectors.words[row], float(cosines[row])) for row in rows]
    return found


def _near(word: str, known: Sequence[str]) -> str:
    """Return the end of a message that suggests words with a similar spelling."""
    alike = [other for other in known[:MAX_SPELLINGS] if abs(len(other) - len(word)) <= 2]
    near = difflib.get_close_matches(word, alike, n=3)
    return f"; did you mean {' or '.join(near)}?" if near else ""


def checkpoint_vectors(path: str, side: str | None = None) -> tuple[str, WordVectors]:
    """Return a side of a checkpoint, and its embeddings without the special tokens.

    Args:
        path: the checkpoint.
        side: "source" or "target"; None takes "target" for a language model, "source" otherwise.

    Raises:
        UsageError: the architecture has no such table.
        S2STError: the checkpoint cannot be used.
    """
    import torch

    from s2st.models.model_files import load_saved

    saved, model = load_saved(path, torch.device("cpu"))
    if side is None:
        side = "source" if len(saved.record.source_vocabulary) > 4 else "target"
    languages = saved.record.languages
    if side == "target" and languages is not None and languages.per_language:
        raise UsageError(
            f"{path}: the model has a decoder for each of {', '.join(languages.targets)}: take one "
            "out by `s2st export --target-lang`"
        )
    table = getattr(model.embeddings(), side)
    if table is None:
        raise UsageError(f"{path}: {saved.record.architecture} has no {side} embeddings")
    vocabulary = getattr(saved.record, f"{side}_vocabulary")
    first = vocabulary.first_word
    vectors = table.weight.detach()[first:].float().numpy()
    return side, WordVectors(vocabulary.tokens[first:], vectors)
