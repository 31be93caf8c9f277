"""A simulated accelerator: the device kind `sim`, whose memory and arithmetic are the CPU's.

`install()` registers it with torch once in a process. A tensor on `sim:0` aliases CPU memory
through DLPack, so views, strides and writes in place are real. Every operator arrives in one
function, which refuses operands of both devices as a GPU does. `counted` counts the places where
the CPU would wait for a GPU.

Simulated: dense tensors, convolution, sparse COO gradients of embeddings, autocast.
Not simulated: streams and their races, pinned memory, cuDNN's kernels and numbers, memory limits,
CUDA graphs, nccl. Torch 2.13 was used; the registration functions are private to torch.
"""

import contextlib
import ctypes
import functools
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch.utils import _pytree as tree

NAME = "sim"
DEVICE = "sim:0"
PACKAGE = str(Path(__file__).parents[1] / "s2st") + os.sep
_CPU, _EXTENSION = 1, 12  # DLPack's device types
_libraries: list[torch.library.Library] = []  # torch forgets a library's kernels with it


class MixedDevicesError(RuntimeError):
    """An operator got tensors of the CPU and of the device."""


def _alias(tensor: torch.Tensor, kind: int) -> torch.Tensor:
    """A tensor of another device kind with the same memory."""
    capsule = torch._C._to_dlpack(tensor)
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    address = pointer(capsule, b"dltensor")
    ctypes.c_int32.from_address(address + 8).value = kind
    ctypes.c_int32.from_address(address + 12).value = 0
    return torch._C._from_dlpack(capsule)


def to_cpu(tensor: torch.Tensor) -> torch.Tensor:
    """A CPU tensor with the memory of a tensor on the device."""
    return _alias(tensor.detach() if tensor.requires_grad else tensor, _CPU)


