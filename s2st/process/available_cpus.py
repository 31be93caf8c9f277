"""Number of CPUs that this process can use: affinity, quotas of control groups, ranks per machine.

A container limits its processes by a quota of CPU time, which the number of cores does not show.
More threads than that share of the machine make every parallel product wait for a thread that the
kernel has stopped.
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from s2st.process.ranks import read_ranks

CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUPS = Path("/proc/self/cgroup")
V1_FOLDERS = ("cpu", "cpu,cpuacct", "cpuacct,cpu")
THREADS = "OMP_NUM_THREADS"


def default_threads(current: int, environment: Mapping[str, str] = os.environ) -> int:
    """Return the number of threads of a job without `--threads`.

    The ranks of a machine share its CPUs. `OMP_NUM_THREADS` counts, and so does a smaller number
    that the caller has given torch. torchrun sets the variable to 1 if the user did not; such a 1
    does not count.

    Args:
        current: torch's number of threads.
        environment: the environment variables.

    Raises:
        UsageError: torchrun's variables contradict each other.
    """
    ranks = read_ranks(environment)
    chosen = bool(environment.get(THREADS))
    by_torchrun = chosen and ranks.size > 1 and _set_by_parent()
    if chosen and not by_torchrun:
        return current
    share = max(1, available_cpus() // ranks.local_size)
    return share if by_torchrun else min(current, share)


def available_cpus(groups: Path = CGROUPS, own: Path = OWN_CGROUPS) -> int:
    """Return the number of CPUs of the affinity mask, or the quota of CPU time if that is less.

    A quota of 1.5 CPUs counts as 2: two threads use all of it, one cannot.

    Args:
        groups: the folder where control groups are mounted.
        own: the file that names the control groups of this process.
    """
    counts = [_affinity()]
    for quota in _quotas(groups, own):
        counts.append(max(1, -int(-quota // 1)))
    return min(counts)


def _affinity() -> int:
    if hasattr(os, "process_cpu_count"):  # from Python 3.13 on; also honors PYTHON_CPU_COUNT
        return os.process_cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quotas(groups: Path, own: Path) -> Iterator[float]:
    """Yield the quotas, in CPUs, of the groups of this process and of all groups above them."""
    with contextlib.suppress(OSError, ValueError):
        lines = own.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        for line in lines:
            _, controllers, path = line.split(":", 2)
            if not controllers:  # version 2
                yield from _walk(groups, path, _version_2)
            elif "cpu" in controllers.split(","):
                for folder in V1_FOLDERS:
                    yield from _walk(groups / folder, path, _version_1)


def _walk(root: Path, path: str, read: Callable[[Path], float | None]) -> Iterator[float]:
    """Yield the quotas from the group `path` up to the root.

    Inside a container the path can be that of the host, which is not mounted. Then only the root,
    the container's own group, has files.
    """
    parts = [part for part in path.split("/") if part and part != ".."]
    for length in range(len(parts), -1, -1):
        with contextlib.suppress(OSError, ValueError, ZeroDivisionError):
            quota = read(root.joinpath(*parts[:length]))
            if quota is not None and quota > 0:
                yield quota


def _version_2(group: Path) -> float | None:
    """Return the quota in CPUs; None without one. Raises OSError or ValueError."""
    quota, period = (group / "cpu.max").read_text(encoding="ascii").split()
    return None if quota == "max" else int(quota) / int(period)


def _version_1(group: Path) -> float | None:
    """Return the quota in CPUs; None without one. Raises OSError or ValueError."""
    quota = int((group / "cpu.cfs_quota_us").read_text(encoding="ascii"))  # -1: none
    period = int((group / "cpu.cfs_period_us").read_text(encoding="ascii"))
    return None if quota < 0 else quota / period


def _set_by_parent(processes: Path = Path("/proc")) -> bool:
    """Whether the parent, torchrun, set `OMP_NUM_THREADS`: it was started without the variable.

    Where this cannot be found out, the value counts as the user's.
    """
    try:
        first = (processes / str(os.getppid()) / "environ").read_bytes()
    except OSError:
        return False
    return not any(entry.startswith(f"{THREADS}=".encode()) for entry in first.split(b"\0"))
