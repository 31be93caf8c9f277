"""Whose fault an error is: the plugin's, whose file and line are named, or that of s2st itself."""

import os
import sys
from collections.abc import Iterator
from typing import NamedTuple

OWN = {"s2st", "s2st_cli"}
LONGEST = 300  # characters of another program's message that are shown
_modules: set[str] = set()


class PluginPlace(NamedTuple):
    """A line of a plugin's code, in words "FILE, line N"."""

    module: str
    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}"


def note_module(name: str) -> None:
    """Notes a module that is loaded as a plugin, or that registers something."""
    if name.partition(".")[0] not in OWN | set(sys.stdlib_module_names):
        _modules.add(name)


def described(error: BaseException) -> str:
    """An error's type and message, on one line and not longer than can be read."""
    text = " ".join(str(error).split())
    text = text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def plugin_place(error: BaseException) -> PluginPlace | None:
    """The innermost place in a plugin's code that the error came through; None: it did not.

    Code is a plugin's where its module is in the package of a module that was noted, or its file
    in the folder of one.
    """
    found = None
    packages = {name.partition(".")[0] for name in _modules}
    folders = set(_folders())
    trace = error.__traceback__
    while trace is not None:
        frame = trace.tb_frame
        name = str(frame.f_globals.get("__name__", ""))
        package, file = name.partition(".")[0], frame.f_code.co_filename
        if package in packages or (package not in OWN and os.path.dirname(file) in folders):
            found = PluginPlace(name, file, trace.tb_lineno)
        trace = trace.tb_next
    return found


def _folders() -> Iterator[str]:
    """Where the plugins' files are; a folder of installed packages holds those of others too."""
    for name in _modules:
        file = getattr(sys.modules.get(name), "__file__", None)
        folder = os.path.dirname(file or "")
        if folder and os.path.basename(folder) not in ("site-packages", "dist-packages"):
            yield folder
