"""Click types and options for numbers: a finite range, checked and shown in the help."""

from collections.abc import Sequence
from typing import Any

import click

from s2st.options.option_fields import Range, shown


class Number(click.ParamType):  # type: ignore[type-arg]
    """A number in a finite range, for options that are not config fields.

    Args:
        kind: int or float.
        minimum, maximum: the range.
        open_minimum: whether the range excludes `minimum` itself.
    """

    def __init__(
        self, kind: type, minimum: float, maximum: float, *, open_minimum: bool = False
    ) -> None:
        self.name = "number"
        self.kind = kind
        self.range = Range(minimum, maximum, open_minimum)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | float:
        """Convert and check the number; the error message states the allowed range."""
        number = _parsed(self.kind, value, self, param, ctx)
        fault = self.range.fault(number)
        if fault is not None:
            self.fail(f"it {fault}", param, ctx)
        return number


class Parsed(click.ParamType):  # type: ignore[type-arg]
    """A number whose range the config record checks, or one of the option's words."""

    def __init__(self, kind: type, words: Sequence[str] = ()) -> None:
        self.name = "number"
        self.kind = kind
        self.words = words

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | float | str:
        """Convert the number; the option's words stay."""
        if value in self.words:
            return str(value)
        return _parsed(self.kind, value, self, param, ctx)


def _parsed(
    kind: type,
    value: Any,
    type_: "Number | Parsed",
    param: click.Parameter | None,
    ctx: click.Context | None,
) -> int | float:
    try:
        number: int | float = kind(value)
        return number
    except ValueError:  # Python also refuses integers with more than 4300 digits
        what = "a whole number" if kind is int else "a number"
        what = " or ".join([what, *getattr(type_, "words", ())])
        type_.fail(f"{shown(value)} is not {what}", param, ctx)


class NumberOption(click.Option):
    """A click option of type `Number`; its help shows the range."""

    def __init__(
        self,
        param_decls: Sequence[str],
        *,
        type: Number,
        help: str,
        default: float | None = None,
        multiple: bool = False,
    ) -> None:
        start = "" if default is None else f"default: {default}; "
        super().__init__(
            param_decls,
            type=type,
            help=f"{help}  [{start}{type.range}]",
            default=default,
            multiple=multiple,
            metavar="N" if type.kind is int else "X",
        )
