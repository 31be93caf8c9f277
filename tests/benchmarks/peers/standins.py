"""What the stand-ins share: modules by name, reading by an LSTM, and greedy search.

The stand-ins have the names and signatures of the peers that benchmarks/peers calls, and nothing
else. They compute what s2st's LSTM computes, so that a wrong weight, id or order shows in the
output.
"""

import sys
from types import ModuleType

import torch


def publish(name, **contents):
    """Makes a module importable as `name`, and an attribute of the module above it."""
    module = sys.modules.setdefault(name, ModuleType(name))
    vars(module).update(contents)
    above, _, last = name.rpartition(".")
    if above:
        setattr(sys.modules.setdefault(above, ModuleType(above)), last, module)
        publish(above)


def read(lstm, embedded, lengths):
    """The final state of an LSTM over (B, T, E) inputs of which `lengths` are real."""
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        embedded, lengths, batch_first=True, enforce_sorted=False
    )
    return lstm(packed)[1]


def greedy(step, rows, start, end, most):
    """The best word after the best word until `end`, which counts, or for `most` words.

    Args:
        step: words (B,) -> logits (B, V); it keeps the state.
        rows: B.
        start, end: words before the first one and after the last one.
        most: number of words.
    """
    words = torch.full((rows,), start)
    made = []
    for _ in range(most):
        words = step(words)[:, end:].argmax(dim=1) + end  # neither padding nor the start
        made.append(words)
    found = torch.stack(made, dim=1).tolist()
    return [row[: row.index(end) + 1] if end in row else row for row in found]
