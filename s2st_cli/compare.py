"""`s2st compare`: two systems side by side, as a whole and sentence by sentence."""

import sys
from collections.abc import Callable, Mapping
from typing import Any

import click

from s2st.analysis.compare import NamedWords, compare
from s2st.analysis.options import COMPARE_SPEC, CompareConfig
from s2st.analysis.system_texts import HYP_HELP
from s2st.options.resolution import Resolved
from s2st.text.control_characters import visible
from s2st_cli.click_options import ConfiguredCommand
from s2st_cli.terminal_output import screen, show, show_lines

HELP = f"""Compare system B with system A on the same test set.

s2st prints a paired bootstrap test, the number of sentences that improved or worsened, and the most
changed sentences side by side. Sentences are compared by sentence BLEU, which adds 1 to the counts
above order 1 (Lin and Och 2004). On a terminal, s2st highlights the words in which A and B differ.

{HYP_HELP.replace("HYP", "A or B")}
"""
INDENT = 12  # width of the column of names


def run(options: Resolved, extra: Mapping[str, Any]) -> None:
    """Call the job and write its lines; on a terminal, wrap them and mark the differences."""
    write: Callable[[NamedWords], None] | None = None
    for line in compare(options.config(CompareConfig), extra["a"], extra["b"]):
        if not isinstance(line, NamedWords):
            show_lines([line])
            continue
        write = write or (_terminal_writer() if sys.stdout.isatty() else _write_plain)
        write(line)


def _write_plain(line: NamedWords) -> None:
    show(f"  {line.name:<{INDENT - 2}}{' '.join(line.words)}")


def _terminal_writer() -> Callable[[NamedWords], None]:
    """A function that prints a sentence with rich, indented under its name."""
    from rich.console import Console
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    console = Console(file=screen(), highlight=False, markup=False, emoji=False)

    def write(line: NamedWords) -> None:
        style = "bold yellow" if line.name == "A" else "bold cyan"
        text = Text()
        for number, word in enumerate(line.words):
            text.append(" " if number else "")
            marked = line.marks is not None and line.marks[number]
            text.append(visible(word), style if marked else "")
        grid = Table.grid()
        grid.add_column(width=INDENT - 2)
        grid.add_column()
        grid.add_row(Text(line.name), text)
        console.print(Padding(grid, (0, 0, 0, 2)))

    return write


command = ConfiguredCommand(
    "compare",
    COMPARE_SPEC,
    run,
    HELP,
    extra=[click.Argument(["a"]), click.Argument(["b"])],
)
