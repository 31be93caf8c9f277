"""Operations that the graphs of several architectures share.

Letters: B sentences, S source length, N rows, H width, V words.
"""

import math
from collections.abc import Sequence

import torch

from s2st.models.onnx_format.graph import BOOL, INT64, Graph, Value
from s2st.models.softmax.output_layer import Output


def encoder_inputs(graph: Graph) -> tuple[Value, Value]:
    """The inputs of every encoder: tokens (B, S), and lengths (B,) with EOS."""
    tokens = graph.input("tokens", INT64, ("batch", "source"))
    return tokens, graph.input("lengths", INT64, ("batch",))


def step_token(graph: Graph) -> Value:
    """The input of every decoder step: the last token (N,) of each row."""
    return graph.input("token", INT64, ("batch",))


def embed(graph: Graph, name: str, tokens: Value) -> Value:
    """The vectors (..., E) of tokens (...)."""
    return graph.op("Gather", graph.weight(name), tokens)


def linear(graph: Graph, inputs: Value, name: str) -> Value:
    """The product with NAME.weight, plus NAME.bias where the model has one."""
    result = inputs @ graph.weight(f"{name}.weight", transposed=True)
    bias = f"{name}.bias"
    return result + graph.weight(bias) if graph.has(bias) else result


def without_eos(graph: Graph, lengths: Value) -> Value:
    """(B,) lengths without EOS; a source without words keeps its EOS."""
    return graph.op("Max", lengths - 1, 1)


def layer_norm(graph: Graph, inputs: Value, name: str, epsilon: float = 1e-5) -> Value:
    """Layer normalization of the last dimension; the default is torch's epsilon."""
    scale, shift = (graph.weight(f"{name}.{part}") for part in ("weight", "bias"))
    return graph.op(
        "LayerNormalization", inputs, scale, shift, attributes={"axis": -1, "epsilon": epsilon}
    )


def reshaped(graph: Graph, value: Value, *shape: int) -> Value:
    """The value in another shape; 0 keeps a dimension, -1 stands for what is left."""
    return graph.op("Reshape", value, shape)


def expanded(graph: Graph, value: Value, *axes: int) -> Value:
    """The value with new dimensions of size 1 at these places."""
    return graph.op("Unsqueeze", value, axes)


def parts(graph: Graph, value: Value, sizes: Sequence[int]) -> list[Value]:
    """The value cut along its last dimension."""
    if len(sizes) == 1:
        return [value]
    return graph.ops("Split", len(sizes), value, sizes, attributes={"axis": -1})


def joined(graph: Graph, values: Sequence[Value], axis: int = -1) -> Value:
    """The values side by side."""
    return values[0] if len(values) == 1 else graph.op("Concat", *values, attributes={"axis": axis})


def zeros(graph: Graph, like: Value, *width: int) -> Value:
    """(B, *width) zeros, where `like` is (B,)."""
    shape = graph.op("Concat", graph.op("Shape", like), graph.value(width), attributes={"axis": 0})
    return graph.op("ConstantOfShape", shape)


def source_mask(graph: Graph, tokens: Value, lengths: Value) -> Value:
    """(B, S) True at real positions."""
    width = graph.op("Gather", graph.op("Shape", tokens), 1)
    positions = graph.op("Range", 0, width, 1)
    return graph.op("Less", expanded(graph, positions, 0), expanded(graph, lengths, 1))


def masked_softmax(graph: Graph, scores: Value, mask: Value) -> Value:
    """The softmax of the last dimension over the positions where the mask is True."""
    return graph.op("Softmax", graph.op("Where", mask, scores, -math.inf), attributes={"axis": -1})


def return_mask(graph: Graph, mask: Value) -> None:
    """Returns the encoder's mask, which steps that attend to the source read."""
    graph.output("source_mask", mask, BOOL, ("batch", "source"))


def project(graph: Graph, features: Value, output: Output, table: str | None) -> Value:
    """Logits (N, V) of features (N, H); an adaptive softmax gives log-probabilities.

    Args:
        output: the layer, for its kind; its weights come from the graph.
        table: name of the embedding table that a tied softmax shares.
    """
    if output.adaptive is not None:
        return _adaptive(graph, features, output.adaptive)
    if not output.tied:
        return linear(graph, features, "softmax")
    assert table is not None
    logits = features @ graph.weight(table, transposed=True)
    return logits + graph.weight("softmax.bias") if graph.has("softmax.bias") else logits


def _adaptive(
    graph: Graph, features: Value, adaptive: torch.nn.AdaptiveLogSoftmaxWithLoss
) -> Value:
    name = "softmax.adaptive"
    head = graph.op("LogSoftmax", linear(graph, features, f"{name}.head"), attributes={"axis": -1})
    sizes = [int(adaptive.shortlist_size)] + [1] * int(adaptive.n_clusters)
    first, *clusters = parts(graph, head, sizes)
    found = [first]
    for index, cluster in enumerate(clusters):
        narrow = linear(graph, features, f"{name}.tail.{index}.0")
        words = linear(graph, narrow, f"{name}.tail.{index}.1")
        found.append(graph.op("LogSoftmax", words, attributes={"axis": -1}) + cluster)
    return joined(graph, found)