def to_sim(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor on the device with the memory of a CPU tensor."""
    return _alias(tensor, _EXTENSION)


def on_device(value: Any) -> bool:
    """Whether the value is a tensor on the simulated device."""
    return isinstance(value, torch.Tensor) and value.device.type == NAME


# what the CPU waits for

_SIZE = "the size depends on values"
WAITS = {
    "aten::_local_scalar_dense": "a number is read",
    "aten::equal": "a number is read",
    "aten::nonzero": _SIZE,
    "aten::masked_select": _SIZE,
    "aten::_unique": _SIZE,
    "aten::_unique2": _SIZE,
    "aten::unique_dim": _SIZE,
    "aten::unique_consecutive": _SIZE,
    "aten::_coalesce": _SIZE,
    "aten::bincount": _SIZE,
}
TO_CPU, FROM_CPU = "copied to the CPU", "copied from the CPU"


class Waits(Counter[tuple[str, str]]):
    """Number of waits by (kind, source line of s2st)."""

    def __str__(self) -> str:
        rows = sorted(self.items(), key=lambda item: (-item[1], item[0]))
        return "\n".join(f"{count:5}  {line}  {kind}" for (kind, line), count in rows)


_counters: list[Waits] = []


@contextlib.contextmanager
def counted() -> Iterator[Waits]:
    """Count where the CPU would wait for a GPU inside the context.

    A copy from the CPU by `s2st.data.batch.moved` does not count, because that function pins the
    memory. Other copies of more than one number from the CPU count.
    """
    waits = Waits()
    _counters.append(waits)
    try:
        yield waits
    finally:
        _counters[:] = [other for other in _counters if other is not waits]


def _count(name: str, values: list[Any], kwargs: dict[str, Any]) -> None:
    """Count a call of an operator, if the CPU would wait for it."""
    kind = WAITS.get(name)
    if name in ("aten::index", "aten::index_put_", "aten::_index_put_impl_"):
        given = [x for x in values[1:] if isinstance(x, torch.Tensor)]
        one = name != "aten::index" and given[-1].numel() == 1  # then it is `masked_fill`
        # torch calls `nonzero`, which counts, for `values[mask]` but not for `values[mask] = ...`
        if name != "aten::index" and not one and any(x.dtype == torch.bool for x in given):
            kind = _SIZE
        elif any(not on_device(x) and x.dim() for x in given):
            kind = FROM_CPU
    if name == "aten::repeat_interleave" and kwargs.get("output_size") is None:
        kind = _SIZE
    if name == "aten::_copy_from":
        source, target = values[:2]
        if not on_device(target):
            kind = TO_CPU
        elif not on_device(source) and source.dim():
            kind = FROM_CPU
    if kind is None:
        return
    line = _line()
    if kind == FROM_CPU and line.endswith(" moved"):
        return
    for waits in _counters:
        waits[kind, line] += 1


def _line() -> str:
    """The innermost line of s2st that is being executed, and its function."""
    frame = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        if code.co_filename.startswith(PACKAGE):
            place = code.co_filename.removeprefix(PACKAGE)
            return f"{place}:{frame.f_lineno} {code.co_name}"
        frame = frame.f_back  # type: ignore[assignment]
    return "outside s2st"  # backward passes run in a thread of the device


# operators

COPIES = ("aten::_copy_from", "aten::copy_", "aten::index", "aten::_to_copy")


def _fused_lstm(ig, hg, cx, input_bias=None, hidden_bias=None):  # type: ignore[no-untyped-def]
    gates = ig + hg
    if input_bias is not None:
        gates = gates + input_bias + hidden_bias
    i, f, g, o = gates.chunk(4, 1)
    i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
    cell = f * cx + i * g
    return o * cell.tanh(), cell, torch.cat([i, f, g, o], 1)


def _fused_lstm_backward(grad_h, grad_c, cx, cy, saved, has_bias):  # type: ignore[no-untyped-def]
    if grad_h is None and grad_c is None:
        return None, None, None
    i, f, g, o = saved.chunk(4, 1)
    grad_h = torch.zeros_like(cx) if grad_h is None else grad_h
    grad_c = torch.zeros_like(cx) if grad_c is None else grad_c
    t = cy.tanh()
    grad_c = grad_c + grad_h * o * (1 - t * t)
    parts = (
        grad_c * g * i * (1 - i), grad_c * cx * f * (1 - f), grad_c * i * (1 - g * g),
        grad_h * t * o * (1 - o),
    )  # fmt: skip
    gates = torch.cat(parts, 1)
    return gates, grad_c * f, gates.sum(0) if has_bias else None


def _fused_gru(ig, hg, hx, input_bias=None, hidden_bias=None):  # type: ignore[no-untyped-def]
    if input_bias is not None:
        ig, hg = ig + input_bias, hg + hidden_bias
    (ir, iz, new), (hr, hz, hidden) = ig.chunk(3, 1), hg.chunk(3, 1)
    r, z = (ir + hr).sigmoid(), (iz + hz).sigmoid()
    n = (new + r * hidden).tanh()
    return n + z * (hx - n), torch.cat([r, z, n, hx, hidden], 1)


def _fused_gru_backward(grad, saved, has_bias):  # type: ignore[no-untyped-def]
    r, z, n, hx, hidden = saved.chunk(5, 1)
    dz, dn = grad * (hx - n) * z * (1 - z), grad * (1 - z) * (1 - n * n)
    dr = dn * hidden * r * (1 - r)
    gi, gh = torch.cat([dr, dz, dn], 1), torch.cat([dr, dz, dn * r], 1)
    return gi, gh, grad * z, gi.sum(0) if has_bias else None, gh.sum(0) if has_bias else None


# GPU kernels that have no CPU form
OWN: dict[str, Callable[..., Any]] = {
    "aten::_thnn_fused_lstm_cell": _fused_lstm,
    "aten::_thnn_fused_lstm_cell_backward_impl": _fused_lstm_backward,
    "aten::_thnn_fused_gru_cell": _fused_gru,
    "aten::_thnn_fused_gru_cell_backward": _fused_gru_backward,
}


def _dense(op: Any, *args: Any, **kwargs: Any) -> Any:
    """Run an operator with the CPU's kernel; results are on the device."""
    with torch.inference_mode(False), torch.no_grad():
        return _run_dense(op, args, kwargs)


def _run_dense(op: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    name = op._schema.name
    flat, spec = tree.tree_flatten((args, kwargs))
    if _counters:
        _count(name, tree.tree_leaves(args), kwargs)
    mine: list[tuple[torch.Tensor, torch.Tensor]] = []
    raw: list[Any] = []
    for value in flat:
        if on_device(value):
            mine.append((to_cpu(value), value))
            raw.append(mine[-1][0])
            continue
        is_tensor = isinstance(value, torch.Tensor)
        if is_tensor and name not in COPIES and value.dim() and value.numel():
            raise MixedDevicesError(f"{name}: a CPU tensor {tuple(value.shape)} among the device's")
        raw.append(torch.device("cpu") if isinstance(value, torch.device) else value)
    positional, named = tree.tree_unflatten(raw, spec)
    named.pop("pin_memory", None)
    positional = list(positional)
    for i, (value, argument) in enumerate(zip(positional, op._schema.arguments, strict=False)):
        if isinstance(value, (int, float, bool)) and str(argument.type) == "Tensor":
            dtypes = [x.dtype for x in raw if isinstance(x, torch.Tensor)]
            real = [d for d in dtypes if d.is_floating_point] if isinstance(value, float) else []
            positional[i] = torch.tensor(
                value, dtype=next(iter(real), None)
            )  # has no type of its own
    if name == "aten::_copy_from":
        positional[1].copy_(positional[0])
        return args[1]
    outs = [argument.name for argument in op._schema.arguments if argument.is_out]
    given = {n: kwargs[n] for n in outs if n in kwargs}
    if outs:
        return _write_out(op, positional, named, given)
    if name == "aten::resize_":
        args[0].data = to_sim(torch.empty(positional[1], dtype=args[0].dtype))
        return args[0]
    results = OWN.get(name, op)(*positional, **named)

    def back(result: Any) -> Any:
        if not isinstance(result, torch.Tensor):
            return result
        for alias, original in mine:
            if result is alias:
                return original
        return to_sim(result)

    return tree.tree_map(back, results)


def _write_out(
    op: Any, positional: list[Any], named: dict[str, Any], given: dict[str, torch.Tensor]
) -> Any:
    """Run an operator with `out` arguments, which may grow; an alias cannot."""
    for key, target in given.items():
        if on_device(target):
            named[key] = torch.empty(0, dtype=target.dtype)
    op(*positional, **named)
    for key, target in given.items():
        if on_device(target) and target.shape == named[key].shape:
            to_cpu(target).copy_(named[key])
        elif on_device(target):
            target.data = to_sim(named[key])
    return next(iter(given.values())) if len(given) == 1 else tuple(given.values())


def _convolution(x, w, bias, *rest):  # type: ignore[no-untyped-def]
    values = [None if t is None else to_cpu(t) for t in (x, w, bias)]
    return to_sim(torch.ops.aten.convolution(*values, *rest))


def _convolution_backward(grad, x, w, *rest):  # type: ignore[no-untyped-def]
    *sizes, mask = rest
    sides = [*mask[:2], False]
    values = [to_cpu(t) for t in (grad, x, w)]
    grads = torch.ops.aten.convolution_backward(*values, None, *sizes, sides)
    bias = grad.sum([i for i in range(grad.dim()) if i != 1]) if mask[2] else None
    return *(None if g is None else to_sim(g) for g in grads[:2]), bias


# these make tensors of the device from its tensors, whatever the device is
VIEWS = ("as_strided", "view", "_reshape_alias", "unfold", "alias")
STRUCTURE = (
    "_sparse_coo_tensor_with_dims_and_tensors", "_indices", "_values", "indices", "values",
    "_nnz", "sparse_dim", "dense_dim", "is_coalesced", "_coalesced_", "empty.memory_format",
)  # fmt: skip


def _sparse(op: Any, *args: Any, **kwargs: Any) -> Any:
    """Run an operator on sparse tensors with the CPU's kernel."""
    with torch.inference_mode(False), torch.no_grad():
        return _run_sparse(op, args, kwargs)


def _run_sparse(op: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if _counters:
        _count(op._schema.name, tree.tree_leaves(args), kwargs)

    def lower(value: Any) -> Any:
        if not on_device(value):
            return torch.device("cpu") if isinstance(value, torch.device) else value
        if not value.is_sparse:
            return to_cpu(value)
        parts = to_cpu(value._indices()), to_cpu(value._values())
        made = torch.sparse_coo_tensor(*parts, value.shape, check_invariants=False)
        return made._coalesced_(value.is_coalesced())

    def lift(value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return value
        if not value.is_sparse:
            return to_sim(value)
        parts = to_sim(value._indices()), to_sim(value._values())
        made = torch.sparse_coo_tensor(*parts, value.shape, check_invariants=False)
        return made._coalesced_(value.is_coalesced())

    lowered = tree.tree_map(lower, (args, kwargs))
    result = op(*lowered[0], **lowered[1])
    if op._schema.name.endswith("_"):  # in place, on a dense or a sparse tensor
        if args[0].is_sparse:
            args[0].data = lift(result)
        return args[0]
    return tree.tree_map(lift, result)


# registration


def install() -> torch.device:
    """Register the device with torch, once in a process and before its first backward pass."""
    if not _libraries:
        _register()
    return torch.device(DEVICE)


def installed() -> bool:
    """Whether torch knows the device."""
    return bool(_libraries)


def _register() -> None:
    from torch.utils.backend_registration import (
        _DummyBackendModule,
        _setup_privateuseone_for_python_backend,
    )

    class Module(_DummyBackendModule):
        def get_amp_supported_dtype(self) -> list[torch.dtype]:
            return [torch.bfloat16, torch.float16]

        def _lazy_init(self) -> None:
            pass

        def get_rng_state(self, device: int = 0) -> torch.Tensor:
            return torch.get_rng_state()

        def set_rng_state(self, state: torch.Tensor, device: int = 0) -> None:
            torch.set_rng_state(state)

        def synchronize(self, *_: object) -> None:
            pass

    _setup_privateuseone_for_python_backend(NAME, backend_module=Module())
    everything = torch.library.Library("_", "IMPL")
    everything.fallback(_dense, "PrivateUse1")
    everything.fallback(_sparse, "SparsePrivateUse1")
    everything.fallback(torch.library.fallthrough_kernel, "AutocastPrivateUse1")
    single = torch.library.Library("aten", "IMPL")
    for names, kernel, key in (
        (VIEWS, "CPU", "PrivateUse1"),
        (STRUCTURE, "SparseCPU", "SparsePrivateUse1"),
    ):
        keys = torch._C.DispatchKeySet(getattr(torch._C.DispatchKey, kernel))
        for name in names:
            packet, _, overload = name.partition(".")
            op = getattr(getattr(torch.ops.aten, packet), overload or "default")
            single.impl(name, functools.partial(op.redispatch, keys), key)
    clone = torch.ops.aten.clone.default  # torch's own would copy into an empty sparse tensor
    single.impl("clone", functools.partial(_sparse, clone), "SparsePrivateUse1")
    single.impl("convolution_overrideable", _convolution, "PrivateUse1")
    single.impl("convolution_backward_overrideable", _convolution_backward, "PrivateUse1")
    _libraries.extend((everything, single))
