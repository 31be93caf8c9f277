"""Import of torch with the garbage collector off, after a check of the memory limit.

The collector would scan all of torch's objects and free none. OpenBLAS (numpy) ends the process
when it gets no memory, so s2st checks the limit first. OpenMP reads its environment when its
library is loaded, so s2st sets the waiting policy before.
"""

import gc
import os
import sys
from collections.abc import MutableMapping

from s2st.errors import OutOfMemoryError

SPACE_OF_NUMPY = 256 << 20  # bytes of address space for numpy on two cores, with a margin
SPACE_OF_TORCH = 768 << 20
# what users set to choose how idle OpenMP threads wait: the standard's, GNU's, LLVM's and Intel's
WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
SPINS = 2000  # of GNU's library before a thread sleeps: longer than between most parallel loops


def import_torch() -> None:
    """Import torch; exempt its objects, which live until the end, from garbage collection."""
    if "torch" in sys.modules:
        return
    check_space(SPACE_OF_TORCH)
    enabled = gc.isenabled()  # a program that uses the library may have switched it off
    set_waiting_policy()
    gc.disable()
    try:
        import torch  # noqa: F401
    finally:
        gc.freeze()
        if enabled:
            gc.enable()


def set_waiting_policy(environment: MutableMapping[str, str] = os.environ) -> None:
    """Let idle OpenMP threads sleep after a short spin, unless the user has chosen.

    Beside other busy processes, a spinning thread takes CPU time from the thread that it waits for;
    on an idle machine, a sleeping thread wakes late. GNU's library obeys GOMP_SPINCOUNT, the others
    obey OMP_WAIT_POLICY.
    """
    if not any(name in environment for name in WAITING):
        environment.update(OMP_WAIT_POLICY="passive", GOMP_SPINCOUNT=str(SPINS))


def check_space(needed: int) -> None:
    """Raise OutOfMemoryError if the limit of the address space is below `needed` bytes."""
    try:
        import resource
    except ImportError:  # Windows
        return
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit < needed:
        raise OutOfMemoryError(
            f"memory is limited to {limit >> 20} MiB (ulimit -v), too little to load the "
            f"libraries; allow at least {needed >> 20} MiB"
        )
