"""`s2st compare`: two systems side by side, as a whole and sentence by sentence."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from s2st.options.resolution import CommandSpec, Resolved
from s2st_cli.click_options import ConfiguredCommand, Number, NumberOption
from s2st_cli.system_arguments import HYP_HELP, Texts, read_texts
from s2st_cli.terminal_output import screen, show, show_json, visible

if TYPE_CHECKING:
    from s2st.analysis.sentence_changes import Change, Changes
    from s2st.jobs.text_metrics import PairedResult

HELP = f"""Compare system B with system A: paired bootstrap, how many sentences got better or
worse, and the most changed ones side by side.

Sentences are compared by sentence BLEU, in which 1 is added to the counts above order 1 (Lin and
Och 2004). On a terminal the words in which A and B differ stand out.

{HYP_HELP.replace("HYP", "A or B")}
"""


def run(options: Resolved, extra: Mapping[str, Any]) -> None:
    """Prints to stdout."""
    texts = read_texts([extra["a"], extra["b"]], extra["ref"], extra["source"])
    from s2st.analysis.sentence_changes import sentence_changes
    from s2st.jobs.text_metrics import compare_systems

    results = compare_systems(
        texts.systems, texts.references, samples=extra["samples"], tokenize=extra["tokenize"]
    )
    (_, a), (_, b) = texts.systems
    changes = sentence_changes(a, b, texts.references, texts.source, extra["tokenize"])
    if extra["json"]:
        _print_json(texts, results, changes, extra["count"])
    else:
        _print_whole(texts, results, changes)
        _print_sentences(texts, changes, extra["count"])


def _print_json(
    texts: Texts, results: Sequence["PairedResult"], changes: "Changes", count: int
) -> None:
    """The results of the bootstrap, the counts, then the sentences, a JSON object a line."""
    from s2st.analysis.sentence_bleu import SENTENCE_BLEU

    for result in results:
        show_json({"baseline": texts.systems[0][0], **asdict(result)})
    show_json(
        {
            "sentences": len(texts.references[0]), "better": len(changes.better),
            "worse": len(changes.worse), "same_bleu": changes.same_bleu,
            "same_text": changes.same_text, "metric": SENTENCE_BLEU,
        }
    )  # fmt: skip
    for kind, chosen in (("better", changes.better), ("worse", changes.worse)):
        for change in chosen[:count]:
            show_json({"change": kind, **asdict(change)})


def _print_whole(texts: Texts, results: Sequence["PairedResult"], changes: "Changes") -> None:
    from s2st.analysis.sentence_bleu import SENTENCE_BLEU

    (a, lines), (b, _) = texts.systems
    show(f"A = {a}, B = {b}; {len(lines):,} sentences")
    show("paired bootstrap of B against A (95%: mean +- half the interval's width)")
    for result in results:
        name = "A" if result.p_value is None else "B"
        show(f"  {name}  {result.metric} {result.figures()}")
    for how in dict.fromkeys(f"{one.metric} ({one.how})" for one in results):
        show(f"  {how}")
    show(SENTENCE_BLEU)
    show(f"  better in B  {len(changes.better):,}")
    show(f"  worse in B   {len(changes.worse):,}")
    show(f"  as good      {changes.same_bleu:,}, of them {changes.same_text:,} the same text")


def _print_sentences(texts: Texts, changes: "Changes", count: int) -> None:
    """The most changed sentences; on a terminal wrapped, and the differing words marked."""
    write = _terminal_writer() if sys.stdout.isatty() else _write_plain
    for title, chosen in (("better", changes.better), ("worse", changes.worse)):
        shown = chosen[:count]
        if shown:
            show()
            show(f"the {len(shown)} sentences that are {title} in B by most")
        for change in shown:
            show()
            show(
                f"line {change.line}: sentence BLEU A {change.a_bleu:.1f}, "
                f"B {change.b_bleu:.1f} ({change.gain:+.1f})"
            )
            _show(change, write)


def _show(change: "Change", write: Any) -> None:
    from s2st.analysis.sentence_changes import differing_words
    from s2st.text.line_files import split_words

    if change.source is not None:
        write("source", split_words(change.source), None)
    for number, reference in enumerate(change.references, start=1):
        name = "reference" if len(change.references) == 1 else f"ref. {number}"
        write(name, split_words(reference), None)
    a, b = split_words(change.a), split_words(change.b)
    for name, words, marks in zip("AB", (a, b), differing_words(a, b), strict=True):
        write(name, words, marks)


_INDENT = 12  # columns for the name of a line


def _write_plain(name: str, words: Sequence[str], marks: Sequence[bool] | None) -> None:
    show(f"  {name:<{_INDENT - 2}}{' '.join(words)}")


def _terminal_writer() -> Any:
    """What prints a line by rich, indented under its name."""
    from rich.console import Console
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    console = Console(file=screen(), highlight=False, markup=False, emoji=False)

    def write(name: str, words: Sequence[str], marks: Sequence[bool] | None) -> None:
        style = "bold yellow" if name == "A" else "bold cyan"
        text = Text()
        for number, word in enumerate(words):
            text.append(" " if number else "")
            text.append(visible(word), style if marks is not None and marks[number] else "")
        grid = Table.grid()
        grid.add_column(width=_INDENT - 2)
        grid.add_column()
        grid.add_row(Text(name), text)
        console.print(Padding(grid, (0, 0, 0, 2)))

    return write


command = ConfiguredCommand(
    "compare",
    CommandSpec(fixed=()),
    run,
    HELP,
    extra=[
        click.Argument(["a"]),
        click.Argument(["b"]),
        click.Option(["--ref", "-r"], multiple=True, metavar="FILE", help="reference; repeatable"),
        click.Option(["--source"], metavar="FILE", help="source lines, to be shown"),
        click.Option(
            ["--tokenize"], default="13a", show_default=True, metavar="NAME",
            help="sacreBLEU's tokeniser; none for text that is tokenised already",
        ),
        NumberOption(
            ["--samples"], type=Number(int, 1, 1_000_000), default=1000,
            help="resamplings of the paired bootstrap",
        ),
        NumberOption(
            ["--count"], type=Number(int, 0, 1_000_000), default=10,
            help="most changed sentences to show, better and worse ones each",
        ),
        click.Option(["--json"], is_flag=True, help="JSON lines"),
    ],
)  # fmt: skip
