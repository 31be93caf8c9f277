"""Placement of point labels in a figure so that they cover little."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

Box = tuple[float, float, float, float]  # left, bottom, right, top

_DISTANCES = (6, 14, 24, 36, 52, 72)
_DEGREES = (0, 180, 90, 270, 30, 150, 330, 210, 60, 120, 300, 240)
_PASSES = 4
_POINT = 4.0  # half the side of the square that a point covers
_NEAR = 9.0  # a label farther away than this needs a line to its point
_LINE_STEP = 5.0
_LABEL_COST, _LINE_COST = 5.0, 10.0  # per unit of covered area


@dataclass(frozen=True)
class Place:
    """Place of a label: its center, and the end of the line from its point, None if it is near."""

    x: float
    y: float
    line_to: tuple[float, float] | None


def place_labels(
    points: Sequence[tuple[float, float]], sizes: Sequence[tuple[float, float]], frame: Box
) -> list[Place]:
    """Assign each label the cheapest place around its point, in several passes.

    The cost of a place is the area that label and line share with points, other labels and lines,
    plus the area outside the frame, plus the distance.

    Args:
        points: x and y of every point, in typographic points.
        sizes: width and height of every label, in the same unit.
        frame: the area that labels should not leave.
    """
    dots = [_around(x, y, _POINT, _POINT) for x, y in points]
    chosen: list[_Candidate | None] = [None] * len(points)
    for _ in range(_PASSES):
        before = list(chosen)
        for index, (point, size) in enumerate(zip(points, sizes, strict=True)):
            others = dots[:index] + dots[index + 1 :]
            for candidate in chosen[:index] + chosen[index + 1 :]:
                if candidate is not None:
                    others += [candidate.label, *candidate.line]
            chosen[index] = min(
                _candidates(point, size), key=lambda one: _cost(one, dots[index], others, frame)
            )
        if chosen == before:
            break
    return [
        Place((one.label[0] + one.label[2]) / 2, (one.label[1] + one.label[3]) / 2, one.line_to)
        for one in chosen
        if one is not None
    ]


@dataclass(frozen=True)
class _Candidate:
    label: Box
    distance: float
    line_to: tuple[float, float] | None
    line: tuple[Box, ...]


def _candidates(point: tuple[float, float], size: tuple[float, float]) -> Iterator[_Candidate]:
    x, y = point
    for distance, degrees in product(_DISTANCES, _DEGREES):
        right, up = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        # the distance is that of the label's side or corner, not of its center
        middle_x = x + right * distance + _sign(right) * size[0] / 2
        middle_y = y + up * distance + _sign(up) * size[1] / 2
        label = _around(middle_x, middle_y, size[0] / 2, size[1] / 2)
        end = _nearest(x, y, label)
        if math.dist(point, end) > _NEAR:
            yield _Candidate(label, distance, end, tuple(_line(point, end)))
        else:
            yield _Candidate(label, distance, None, ())


def _cost(one: _Candidate, dot: Box, others: Sequence[Box], frame: Box) -> float:
    """Return the cost of a candidate; `dot` is the label's point, which its line may touch."""
    labels, lines = np.array([one.label]), np.array(one.line).reshape(-1, 4)
    outside = (one.label[2] - one.label[0]) * (one.label[3] - one.label[1])
    outside -= _common_area(labels, [frame])
    covered = _common_area(labels, [dot, *others])
    crossed = _common_area(lines, others)
    return one.distance + _LABEL_COST * (covered + outside) + _LINE_COST * crossed


def _sign(value: float) -> int:
    return 0 if abs(value) < 1e-9 else 1 if value > 0 else -1


def _around(x: float, y: float, half_width: float, half_height: float) -> Box:
    return x - half_width, y - half_height, x + half_width, y + half_height


def _nearest(x: float, y: float, box: Box) -> tuple[float, float]:
    return min(max(x, box[0]), box[2]), min(max(y, box[1]), box[3])


def _line(start: tuple[float, float], end: tuple[float, float]) -> Iterator[Box]:
    """Yield small boxes along the line from a point to its label."""
    steps = int(math.dist(start, end) / _LINE_STEP)
    for step in range(1, steps):
        share = step / steps
        x, y = (a + (b - a) * share for a, b in zip(start, end, strict=True))
        yield _around(x, y, 2, 2)


def _common_area(some: npt.NDArray[np.float64], others: Sequence[Box]) -> float:
    """Return the area that boxes (n, 4) share with others, summed over all pairs."""
    if not others:
        return 0.0
    a, b = some[:, None], np.array(others)[None]
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    return float(np.maximum(sides, 0).prod(axis=-1).sum())
