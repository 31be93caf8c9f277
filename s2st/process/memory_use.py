"""Memory that this process uses on a device, and how much it can have in all.

On a CPU this is the resident memory of the process; on a GPU, what torch has reserved there.
Functions import torch themselves, because `--help` must not import it.
"""

import contextlib
import ctypes
import sys
from typing import TYPE_CHECKING

from s2st.process.device import memory_limit

if TYPE_CHECKING:
    import torch

STATUS, REFERENCES, MEMORY = "/proc/self/status", "/proc/self/clear_refs", "/proc/meminfo"
RESET_PEAK = "5"  # to clear_refs: the peak becomes the present size (man 5 proc)


class MemoryUse:
    """Peak memory of this process on a device.

    Args:
        device: the CPU or a GPU.
        sharers: number of processes on this machine that share the free memory of a CPU. Each
            process has a GPU of its own.
    """

    def __init__(self, device: "torch.device", sharers: int = 1) -> None:
        self._device = device
        self._sharers = sharers

    def reset_peak(self) -> None:
        """Free unused memory and forget earlier peaks, where the system allows it."""
        if self._device.type == "cuda":
            import torch

            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self._device)
            return
        # glibc keeps freed memory (`keep_freed_pages`), which would hide the growth of a batch
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL("libc.so.6").malloc_trim(0)
        with contextlib.suppress(OSError), open(REFERENCES, "w", encoding="ascii") as stream:
            stream.write(RESET_PEAK)

    def peak(self) -> int:
        """Return the largest number of bytes in use since `reset_peak`, 0 if unknown."""
        if self._device.type == "cuda":
            import torch

            return int(torch.cuda.max_memory_reserved(self._device))
        found = _kibibytes(STATUS, "VmHWM")
        if found is None:
            with contextlib.suppress(ImportError):
                import resource

                unit = 1 if sys.platform == "darwin" else 1024
                found = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
        return found or 0

    def available(self) -> int:
        """Return the bytes this process can have in all, those in use included."""
        if self._device.type == "cuda":
            import torch

            unused, _ = torch.cuda.mem_get_info(self._device)
            return int(unused + torch.cuda.memory_reserved(self._device))
        own, free = _kibibytes(STATUS, "VmRSS"), _kibibytes(MEMORY, "MemAvailable")
        limit = memory_limit() // self._sharers
        if own is None or free is None:
            return limit
        return min(limit, own + free // self._sharers)


def _kibibytes(path: str, name: str) -> int | None:
    """Return the bytes in a line such as "VmRSS:  1024 kB" of a file; None if it has no such."""
    try:
        with open(path, encoding="ascii", errors="replace") as stream:
            lines = [line.split() for line in stream if line.startswith(f"{name}:")]
        return int(lines[0][1]) * 1024
    except (OSError, ValueError, IndexError):
        return None
