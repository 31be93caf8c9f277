"""Small drawn scenes with English captions; equal seeds give equal scenes.

A scene is a picture of 24 x 24 pixels with one to three objects on a grid of 3 x 3 cells. An object
has a shape, a color and a place, moved by up to half a pixel. The picture has noise.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

SIDE = 24  # pixels
CELL = 8  # pixels: 3 x 3 cells
PATCH = 4  # pixels: 6 x 6 patches
COLORS = {
    "red": (0.9, 0.1, 0.1), "green": (0.1, 0.7, 0.2), "blue": (0.15, 0.3, 0.95),
    "yellow": (0.95, 0.85, 0.1), "purple": (0.6, 0.15, 0.7),
}  # fmt: skip
SHAPES = {"square": "squares", "circle": "circles", "triangle": "triangles", "cross": "crosses"}
PLACES = (
    "at the top left", "at the top", "at the top right", "on the left", "in the middle",
    "on the right", "at the bottom left", "at the bottom", "at the bottom right",
)  # fmt: skip
NOISE = 0.05

Pixels = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Thing:
    """One object; its place is a cell from 0 (top left) to 8, row after row."""

    color: str
    shape: str
    place: int

    @property
    def name(self) -> str:
        """The object with its article."""
        return f"a {self.color} {self.shape}"


def draw_things(rng: np.random.Generator) -> list[Thing]:
    """Draw the objects of a scene, in the order of reading."""
    count = int(rng.integers(1, 4))
    places = np.sort(rng.permutation(9)[:count])
    things = [
        Thing(str(rng.choice(list(COLORS))), str(rng.choice(list(SHAPES))), int(place))
        for place in places
    ]
    if count == 2 and rng.random() < 0.3:  # equal objects, which chance alone makes rarely
        things[1] = Thing(things[0].color, things[0].shape, things[1].place)
    return things


def caption(things: list[Thing]) -> str:
    """Describe objects in tokens separated by spaces; equal scenes have equal captions."""
    if len(things) == 1:
        return f"{things[0].name} {PLACES[things[0].place]}"
    if len(things) == 3:
        return f"{things[0].name} , {things[1].name} and {things[2].name}"
    one, other = things
    if (one.color, one.shape) == (other.color, other.shape):
        return (
            f"two {one.color} {SHAPES[one.shape]} , one {PLACES[one.place]} and one "
            f"{PLACES[other.place]}"
        )
    if one.place // 3 == other.place // 3:
        return f"{one.name} to the left of {other.name}"
    if one.place % 3 == other.place % 3:
        return f"{one.name} above {other.name}"
    return f"{one.name} {PLACES[one.place]} and {other.name} {PLACES[other.place]}"


def _mask(
    shape: str, y: npt.NDArray[np.float64], x: npt.NDArray[np.float64]
) -> npt.NDArray[np.bool_]:
    """The pixels of a shape around (0, 0)."""
    if shape == "square":
        return (abs(x) <= 2.6) & (abs(y) <= 2.6)
    if shape == "circle":
        return x**2 + y**2 <= 3.1**2
    if shape == "triangle":
        return (y <= 2.6) & (y >= -3.2) & (abs(x) <= (y + 3.6) * 0.55)
    return ((abs(x) <= 1.1) & (abs(y) <= 3.1)) | ((abs(y) <= 1.1) & (abs(x) <= 3.1))


def draw_picture(things: list[Thing], rng: np.random.Generator) -> Pixels:
    """Draw a picture (SIDE, SIDE, 3) of numbers from 0 to 1."""
    picture = np.full((SIDE, SIDE, 3), 0.95)
    rows, columns = np.mgrid[0:SIDE, 0:SIDE]
    for thing in things:
        center = (np.array(divmod(thing.place, 3)) + 0.5) * CELL - 0.5 + rng.integers(-1, 2, 2) / 2
        picture[_mask(thing.shape, rows - center[0], columns - center[1])] = COLORS[thing.color]
    noisy = picture + rng.normal(0, NOISE, picture.shape)
    return np.clip(noisy, 0, 1).astype(np.float32)


def patches(picture: Pixels) -> Pixels:
    """Cut a picture into a sequence (36, 48) of patches, row after row, centered around 0."""
    count = SIDE // PATCH
    grid = picture.reshape(count, PATCH, count, PATCH, 3).swapaxes(1, 2)
    return (2 * grid.reshape(count * count, -1) - 1).astype(np.float32)


def make_scenes(count: int, seed: int) -> tuple[Pixels, list[str]]:
    """Return pictures (count, SIDE, SIDE, 3) and their captions."""
    rng = np.random.default_rng(seed)
    pictures, captions = np.empty((count, SIDE, SIDE, 3), np.float32), []
    for index in range(count):
        things = draw_things(rng)
        pictures[index] = draw_picture(things, rng)
        captions.append(caption(things))
    return pictures, captions
