"""Principal components (PCA) and cosine distances of encoder states of phrases.

This is figure 2 of Sutskever, Vinyals & Le (2014): the states of phrases in two dimensions. The
distances measure whether phrases with the same meaning are close, and whether word order matters.
Shapes: N phrases, D dimensions of a state.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from s2st.analysis.figure_files import figure_paths
from s2st.analysis.figures import Points, draw_scatter
from s2st.analysis.sentence_vectors import ALL, Matrix, sentence_vectors
from s2st.errors import DataError
from s2st.scoring.base import Scorer
from s2st.text.line_files import read_lines

MIN_PHRASES = 3  # per panel: fewer phrases always lie on a line
_PANEL = re.compile(r"[\w-]*")  # a panel's name is part of a file name


@dataclass(frozen=True)
class Phrase:
    """A phrase. Phrases of one panel are compared; those of one meaning should be close.

    Attributes:
        text: the phrase before tokenization.
        meaning, panel: names, "" if the input has none.
    """

    text: str
    meaning: str = ""
    panel: str = ""

    @property
    def words(self) -> tuple[str, ...]:
        """Sorted words without case and punctuation, which word order does not change."""
        return tuple(sorted(re.findall(r"\w+", self.text.lower())))


@dataclass(frozen=True)
class Pairs:
    """Some pairs of phrases: their number and mean cosine distance, None without pairs."""

    count: int
    distance: float | None


@dataclass(frozen=True)
class Distances:
    """Cosine distances (0 to 2) between the phrases of a panel.

    Attributes:
        same, different: pairs with the same meaning, and with different meanings.
        same_reordered, same_reworded: pairs with the same meaning that have the same words, or
            different words.
        different_reordered, different_reworded: the same for different meanings. The reordered
            pairs, such as those with swapped roles, differ in word order alone.
        ratio: distance of `different` divided by that of `same`; above 1 if meanings form clusters.
        neighbors: share of phrases whose nearest neighbor has the same meaning, among phrases whose
            meaning has several phrases.
        chance: the same share for random neighbors.
    """

    same: Pairs
    same_reordered: Pairs
    same_reworded: Pairs
    different: Pairs
    different_reordered: Pairs
    different_reworded: Pairs
    ratio: float | None
    neighbors: float | None
    chance: float | None


@dataclass(frozen=True)
class Panel:
    """The states of the phrases of one panel.

    Attributes:
        name: name of the panel, "" if the input has no panels.
        phrases: N phrases.
        indices: index of each phrase in the input, from 0.
        vectors: (N, D) states.
        places: (N, 2) first two principal components.
        explained: share of the variance along each of the two.
        unknown: words of the phrases that the model does not know.
        distances: None if the input has no meanings.
    """

    name: str
    phrases: tuple[Phrase, ...]
    indices: tuple[int, ...]
    vectors: Matrix
    places: Matrix
    explained: tuple[float, float]
    unknown: tuple[str, ...]
    distances: Distances | None


def read_phrases(path: str | Path) -> list[Phrase]:
    """Read lines of the form `phrase`, `meaning TAB phrase` or `panel TAB meaning TAB phrase`.

    Args:
        path: a file, or "-" for standard input.

    Raises:
        InputMissingError: the file cannot be opened.
        DataError: a line is empty, differs in form from line 1, or repeats a phrase of its panel;
            the name of a panel cannot be part of a file name; a panel has too few phrases.
    """
    name = str(path)
    phrases: list[Phrase] = []
    lines: dict[tuple[str, str], int] = {}
    columns = 0
    for number, line in enumerate(read_lines(path), start=1):
        fields = [field.strip() for field in line.split("\t")]
        columns = columns or len(fields)
        if len(fields) > 3:
            message = f"{len(fields)} columns; expected [[panel TAB] meaning TAB] phrase"
            raise DataError(message, name, number)
        if not all(fields):
            raise DataError("an empty line or column; remove the line", name, number)
        if len(fields) != columns:
            message = f"{len(fields)} columns, but line 1 has {columns}"
            raise DataError(message, name, number)
        phrase = Phrase(*reversed(fields))
        if not _PANEL.fullmatch(phrase.panel):
            message = f"panel {phrase.panel[:40]!r}: use only letters, digits, - and _ in the name"
            raise DataError(message, name, number)
        earlier = lines.setdefault((phrase.panel, phrase.text), number)
        if earlier != number:
            raise DataError(f"repeats the phrase of line {earlier}; remove one", name, number)
        phrases.append(phrase)
    sizes = Counter(phrase.panel for phrase in phrases) or Counter({"": 0})
    for panel, size in sizes.items():
        if size < MIN_PHRASES:
            where = f"panel {panel}: " if panel else ""
            message = f"{where}{size} phrases; two dimensions need at least {MIN_PHRASES}"
            raise DataError(message, name)
    return phrases


def phrase_states(scorer: Scorer, phrases: Sequence[Phrase], part: str = ALL) -> list[Panel]:
    """Compute the states of phrases; return panels in the order of their first phrases.

    Args:
        scorer: a model, or an ensemble, whose members' states are concatenated.
        phrases: at least one phrase.
        part: part of the state. A recurrent model has "hidden", an LSTM also "cell"; "all" is the
            concatenation of all parts.

    Raises:
        UsageError: the model's state has no such part.
        OutOfMemoryError: the message names the phrases by number.
    """
    vectors = sentence_vectors(scorer, [phrase.text for phrase in phrases], part)
    panels: dict[str, list[int]] = {}
    for index, phrase in enumerate(phrases):
        panels.setdefault(phrase.panel, []).append(index)
    return [
        _panel(scorer, name, [phrases[i] for i in indices], indices, vectors[indices])
        for name, indices in panels.items()
    ]


def _panel(
    scorer: Scorer, name: str, phrases: Sequence[Phrase], indices: Sequence[int], vectors: Matrix
) -> Panel:
    words = {word for phrase in phrases for word in scorer.source.tokenizer.encode(phrase.text)}
    places, explained = principal_components(vectors)
    return Panel(
        name=name,
        phrases=tuple(phrases),
        indices=tuple(indices),
        vectors=vectors,
        places=places,
        explained=explained,
        unknown=tuple(sorted(word for word in words if word not in scorer.source.vocabulary)),
        distances=distances(phrases, vectors) if phrases[0].meaning else None,
    )


def principal_components(vectors: Matrix) -> tuple[Matrix, tuple[float, float]]:
    """Project vectors (N, D) on their first two principal components.

    The sign of a component is arbitrary; here its largest coefficient is positive.

    Returns:
        (N, 2) places, and the share of the variance of each component.
    """
    rows, columns = vectors.shape
    wide = np.pad(vectors - vectors.mean(axis=0), ((0, 0), (0, max(0, 2 - columns))))
    # two components need two rows and two columns; zeros change none
    padded = np.pad(wide, ((0, max(0, 2 - rows)), (0, 0)))
    _, spread, directions = np.linalg.svd(padded, full_matrices=False)
    directions = directions[:2]
    largest = np.abs(directions).argmax(axis=1)
    directions *= np.sign(directions[[0, 1], largest])[:, np.newaxis]
    variance = spread**2
    shares = variance[:2] / (variance.sum() or 1.0)
    return wide @ directions.T, (float(shares[0]), float(shares[1]))


def cosine_distances(vectors: Matrix) -> Matrix:
    """Return (N, N) cosine distances: 0 for equal, 1 for orthogonal, 2 for opposite vectors."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.maximum(norms, np.finfo(np.float64).tiny)
    return np.asarray(1 - unit @ unit.T)


