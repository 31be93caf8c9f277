"""The graph of the convolutional sentence encoder (`convolutional/sentence_convolution.py`).

Letters: B sentences, S positions, W columns that are left, E width.
"""

import torch
import torch.nn.functional as F

from s2st.models.onnx_format.graph import BOOL, FLOAT, INT64, Graph, Value
from s2st.models.onnx_format.layers import expanded


class ConvolutionGraph:
    """The cascade of convolutions, with one step for all sentences of a batch.

    A sentence is done when its columns are fewer than those of the next kernel. The vectors are
    padded so that the columns never run out.

    Args:
        graph: the graph to append to.
        weight: name of the tensor with all kernels.
        largest: columns of the largest kernel.
    """

    def __init__(self, graph: Graph, weight: str, largest: int) -> None:
        self.graph, self.largest = graph, largest
        sizes = [*range(2, largest + 1), *range(2, largest)]
        cut = torch.split(graph.tensor(weight).detach().float().cpu(), sizes, dim=1)
        self.kernels = [graph.value(kernel.unsqueeze(1)) for kernel in cut[: largest - 1]]
        self.width = cut[0].shape[0]
        # row j - 1 has the kernel L^j, and zeros where it has no column; a single column stays
        single = F.one_hot(torch.zeros(self.width, dtype=torch.int64), largest).float()
        tops = [F.pad(kernel, (0, largest - kernel.shape[1])) for kernel in cut[largest - 1 :]]
        self.tops = graph.value(torch.stack([single, *tops]))

    def __call__(self, vectors: Value, lengths: Value) -> Value:
        """One vector per sentence (B, E) of vectors (B, S, E)."""
        graph = self.graph
        columns = graph.op("Transpose", vectors, attributes={"perm": (0, 2, 1)})
        found = graph.op(
            "Mul", graph.op("ReduceMean", columns, attributes={"axes": [2], "keepdims": 0}), 0.0
        )
        spare = sum(range(1, self.largest)) + self.largest
        columns = graph.op("Pad", columns, (0, 0, 0, 0, 0, spare))
        open_rows = graph.op("Greater", lengths, 0)
        for size in range(2, self.largest + 1):
            states = self._round(size, columns, lengths, open_rows, found)
            columns, lengths, open_rows, found = states

        def body(inner: list[Value]) -> tuple[Value, list[Value]]:
            after = self._round(self.largest, *inner)
            return self._any(after[2]), after

        kinds = (FLOAT, INT64, BOOL, FLOAT)
        before = [columns, lengths, open_rows, found]
        states = graph.loop(self._any(open_rows), list(zip(before, kinds, strict=True)), body)
        return states[3]

    def _any(self, open_rows: Value) -> Value:
        """() whether a sentence is not done."""
        graph = self.graph
        count = graph.op(
            "ReduceMax",
            graph.op("Cast", open_rows, attributes={"to": 7}),
            attributes={"axes": [0], "keepdims": 0},
        )
        return graph.op("Greater", count, 0)

    def _round(
        self, size: int, columns: Value, lengths: Value, open_rows: Value, found: Value
    ) -> list[Value]:
        """Folds the sentences that are too short for the kernel, and convolves the others."""
        graph = self.graph
        ending = graph.op("And", open_rows, graph.op("Less", lengths, size))
        left = graph.op("Clip", lengths, graph.value(1), graph.value(max(1, self.largest - 1)))
        kernel = graph.op("Gather", self.tops, left - 1)
        first = graph.op("Slice", columns, (0,), (self.largest,), (2,))
        total = graph.op("ReduceSum", first * kernel, (2,), attributes={"keepdims": 0})
        one = expanded(graph, graph.op("Equal", left, 1), 1)
        folded = graph.op("Where", one, total, graph.op("Tanh", total))
        found = graph.op("Where", expanded(graph, ending, 1), folded, found)
        open_rows = graph.op("And", open_rows, graph.op("Not", ending))
        convolved = graph.op(
            "Conv", columns, self.kernels[size - 2], attributes={"group": self.width}
        )
        return [graph.op("Tanh", convolved), lengths - (size - 1), open_rows, found]
