"""`s2st analyze lengths`: BLEU of systems against the length of the source sentence."""

from collections.abc import Mapping, Sequence
from typing import Any

from s2st.options.resolution import CommandSpec, Resolved
from s2st_cli.analyze_curves import CURVE_OPTIONS, WINDOWS_HELP, show_curves
from s2st_cli.click_options import ConfiguredCommand
from s2st_cli.system_arguments import HYP_HELP

HELP = f"""BLEU of each HYP against the number of words of the source sentence.

{WINDOWS_HELP.format(key="length")}

{HYP_HELP}
"""


def run(options: Resolved, extra: Mapping[str, Any]) -> None:
    """Prints the curves."""
    show_curves(extra, _lengths, "words", "source words")


def _lengths(lines: list[str]) -> Sequence[float]:
    from s2st.text.line_files import split_words

    return [len(split_words(line)) for line in lines]


command = ConfiguredCommand("lengths", CommandSpec(fixed=()), run, HELP, extra=CURVE_OPTIONS)
