"""What the scoring jobs share: their ranks, their identity, and the work queue that fits both.

Importable without torch.
"""

import contextlib
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s2st.errors import UsageError
from s2st.jobs.options import ModelsConfig
from s2st.options.resolution import Resolved
from s2st.process import durable_files
from s2st.process.device import ScoringDeviceConfig, environment
from s2st.process.ranks import Ranks, RanksConfig, ranks
from s2st.text.line_files import read_lines

if TYPE_CHECKING:
    import torch

    from s2st.jobs.progress import Progress
    from s2st.jobs.work_queue import WorkQueue


@dataclass(frozen=True)
class JobFiles:
    """The files of a scoring job.

    Attributes:
        inputs: option or argument -> file, "-" for standard input; their content is part of the
            job's identity.
        output: the file that the job writes, or "-".
    """

    inputs: Mapping[str, str]
    output: str

    @property
    def lasting(self) -> bool:
        """Whether a later run can read the inputs again and write the output anew."""
        folder = os.path.dirname(self.output) or "."
        output = self.output != "-" and not _is_special(self.output) and os.access(folder, os.W_OK)
        return output and not any(map(_is_special, self.inputs.values()))

    def check_resume(self) -> None:
        """Raises UsageError where `--resume` cannot work with these files."""
        if self.output == "-" or _is_special(self.output):
            raise UsageError("--resume needs an --output-file that is a file")
        for name, path in self.inputs.items():
            if _is_special(path):
                raise UsageError(f"--resume needs an {name} that can be read again from its start")

    def join_ranks(self) -> Ranks:
        """This process among those of the job; only one of them warns about the input.

        Raises:
            UsageError: there are several, and an input or the output is no file.
        """
        own = ranks()
        if own.size > 1:
            special = any(map(_is_special, [*self.inputs.values(), self.output]))
            if special:
                raise UsageError(
                    f"{own.size} processes need files, INPUT and --output-file: they cannot share "
                    "standard input and output"
                )
            if not own.first:  # every rank reads all of the input, and would warn of the same
                logging.getLogger("s2st").setLevel(logging.ERROR)
        return own


def refuse_shared_stdin(*paths: str) -> None:
    """Raises UsageError if more than one of the inputs is "-"."""
    if paths.count("-") > 1:
        raise UsageError("only one input can be standard input (-)")


def _is_special(path: str) -> bool:
    """Whether a path is a stream or device rather than a file, or the name of a new file."""
    return path == "-" or (os.path.exists(path) and not os.path.isfile(path))


def require_checkpoints(models: ModelsConfig) -> list[str]:
    """The checkpoints named; raises UsageError if there is none."""
    paths = models.paths()
    if not paths:
        raise UsageError("no model: --checkpoint FOLDER is needed")
    return paths


def models_identity(options: Resolved, device: "torch.device") -> dict[str, Any]:
    """What the scores of a job's models depend on, beside their input."""
    from s2st.scoring.load_scorers import fingerprints

    models = options.config(ModelsConfig)
    return {
        "checkpoints": fingerprints(models.paths()),
        "--ensemble-weight": models.ensemble_weight,
        "--ensemble-mode": models.ensemble_mode,
        "--precision": options.config(ScoringDeviceConfig).precision,
        **environment(device),
    }


def count_lines(path: str, errors: str = "strict") -> int:
    """Lines of a file."""
    return sum(1 for _ in read_lines(path, errors))


@contextlib.contextmanager
def open_queue(
    files: JobFiles,
    own: Ranks,
    options: Resolved,
    identity: Mapping[str, Any],
    resume: bool,
    progress: "Progress",
    count: Callable[[], int],
) -> Iterator["WorkQueue"]:
    """The work queue of a job; its folder is removed where the context ends well.

    Ranks that have met wait for each other at the end of the context.

    Args:
        files: of the job.
        own: this rank.
        options: of the job; they hold `--rank-timeout`.
        identity: what the results depend on, beside the content of the inputs.
        resume: whether to go on with the results of a stopped run.
        progress: shows the lines that several ranks have finished.
        count: returns the lines that the job will answer.

    Raises:
        UsageError, OutputError: as `FolderQueue`.
    """
    from s2st.jobs.folder_queue import FolderQueue
    from s2st.jobs.progress import LineMeter
    from s2st.jobs.work_queue import WorkQueue

    if not files.lasting and own.size == 1:
        yield WorkQueue(own)
        return
    contents = {name: durable_files.sha256_of(Path(path)) for name, path in files.inputs.items()}
    watched = own.size > 1 and own.first
    meter = LineMeter(own, progress)
    timeout = options.config(RanksConfig).rank_timeout
    queue = FolderQueue(
        Path(files.output), {**identity, **contents}, resume, own, timeout,
        meter.update if watched else None,
    )  # fmt: skip
    finished = False
    with queue.group:
        try:
            if watched:
                meter.start(count(), queue.resumed)
            yield queue
            finished = True
        finally:
            if watched:
                progress.stop(meter.summary() if finished else None)
            queue.close(finished)
