"""An ONNX graph that grows by one operation per call.

ONNX is optional: `pip install "s2st[onnx]"`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from s2st.errors import UsageError
from s2st.models.extra_packages import import_extra

OPSET = 17  # the first with LayerNormalization
IR_VERSION = 8  # of the releases of ONNX with this operator set
FLOAT, INT64, BOOL = "FLOAT", "INT64", "BOOL"
MAX_BYTES = (1 << 31) - (1 << 24)  # of the weights: protobuf's limit, less room for operations
Shape = Sequence[int | str]  # a name is a dimension that the caller chooses


@dataclass(frozen=True)
class Value:
    """A tensor of a graph. Operators append an operation to the graph."""

    graph: "Graph"
    name: str

    def __add__(self, other: Any) -> "Value":
        return self.graph.op("Add", self, other)

    def __sub__(self, other: Any) -> "Value":
        return self.graph.op("Sub", self, other)

    def __mul__(self, other: Any) -> "Value":
        return self.graph.op("Mul", self, other)

    def __matmul__(self, other: Any) -> "Value":
        return self.graph.op("MatMul", self, other)


@dataclass(frozen=True)
class Described:
    """An input or output of a graph."""

    name: str
    type: str
    shape: tuple[int | str, ...]

    def record(self) -> dict[str, Any]:
        """Name, type and shape as JSON values."""
        return {"name": self.name, "type": self.type.lower(), "shape": list(self.shape)}


@dataclass
class _Scope:
    """The main graph, or the body of a loop."""

    nodes: list[Any] = field(default_factory=list)


# (states, elements of the sequences) -> (new states, elements of the results)
ScanBody = Callable[[list[Value], list[Value]], tuple[list[Value], list[Value]]]


class Graph:
    """A graph, its weights, and the operations so far.

    Args:
        weights: the model's tensors by name. The graph gets those that it uses, in float32.

    Attributes:
        inputs, outputs: what the caller gives and gets.

    Raises:
        UsageError: ONNX is not installed.
    """

    def __init__(self, weights: Mapping[str, torch.Tensor]) -> None:
        self.onnx = import_extra("onnx", "ONNX", "onnx", "--format onnx")
        self._tensors = weights
        self.inputs: list[Described] = []
        self.outputs: list[Described] = []
        self._constants: dict[str, Any] = {}
        self._scopes = [_Scope()]
        self._count = 0

    def input(self, name: str, kind: str, shape: Shape) -> Value:
        """An input of the graph."""
        self.inputs.append(Described(name, kind, tuple(shape)))
        return Value(self, name)

    def output(self, name: str, value: Value, kind: str, shape: Shape) -> None:
        """Returns a value from the graph under this name."""
        node = self.onnx.helper.make_node("Identity", [value.name], [name])
        self._scopes[-1].nodes.append(node)
        self.outputs.append(Described(name, kind, tuple(shape)))

    def op(
        self, kind: str, *inputs: Any, attributes: Mapping[str, Any] = MappingProxyType({})
    ) -> Value:
        """The only result of an operator. Numbers, arrays and tensors become constants."""
        return self.ops(kind, 1, *inputs, attributes=attributes)[0]

    def ops(
        self,
        kind: str,
        count: int,
        *inputs: Any,
        attributes: Mapping[str, Any] = MappingProxyType({}),
    ) -> list[Value]:
        """The results of an operator; an input of None is left out."""
        names = ["" if x is None else self.value(x).name for x in inputs]
        results = [self._fresh(kind) for _ in range(count)]
        node = self.onnx.helper.make_node(kind, names, [x.name for x in results], **attributes)
        self._scopes[-1].nodes.append(node)
        return results

    def value(self, given: Any) -> Value:
        """The value itself, or a constant: integers are int64, other numbers float32."""
        if isinstance(given, Value):
            return given
        if isinstance(given, torch.Tensor):
            given = given.detach().cpu().numpy()
        array = np.asarray(given)
        if array.dtype != np.bool_:
            whole = np.issubdtype(array.dtype, np.integer)
            array = np.array(array, np.int64 if whole else np.float32, order="C")
        value = self._fresh("constant")
        self._constants[value.name] = self.onnx.numpy_helper.from_array(array, value.name)
        return value

    def has(self, name: str) -> bool:
        """Whether the model has a tensor of this name."""
        return name in self._tensors

    def tensor(self, name: str) -> torch.Tensor:
        """A tensor of the model, for its shape, or to compute constants from it."""
        return self._tensors[name]

    def weight(self, name: str, transposed: bool = False) -> Value:
        """A tensor of the model as a constant."""
        key = f"{name}.transposed" if transposed else name
        if key not in self._constants:
            array = self._tensors[name].detach().to("cpu", torch.float32)
            array = (array.t() if transposed else array).contiguous()
            self._constants[key] = self.onnx.numpy_helper.from_array(array.numpy(), key)
        return Value(self, key)

    def scan(
        self, states: Sequence[Value], sequences: Sequence[tuple[Value, str]], body: ScanBody
    ) -> tuple[list[Value], list[Value]]:
        """Applies the body to each element of the sequences, along their first dimension.

        Args:
            states: float tensors before the first element.
            sequences: each with the type of its elements.
            body: appends the operations of one element.

        Returns:
            The states after the last element, and the results of all elements.
        """
        inner = [self._fresh("state") for _ in states]
        elements = [self._fresh("element") for _ in sequences]
        self._scopes.append(_Scope())
        after, results = body(inner, elements)
        kinds = [FLOAT] * len(states) + [kind for _, kind in sequences]
        proto = self._body([*inner, *elements], kinds, [*after, *results])
        found = self.ops(
            "Scan",
            len(after) + len(results),
            *states,
            *(value for value, _ in sequences),
            attributes={"body": proto, "num_scan_inputs": len(sequences)},
        )
        return found[: len(states)], found[len(states) :]

    def loop(
        self,
        condition: Value,
        states: Sequence[tuple[Value, str]],
        body: Callable[[list[Value]], tuple[Value, list[Value]]],
    ) -> list[Value]:
        """Applies the body while a condition holds; returns the states after the last time.

        Args:
            condition: () bool before the first time.
            states: each with its type.
            body: appends the operations of one time; returns the next condition and states.
        """
        count, before = self._fresh("count"), self._fresh("condition")
        inner = [self._fresh("state") for _ in states]
        self._scopes.append(_Scope())
        again, after = body(inner)
        kinds = [INT64, BOOL, *(kind for _, kind in states)]
        proto = self._body([count, before, *inner], kinds, [again, *after], kinds[1:], scalars=2)
        return self.ops(
            "Loop",
            len(states),
            None,
            condition,
            *(value for value, _ in states),
            attributes={"body": proto},
        )

    def model(self, file: str) -> bytes:
        """The graph as the content of an ONNX file, checked by ONNX.

        Raises:
            UsageError: it takes more than 2 GB, the limit of the format.
        """
        if sum(item.ByteSize() for item in self._constants.values()) > MAX_BYTES:
            raise UsageError(
                f"--format onnx: {file} would be larger than 2 GB, the limit of an ONNX file"
            )
        graph = self._graph(
            file.partition(".")[0],
            [self._info(x.name, x.type, x.shape) for x in self.inputs],
            [self._info(x.name, x.type, x.shape) for x in self.outputs],
            list(self._constants.values()),
        )
        opset = self.onnx.helper.make_opsetid("", OPSET)
        made = self.onnx.helper.make_model(
            graph, opset_imports=[opset], ir_version=IR_VERSION, producer_name="s2st"
        )
        content: bytes = made.SerializeToString()
        self.onnx.checker.check_model(content, full_check=True)
        return content

    def _fresh(self, stem: str) -> Value:
        self._count += 1
        return Value(self, f"{stem.lower()}_{self._count}")

    def _info(self, name: str, kind: str, shape: Shape | None = None) -> Any:
        types = self.onnx.TensorProto
        return self.onnx.helper.make_tensor_value_info(name, getattr(types, kind), shape)

    def _graph(
        self, name: str, inputs: list[Any], outputs: list[Any], constants: Sequence[Any]
    ) -> Any:
        nodes = self._scopes.pop().nodes
        return self.onnx.helper.make_graph(nodes, name, inputs, outputs, constants)

    def _body(
        self,
        inputs: list[Value],
        kinds: list[str],
        outputs: list[Value],
        output_kinds: list[str] | None = None,
        scalars: int = 0,
    ) -> Any:
        """Closes the innermost scope; its operations become the body of a loop.

        The first `scalars` inputs have no dimension; the shapes of the others are not stated.
        """
        # ONNX wants every output to be the result of an operation of the body itself
        results = [self.op("Identity", value) for value in outputs]
        wanted = output_kinds or [FLOAT] * len(results)
        return self._graph(
            self._fresh("body").name,
            [
                self._info(x.name, kind, () if index < scalars else None)
                for index, (x, kind) in enumerate(zip(inputs, kinds, strict=True))
            ],
            [self._info(x.name, kind) for x, kind in zip(results, wanted, strict=True)],
            [],
        )
