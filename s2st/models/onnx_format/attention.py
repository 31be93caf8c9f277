"""The graph of a recurrent decoder's attention (`attention/attention_weights.py`).

Letters: N rows, S source positions, H width, K heads, D = H / K.
"""

from dataclasses import dataclass
from typing import Any

from s2st.models.onnx_format.graph import BOOL, FLOAT, Graph, Value
from s2st.models.onnx_format.layers import expanded, linear, masked_softmax, reshaped


@dataclass(frozen=True)
class Source:
    """What a step reads of the source: keys (N, S, H), values (N, S, E), and the mask (N, S)."""

    keys: Value
    values: Value
    mask: Value


def return_source(graph: Graph, config: Any, states: Value, width: int) -> None:
    """Returns the encoder's states and, where they differ from them, the keys."""
    if config.attention != "dot":
        keys = linear(graph, states, "attention.of_state")
        graph.output("source_keys", keys, FLOAT, ("batch", "source", width))
    encoder_width = config.encoder_hidden_size or width
    graph.output("source_states", states, FLOAT, ("batch", "source", encoder_width))


def source_inputs(graph: Graph, config: Any, width: int) -> Source:
    """The inputs of a step for what `return_source` returns, and the mask."""
    keys = None
    if config.attention != "dot":
        keys = graph.input("source_keys", FLOAT, ("batch", "source", width))
    encoder_width = config.encoder_hidden_size or width
    values = graph.input("source_states", FLOAT, ("batch", "source", encoder_width))
    mask = graph.input("source_mask", BOOL, ("batch", "source"))
    return Source(values if keys is None else keys, values, mask)


def attend(graph: Graph, config: Any, query: Value, source: Source) -> Value:
    """The context (N, E) of queries (N, H)."""
    heads = config.attention_heads
    if config.attention == "additive":
        queries = expanded(graph, linear(graph, query, "attention.of_query"), 1)
        bent = graph.op("Tanh", queries + source.keys) * graph.weight("attention.vector")
        scores = graph.op(
            "ReduceSum", reshaped(graph, bent, 0, 0, heads, -1), (3,), attributes={"keepdims": 0}
        )
        scores = expanded(graph, graph.op("Transpose", scores, attributes={"perm": (0, 2, 1)}), 2)
    else:
        keys = graph.op(
            "Transpose", _by_head(graph, source.keys, heads), attributes={"perm": (0, 1, 3, 2)}
        )
        scores = expanded(graph, reshaped(graph, query, 0, heads, -1), 2) @ keys
    weights = masked_softmax(graph, scores, expanded(graph, source.mask, 1, 2))
    context = weights @ _by_head(graph, source.values, heads)
    return reshaped(graph, context, 0, -1)


def _by_head(graph: Graph, states: Value, heads: int) -> Value:
    """(N, S, H) as (N, K, S, D)."""
    return graph.op(
        "Transpose", reshaped(graph, states, 0, 0, heads, -1), attributes={"perm": (0, 2, 1, 3)}
    )
