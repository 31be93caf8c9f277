"""Graphs of recurrent layers, for whole sources and for one step.

The formulas are those of `recurrent/cell_formulas.py`. A state is one tensor (N, H) for the hidden
state of each layer and, for the LSTM, one for its cell state.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from s2st.models.onnx_format.graph import BOOL, FLOAT, Graph, Value
from s2st.models.onnx_format.layers import expanded, joined, layer_norm, linear, parts, zeros

Planes = list[Value]  # the hidden state and, for the LSTM, the cell state
GATES = {"lstm": 4, "gru": 3, "rnn": 1, "rnn-sigmoid": 1}
TOGETHER = {
    "lstm": (4,),
    "gru": (2, 1),
    "rnn": (),
    "rnn-sigmoid": (),
}  # number of gates in each norm of a product


@dataclass(frozen=True)
class StackNames:
    """Where a stack's weights are.

    Attributes:
        prefixes: of each layer; a bidirectional layer has one for each direction.
        cell: "lstm", "gru", "rnn" or "rnn-sigmoid".
        residual: whether layers from the second on add their input.
    """

    prefixes: tuple[tuple[str, ...], ...]
    cell: str
    residual: bool = False

    @property
    def state_names(self) -> list[str]:
        """The names of the states: hidden_0, hidden_1, ..., cell_0, ..."""
        kinds = ("hidden", "cell") if self.cell == "lstm" else ("hidden",)
        return [f"{kind}_{level}" for kind in kinds for level in range(len(self.prefixes))]


def stack_names(name: str, layers: int, cell: str, residual: bool = False) -> StackNames:
    """The names of a `Stack`."""
    return StackNames(tuple((f"{name}.layers.{i}",) for i in range(layers)), cell, residual)


def both_ways(name: str, layers: int, cell: str, residual: bool = False) -> StackNames:
    """The names of a `BidirectionalStack`."""
    halves = ("forwards", "backwards")
    prefixes = (tuple(f"{name}.{half}.{i}.layers.0" for half in halves) for i in range(layers))
    return StackNames(tuple(prefixes), cell, residual)


def width_of(graph: Graph, prefix: str) -> int:
    """H of a layer."""
    return int(graph.tensor(f"{prefix}.weight_hh_l0").shape[1])


def of_input(graph: Graph, prefix: str, inputs: Value, cell: str) -> Value:
    """A layer's product (..., G) with its inputs (..., E)."""
    return _product(graph, prefix, inputs, "ih", "input_norms", cell)


def _product(graph: Graph, prefix: str, inputs: Value, kind: str, norms: str, cell: str) -> Value:
    product = inputs @ graph.weight(f"{prefix}.weight_{kind}_l0", transposed=True)
    if graph.has(f"{prefix}.bias_{kind}_l0"):
        return product + graph.weight(f"{prefix}.bias_{kind}_l0")
    if not graph.has(f"{prefix}.{norms}.0.weight"):
        return product
    width = width_of(graph, prefix)
    pieces = parts(graph, product, [count * width for count in TOGETHER[cell]])
    return joined(
        graph, [layer_norm(graph, x, f"{prefix}.{norms}.{i}") for i, x in enumerate(pieces)]
    )


def cell_step(graph: Graph, prefix: str, product: Value, before: Planes, cell: str) -> Planes:
    """The state after a step, given the product (N, G) with the layer's input."""
    recurrent = _product(graph, prefix, before[0], "hh", "state_norms", cell)
    width = width_of(graph, prefix)
    sizes = [width] * GATES[cell]

    def normed(value: Value) -> Value:
        name = f"{prefix}.cell_norm"
        return layer_norm(graph, value, name) if graph.has(f"{name}.weight") else value

    if cell in ("rnn", "rnn-sigmoid"):
        return [graph.op("Tanh" if cell == "rnn" else "Sigmoid", normed(product + recurrent))]
    if cell == "lstm":
        i, f, g, o = parts(graph, product + recurrent, sizes)
        i, f, o = (graph.op("Sigmoid", gate) for gate in (i, f, o))
        memory = f * before[1] + i * graph.op("Tanh", g)
        return [o * graph.op("Tanh", normed(memory)), memory]
    input_r, input_z, input_n = parts(graph, product, sizes)
    state_r, state_z, state_n = parts(graph, recurrent, sizes)
    reset = graph.op("Sigmoid", input_r + state_r)
    update = graph.op("Sigmoid", input_z + state_z)
    new = graph.op("Tanh", input_n + reset * state_n)
    return [new + update * (before[0] - new)]


