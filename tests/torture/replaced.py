"""A row of checkpoints that are read while a training replaces them as fast as it can.

python tests/torture/replaced.py RUN      what the other process does, until it is killed
"""

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
if __name__ == "__main__":
    sys.path[:0] = [str(HERE.parent / "faults"), str(HERE.parent), str(HERE.parents[1])]

import torch  # noqa: E402
from rotten import make_run, make_store  # noqa: E402

from s2st.models.model_files import SavedModel, read_saved  # noqa: E402
from s2st.training.checkpoint import RunIdentity, TrainingState  # noqa: E402
from s2st.training.checkpoint_folder import CheckpointFolder  # noqa: E402

READS, SHORT_READS = 525, 28
KEPT = 2
FAULT = "checkpoint read while a training replaces it"


def read_beside(setting):  # type: ignore[no-untyped-def]
    """Commands that read links, and the last numbered folders; a case is a command."""
    from report import Row

    count = SHORT_READS if setting.short else READS
    store = make_store(setting.folder)
    run = setting.folder / "run"
    make_run(run, store, (1, 2))
    (setting.folder / "lines").write_text("a b\nc\n")
    commands = list(_commands(run, setting.folder))
    survived = seen = 0
    with _replacing(run):
        for number in range(count):
            name, *arguments = commands[number % len(commands)]
            release = setting.folder / "release"
            shutil.rmtree(release, ignore_errors=True)
            before = _newest(run)
            outcome = setting.warm.run(name, *arguments)
            seen += _newest(run) != before
            good = outcome.code == 0 and not outcome.errors
            survived += good
            if not good:
                print(f"{name} {arguments}: exit {outcome.code}: {outcome.err}", file=sys.stderr)
    print(f"replaced meanwhile: {seen} of {count} times", file=sys.stderr)
    return Row(FAULT, count, survived, count - survived)


def _commands(run: Path, folder: Path) -> Iterator[list[object]]:
    best, last, release = run / "checkpoint_best", run / "checkpoint_last", folder / "release"
    small = ["--threads", "1", "-o", "/dev/null", "--search", "greedy"]
    yield ["inspect", best]
    yield ["inspect", "--verify", last]
    yield ["export", best, release]
    yield ["average", best, last, "-o", release]
    yield ["average", run, "--last", KEPT, "-o", release]
    yield ["generate", "--checkpoint", best, folder / "lines", *small]
    yield ["generate", "--checkpoint", best, "--checkpoint", last, folder / "lines", *small]


def _newest(run: Path) -> str:
    with contextlib.suppress(OSError):
        return str((run / "checkpoint_last").readlink())
    return ""


@contextlib.contextmanager
def _replacing(run: Path) -> Iterator[None]:
    process = subprocess.Popen([sys.executable, __file__, str(run)])
    try:
        yield
        assert process.poll() is None, "the other process has ended"
    finally:
        process.kill()
        process.wait()


def replace_for_ever(run: Path) -> None:
    """Saves update after update, some of them twice, the last two of them kept."""
    saved: SavedModel = read_saved(run / "checkpoint_last")
    folder = CheckpointFolder(run, KEPT)
    model = saved.load(torch.device("cpu"))
    identity = RunIdentity({"lr": 0.1}, "data")
    update = 2
    while True:
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.001)
        update += 1
        for _ in range(1 + update % 3 // 2):
            state = TrainingState(update, best_update=update, best_nll=2.5)
            folder.save(saved.record, model.state_dict(), {}, state, identity)


if __name__ == "__main__":
    replace_for_ever(Path(sys.argv[1]))
