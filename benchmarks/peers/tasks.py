"""What the adapters in this folder share: tasks, ids as tensors, batches. No peer is imported here.

A task is a JSON file, see benchmarks/README.md. Token ids are those of s2st.
"""

import contextlib
import gc
import json
import math
import sys
import time

try:
    import torch
except ImportError:  # CTranslate2 needs none
    torch = None

PAD, BOS, EOS, UNK = 0, 1, 2, 3


def read_task():
    """The task named on the command line; torch gets the threads that it asks for."""
    with open(sys.argv[1], encoding="utf-8") as stream:
        task = json.load(stream)
    if torch is not None:
        torch.set_num_threads(task["threads"])
        torch.manual_seed(1)
    return task


def pad(rows, left=False):
    """(B, longest) ids."""
    width = max(map(len, rows))
    fill = [[PAD] * (width - len(row)) for row in rows]
    return torch.tensor(
        [[*f, *row] if left else [*row, *f] for row, f in zip(rows, fill, strict=True)]
    )


def by_length(task):
    """Batches of sources of near-equal length, each as places in `sources`; longest first."""
    sources = task["sources"]
    order = sorted(range(len(sources)), key=lambda place: -len(sources[place]))
    return [order[i : i + task["batch"]] for i in range(0, len(order), task["batch"])]


def source_rows(task, places):
    """Ids of sources with EOS, in reverse where the model wants that."""
    rows = [task["sources"][place] for place in places]
    return [[*(row[::-1] if task["reverse_source"] else row), EOS] for row in rows]


def most_words(task, places):
    """The longest output that a batch may have; peers know no limit a sentence."""
    words = max(len(task["sources"][place]) for place in places)
    return math.floor(task["max_len_a"] * words + task["max_len_b"])


def decode(task, translate):
    """Decodes every batch by `translate(places)`, which returns a list of ids for each place.

    Writes the hypotheses without EOS in the order of the sources, then prints the seconds.
    """
    batches = by_length(task)
    outputs = [None] * len(task["sources"])
    with contextlib.nullcontext() if torch is None else torch.inference_mode():
        translate(batches[-1][:2])  # warm
        gc.collect()
        start = time.perf_counter()
        for places in batches:
            for place, ids in zip(places, translate(places), strict=True):
                outputs[place] = ids[: ids.index(EOS)] if EOS in ids else ids
        seconds = time.perf_counter() - start
    with open(task["output"], "w", encoding="utf-8") as stream:
        json.dump(outputs, stream)
    print(seconds, flush=True)


class Clock:
    """Seconds from the first timed update on; `watch` goes around the batches of a trainer."""

    def __init__(self, warm):
        self.warm = warm
        self.started = None

    def watch(self, batches):
        """The same batches; when the first timed one is asked for, the clock starts."""
        for index, batch in enumerate(batches):
            if index == self.warm:
                self.started = time.perf_counter()
            yield batch

    def report(self):
        """Prints the seconds since then."""
        print(time.perf_counter() - self.started, flush=True)


def lstm_weights(weights, side, layers):
    """The parameters of `layers` single-layer LSTMs of s2st by the names of one nn.LSTM."""
    kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    return {
        f"{kind}_l{n}": weights[f"{side}.layers.{n}.{kind}_l0"]
        for n in range(layers)
        for kind in kinds
    }


def copy(module, weights, name):
    """Copies the weight and the bias of a layer of an s2st checkpoint."""
    module.weight.data.copy_(weights[f"{name}.weight"])
    module.bias.data.copy_(weights[f"{name}.bias"])


def copy_memory(keys, values, weights, name):
    """Copies the layer of s2st that makes keys and values to a layer for each."""
    for kind in ("weight", "bias"):
        for part, own in zip((keys, values), weights[f"{name}.{kind}"].chunk(2), strict=True):
            getattr(part, kind).data.copy_(own)


def sinusoids(count, width):
    """(count, width) positions of s2st's Transformer: sine and cosine in turn."""
    rates = torch.exp(torch.arange(0, width, 2) * (-math.log(10000.0) / width))
    angles = torch.arange(count).unsqueeze(1) * rates
    return torch.stack([torch.sin(angles), torch.cos(angles)], dim=2).flatten(1)
