"""Weights of features by name, in Moses' own file format, and the sums they make.

[weight]
LM0= 0.05
TranslationModel0= 0.1 0.02 0.1 0.03
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from s2st.errors import DataError, OutputError, S2STError, UsageError
from s2st.options.config import MOST_WEIGHT, Range
from s2st.text.line_files import read_lines
from s2st.text.nbest_lists import ASCII_SPACE, parse_features
from s2st.text.whole_files import write_whole

BASELINE = "Baseline"  # the SMT system's own total, kept as a feature
MODEL = "S2ST"  # with a number: log-probabilities of the models; begins all names of ours
CHANNEL = "S2STChannel"  # with a number: log-probabilities of the source, by channel models
LENGTH = "S2STLength"  # words of the hypothesis
RANGE = Range(-MOST_WEIGHT, MOST_WEIGHT)
_COMMENT = re.compile(r"(^|[ \t])#.*", re.DOTALL)
Features = tuple[tuple[str, tuple[float, ...]], ...]


_OURS = re.compile(f"{BASELINE}|{LENGTH}|(?:{MODEL}|{CHANNEL})[0-9]+")


def is_ours(name: str) -> bool:
    """Whether a feature has a name that the toolkit gives, so that each rescoring replaces it."""
    return _OURS.fullmatch(name) is not None


def competes(name: str, own: bool) -> bool:
    """Whether tuning weighs a feature: ours do, and the baseline's total or its own features."""
    return name.startswith(MODEL) or (name == BASELINE) != own


@dataclass(frozen=True)
class Weights:
    """One weight for every value of every named feature; features without one count nothing.

    Attributes:
        values: the weights of each feature, by name.
        path, lines: the file that they were read from, and the line of each feature; None and
            empty for others.
    """

    values: Mapping[str, tuple[float, ...]]
    path: str | None = field(default=None, compare=False)
    lines: Mapping[str, int] = field(default_factory=dict, compare=False)

    def fault(self, name: str, message: str) -> S2STError:
        """The error that a feature's weights do not fit, naming file and line or `--weight`."""
        if self.path is None:
            return UsageError(f"--weight {name[:40]}: {message}")
        return DataError(f"feature {name[:40]!r}: {message}", self.path, self.lines.get(name))

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
        UsageError: an item of another form, or a name that is given twice.
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
            raise UsageError(f"--weight {name[:40]} is given twice; a feature has one weight")
        values[name] = numbers
    return Weights(values)


def check_names(weights: Weights, known: Sequence[str]) -> None:
    """Raises UsageError or DataError for weights of the toolkit's features that do not exist."""
    for name, numbers in weights.values.items():
        if name.startswith(MODEL) and name not in known and any(numbers):
            raise weights.fault(name, f"no such feature here; there are {', '.join(known)}")


def read_weights(path: str) -> Weights:
    """Reads the [weight] section of a Moses weights file or moses.ini.

    Raises:
        InputMissingError: no such file.
        DataError: a line of the section that is not `Name= value ...`, or no section.
    """
    values: dict[str, tuple[float, ...]] = {}
    lines: dict[str, int] = {}
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
                first = lines[parsed[0][0]]
                message = f"feature {parsed[0][0][:40]!r} has weights twice; also in line {first}"
                raise DataError(message, path, number)
            values[parsed[0][0]] = parsed[0][1]
            lines[parsed[0][0]] = number
    if not found:
        raise DataError("no [weight] section; a Moses weights file has one", path)
    return Weights(values, path, lines)


def write_weights(path: str, weights: Weights) -> None:
    """Writes a file that `read_weights` and Moses read, whole or not at all.

    Raises:
        OutputError: it cannot be written, or a feature's name would read as a comment.
    """
    for name in weights.values:
        if name.startswith("#"):
            raise OutputError(f"{path}: feature {name[:40]!r} would read as a comment")
    lines = ["[weight]\n"]
    for name, numbers in weights.values.items():
        lines.append(" ".join([f"{name}=", *(repr(float(number)) for number in numbers)]) + "\n")
    write_whole(path, lines)
