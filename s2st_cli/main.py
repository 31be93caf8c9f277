"""The program `s2st`: the group of all commands, logging, and errors.

This module turns every error that a user can cause into one line on stderr and an exit code.
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
from s2st.process.consistent_reads import one_run
from s2st.process.device import is_out_of_memory
from s2st.process.stop_signals import Stopped, raised_for
from s2st_cli.foreign_options import advice
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
    "check": "report what is odd in a corpus, n-best list, checkpoint or store",
    "preprocess": "turn parallel text into a store of ids",
    "train": "train a model on a store",
    "train-ngram": "train an n-gram language model on text",
    "train-lexicon": "learn word translations from a store",
    "generate": "translate lines of text",
    "tune-length": "find the best length penalty on a development set",
    "score": "compute BLEU of hypotheses, or log-probabilities of sentence pairs",
    "rescore-nbest": "rescore SMT n-best lists and choose the best hypotheses",
    "convert-nbest": "convert n-best lists of other programs to the format of Moses",
    "list": "list the architectures, searches and other components",
    "inspect": "describe a checkpoint, store, ensemble, architecture or preset",
    "import": "make a checkpoint of a model of Hugging Face, fairseq or OpenNMT-py",
    "export": "copy a checkpoint without its training state, or for another program",
    "average": "average the weights of several checkpoints",
    "analyze": "show BLEU by length or rarity, attention, gradients, states, nearest words",
    "compare": "compare two systems: paired bootstrap, most changed sentences",
    "report": "write one HTML file about a study or a training run",
    "serve": "serve a page that shows how models translate, and a JSON interface",
    "explain": "write that page about one sentence as one HTML file",
    "demo": "train, translate and rescore on a small corpus that ships with s2st",
}
COMPLETE = "_S2ST_COMPLETE"  # set by the shell completion of click
EXIT_CLOSED_PIPE = 128 + 13


class _Program(LazyGroup):
    """The whole program. It hides closed pipes from click, which would exit with code 1."""

    lines = COMMANDS

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the program's own options; `--help` and `--version` write at once."""
        with _hidden_closed_pipe():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        """Run the subcommand."""
        with _hidden_closed_pipe():
            return super().invoke(ctx)


@contextlib.contextmanager
def _hidden_closed_pipe() -> Iterator[None]:
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
    """Sequence-to-sequence translation: LSTMs, Transformers, ensembles, n-best rescoring.

    Data goes to stdout, everything else to stderr. `s2st COMMAND --help` describes a command.
    """


class _StderrHandler(logging.Handler):
    """Handler that prints log records on the current `sys.stderr` (a progress bar may replace it).

    It prints each warning once, because a job that reads a file twice logs its warnings twice.
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
    """Run the program and return its exit code.

    Raises:
        Stopped: a stop signal arrived; only where `signal_handlers.install` was called.
    """
    _set_up_logging()
    prepare_streams()
    with standard_streams():
        return _run(arguments)


def _run(arguments: list[str] | None) -> int:
    try:
        with one_run():
            result = _call(arguments)
        flush_stdout()
        return result if isinstance(result, int) else 0
    except (BrokenPipeError, _ClosedPipeError):
        drop_stdout()
        return EXIT_CLOSED_PIPE
    except Stopped:
        flush_or_drop_stdout()
        raise
    except InterruptedBySignalError as stop:  # not an error: the work is saved
        if own_ranks().first:
            say(str(stop))
        return stop.exit_code
    except S2STError as error:
        flush_or_drop_stdout()
        return _fail(str(error), error.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        narrate(error.format_message())
        return 2
    except click.NoSuchOption as error:
        command = error.ctx.command.name if error.ctx else None
        better = advice(command or "", error.option_name)
        return _fail(better or _with_hint(error), 2)
    except click.UsageError as error:
        return _fail(_with_hint(error), 2)
    except click.ClickException as error:
        return _fail(_on_one_line(error.format_message()), error.exit_code)
    except click.Abort as error:  # click raises it for KeyboardInterrupt and EOFError
        return _fail_unforeseen(error.__cause__ or KeyboardInterrupt())
    except BaseException as error:
        if isinstance(error, SystemExit) and COMPLETE in os.environ:  # click has completed a word
            return int(error.code or 0)
        return _fail_unforeseen(error)


def _call(arguments: list[str] | None) -> object:
    """Call click. An error that a stop signal led to, through a library, becomes Stopped again."""
    try:
        return main.main(args=arguments, prog_name="s2st", standalone_mode=False)
    except Exception as error:
        if raised_for():
            raise Stopped(raised_for()) from error
        raise


def _fail_unforeseen(error: BaseException) -> int:
    """Print one line and return the exit code for exceptions that s2st does not raise itself."""
    flush_or_drop_stdout()
    if os.environ.get("S2ST_TRACEBACK"):
        raise error
    if is_out_of_memory(error):
        remedy = "lower --batch-size, --max-tokens, --max-rows, --threads or --workers"
        if isinstance(error, ImportError):
            remedy = "a library cannot be loaded; allow more (ulimit -v)"
        return _fail(f"out of memory; {remedy}", 1)
    place = plugin_place(error)
    if place is not None:
        where = f"plugin {place.module} ({place})"
        return _fail(f"{where}: {describe_error(error)}; set S2ST_TRACEBACK=1 for details", 1)
    if isinstance(error, KeyboardInterrupt):
        return _fail("interrupted", 130)
    if isinstance(error, OSError):
        where = f"{os.fsdecode(error.filename)}: " if error.filename else ""
        return _fail(f"{where}{error.strerror or error}", 74)
    plugins = ", ".join(loaded_plugins())
    whose = f"s2st or in a plugin ({plugins})" if plugins else "s2st"
    return _fail(
        f"internal error: {describe_error(error)} "
        f"(a bug in {whose}; set S2ST_TRACEBACK=1 for details)",
        1,
    )


def _with_hint(error: click.UsageError) -> str:
    hint = f" (see `{error.ctx.command_path} --help`)" if error.ctx else ""
    return _on_one_line(error.format_message()) + hint


def _on_one_line(text: str) -> str:
    """Join the lines of a message from click."""
    return " ".join(text.split())
