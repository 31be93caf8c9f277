"""The program `s2st`: a group whose subcommands are imported when they are called.

Every error a user can cause ends here as one line on stderr and an exit code.
"""

import contextlib
import logging
import os
import sys

import click

from s2st import __version__
from s2st.device import is_out_of_memory
from s2st.errors import InterruptedBySignalError, S2STError, UsageError
from s2st.interrupt import Stopped, broken_off
from s2st.ranks import Ranks, ranks
from s2st_cli import streams
from s2st_cli.lazy import LazyGroup

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

    def invoke(self, ctx: click.Context) -> object:
        """Runs the subcommand."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise _ClosedPipeError from error


class _ClosedPipeError(Exception):
    """The reader of stdout went away (`| head -1`)."""


@click.command(cls=_Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="s2st")
def main() -> None:
    """Sequence-to-sequence translation: LSTMs, ensembles, SMT n-best rescoring.

    Data goes to stdout, everything else to stderr. `s2st COMMAND --help` tells more.
    """


class _Formatter(logging.Formatter):
    """`s2st: text`, with the level where it is a warning."""

    def format(self, record: logging.LogRecord) -> str:
        level = "warning: " if record.levelno == logging.WARNING else ""
        return f"{_name()}: {level}{record.getMessage()}"


def _name() -> str:
    """What a line begins with: the program, and which of torchrun's processes if not the first."""
    own = _ranks()
    return "s2st" if own.first else f"s2st: rank {own.rank}"


def _ranks() -> Ranks:
    try:
        return ranks()
    except UsageError:  # told by whoever needs it
        return Ranks()


class _StderrHandler(logging.Handler):
    """Writes to whatever sys.stderr is now: a progress bar stands in for it while it is shown.

    A warning is said once, though a file that is read twice gives it twice.
    """

    def __init__(self) -> None:
        super().__init__()
        self._warned: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        if record.levelno == logging.WARNING:
            if text in self._warned:
                return
            self._warned.add(text)
        with contextlib.suppress(OSError, ValueError):
            print(text, file=sys.stderr, flush=True)


def _set_up_logging() -> None:
    handler = _StderrHandler()
    handler.setFormatter(_Formatter())
    logger = logging.getLogger("s2st")
    logger.handlers[:] = [handler]
    logger.setLevel(logging.INFO if _ranks().first else logging.WARNING)
    logger.propagate = False


def _fail(message: str, code: int) -> int:
    one_line = " ".join(message.split())
    _say(f"error: {one_line}")
    return code


def _say(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        print(f"{_name()}: {text}", file=sys.stderr, flush=True)


def _drop_stdout() -> None:
    """Keeps the interpreter's own flush at exit from failing on a stdout that is gone."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def run(arguments: list[str] | None = None) -> int:
    """Runs the program and returns its exit code; of what a user can cause it raises Stopped only.

    A signal raises that where its handlers are installed.
    """
    _set_up_logging()
    streams.prepare()
    try:
        result = _run(arguments)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except (BrokenPipeError, _ClosedPipeError):
        _drop_stdout()
        return EXIT_CLOSED_PIPE
    except Stopped:
        _drop_broken_stdout()
        raise
    except InterruptedBySignalError as stop:  # no error: the work was saved
        if _ranks().first:
            _say(str(stop))
        return stop.exit_code
    except S2STError as error:
        _drop_broken_stdout()
        return _fail(str(error), error.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.format_message(), file=sys.stderr)
        return 2
    except click.UsageError as error:
        hint = f" (see `{error.ctx.command_path} --help`)" if error.ctx else ""
        return _fail(error.format_message() + hint, 2)
    except click.ClickException as error:
        return _fail(error.format_message(), error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        _drop_broken_stdout()
        return _fail("interrupted", 130)
    except OSError as error:
        _drop_stdout()
        where = f"{error.filename}: " if error.filename else ""
        return _fail(f"{where}{error.strerror or error}", 74)
    except Exception as error:
        if os.environ.get("S2ST_TRACEBACK"):
            raise
        if is_out_of_memory(error):
            mend = "lower --batch-size, --max-tokens, --max-rows, --threads or --workers"
            if isinstance(error, ImportError):
                mend = "a library cannot be loaded; allow more (ulimit -v)"
            return _fail(f"out of memory; {mend}", 1)
        text = f"internal error: {type(error).__name__}: {error}"
        return _fail(f"{text} (a defect of s2st; S2ST_TRACEBACK=1 shows where)", 1)


def _run(arguments: list[str] | None) -> object:
    """Runs the program; an error that a signal led to, through a library, is that signal's end."""
    try:
        return main.main(args=arguments, prog_name="s2st", standalone_mode=False)
    except Exception as error:
        if broken_off():
            raise Stopped(broken_off()) from error
        raise


def _drop_broken_stdout() -> None:
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        _drop_stdout()
