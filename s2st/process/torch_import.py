"""Bringing in the large libraries: without the garbage collector, and with room for them.

The collector would look through all of torch in vain. numpy's OpenBLAS ends the process by itself
where it has no room, so that is looked at before.
"""

import gc
import sys

from s2st.errors import OutOfMemoryError

SPACE_OF_NUMPY = 256 << 20  # bytes of addresses that numpy takes on two cores, with some spare
SPACE_OF_TORCH = 768 << 20


def import_torch() -> None:
    """Imports torch, whose objects the collector then leaves alone: they live until the end."""
    if "torch" in sys.modules:
        return
    check_space(SPACE_OF_TORCH)
    gc.disable()
    try:
        import torch  # noqa: F401
    finally:
        gc.freeze()
        gc.enable()


def check_space(needed: int) -> None:
    """Raises OutOfMemoryError where the process may not have so many bytes of addresses."""
    try:
        import resource
    except ImportError:  # Windows
        return
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit < needed:
        raise OutOfMemoryError(
            f"the memory is limited to {limit >> 20} MiB (ulimit -v), too little to load the "
            f"libraries; allow at least {needed >> 20} MiB"
        )
