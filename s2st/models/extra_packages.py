"""Packages that only some file formats need."""

import importlib
from typing import Any

from s2st.errors import UsageError


def import_extra(module: str, package: str, extra: str, what: str) -> Any:
    """Import a module of an optional package; raise UsageError that says how to get it.

    Args:
        module: the module to import.
        package: the package that has it.
        extra: the extra of s2st that installs the package.
        what: what needs the package, for the message.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UsageError(
            f'{what} needs {package}, which is not installed; run pip install "s2st[{extra}]"'
        ) from error
