"""Several processes that form a group by gloo, for the tests of what ranks compute together."""

import importlib.util
import os
import subprocess
import sys
import traceback
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist

SECONDS = 200  # longer, and a test would rather fail than wait
TESTS = Path(__file__).parent


def run_ranks(script: str, count: int, folder: Path) -> None:
    """Runs `worker(RANK, COUNT, FOLDER)` of a file in a process for each rank, which have joined.

    One process imports the file and forks the ranks, so that torch is loaded once.

    Raises:
        AssertionError: a rank failed; the message has the errors of all.
    """
    paths = [str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, __file__, script, str(count), str(folder)]
    with subprocess.Popen(
        command, env=environment, cwd=TESTS.parent, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    ) as process:  # fmt: skip
        try:
            _, errors = process.communicate(timeout=SECONDS)
        except BaseException:
            os.killpg(process.pid, 9)  # the ranks too
            raise
    assert process.returncode == 0, errors[-6000:]


def join(rank: int, count: int, folder: Path) -> None:
    """Joins the group in the process of a rank."""
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/group", rank=rank, world_size=count,
        timeout=timedelta(seconds=SECONDS),
    )  # fmt: skip


def load(script: Path) -> Callable[[int, int, Path], None]:
    """The function `worker` of a test file."""
    sys.path.insert(0, str(script.parent))
    spec = importlib.util.spec_from_file_location(script.stem, script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[script.stem] = module
    spec.loader.exec_module(module)
    worker: Callable[[int, int, Path], None] = module.worker
    return worker


def launch(script: Path, count: int, folder: Path) -> int:
    """Forks the ranks and waits for them; how many failed."""
    torch.set_num_threads(1)  # and no threads before the fork: the ranks could not use them
    worker = load(script)
    children = []
    for rank in range(count):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                join(rank, count, folder)
                worker(rank, count, folder)
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(code)
        children.append(child)
    return sum(os.waitpid(child, 0)[1] != 0 for child in children)


if __name__ == "__main__":
    sys.exit(launch(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])))
