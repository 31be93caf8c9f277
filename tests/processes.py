"""Several processes that form a group by gloo, for the tests of what ranks compute together."""

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import torch.distributed as dist

SECONDS = 200  # longer, and a test would rather fail than wait
TESTS = Path(__file__).parent


def run_ranks(script: str, count: int, folder: Path) -> None:
    """Runs `python SCRIPT RANK COUNT FOLDER` for all ranks; fails with the first one's error."""
    paths = [str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(paths)}
    started = [
        subprocess.Popen(
            [sys.executable, script, str(rank), str(count), str(folder)],
            env=environment, cwd=TESTS.parent, stderr=subprocess.PIPE, text=True,
        )
        for rank in range(count)
    ]  # fmt: skip
    errors = []
    try:
        for process in started:
            _, text = process.communicate(timeout=SECONDS)
            errors.append(text if process.returncode else "")
    finally:
        for process in started:
            process.kill()
            process.wait()
    assert not any(errors), "\n".join(errors)[-6000:]


def join(arguments: list[str]) -> tuple[int, int, Path]:
    """In such a process: joins the group; (rank, count, folder)."""
    rank, count, folder = int(arguments[0]), int(arguments[1]), Path(arguments[2])
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/group", rank=rank, world_size=count,
        timeout=timedelta(seconds=SECONDS),
    )  # fmt: skip
    return rank, count, folder
