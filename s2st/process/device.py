"""Choice of device, data type and threads; memory limits and out-of-memory errors.

Functions import torch themselves, because `--help` imports this module.
"""

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from s2st.errors import OutOfMemoryError, UsageError
from s2st.options.option_fields import option
from s2st.process.available_cpus import default_threads
from s2st.process.ranks import read_ranks

if TYPE_CHECKING:
    import torch

# memory limits of control groups, version 2 and 1
CONTAINER_LIMITS = (
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
)
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # glibc's malloc.h


@dataclass(frozen=True)
class PlaceConfig:
    """Device and threads of a job that always computes in float32."""

    device: str = option(
        "auto", "device; auto uses a GPU if there is one", choices=("auto", "cpu", "cuda")
    )
    threads: int | None = option(
        None,
        "number of CPU threads [default: all CPUs that affinity, container limits and other ranks "
        "on this machine leave]",
        minimum=1,
        maximum=1024,
    )


@dataclass(frozen=True)
class DeviceConfig(PlaceConfig):
    """Device, threads and data type of a job."""

    precision: str = option(
        "float32",
        "data type of matrix products; bfloat16 is faster on GPUs and on CPUs with AVX512_BF16 or "
        "AMX; auto measures both on this machine and uses bfloat16 if it is at least 1.2 times as "
        "fast; weights and states are always float32",
        choices=("float32", "bfloat16", "auto"),
    )


@dataclass(frozen=True)
class ScoringDeviceConfig(DeviceConfig):
    """Device, data type and threads of a job that does not train."""

    precision: str = option(
        "float32",
        "data type of matrix products; the fastest is int8 on CPUs and bfloat16 on GPUs",
        choices=("float32", "bfloat16", "int8"),
    )


def setup_device(config: PlaceConfig) -> "torch.device":
    """Choose the device, and set threads and allocator; raise UsageError without the device."""
    import torch

    keep_freed_pages()
    current = torch.get_num_threads()
    threads = default_threads(current) if config.threads is None else config.threads
    if threads != current:
        torch.set_num_threads(threads)
    if config.device == "cuda" and not torch.cuda.is_available():
        raise UsageError("--device cuda: torch finds no GPU here; use --device cpu or auto")
    if config.device == "cuda" or (config.device == "auto" and torch.cuda.is_available()):
        rank = read_ranks()
        return torch.device("cuda") if rank.size == 1 else _gpu_of_local_rank(rank.local_rank)
    return torch.device("cpu")


def _gpu_of_local_rank(number: int) -> "torch.device":
    """Return the GPU with the number of the local rank; raise UsageError with too few GPUs."""
    import torch

    count = torch.cuda.device_count()
    if number >= count:
        raise UsageError(
            f"process {number + 1} of this machine finds only {count} GPU(s): start as many "
            "processes with --nproc-per-node, or use --device cpu"
        )
    torch.cuda.set_device(number)  # nccl uses the current device
    return torch.device("cuda", number)


def environment(device: "torch.device") -> dict[str, str]:
    """Return what the last bits of a result depend on, besides seeds and options."""
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
    """Whether memory ran out, by the errors of Python, torch and the system."""
    texts = (
        "memory", "bad_alloc", "Failed to allocate",
        "failed to map segment",  # while loading a library
        "can't start new thread",
        "size calculation overflowed", "integer multiplication overflow",  # torch's storage
    )  # fmt: skip
    return isinstance(error, MemoryError) or any(text in str(error) for text in texts)


def memory_limit() -> int:
    """Return the bytes of memory this process can use: limit of machine, container or ulimit."""
    limits = [sys.maxsize]
    with contextlib.suppress(OSError, ValueError, AttributeError):
        limits.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for path in CONTAINER_LIMITS:
        with contextlib.suppress(OSError, ValueError), open(path, encoding="ascii") as stream:
            limits.append(int(stream.read()))  # without a limit the file says "max"
    with contextlib.suppress(ImportError):
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit != resource.RLIM_INFINITY:
            limits.append(limit)
    return min(limits)


def peak_memory(device: "torch.device") -> int | None:
    """Return the most bytes of memory in use so far: of tensors on a GPU, else of the process."""
    if device.type == "cuda":
        import torch

        return torch.cuda.max_memory_allocated(device)
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


@contextlib.contextmanager
def out_of_memory_errors(subject: str) -> Iterator[None]:
    """Turn an error caused by lack of memory into an OutOfMemoryError.

    Args:
        subject: what is being processed, for the message.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemoryError(
            f"{subject}: out of memory; split long lines, or use smaller batches (--batch-size, "
            "--max-rows)"
        ) from error


def autocast(device: "torch.device", precision: str) -> "contextlib.AbstractContextManager[None]":
    """Return a context in which matrix products use the given data type."""
    import torch

    if precision != "bfloat16" or not has_bfloat16(device):
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


def has_bfloat16(device: "torch.device") -> bool:
    """Whether the device can multiply in bfloat16; a CPU needs AVX512 instructions."""
    import torch

    if device.type != "cpu":
        return True
    supported = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    return supported is not None and bool(supported())


def keep_freed_pages() -> None:
    """Make glibc keep large freed blocks; returning them costs page faults in every update."""
    if not sys.platform.startswith("linux") or "MALLOC_MMAP_THRESHOLD_" in os.environ:
        return
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(M_MMAP_THRESHOLD, 1 << 30)
        libc.mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1)
