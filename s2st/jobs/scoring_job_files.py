"""Setup shared by the jobs generate, score and rescore-nbest: files, ranks, identity, work queue.

The module does not import torch at its top.
"""

import contextlib
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s2st.errors import DataError, UsageError
from s2st.jobs.options import ModelsConfig
from s2st.options.resolution import Resolved
from s2st.process import durable_files
from s2st.process.device import ScoringDeviceConfig, environment
from s2st.process.ranks import Ranks, RanksConfig, read_ranks
from s2st.text.line_files import read_lines

if TYPE_CHECKING:
    import torch

    from s2st.jobs.progress import Progress
    from s2st.jobs.work_queue import WorkQueue
    from s2st.scoring.base import Scorer


@dataclass(frozen=True)
class JobFiles:
    """The files of a job.

    Attributes:
        inputs: option or argument -> file, "-" for standard input. The content of the files is
            part of the job's identity.
        output: the file that the job writes, "-" for standard output.
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
        """Check that `--resume` is possible with these files; raise UsageError if not."""
        if self.output == "-" or _is_special(self.output):
            raise UsageError("--resume needs an --output-file that is a regular file")
        for name, path in self.inputs.items():
            if _is_special(path):
                raise UsageError(f"--resume needs a regular file as {name}, to read it again")

    def join_ranks(self) -> Ranks:
        """Return this process among the ranks of the job; ranks above 0 stop logging warnings.

        Raises:
            UsageError: there are several ranks, and an input or the output is not a regular file.
        """
        job_ranks = read_ranks()
        if job_ranks.size > 1:
            special = any(map(_is_special, [*self.inputs.values(), self.output]))
            if special:
                raise UsageError(
                    f"{job_ranks.size} processes need regular files as INPUT and --output-file: "
                    "they cannot share standard input and output"
                )
            if not job_ranks.first:  # every rank reads the whole input and has the same warnings
                logging.getLogger("s2st").setLevel(logging.ERROR)
        return job_ranks


def refuse_shared_stdin(*paths: str) -> None:
    """Raise UsageError if more than one of the inputs is "-"."""
    if paths.count("-") > 1:
        raise UsageError("only one input can be standard input (-)")


def _is_special(path: str) -> bool:
    """Whether a path is a stream or device, and neither a regular file nor a new name."""
    return path == "-" or (os.path.exists(path) and not os.path.isfile(path))


def vector_inputs(path: str) -> dict[str, str]:
    """Return the files of `--source-vectors` for JobFiles: a file, or both files of a folder.

    Raises:
        InputMissingError, DataError: they are missing, or not vectors.
    """
    from s2st.text.vector_files import open_vectors

    open_vectors(path)
    if not os.path.isdir(path):
        return {"--source-vectors": path}
    return {
        f"--source-vectors {name}": os.path.join(path, name)
        for name in ("values.npy", "lengths.npy")
    }


def source_inputs(source: str | None, vectors: str | None) -> dict[str, str]:
    """Return the file of `--source` or the files of `--source-vectors` for JobFiles.

    Returns:
        option -> file; empty if the user gives neither.

    Raises:
        UsageError: both are given.
        InputMissingError, DataError: the vectors are missing, or not vectors.
    """
    if source is not None and vectors is not None:
        raise UsageError("give --source or --source-vectors, not both")
    if vectors is not None:
        return vector_inputs(vectors)
    return {} if source is None else {"--source": source}


def source_lines(source: str, *, vectors: bool) -> Iterator[str]:
    """Yield the lines of a file of text, or of a file of vectors as lines.

    Raises:
        DataError: the file is damaged, or not vectors.
    """
    if not vectors:
        return read_lines(source)
    from s2st.text.vector_files import open_vectors

    return open_vectors(source).lines()


def check_vectors(path: str | None, scorer: "Scorer") -> None:
    """Check that a model reads the vectors of `--source-vectors`; None is no such file.

    Raises:
        UsageError: the model reads text, or nothing.
        DataError: the vectors have another size than the model's.
    """
    if path is None:
        return
    from s2st.text.vector_files import open_vectors

    expected, size = scorer.source.tokenizer.vector_size, open_vectors(path).size
    if not expected:
        raise UsageError(f"--source-vectors {path}: the model does not read vectors; give it text")
    if size != expected:
        raise DataError(
            f"vectors of size {size}, but the model reads vectors of size {expected}; compute them "
            "as for its training data",
            path,
        )


def require_checkpoints(models: ModelsConfig) -> list[str]:
    """Return the checkpoints that the options name; raise UsageError if there is none."""
    paths = models.paths()
    if not paths:
        raise UsageError("no model: give --checkpoint FOLDER")
    return paths


def models_identity(options: Resolved, device: "torch.device") -> dict[str, Any]:
    """Return everything that the models' scores depend on besides their input."""
    from s2st.scoring.load_scorers import fingerprints

    models = options.config(ModelsConfig)
    return {
        "checkpoints": fingerprints(models.paths()),
        "--ensemble-weight": models.ensemble_weight,
        "--ensemble-mode": models.ensemble_mode,
        **_named_languages(models),
        "--precision": options.config(ScoringDeviceConfig).precision,
        **environment(device),
    }


def _named_languages(models: ModelsConfig) -> dict[str, str]:
    """Return the languages that the user names, by option; an identity without them is empty."""
    named = {"--source-lang": models.source_lang, "--target-lang": models.target_lang}
    return {flag: language for flag, language in named.items() if language is not None}


def count_lines(path: str, errors: str | None = None) -> int:
    """Return the number of lines of a file; `errors` as for `read_lines`."""
    return sum(1 for _ in read_lines(path, errors))


@contextlib.contextmanager
def open_queue(
    files: JobFiles,
    ranks: Ranks,
    options: Resolved,
    identity: Mapping[str, Any],
    resume: bool,
    progress: "Progress",
    count: Callable[[], int],
) -> Iterator["WorkQueue"]:
    """Open the work queue of a job; remove its folder if the context ends without an error.

    Ranks that have met wait for each other at the end of the context.

    Args:
        files: the files of the job.
        ranks: this process among the ranks of the job.
        options: the options of the job, with `--rank-timeout`.
        identity: everything that the results depend on besides the content of the inputs.
        resume: whether to use the results of a stopped run.
        progress: receives the progress of all ranks if there are several.
        count: returns the number of lines of the job.

    Raises:
        UsageError, OutputError: see `FolderQueue`.
    """
    from s2st.jobs.folder_queue import FolderQueue
    from s2st.jobs.progress import LineMeter
    from s2st.jobs.work_queue import WorkQueue

    if not files.lasting and ranks.size == 1:
        yield WorkQueue(ranks)
        return
    contents = {name: durable_files.sha256_of(Path(path)) for name, path in files.inputs.items()}
    watched = ranks.size > 1 and ranks.first
    meter = LineMeter(ranks, progress)
    timeout = options.config(RanksConfig).rank_timeout
    queue = FolderQueue(
        Path(files.output), {**identity, **contents}, resume, ranks, timeout,
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
