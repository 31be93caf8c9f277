"""Feature weights by name: command line and Moses weights files, weighted sums of features.

A weights file looks like this:

[weight]
LM0= 0.05
TranslationModel0= 0.1 0.02 0.1 0.03
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from s2st.errors import DataError, OutputError, S2STError, UsageError
from s2st.options.option_fields import Range
from s2st.text.atomic_text_output import write_whole
from s2st.text.line_files import read_lines
from s2st.text.nbest_entries import ASCII_SPACE, parse_features

BASELINE = "Baseline"  # total of the baseline system
MODEL = "S2ST"  # with a number: log-probability under a model; prefix of all names of s2st
CHANNEL = "S2STChannel"  # with a number: log-probability of the source under a channel model
LENGTH = "S2STLength"  # number of words of the hypothesis
CONSENSUS = "S2STConsensus"  # BLEU or chrF against the other hypotheses of the list
SYSTEM = "System"  # with a number: prefix of the features of a system in merged lists
TOTAL = "Total"  # after the prefix: the total of the system
HAS = "Has"  # after the prefix: whether the system has the hypothesis
COMPUTED = (LENGTH, CONSENSUS)  # never taken from lists
# more than tuning gives to features of the smallest spread; sums stay finite
RANGE = Range(-1e30, 1e30)
_COMMENT = re.compile(r"(^|[ \t])#.*", re.DOTALL)
Features = tuple[tuple[str, tuple[float, ...]], ...]


_OF_SYSTEM = re.compile(f"{SYSTEM}[0-9]+({TOTAL}|{HAS})")
_OURS = re.compile(f"{BASELINE}|{LENGTH}|{CONSENSUS}|(?:{MODEL}|{CHANNEL})[0-9]+")


def is_ours(name: str) -> bool:
    """Whether s2st computes the feature, so that each rescoring replaces it."""
    return _OURS.fullmatch(name) is not None


def competes(name: str, own_features: bool) -> bool:
    """Whether tuning gives a feature a weight.

    It does for the features of s2st, and either for the baseline's total or, with `own_features`,
    for the baseline's own features. In merged lists, the same holds for the systems' totals and own
    features; whether a system has a hypothesis always has a weight.
    """
    of_system = _OF_SYSTEM.fullmatch(name)
    if name.startswith(MODEL) or (of_system is not None and of_system[1] == HAS):
        return True
    return (name == BASELINE or of_system is not None) != own_features


@dataclass(frozen=True)
class Weights:
    """One weight for every value of every feature by name; a missing feature has weight 0.

    Attributes:
        values: the weights of each feature, by name.
        path, lines: the file of the weights, and the line of each feature; None and empty if the
            weights come from no file.
    """

    values: Mapping[str, tuple[float, ...]]
    path: str | None = field(default=None, compare=False)
    lines: Mapping[str, int] = field(default_factory=dict, compare=False)

    def fault(self, name: str, message: str) -> S2STError:
        """Return an error about a feature's weights, which names file and line or `--weight`."""
        if self.path is None:
            return UsageError(f"--weight {name[:40]}: {message}")
        return DataError(f"feature {name[:40]!r}: {message}", self.path, self.lines.get(name))

    def total(self, features: Features) -> float:
        """Return the weighted sum of a hypothesis' features, added in their order."""
        total = 0.0
        for name, numbers in features:
            for weight, number in zip(self.values.get(name, ()), numbers, strict=False):
                if weight:
                    total += weight * number
        return total

    def vector(self, columns: "Sequence[Column]") -> list[float]:
        """Return the weight of each column, 0 if it has none."""
        found = []
        for column in columns:
            numbers = self.values.get(column.name, ())
            found.append(numbers[column.index] if column.index < len(numbers) else 0.0)
        return found


@dataclass(frozen=True)
class Column:
    """One value of one feature, such as value 2 of "TranslationModel0"."""

    name: str
    index: int


def from_vector(columns: Sequence[Column], vector: Sequence[float]) -> Weights:
    """Return weights by name from one weight per column."""
    values: dict[str, list[float]] = {}
    for column, weight in zip(columns, vector, strict=True):
        numbers = values.setdefault(column.name, [])
        numbers += [0.0] * (column.index + 1 - len(numbers))
        numbers[column.index] = float(weight)
    return Weights({name: tuple(numbers) for name, numbers in values.items()})


def model_names(direct: int, channel: int) -> tuple[str, ...]:
    """Return the names of the models' features, without "_", which marks sparse features in Moses.

    Args:
        direct: number of models of the translation direction.
        channel: number of models of the opposite direction.
    """
    names = [f"{MODEL}{index}" for index in range(direct)]
    return (*names, *(f"{CHANNEL}{index}" for index in range(channel)))


def even_average(names: Sequence[str]) -> Weights:
    """Return the paper's weights: one half for the baseline, the other shared by the models.

    Without models, the baseline has weight 1.
    """
    if not names:
        return Weights({BASELINE: (1.0,)})
    return Weights({BASELINE: (0.5,), **dict.fromkeys(names, (0.5 / len(names),))})


def parse_weights(given: Sequence[str]) -> Weights:
    """Parse weights of the form NAME=VALUE, or NAME=V,V for a feature with several values.

    Raises:
        UsageError: an item has another form, or a name appears twice.
    """
    values: dict[str, tuple[float, ...]] = {}
    for item in given:
        name, equals, text = item.partition("=")
        try:
            numbers = tuple(float(part) for part in text.split(","))
        except ValueError:
            numbers = (math.nan,)
        if not equals or not name or any(map(math.isnan, numbers)):
            raise UsageError(f"--weight {item!r}: give NAME=VALUE, such as {BASELINE}=0.5")
        for number in numbers:
            fault = RANGE.fault(number)
            if fault is not None:
                raise UsageError(f"--weight {name}: a weight {fault}")
        if name in values:
            raise UsageError(f"--weight {name[:40]} is given twice; a feature has one weight")
        values[name] = numbers
    return Weights(values)


def check_names(weights: Weights, known: Sequence[str]) -> None:
    """Raise UsageError or DataError for a weight of an s2st feature that does not exist."""
    for name, numbers in weights.values.items():
        if name.startswith(MODEL) and name not in known and any(numbers):
            raise weights.fault(name, f"no such feature here; there are {', '.join(known)}")


def read_weights(path: str) -> Weights:
    """Read the [weight] section of a Moses weights file or moses.ini.

    Raises:
        InputMissingError: the file is missing.
        DataError: the section is missing, or one of its lines is not `Name= value ...`.
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
                message = f"feature {parsed[0][0][:40]!r} has weights twice; first in line {first}"
                raise DataError(message, path, number)
            values[parsed[0][0]] = parsed[0][1]
            lines[parsed[0][0]] = number
    if not found:
        raise DataError("no [weight] section; give a Moses weights file", path)
    return Weights(values, path, lines)


def write_weights(path: str, weights: Weights) -> None:
    """Write a weights file for Moses and `read_weights`, completely or not at all.

    Raises:
        OutputError: the file cannot be written, or a feature's name starts with "#".
    """
    for name in weights.values:
        if name.startswith("#"):
            raise OutputError(f"{path}: feature {name[:40]!r} would be read as a comment")
    lines = ["[weight]\n"]
    for name, numbers in weights.values.items():
        lines.append(" ".join([f"{name}=", *(repr(float(number)) for number in numbers)]) + "\n")
    write_whole(path, lines)
