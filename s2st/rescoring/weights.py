"""Weights of features by name, in Moses' own file format, and the sums they make.

[weight]
LM0= 0.05
TranslationModel0= 0.1 0.02 0.1 0.03
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from s2st.config import Range
from s2st.errors import DataError, OutputError, UsageError
from s2st.text.lines import open_output, read_lines
from s2st.text.nbest import ASCII_SPACE, parse_features

BASELINE = "Baseline"  # the SMT system's own total, kept as a feature
MODEL = "S2ST"  # with a number: log-probabilities of the models; begins all names of ours
CHANNEL = "S2STChannel"  # with a number: log-probabilities of the source, by channel models
LENGTH = "S2STLength"  # words of the hypothesis
# of a weight: more than tuning gives features of the smallest spread; sums stay finite
RANGE = Range(-1e30, 1e30)
_COMMENT = re.compile(r"(^|[ \t])#.*", re.DOTALL)
Features = tuple[tuple[str, tuple[float, ...]], ...]


@dataclass(frozen=True)
class Weights:
    """One weight for every value of every named feature; features without one count nothing."""

    values: Mapping[str, tuple[float, ...]]

    def total(self, features: Features) -> float:
        """The weighted sum of a hypothesis' features, in their order."""
        total = 0.0
        for name, numbers in features:
            for weight, number in zip(self.values.get(name, ()), numbers, strict=False):
                if weight:
                    total += weight * number
        return total

    def vector(self, columns: "Sequence[Column]") -> list[float]:
        """The weights of flat columns, 0 where there is none."""
        found = []
        for column in columns:
            own = self.values.get(column.name, ())
            found.append(own[column.index] if column.index < len(own) else 0.0)
        return found


@dataclass(frozen=True)
class Column:
    """One value of one feature: "TranslationModel0", index 2."""

    name: str
    index: int


def from_vector(columns: Sequence[Column], vector: Sequence[float]) -> Weights:
    """Weights of flat columns by name."""
    values: dict[str, list[float]] = {}
    for column, weight in zip(columns, vector, strict=True):
        own = values.setdefault(column.name, [])
        own += [0.0] * (column.index + 1 - len(own))
        own[column.index] = float(weight)
    return Weights({name: tuple(own) for name, own in values.items()})


def model_names(direct: int, channel: int) -> tuple[str, ...]:
    """Names of the models' features; none holds "_", which Moses' tuner reads as sparse."""
    names = [f"{MODEL}{index}" for index in range(direct)]
    return (*names, *(f"{CHANNEL}{index}" for index in range(channel)))


def even_average(names: Sequence[str]) -> Weights:
    """The paper's: half for the baseline, half shared by the models."""
    return Weights({BASELINE: (0.5,), **dict.fromkeys(names, (0.5 / len(names),))})


def parse_weights(given: Sequence[str]) -> Weights:
    """Weights from NAME=VALUE (or NAME=V,V for a feature of several values) items.

    A name that is left out has weight 0.

    Raises:
        UsageError: an item of another form.
    """
    values: dict[str, tuple[float, ...]] = {}
    for item in given:
        name, equals, text = item.partition("=")
        try:
            numbers = tuple(float(part) for part in text.split(","))
        except ValueError:
            numbers = (math.nan,)
        if not equals or not name or any(map(math.isnan, numbers)):
            raise UsageError(f"--weight {item!r}: NAME=VALUE is needed, such as {BASELINE}=0.5")
        for number in numbers:
            fault = RANGE.fault(number)
            if fault is not None:
                raise UsageError(f"--weight {name}: a weight {fault}")
        if name in values:
            raise UsageError(f"--weight {name}: given twice; a feature has one weight")
        values[name] = numbers
    return Weights(values)


def check_names(weights: Weights, known: Sequence[str], where: str) -> None:
    """Raises UsageError for weights of the toolkit's own features that are not computed here."""
    for name in weights.values:
        if name.startswith(MODEL) and name not in known:
            raise UsageError(f"{where}: no feature {name!r} here; there are {', '.join(known)}")


def read_weights(path: str) -> Weights:
    """Reads the [weight] section of a Moses weights file or moses.ini.

    Raises:
        InputMissingError: no such file.
        DataError: a line of the section that is not `Name= value ...`, or no section.
    """
    values: dict[str, tuple[float, ...]] = {}
    inside = found = False
    for number, line in enumerate(read_lines(path), start=1):
        text = _COMMENT.sub("", line).strip(ASCII_SPACE)
        if text.startswith("[") and text.endswith("]"):
            inside = text == "[weight]"
            found = found or inside
        elif inside and text:
            parsed = list(parse_features(text, path, number))
            if len(parsed) != 1:
                raise DataError("expected `Name= value ...`", path, number)
            for value in parsed[0][1]:
                fault = RANGE.fault(value)
                if fault is not None:
                    raise DataError(f"a weight of {parsed[0][0]!r} {fault}", path, number)
            if parsed[0][0] in values:
                raise DataError(f"feature {parsed[0][0]!r} has weights twice", path, number)
            values[parsed[0][0]] = parsed[0][1]
    if not found:
        raise DataError("no [weight] section; a Moses weights file has one", path)
    return Weights(values)


def write_weights(path: str, weights: Weights) -> None:
    """Writes a file that `read_weights` and Moses read.

    Raises:
        OutputError: it cannot be written, or a feature's name would read as a comment.
    """
    for name in weights.values:
        if name.startswith("#"):
            raise OutputError(f"{path}: feature {name[:40]!r} would read as a comment")
    with open_output(path) as write:
        write("[weight]")
        for name, numbers in weights.values.items():
            write(" ".join([f"{name}=", *(repr(float(number)) for number in numbers)]))
