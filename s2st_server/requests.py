"""Requests: parsing and checking of their JSON, within the limits of the server."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from s2st.options.option_fields import load_json
from s2st_server.options import ServeConfig

MAX_ALTERNATIVES = 100


class RefusedError(Exception):
    """A request that is not answered.

    Attributes:
        status: the HTTP status.
        headers: more headers of the answer.
    """

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = dict(headers or {})


@dataclass(frozen=True)
class TranslateRequest:
    """The body of `POST /translate`.

    Attributes:
        lines: the source lines.
        model: name of the model; None for the first.
        beam: size of the beam; None for the server's.
        nbest: hypotheses per line.
        prefix: the beginning of each translation; None for none.
    """

    lines: tuple[str, ...]
    model: str | None
    beam: int | None
    nbest: int
    prefix: tuple[str, ...] | None


@dataclass(frozen=True)
class ExplainRequest:
    """The body of `POST /explain`.

    Attributes:
        text: the sentence.
        model, beam: see `TranslateRequest`.
        alternatives: words at each position; None for the server's number.
        prefix: text, or tokens in the order in which the model predicts them.
    """

    text: str
    model: str | None
    beam: int | None
    alternatives: int | None
    prefix: str | tuple[str, ...]


def read_translate(body: bytes, limits: ServeConfig) -> TranslateRequest:
    """Parse the body of `POST /translate`; raise RefusedError."""
    fields = _Fields(body, limits, ("text", "lines", "model", "beam", "nbest", "prefix"))
    if ("text" in fields.values) == ("lines" in fields.values):
        raise RefusedError(422, "give either text or lines")
    one = "text" in fields.values
    lines = (fields.text("text"),) if one else fields.texts("lines", limits.max_lines)
    prefix: tuple[str, ...] | None = None
    if isinstance(fields.values.get("prefix"), list):
        prefix = fields.texts("prefix", limits.max_lines)
        if len(prefix) != len(lines):
            raise RefusedError(422, f"{len(lines)} lines, but {len(prefix)} prefixes")
    elif fields.values.get("prefix") is not None:
        prefix = (fields.text("prefix"),) * len(lines)
    beam = fields.number("beam", limits.max_beam)
    nbest = fields.number("nbest", limits.max_beam) or 1
    if beam is not None and nbest > beam:
        raise RefusedError(422, f"nbest {nbest} is more than beam {beam}")
    return TranslateRequest(lines, fields.optional_text("model"), beam, nbest, prefix)


def read_explain(body: bytes, limits: ServeConfig) -> ExplainRequest:
    """Parse the body of `POST /explain`; raise RefusedError."""
    fields = _Fields(body, limits, ("text", "model", "beam", "alternatives", "prefix"))
    prefix: str | tuple[str, ...] = fields.optional_text("prefix", list) or ""
    if isinstance(fields.values.get("prefix"), list):
        prefix = fields.texts("prefix", limits.max_line_length)
        if sum(map(len, prefix)) > limits.max_line_length:
            raise RefusedError(413, f"prefix is longer than {limits.max_line_length} characters")
    return ExplainRequest(
        fields.text("text"),
        fields.optional_text("model"),
        fields.number("beam", limits.max_beam),
        fields.number("alternatives", MAX_ALTERNATIVES),
        prefix,
    )


class _Fields:
    """The checked fields of a JSON object."""

    def __init__(self, body: bytes, limits: ServeConfig, known: Collection[str]) -> None:
        self.limits = limits
        try:
            values = load_json(body)
        except ValueError as error:  # also for bytes that are not UTF-8
            raise RefusedError(400, "the body is not valid JSON") from error
        if not isinstance(values, dict):
            raise RefusedError(422, "the body must be a JSON object")
        for name in values:
            if name not in known:
                raise RefusedError(422, f"unknown field {name[:40]!r}; known: {', '.join(known)}")
        self.values: dict[str, Any] = values

    def text(self, name: str) -> str:
        return self._text(self.values.get(name), name)

    def optional_text(self, name: str, other: type | None = None) -> str | None:
        value = self.values.get(name)
        if value is None or (other is not None and isinstance(value, other)):
            return None
        return self._text(value, name)

    def texts(self, name: str, most: int) -> tuple[str, ...]:
        values = self.values.get(name)
        if not isinstance(values, list) or not values:
            raise RefusedError(422, f"{name} must be a list of one or more texts")
        if len(values) > most:
            raise RefusedError(413, f"{name}: {len(values)} items; at most {most} are allowed")
        return tuple(self._text(value, f"{name}[{i}]") for i, value in enumerate(values))

    def _text(self, value: Any, name: str) -> str:
        if not isinstance(value, str):
            raise RefusedError(422, f"{name} must be a text")
        most = self.limits.max_line_length
        if len(value) > most:
            raise RefusedError(
                413, f"{name} has {len(value)} characters; at most {most} are allowed"
            )
        if "\n" in value:
            raise RefusedError(422, f"{name} contains a line break; send several lines")
        if any("\ud800" <= character <= "\udfff" for character in value):
            raise RefusedError(422, f"{name} contains a surrogate, which is not a character")
        return value

    def number(self, name: str, most: int) -> int | None:
        value = self.values.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
            raise RefusedError(422, f"{name} must be a whole number from 1 to {most}")
        return value
