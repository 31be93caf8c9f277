"""The program `s2st`: a group whose subcommands are imported when they are called.

Every error a user can cause ends here as one line on stderr and an exit code.
"""

import contextlib
import logging
import os
from collections.abc import Iterator

import click

from s2st import __version__
from s2st.errors import InterruptedBySignalError, S2STError
from s2st.options.plugin_faults import describe_error, plugin_place
from s2st.options.registry import loaded_plugins
from s2st.process.device import is_out_of_memory
from s2st.process.stop_signals import Stopped
from s2st_cli.lazy_group import LazyGroup
from s2st_cli.standard_streams import prepare_streams
from s2st_cli.terminal_output import (
    drop_stdout,
    flush_or_drop_stdout,
    flush_stdout,
    narrate,
    own_ranks,
    say,
    show,
    standard_streams,
)

COMMANDS = {
    "preprocess": "turn parallel text into a store of ids",
    "train": "train a model on a store",
    "train-ngram": "train an n-gram language model on text",
    "generate": "translate lines of text",
    "score": "BLEU of hypotheses, or log-probabilities of given pairs",
    "rescore-nbest": "rescore SMT n-best lists and choose the best hypotheses",
    "list": "what is registered: architectures, searches, ...",
    "inspect": "what a checkpoint, store, architecture or preset is",
    "export": "copy a checkpoint without its training state",
    "average": "the mean of several checkpoints' weights as a new one",
    "analyze": "where a system is good: by length, by rare words; what its states hold",
    "compare": "two systems: paired bootstrap and the most changed sentences",
    "report": "a study or training folder as one HTML file",
    "demo": "the whole job on a small corpus made on the spot",
}
EXIT_CLOSED_PIPE = 128 + 13


class _Program(LazyGroup):
    """The whole program: a closed pipe must not reach click, which exits with 1 for it."""

    lines = COMMANDS

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parses the program's own options, of which `--help` and `--version` write at once."""
        with _own_closed_pipe():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        """Runs the subcommand."""
        with _own_closed_pipe():
            return super().invoke(ctx)


@contextlib.contextmanager
def _own_closed_pipe() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError as error:
        raise _ClosedPipeError from error


class _ClosedPipeError(Exception):
    """The reader of stdout went away (`| head -1`)."""


def _show_version(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        show(f"s2st, version {__version__}")
        ctx.exit()


@click.command(cls=_Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, expose_value=False, is_eager=True, callback=_show_version,
    help="Show the version and exit.",
)  # fmt: skip
def main() -> None:
    """Sequence-to-sequence translation: LSTMs, ensembles, SMT n-best rescoring.

    Data goes to stdout, everything else to stderr. `s2st COMMAND --help` tells more.
    """


class _StderrHandler(logging.Handler):
    """Says records on stderr, whatever that is now: a progress bar stands in for it while it is
    shown.

    A warning is said once, though a file that is read twice gives it twice.
    """

    def __init__(self) -> None:
        super().__init__()
        self._warned: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.levelno == logging.WARNING:
            text = f"warning: {text}"
            if text in self._warned:
                return
            self._warned.add(text)
        say(text)


def _set_up_logging() -> None:
    logger = logging.getLogger("s2st")
    logger.handlers[:] = [_StderrHandler()]
    logger.setLevel(logging.INFO if own_ranks().first else logging.WARNING)
    logger.propagate = False


def _fail(message: str, code: int) -> int:
    say(f"error: {message}")
    return code


def run(arguments: list[str] | None = None) -> int:
    """Runs the program and returns its exit code; of what a user can cause it raises Stopped only.

    A signal raises that where its handlers are installed.
    """
    _set_up_logging()
    prepare_streams()
    with standard_streams():
        return _run(arguments)


def _run(arguments: list[str] | None) -> int:
    try:
        result = main.main(args=arguments, prog_name="s2st", standalone_mode=False)
        flush_stdout()
        return result if isinstance(result, int) else 0
    except (BrokenPipeError, _ClosedPipeError):
        drop_stdout()
        return EXIT_CLOSED_PIPE
    except Stopped:
        flush_or_drop_stdout()
        raise
    except InterruptedBySignalError as stop:  # no error: the work was saved
        if own_ranks().first:
            say(str(stop))
        return stop.exit_code
    except S2STError as error:
        flush_or_drop_stdout()
        return _fail(str(error), error.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        narrate(error.format_message())
        return 2
    except click.UsageError as error:
        hint = f" (see `{error.ctx.command_path} --help`)" if error.ctx else ""
        return _fail(_on_one_line(error.format_message()) + hint, 2)
    except click.ClickException as error:
        return _fail(_on_one_line(error.format_message()), error.exit_code)
    except click.Abort as error:  # what click makes of KeyboardInterrupt and EOFError
        return _fail_unforeseen(error.__cause__ or KeyboardInterrupt())
    except BaseException as error:
        return _fail_unforeseen(error)


def _fail_unforeseen(error: BaseException) -> int:
    """The line and the exit code for what no code of ours raises on purpose."""
    flush_or_drop_stdout()
    if os.environ.get("S2ST_TRACEBACK"):
        raise error
    if is_out_of_memory(error):
        mend = "lower --batch-size, --max-tokens, --max-rows, --threads or --workers"
        if isinstance(error, ImportError):
            mend = "a library cannot be loaded; allow more (ulimit -v)"
        return _fail(f"out of memory; {mend}", 1)
    place = plugin_place(error)
    if place is not None:
        where = f"plugin {place.module} ({place})"
        return _fail(f"{where}: {describe_error(error)}; S2ST_TRACEBACK=1 shows more", 1)
    if isinstance(error, KeyboardInterrupt):
        return _fail("interrupted", 130)
    if isinstance(error, OSError):
        where = f"{os.fsdecode(error.filename)}: " if error.filename else ""
        return _fail(f"{where}{error.strerror or error}", 74)
    plugins = ", ".join(loaded_plugins())
    whose = f"s2st or of a plugin ({plugins})" if plugins else "s2st"
    return _fail(
        f"internal error: {describe_error(error)} "
        f"(a defect of {whose}; S2ST_TRACEBACK=1 shows where)",
        1,
    )


def _on_one_line(text: str) -> str:
    """A message that click lays out on several lines."""
    return " ".join(text.split())
