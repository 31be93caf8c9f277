"""Averages of gradient norms over sentences: by time lag, by relative position, by alignment.

Only words count: EOS has no word that corresponds to it. Letters: I source words, J target words.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from s2st.analysis.figures import Series, draw_curves
from s2st.analysis.heat_maps import Panel, draw_maps
from s2st.analysis.time_lags import time_lag
from s2st.text.word_alignments import Links

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class LagPoint:
    """The mean norm of all pairs of words with one lag.

    Attributes:
        lag: steps from reading the source word to predicting the target word.
        pairs: number of pairs.
        norm: mean norm of the gradient.
    """

    lag: int
    pairs: int
    norm: float


@dataclass(frozen=True)
class Aligned:
    """Gradients between corresponding words.

    Attributes:
        links: number of links.
        norm: mean norm of the gradient from the target word to the source word of a link.
        share: mean share of this norm in the sum over all source words of the sentence.
    """

    links: int
    norm: float
    share: float


@dataclass(frozen=True)
class GradientProfile:
    """The averages of one model.

    Attributes:
        sentences: number of sentence pairs.
        pairs: number of pairs of a source word and a target word.
        norm: mean norm of all pairs.
        by_lag: by rising lag.
        by_position: (bins, bins) mean norm by the relative position of the target word (row) and
            of the source word (column), in the order of the text. Each sentence has the same
            weight.
        aligned: None without alignments.
    """

    sentences: int
    pairs: int
    norm: float
    by_lag: tuple[LagPoint, ...]
    by_position: Floats
    aligned: Aligned | None


class ProfileSums:
    """Adds up sentence pairs.

    Args:
        bins: number of relative positions per side.
        reads_reversed: whether the model reads the last source word first.
        right_to_left: whether the model predicts the last target word first.
    """

    def __init__(self, bins: int, reads_reversed: bool, right_to_left: bool) -> None:
        self._bins, self._reversed, self._right_to_left = bins, reads_reversed, right_to_left
        self.sentences = 0
        self._by_lag: dict[int, tuple[int, float]] = {}
        self._map = np.zeros((bins, bins))
        self._links: list[tuple[float, float]] = []
        self._aligned = False

    def add(
        self,
        norms: Floats,
        links: Links | None = None,
        spans: tuple[Sequence[range], Sequence[range]] = ((), ()),
    ) -> None:
        """Add a sentence pair with words on both sides.

        Args:
            norms: (J + 1, I + 1) of `gradient_norms`; rows in the order of prediction.
            links: pairs of word numbers; None without alignments.
            spans: the places of the tokens of each source word and of each target word.
        """
        words = norms[:-1, :-1]
        length, width = words.shape
        for t in range(length):
            for s in range(width):
                lag = time_lag(s, width, t, self._reversed)
                count, total = self._by_lag.get(lag, (0, 0.0))
                self._by_lag[lag] = count + 1, total + float(words[t, s])
        text = words[::-1] if self._right_to_left else words
        self._map += _overlaps(self._bins, length) @ text @ _overlaps(self._bins, width).T
        self.sentences += 1
        if links is None:
            return
        self._aligned = True
        for i, j in links:
            source, target = spans[0][i], spans[1][j]
            rows = text[target.start : target.stop]
            sums = np.maximum(rows.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny)
            of_source = slice(source.start, source.stop)
            norm, share = rows[:, of_source].max(), (rows / sums)[:, of_source].max()
            self._links.append((float(norm), float(share)))

    def profile(self) -> GradientProfile:
        """Return the averages; at least one sentence pair must have been added."""
        counts = [count for count, _ in self._by_lag.values()]
        total = sum(total for _, total in self._by_lag.values())
        aligned = None
        if self._aligned and self._links:
            norm, share = np.mean(self._links, axis=0).tolist()
            aligned = Aligned(len(self._links), norm, share)
        points = tuple(
            LagPoint(lag, count, total / count)
            for lag, (count, total) in sorted(self._by_lag.items())
        )
        return GradientProfile(
            self.sentences, sum(counts), total / sum(counts), points,
            self._map / self.sentences, aligned,
        )  # fmt: skip


def _overlaps(bins: int, words: int) -> Floats:
    """(bins, words) the share of each bin that each word covers, if both fill the sentence."""
    edges = np.arange(bins + 1) / bins
    ends = np.arange(1, words + 1) / words
    low = np.maximum(edges[:-1, None], ends - 1 / words)
    high = np.minimum(edges[1:, None], ends)
    shares: Floats = np.maximum(high - low, 0) * bins
    return shares


def draw_profiles(
    path: str, profiles: Sequence[tuple[str, GradientProfile]], least: int, title: str
) -> tuple[Path, ...]:
    """Draw the curves by lag into `path`, and the maps of all models into `path`-map.

    Args:
        path: name of the figure.
        profiles: the name and the profile of each model.
        least: least number of pairs of a point of a curve.
        title: title of the figures.
    """
    curves = []
    for name, profile in profiles:
        # a logarithmic axis has no place for 0
        points = [p for p in profile.by_lag if p.pairs >= least and p.norm > 0]
        curves.append(Series(name, [p.lag for p in points], [p.norm for p in points]))
    drawn = draw_curves(
        path, curves, x_label="steps from reading the source word to predicting the target word",
        y_label="mean norm of the gradient", title=title, log_y=True,
    )  # fmt: skip
    bins = len(profiles[0][1].by_position)
    labels = ["first", *[""] * (bins - 2), "last"][:bins]
    panels = [Panel(name, profile.by_position) for name, profile in profiles]
    return drawn + draw_maps(
        map_figure(path), panels, rows=labels, columns=labels, x_label="source position",
        y_label="target position", title=title, scale="norm of the gradient / the model's largest",
        own_top=True,
    )  # fmt: skip


def map_figure(path: str) -> str:
    """Return the name of the figure of the maps."""
    from s2st.analysis.figure_files import figure_paths

    return f"{str(figure_paths(path)[0])[: -len('.svg')]}-map"
