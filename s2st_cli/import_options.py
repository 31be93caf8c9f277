"""Parameters that all `s2st import` commands have."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def folder_and_checkpoint(function: F) -> F:
    """Add the argument FOLDER and the option `--output-folder`, as `folder` and `release`."""
    output = click.option(
        "-o",
        "--output-folder",
        "release",
        metavar="FOLDER",
        required=True,
        help="the checkpoint to create",
    )
    return click.argument("folder")(output(function))
