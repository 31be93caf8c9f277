"""Weights as safetensors files: write, read, check that all numbers are finite, hash."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch

from s2st.errors import CheckpointError
from s2st.process import durable_files
from s2st.process.bounded_read import read_regular


def save_tensors(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Writes named tensors as safetensors, synced; a shared tensor is written for each name."""
    from safetensors.torch import save

    plain: dict[str, torch.Tensor] = {}
    seen: set[int] = set()
    for name, tensor in tensors.items():
        copy = tensor.detach().cpu().contiguous()
        plain[name] = copy.clone() if copy.data_ptr() in seen else copy
        seen.add(copy.data_ptr())
    durable_files.write_file(path, save(plain))


def load_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Reads a safetensors file; raises CheckpointError if it is damaged."""
    from safetensors import SafetensorError
    from safetensors.torch import load, load_file

    try:
        if _is_utf8(path):
            return load_file(path)
        # the library opens only UTF-8 names; the bytes are in memory twice for a moment
        return load(read_regular(path, path.stat().st_size, CheckpointError))
    except (OSError, SafetensorError, ValueError, RuntimeError, MemoryError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(f"not readable weights: {reason}", str(path)) from error


def _is_utf8(path: Path) -> bool:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def first_not_finite(tensors: Mapping[str, torch.Tensor]) -> str:
    """The name of the first tensor with a number that is not finite, "" where there is none.

    Of a tensor that is divided over ranks, this rank's part is looked at.
    """
    flags = []
    for tensor in tensors.values():
        local = tensor.to_local() if hasattr(tensor, "to_local") else tensor
        flags.append(local.detach().isfinite().all().reshape(()).cpu())
    return next((name for name, good in zip(tensors, flags, strict=True) if not good), "")


def check_finite(tensors: Mapping[str, torch.Tensor], path: Path) -> None:
    """Raises CheckpointError that names the file and a tensor with a number that is not finite."""
    name = first_not_finite(tensors)
    if name:
        raise CheckpointError(f"{name[:80]} holds numbers that are not finite", str(path))


def weights_hash(weights: Mapping[str, torch.Tensor]) -> str:
    """sha256 of all tensors, in the order of their names."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(name.encode())
        digest.update(weights[name].detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