def distances(phrases: Sequence[Phrase], vectors: Matrix) -> Distances:
    """Compute the distances of N phrases from their vectors (N, D) and meanings."""
    table = cosine_distances(vectors)
    meanings = _equal([phrase.meaning for phrase in phrases])
    words = _equal([phrase.words for phrase in phrases])
    once = np.triu(np.ones_like(meanings), 1)  # each pair once, no phrase with itself

    def pairs(chosen: npt.NDArray[np.bool_]) -> Pairs:
        values = table[chosen & once]
        return Pairs(len(values), float(values.mean()) if len(values) else None)

    same, different = pairs(meanings), pairs(~meanings)
    ratio = None
    if same.distance and different.distance is not None:
        ratio = different.distance / same.distance
    np.fill_diagonal(table, np.inf)
    hits = meanings[np.arange(len(table)), table.argmin(axis=1)]
    others = meanings.sum(axis=1) - 1  # other phrases with the same meaning
    counted = others > 0
    return Distances(
        same=same,
        same_reordered=pairs(meanings & words),
        same_reworded=pairs(meanings & ~words),
        different=different,
        different_reordered=pairs(~meanings & words),
        different_reworded=pairs(~meanings & ~words),
        ratio=ratio,
        neighbors=float(hits[counted].mean()) if counted.any() else None,
        chance=float(others[counted].mean() / (len(table) - 1)) if counted.any() else None,
    )


def _equal(keys: Sequence[object]) -> npt.NDArray[np.bool_]:
    """Return (N, N) whether two keys are equal."""
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    ids = np.array([numbers[key] for key in keys])
    return np.asarray(ids[:, np.newaxis] == ids)


def panel_figure(path: str | Path, panel: str) -> str:
    """Return the name of a panel's figure: the given name followed by the panel's name."""
    stem = str(figure_paths(path)[0].with_suffix(""))
    return f"{stem}-{panel}" if panel else stem


def draw_states(path: str | Path, panel: Panel, title: str = "") -> tuple[Path, Path]:
    """Draw a panel's phrases as labeled points, colored by meaning; see `figures.draw_scatter`."""
    groups: dict[str, list[int]] = {}
    for index, phrase in enumerate(panel.phrases):
        groups.setdefault(phrase.meaning, []).append(index)
    points = [
        Points(
            name,
            panel.places[rows, 0].tolist(),
            panel.places[rows, 1].tolist(),
            [panel.phrases[row].text.rstrip(" .") for row in rows],
        )
        for name, rows in groups.items()
    ]
    x, y = (f"{number} component, {share:.0%} of the variance" for number, share in zip(
        ("first", "second"), panel.explained, strict=True))  # fmt: skip
    return draw_scatter(path, points, x_label=x, y_label=y, title=title)
