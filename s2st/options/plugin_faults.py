"""Find out whether a plugin or s2st caused an error: file and line of the plugin's code."""

import os
import sys
from collections.abc import Iterator
from typing import NamedTuple

S2ST_PACKAGES = {"s2st", "s2st_cli"}
LONGEST_MESSAGE = 300  # characters of another program's message that are shown
_modules: set[str] = set()


class PluginPlace(NamedTuple):
    """A line of a plugin's code; as text "FILE, line N"."""

    module: str
    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}"


def note_module(name: str) -> None:
    """Record a module that was loaded as a plugin or that registered a component."""
    if name.partition(".")[0] not in S2ST_PACKAGES | set(sys.stdlib_module_names):
        _modules.add(name)


def describe_error(error: BaseException) -> str:
    """Return an error's type and message on one line, cut to a readable length."""
    text = " ".join(str(error).split())
    text = text if len(text) <= LONGEST_MESSAGE else text[: LONGEST_MESSAGE - 3] + "..."
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def plugin_place(error: BaseException) -> PluginPlace | None:
    """Return the innermost frame of the traceback in a plugin's code; None if there is none.

    Code belongs to a plugin if its package is that of a recorded module, or if its file is in the
    folder of a recorded module.
    """
    innermost = None
    packages = {name.partition(".")[0] for name in _modules}
    folders = set(_folders())
    trace = error.__traceback__
    while trace is not None:
        frame = trace.tb_frame
        name = str(frame.f_globals.get("__name__", ""))
        package, file = name.partition(".")[0], frame.f_code.co_filename
        in_folder = package not in S2ST_PACKAGES and os.path.dirname(file) in folders
        if package in packages or in_folder:
            innermost = PluginPlace(name, file, trace.tb_lineno)
        trace = trace.tb_next
    return innermost


def _folders() -> Iterator[str]:
    """Yield the plugins' folders, except site-packages, which has other packages too."""
    for name in _modules:
        file = getattr(sys.modules.get(name), "__file__", None)
        folder = os.path.dirname(file or "")
        if folder and os.path.basename(folder) not in ("site-packages", "dist-packages"):
            yield folder
