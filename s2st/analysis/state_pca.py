"""The room where phrases lie near each other or far apart: what the encoder's final state holds.

Figure 2 of Sutskever, Vinyals & Le (2014): the states of phrases in two dimensions, and numbers for
what one sees there: are phrases of one meaning near each other, and does the order of words count?
Letters: N phrases, D numbers of a state.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from s2st.analysis.figures import Points, draw_scatter, figure_paths
from s2st.data.batch import make_source
from s2st.data.batch_planner import BatchingConfig, plan_in_order
from s2st.errors import DataError, UsageError, describe_lines
from s2st.process.device import out_of_memory_errors
from s2st.scoring.base import Scorer
from s2st.text.line_files import read_lines

ALL = "all"  # the name of all parts of a state side by side
LEAST_PHRASES = 3  # of a panel: fewer always lie on a line
BATCHING = BatchingConfig(batch_size=256, max_tokens=16_384)
_PANEL = re.compile(r"[\w-]*")  # part of a file's name
Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Phrase:
    """A phrase; those of one panel are compared, those of one meaning should lie together.

    Attributes:
        text: as the model's tokeniser takes it.
        meaning, panel: names, or "" where the input has none.
    """

    text: str
    meaning: str = ""
    panel: str = ""

    @property
    def words(self) -> tuple[str, ...]:
        """Its words sorted, without case and punctuation: equal where only the order differs."""
        return tuple(sorted(re.findall(r"\w+", self.text.lower())))


@dataclass(frozen=True)
class Pairs:
    """Some pairs of phrases: how many, and their mean cosine distance (None without pairs)."""

    count: int
    distance: float | None


@dataclass(frozen=True)
class Distances:
    """Where the phrases of a panel lie to each other, by cosine distance (0 to 2).

    Attributes:
        same, different: all pairs of one meaning, and of two.
        same_reordered, same_reworded: pairs of one meaning with the same words, and with others.
        different_reordered, different_reworded: the same for two meanings; reordered ones, such as
            those whose roles are swapped, are told apart by the order of words alone.
        ratio: the distance of `different` by that of `same`; above 1 where meanings are clusters.
        neighbors: share of phrases whose nearest neighbour has their meaning, among those whose
            meaning has several phrases.
        chance: that share for neighbours drawn at random.
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
    """The states of phrases that are compared with each other.

    Attributes:
        name: "" where the input names no panels.
        phrases: N of them; `indices` says where each is in the input, from 0.
        vectors: (N, D).
        places: (N, 2) the first two principal components.
        explained: the share of the variance along each of the two.
        unknown: words of the phrases that the model does not know.
        distances: None where the input names no meanings.
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
    """Reads lines `phrase`, `meaning TAB phrase` or `panel TAB meaning TAB phrase`.

    Args:
        path: a file, or "-" for standard input.

    Raises:
        InputMissingError: the file cannot be opened.
        DataError: a line that is empty, of another form than the first, or in its panel twice; a
            panel's name that cannot be part of a file's; a panel of too few phrases.
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
            raise DataError("an empty line or column; leave such a line out", name, number)
        if len(fields) != columns:
            message = f"{len(fields)} columns, but line 1 has {columns}"
            raise DataError(message, name, number)
        phrase = Phrase(*reversed(fields))
        if not _PANEL.fullmatch(phrase.panel):
            message = f"panel {phrase.panel[:40]!r}: a name of letters, digits, - and _ is needed"
            raise DataError(message, name, number)
        earlier = lines.setdefault((phrase.panel, phrase.text), number)
        if earlier != number:
            raise DataError(f"the phrase of line {earlier} again; remove one", name, number)
        phrases.append(phrase)
    sizes = Counter(phrase.panel for phrase in phrases) or Counter({"": 0})
    for panel, size in sizes.items():
        if size < LEAST_PHRASES:
            where = f"panel {panel}: " if panel else ""
            message = f"{where}{size} phrases; two dimensions need at least {LEAST_PHRASES}"
            raise DataError(message, name)
    return phrases


def phrase_states(scorer: Scorer, phrases: Sequence[Phrase], part: str = ALL) -> list[Panel]:
    """The states of phrases, panel by panel in the order of their first phrases.

    Args:
        scorer: a model, or an ensemble, whose states are its members' side by side.
        phrases: at least one.
        part: of the state: a recurrent model has "hidden" and, if an LSTM, "cell"; "all" is all of
            them side by side.

    Raises:
        UsageError: the model's state has no such part.
        OutOfMemoryError: naming the phrases by their number.
    """
    vectors = _vectors(scorer, phrases, part)
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