def run_layer(
    graph: Graph, prefix: str, inputs: Value, mask: Value, lengths: Value, cell: str
) -> tuple[Value, Planes]:
    """One direction of a layer over whole sources.

    Args:
        inputs: (S, B, E), time first.
        mask: (S, B, 1) True at real positions.
        lengths: (B,), for the number of sources.

    Returns:
        (S, B, H) hidden states, and the state after each last token.
    """

    def body(states: list[Value], elements: list[Value]) -> tuple[list[Value], list[Value]]:
        product, real = elements
        new = cell_step(graph, prefix, product, states, cell)
        after = [graph.op("Where", real, n, old) for n, old in zip(new, states, strict=True)]
        return after, after[:1]

    planes = 2 if cell == "lstm" else 1
    before = [zeros(graph, lengths, width_of(graph, prefix)) for _ in range(planes)]
    sequences = [(of_input(graph, prefix, inputs, cell), FLOAT), (mask, BOOL)]
    finals, (hidden,) = graph.scan(before, sequences, body)
    return hidden, finals


def run_stack(
    graph: Graph, names: StackNames, words: Value, mask: Value, lengths: Value
) -> tuple[Value, Planes]:
    """All layers over whole sources.

    Args:
        words: (B, S, E).
        mask: (B, S).

    Returns:
        (B, S, H) top states, and the states in the order of `StackNames.state_names`.
    """
    inputs = graph.op("Transpose", words, attributes={"perm": (1, 0, 2)})
    real = expanded(graph, graph.op("Transpose", mask, attributes={"perm": (1, 0)}), 2)
    finals: list[Planes] = []

    def turned(values: Value) -> Value:
        return graph.op(
            "ReverseSequence", values, lengths, attributes={"batch_axis": 1, "time_axis": 0}
        )

    for level, prefixes in enumerate(names.prefixes):
        outputs, planes = run_layer(graph, prefixes[0], inputs, real, lengths, names.cell)
        if len(prefixes) == 2:
            back, others = run_layer(graph, prefixes[1], turned(inputs), real, lengths, names.cell)
            outputs = joined(graph, [outputs, turned(back)])
            planes = [joined(graph, list(pair)) for pair in zip(planes, others, strict=True)]
        inputs = outputs + inputs if level and names.residual else outputs
        finals.append(planes)
    ordered = [planes[kind] for kind in range(len(finals[0])) for planes in finals]
    return graph.op("Transpose", inputs, attributes={"perm": (1, 0, 2)}), ordered


def bridged(graph: Graph, kind: str, states: Planes, layers: int, width: int) -> Planes:
    """The first states of a decoder from an encoder's last ones (`attention/bridge.py`)."""
    if kind == "none":
        return states
    found: Planes = []
    for number, begin in enumerate(range(0, len(states), layers)):
        part, name = states[begin : begin + layers], f"bridge.parts.{number}"
        if kind == "linear":
            found += [linear(graph, state, name) for state in part]
        else:
            together = graph.op("Relu", linear(graph, joined(graph, part), name))
            found += parts(graph, together, [width] * layers)
    return found


def top_of(graph: Graph, names: StackNames, states: Planes) -> Value:
    """(N, H) the top layer's output: with residual layers the sum of all hidden states."""
    hidden = states[: len(names.prefixes)]
    if not names.residual or len(hidden) == 1:
        return hidden[-1]
    return graph.op("Sum", *hidden)


def step_stack(graph: Graph, names: StackNames, inputs: Value, states: Planes) -> Planes:
    """The states after one step that reads inputs (N, E)."""
    count = len(names.prefixes)
    after: list[Planes] = []
    given = inputs
    for level, (prefix,) in enumerate(names.prefixes):
        before = states[level::count]
        new = cell_step(
            graph, prefix, of_input(graph, prefix, given, names.cell), before, names.cell
        )
        given = new[0] + given if level and names.residual else new[0]
        after.append(new)
    return [planes[kind] for kind in range(len(after[0])) for planes in after]


def state_inputs(graph: Graph, names: StackNames) -> Planes:
    """The inputs of a decoder step for the states of a stack."""
    widths = [width_of(graph, prefixes[0]) for prefixes in names.prefixes]
    return [
        graph.input(name, FLOAT, ("batch", widths[index % len(widths)]))
        for index, name in enumerate(names.state_names)
    ]


def return_states(
    graph: Graph, names: StackNames, states: Sequence[Value], width: int, prefix: str = ""
) -> None:
    """Returns the states of a stack under their names."""
    for name, state in zip(names.state_names, states, strict=True):
        graph.output(prefix + name, state, FLOAT, ("batch", width))


def reversed_words(graph: Graph, tokens: Value, lengths: Value) -> Value:
    """(B, S) tokens with each sentence's words in reverse; EOS and padding stay in place."""
    return graph.op(
        "ReverseSequence", tokens, lengths - 1, attributes={"batch_axis": 0, "time_axis": 1}
    )
