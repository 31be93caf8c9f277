"""Devices, number formats and threads: what the machine offers, and what the user asked for.

torch is imported inside the functions: this module is imported for `--help` too.
"""

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from s2st.errors import OutOfMemoryError, UsageError
from s2st.options.config import option
from s2st.process.ranks import ranks

if TYPE_CHECKING:
    import torch

# of control groups, version 2 and 1
CONTAINER_LIMITS = (
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
)
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # glibc's malloc.h


@dataclass(frozen=True)
class DeviceConfig:
    """Where and in which numbers to compute."""

    device: str = option(
        "auto", "auto takes a GPU if there is one", choices=("auto", "cpu", "cuda")
    )
    precision: str = option(
        "float32",
        "number format of the matrix products; bfloat16 pays on GPUs only",
        choices=("float32", "bfloat16"),
    )
    threads: int | None = option(
        None, "CPU threads; all cores when left out", minimum=1, maximum=1024
    )


@dataclass(frozen=True)
class ScoringDeviceConfig(DeviceConfig):
    """Where and in which numbers to compute without training."""

    precision: str = option(
        "float32",
        "number format of the matrix products; int8 is the fast one on CPUs, bfloat16 on GPUs",
        choices=("float32", "bfloat16", "int8"),
    )


def setup_device(config: DeviceConfig) -> "torch.device":
    """Picks the device and sets threads and the allocator; raises UsageError if it is missing."""
    import torch

    keep_freed_pages()
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    if config.device == "cuda" and not torch.cuda.is_available():
        raise UsageError("--device cuda: torch finds no GPU here; use --device cpu or auto")
    if config.device == "cuda" or (config.device == "auto" and torch.cuda.is_available()):
        own = ranks()
        return torch.device("cuda") if own.size == 1 else _own_gpu(own.local_rank)
    return torch.device("cpu")


def _own_gpu(number: int) -> "torch.device":
    """The GPU of one of a machine's processes; raises UsageError if there are too few."""
    import torch

    count = torch.cuda.device_count()
    if number >= count:
        raise UsageError(
            f"process {number + 1} of this machine finds {count} GPU(s): start that many by "
            "--nproc-per-node, or use --device cpu"
        )
    torch.cuda.set_device(number)  # nccl's own choice too
    return torch.device("cuda", number)


def environment(device: "torch.device") -> dict[str, str]:
    """What the last bits of a result depend on, beside seeds and options; for the record."""
    import torch

    name = "cpu"
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    return {
        "torch": torch.__version__,
        "threads": str(torch.get_num_threads()),
        "device": name,
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "oneDNN": str(torch.backends.mkldnn.enabled),
    }


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out: Python's own error, one of torch's several, or of the system."""
    texts = (
        "memory", "bad_alloc", "Failed to allocate",
        "failed to map segment",  # of a library that is loaded
        "can't start new thread",
        "size calculation overflowed", "integer multiplication overflow",  # torch, of storage
    )  # fmt: skip
    return isinstance(error, MemoryError) or any(text in str(error) for text in texts)


def memory_limit() -> int:
    """Bytes of memory that this process can have at most: of the machine, the container, ulimit."""
    found = [sys.maxsize]
    with contextlib.suppress(OSError, ValueError, AttributeError):
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for path in CONTAINER_LIMITS:
        with contextlib.suppress(OSError, ValueError), open(path, encoding="ascii") as stream:
            found.append(int(stream.read()))  # "max" where there is no limit
    with contextlib.suppress(ImportError):
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit != resource.RLIM_INFINITY:
            found.append(limit)
    return min(found)


@contextlib.contextmanager
def naming_memory(what: str) -> Iterator[None]:
    """Where memory runs out here, raises OutOfMemoryError that says what it ran out over."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemoryError(
            f"{what}: out of memory; split long lines, or put fewer together (--batch-size, "
            "--max-rows)"
        ) from error


def autocast(device: "torch.device", precision: str) -> "contextlib.AbstractContextManager[None]":
    """A context in which matrix products run in the asked format."""
    import torch

    if precision != "bfloat16" or not has_bfloat16(device):
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


def has_bfloat16(device: "torch.device") -> bool:
    """Whether products can be made in bfloat16: on CPUs it takes instructions (AVX512)."""
    import torch

    if device.type != "cpu":
        return True
    supported = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    return supported is not None and bool(supported())


def keep_freed_pages() -> None:
    """Tells glibc to keep large freed blocks: returning them costs page faults every update."""
    if not sys.platform.startswith("linux") or "MALLOC_MMAP_THRESHOLD_" in os.environ:
        return
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(M_MMAP_THRESHOLD, 1 << 30)
        libc.mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1)