def _vectors(scorer: Scorer, phrases: Sequence[Phrase], part: str) -> Matrix:
    """(N, D) in float64."""
    tokenize, vocabulary = scorer.source.tokenizer.encode, scorer.source.vocabulary
    rows = [vocabulary.encode(tokenize(phrase.text)) for phrase in phrases]
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    order, found = [], []
    for batch in plan_in_order(lengths, BATCHING):
        indices = batch.tolist()
        with out_of_memory_errors(describe_lines(indices, int(lengths[batch].max()))):
            source = make_source([rows[i] for i in indices], indices)
            parts = scorer.sentence_vectors(source)
        if part != ALL and part not in parts:
            known = ", ".join([*parts, ALL])
            raise UsageError(f"--part {part}: this model's state has only {known}")
        chosen = list(parts.values()) if part == ALL else [parts[part]]
        found.append(torch.cat(chosen, dim=1).double().cpu().numpy())
        order += indices
    result = np.empty((len(rows), found[0].shape[1]))
    result[order] = np.concatenate(found)
    return result


def principal_components(vectors: Matrix) -> tuple[Matrix, tuple[float, float]]:
    """(N, 2) places along the two directions of most variance, and the share each one has.

    A direction's sign is free; it is chosen so that its largest number is positive.
    """
    wide = np.pad(vectors, ((0, 0), (0, max(0, 2 - vectors.shape[1]))))
    _, spread, directions = np.linalg.svd(wide - wide.mean(axis=0), full_matrices=False)
    directions = directions[:2]
    largest = np.abs(directions).argmax(axis=1)
    directions *= np.sign(directions[[0, 1], largest])[:, np.newaxis]
    variance = spread**2
    shares = variance[:2] / (variance.sum() or 1.0)
    return (wide - wide.mean(axis=0)) @ directions.T, (float(shares[0]), float(shares[1]))


def cosine_distances(vectors: Matrix) -> Matrix:
    """(N, N) of every pair: 0 for equal directions, 1 for right angles, 2 for opposite ones."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.maximum(norms, np.finfo(np.float64).tiny)
    return np.asarray(1 - unit @ unit.T)


def distances(phrases: Sequence[Phrase], vectors: Matrix) -> Distances:
    """How phrases (N) lie to each other by their vectors (N, D) and meanings."""
    table = cosine_distances(vectors)
    meanings = _equal([phrase.meaning for phrase in phrases])
    words = _equal([phrase.words for phrase in phrases])
    once = np.triu(np.ones_like(meanings), 1)  # each pair once, none with itself

    def pairs(chosen: npt.NDArray[np.bool_]) -> Pairs:
        values = table[chosen & once]
        return Pairs(len(values), float(values.mean()) if len(values) else None)

    same, different = pairs(meanings), pairs(~meanings)
    ratio = None
    if same.distance and different.distance is not None:
        ratio = different.distance / same.distance
    np.fill_diagonal(table, np.inf)
    hits = meanings[np.arange(len(table)), table.argmin(axis=1)]
    fellows = meanings.sum(axis=1) - 1
    asked = fellows > 0
    return Distances(
        same=same,
        same_reordered=pairs(meanings & words),
        same_reworded=pairs(meanings & ~words),
        different=different,
        different_reordered=pairs(~meanings & words),
        different_reworded=pairs(~meanings & ~words),
        ratio=ratio,
        neighbors=float(hits[asked].mean()) if asked.any() else None,
        chance=float(fellows[asked].mean() / (len(table) - 1)) if asked.any() else None,
    )


def _equal(keys: Sequence[object]) -> npt.NDArray[np.bool_]:
    """(N, N) whether two keys are equal."""
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    ids = np.array([numbers[key] for key in keys])
    return np.asarray(ids[:, np.newaxis] == ids)


def panel_figure(path: str | Path, panel: str) -> str:
    """The name of a panel's figure: that given, with the panel's name behind it."""
    stem = str(figure_paths(path)[0].with_suffix(""))
    return f"{stem}-{panel}" if panel else stem


def draw_states(path: str | Path, panel: Panel, title: str = "") -> tuple[Path, Path]:
    """Draws a panel's phrases as labelled points, in colours by meaning.

    Raises and returns as `figures.draw_scatter` does, with `path` as the whole name.
    """
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
