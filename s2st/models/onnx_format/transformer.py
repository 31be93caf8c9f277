"""Graphs of the Transformer, for whole sources and for one step with its cache.

Letters: B sentences, N rows, S source length, T words read, H width, A heads, D = H / A.
"""

import math
from typing import Any

from s2st.models.onnx_format.graph import FLOAT, Graph, Value
from s2st.models.onnx_format.layers import (
    embed,
    expanded,
    joined,
    layer_norm,
    linear,
    masked_softmax,
    parts,
    reshaped,
)
from s2st.models.transformer.layers import sinusoids

MAX_POSITIONS = 4096  # the graph has a table of positions; s2st computes them without a limit


class TransformerGraph:
    """The operations of an encoder or a decoder.

    Args:
        graph: the graph to append to.
        name: "encoder" or "decoder".
        config: the config of the architecture.
        table: name of the embedding table.
        layers: how many there are.
    """

    def __init__(self, graph: Graph, name: str, config: Any, table: str, layers: int) -> None:
        self.graph, self.config, self.table = graph, config, table
        self.layers = [f"{name}.layers.{index}" for index in range(layers)]
        self.norm = f"{name}.norm"
        self.learned = f"{name}.positions"
        self.heads: int = config.heads
        self.width = int(graph.tensor(table).shape[1])

    @property
    def cache_shape(self) -> tuple[int | str, ...]:
        """The shape of the keys, and of the values, of one layer's words."""
        return ("batch", self.heads, "words", self.width // self.heads)

    def embed(self, tokens: Value, positions: Value) -> Value:
        """Embeddings plus positions."""
        words = embed(self.graph, self.table, tokens)
        if self.config.scale_embeddings:
            words = words * math.sqrt(self.width)
        return words + self.graph.op("Gather", self._positions(), positions)

    def _positions(self) -> Value:
        graph = self.graph
        if graph.has(self.learned):
            return graph.weight(self.learned)
        halves = self.config.positions == "half-sinusoids"
        table = graph.tensor(self.table)
        return graph.value(sinusoids(0, MAX_POSITIONS, self.width, table, halves))

    def split(self, values: Value) -> Value:
        """(B, T, H) as (B, A, T, D)."""
        shaped = reshaped(self.graph, values, 0, 0, self.heads, self.width // self.heads)
        return self.graph.op("Transpose", shaped, attributes={"perm": (0, 2, 1, 3)})

    def memory(self, layer: str, kind: str, states: Value) -> list[Value]:
        """Keys and values (B, A, T, D) of states (B, T, H)."""
        both = linear(self.graph, states, f"{layer}.{kind}_attention.memory")
        return [self.split(x) for x in parts(self.graph, both, [self.width] * 2)]

    def attend(
        self, layer: str, kind: str, reading: Value, memory: list[Value], mask: Value | None
    ) -> Value:
        """Attention (B, T, H) of states (B, T, H) to keys and values.

        Args:
            mask: (B, 1, 1, K) True at positions that may be read; None for all.
        """
        graph, (keys, values) = self.graph, memory
        query = self.split(linear(graph, reading, f"{layer}.{kind}_attention.query"))
        query = query * (1 / math.sqrt(self.width // self.heads))
        scores = query @ graph.op("Transpose", keys, attributes={"perm": (0, 1, 3, 2)})
        if mask is None:
            weights = graph.op("Softmax", scores, attributes={"axis": -1})
        else:
            weights = masked_softmax(graph, scores, mask)
        attended = graph.op("Transpose", weights @ values, attributes={"perm": (0, 2, 1, 3)})
        return linear(
            graph, reshaped(graph, attended, 0, 0, self.width), f"{layer}.{kind}_attention.output"
        )

    def before(self, name: str, hidden: Value) -> Value:
        """The input of a sublayer: normalized first in a pre-norm layer."""
        return self._normed(hidden, name) if self.config.norm == "pre" else hidden

    def after(self, name: str, hidden: Value, update: Value) -> Value:
        """Adds the output of a sublayer; a post-norm layer then normalizes the sum."""
        total = hidden + update
        return total if self.config.norm == "pre" else self._normed(total, name)

    def _normed(self, hidden: Value, name: str) -> Value:
        return layer_norm(self.graph, hidden, name, self.config.norm_epsilon)

    def feed_forward(self, layer: str, hidden: Value) -> Value:
        """The feed-forward sublayer."""
        name = f"{layer}.inner_norm"
        inner = linear(self.graph, self.before(name, hidden), f"{layer}.inner")
        return self.after(name, hidden, linear(self.graph, self._active(inner), f"{layer}.outer"))

    def _active(self, inner: Value) -> Value:
        graph, kind = self.graph, self.config.activation
        if kind == "relu":
            return graph.op("Relu", inner)
        if kind == "silu":
            return inner * graph.op("Sigmoid", inner)
        if kind == "gelu":  # x Phi(x)
            return inner * 0.5 * (graph.op("Erf", inner * math.sqrt(0.5)) + 1.0)
        assert kind == "gelu-tanh"
        cube = inner * inner * inner
        bent = graph.op("Tanh", (inner + cube * 0.044715) * math.sqrt(2 / math.pi))
        return inner * 0.5 * (bent + 1.0)

    def finished(self, hidden: Value) -> Value:
        """The top states, normalized after a pre-norm stack."""
        return self.before(self.norm, hidden)

    def encode(self, tokens: Value, mask: Value) -> Value:
        """Top states (B, S, H) of tokens (B, S) with a mask (B, S)."""
        graph = self.graph
        width = graph.op("Gather", graph.op("Shape", tokens), 1)
        hidden = self.embed(tokens, graph.op("Range", 0, width, 1))
        real = expanded(graph, mask, 1, 2)
        for layer in self.layers:
            name = f"{layer}.self_norm"
            read = self.before(name, hidden)
            memory = self.memory(layer, "self", read)
            hidden = self.after(name, hidden, self.attend(layer, "self", read, memory, real))
            hidden = self.feed_forward(layer, hidden)
        return self.finished(hidden)

    def step(self, token: Value, caches: list[list[Value]], sources: list[list[Value]],
             mask: Value | None) -> tuple[Value, list[list[Value]]]:  # fmt: skip
        """Reads one token (N,) in each row.

        Args:
            caches: keys and values (N, A, T, D) of the words read, for each layer.
            sources: keys and values (N, A, S, D) of the sources; empty in a language model.
            mask: (N, S) of the sources.

        Returns:
            Features (N, H), and the caches with one more word.
        """
        graph = self.graph
        words = graph.op("Gather", graph.op("Shape", caches[0][0]), 2)
        hidden = expanded(graph, self.embed(token, words), 1)
        real = None if mask is None else expanded(graph, mask, 1, 2)
        longer = []
        for index, layer in enumerate(self.layers):
            name = f"{layer}.self_norm"
            read = self.before(name, hidden)
            new = self.memory(layer, "self", read)
            memory = [joined(graph, [old, x], 2) for old, x in zip(caches[index], new, strict=True)]
            longer.append(memory)
            hidden = self.after(name, hidden, self.attend(layer, "self", read, memory, None))
            if sources:
                name = f"{layer}.cross_norm"
                read = self.before(name, hidden)
                update = self.attend(layer, "cross", read, sources[index], real)
                hidden = self.after(name, hidden, update)
            hidden = self.feed_forward(layer, hidden)
        return graph.op("Squeeze", self.finished(hidden), (1,)), longer

    def cache_inputs(self, stem: str, shape: tuple[int | str, ...]) -> list[list[Value]]:
        """Inputs of a step: keys and values of each layer."""
        return [
            [self.graph.input(f"{stem}_{side}_{index}", FLOAT, shape) for side in SIDES]
            for index in range(len(self.layers))
        ]

    def return_caches(self, stem: str, caches: list[list[Value]], axis: int | str) -> None:
        """Returns keys and values of each layer, whose words have this dimension."""
        shape = ("batch", self.heads, axis, self.width // self.heads)
        for index, memory in enumerate(caches):
            for side, value in zip(SIDES, memory, strict=True):
                self.graph.output(f"{stem}_{side}_{index}", value, FLOAT, shape)


SIDES = ("keys", "values")
