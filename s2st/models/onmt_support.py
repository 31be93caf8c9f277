"""Checks of the options of OpenNMT-py's models."""

from collections.abc import Mapping
from typing import Any

from s2st.errors import DataError


def check_supported(
    fields: Mapping[str, Any], supported: Mapping[str, tuple[Any, ...]], where: str
) -> None:
    """Raise DataError for the first option that is not supported.

    Args:
        fields: the options; a missing one, which an older release does not have, is supported.
        supported: option -> the values with which s2st reads a model.
        where: the file, for the message.
    """
    for name, values in supported.items():
        if name in fields and fields[name] not in values:
            raise DataError(
                f"{where}: {name} is {fields[name]!r}; s2st reads models with "
                f"{' or '.join(map(repr, values[:2]))}"
            )
