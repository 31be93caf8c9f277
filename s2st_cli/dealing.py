"""What the commands that torchrun may start several times share: their rank, the job's folder."""

import contextlib
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s2st import durable
from s2st.components import Resolved
from s2st.device import ScoringDeviceConfig, environment
from s2st.errors import UsageError
from s2st.pipelines.options import ModelsConfig
from s2st.ranks import Ranks, ranks
from s2st_cli.progress import DealtProgress

if TYPE_CHECKING:
    import torch

    from s2st.pipelines.dealt import Parts


def join_ranks(inputs: Sequence[str], output: str) -> Ranks:
    """This process among those of the job; of several, one does the warning about the input.

    Raises:
        UsageError: there are several, and an input or the output is no file.
    """
    own = ranks()
    if own.size > 1:
        streams = [path for path in inputs if path == "-" or _is_stream(path)]
        if streams or output == "-" or _is_stream(output):
            raise UsageError(
                f"{own.size} processes need files, INPUT and --output-file: one that is started "
                "again has to read again, and standard input and output cannot be dealt"
            )
        if not own.first:  # every rank reads all of the input, and would say the same of it
            logging.getLogger("s2st").setLevel(logging.ERROR)
    return own


def _is_stream(path: str) -> bool:
    return os.path.exists(path) and not os.path.isfile(path)


def models_identity(options: Resolved, device: "torch.device") -> dict[str, Any]:
    """What the scores of the command's models depend on, beside their input."""
    from s2st.scoring.build import fingerprints

    models = options.config(ModelsConfig)
    return {
        "checkpoints": fingerprints(models.paths()),
        "--ensemble-weight": models.ensemble_weight,
        "--ensemble-mode": models.ensemble_mode,
        "--precision": options.config(ScoringDeviceConfig).precision,
        **environment(device),
    }


@contextlib.contextmanager
def open_parts(
    own: Ranks, output: str, identity: Mapping[str, Any], inputs: Mapping[str, str], total: int
) -> Iterator["Parts"]:
    """The folder of a job over several ranks; rank 0 removes it when the context ends well.

    All ranks wait for each other at the end of it.

    Args:
        own: this rank.
        output: the file that rank 0 will write.
        identity: what the pieces depend on, beside the content of the inputs.
        inputs: how each input is called, and its file.
        total: lines to be answered, for progress.
    """
    from s2st.pipelines.dealt import Parts

    contents = {name: durable.sha256_of(Path(path)) for name, path in inputs.items()}
    with DealtProgress(own, total) as progress:
        tell = progress.tell if own.first else None
        parts = Parts(Path(output), {**identity, **contents}, tell)
        finished = False
        with parts.job:
            try:
                yield parts
                finished = True
            finally:
                parts.close(remove=finished and own.first)
