"""The LSTM encoder-decoder of Sutskever et al. (2014) in NumPy: no torch, no s2st.

    python lstm.py model/checkpoint_best < tokenized.en > tokenized.fr
    python lstm.py model/checkpoint_best --target tokenized.fr < tokenized.en

The first form translates greedily. The second prints log p(target | source) of each pair of lines.
CHECKPOINT is what `s2st train --arch lstm` wrote (any number of layers, source reversed or not).
Input and output are tokens with spaces between them.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

PAD, BOS, EOS, UNK = range(4)
SPECIAL = ["<pad>", "<s>", "</s>", "<unk>"]
# what this file leaves out, with the value that it needs
NEEDED = {
    "context": "first-state", "bidirectional": False, "residual": False, "layer_norm": False,
    "reverse_target": False, "softmax": "full",
}  # fmt: skip
State = list[tuple[np.ndarray, np.ndarray]]  # hidden and cell state of each layer


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)), without overflow."""
    return 0.5 * (1 + np.tanh(0.5 * x))


class Layer:
    """One LSTM layer (Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000).

    W holds the weights of the input, U those of the hidden state. Their rows are those of the input
    gate i, the forget gate f, the new content g and the output gate o, one below the other.
    """

    def __init__(self, weights: dict[str, np.ndarray], name: str) -> None:
        self.W, self.U = weights[f"{name}.weight_ih_l0"], weights[f"{name}.weight_hh_l0"]
        self.b = weights[f"{name}.bias_ih_l0"] + weights[f"{name}.bias_hh_l0"]

    def step(
        self, x: np.ndarray, hidden: np.ndarray, cell: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Read one vector x; return the new hidden state and the new cell state."""
        i, f, g, o = np.split(self.W @ x + self.U @ hidden + self.b, 4)
        cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(g)
        return sigmoid(o) * np.tanh(cell), cell


class Model:
    """Encoder, decoder and softmax of a checkpoint."""

    def __init__(self, folder: str) -> None:
        record = json.loads((Path(folder) / "manifest.json").read_text("utf-8"))
        options = record["architecture"]["options"]
        wrong = [name for name, value in NEEDED.items() if options.get(name) != value]
        if record["architecture"]["name"] != "lstm" or wrong:
            sys.exit(f"{folder}: not a plain lstm model {' '.join(wrong)}")
        weights = load_file(Path(folder) / "weights.safetensors")
        self.source = words(folder, record["source_language"])
        self.target = words(folder, record["target_language"])
        self.reverse_source = options["reverse_source"]
        self.source_embedding = weights["source_embedding.weight"]  # (words, E)
        self.target_embedding = weights["target_embedding.weight"]
        self.encoder, self.decoder = (
            [Layer(weights, f"{part}.layers.{level}") for level in range(options["layers"])]
            for part in ("encoder", "decoder")
        )
        # with --tie-embeddings the softmax has the weights of the target embedding
        self.softmax = weights.get("softmax.weight", self.target_embedding)  # (words, H)

    def encode(self, ids: list[int]) -> State:
        """The state after the last token: all that the decoder gets to know of the source."""
        if self.reverse_source:
            ids = ids[::-1]
        zeros = np.zeros(self.encoder[0].U.shape[1], dtype=np.float32)
        state = [(zeros, zeros) for _ in self.encoder]
        for token in [*ids, EOS]:
            state = read(self.encoder, self.source_embedding[token], state)
        return state

    def step(self, token: int, state: State) -> tuple[np.ndarray, State]:
        """Log-probabilities (words,) of the next word after a token, and the next state."""
        state = read(self.decoder, self.target_embedding[token], state)
        logits = self.softmax @ state[-1][0]  # of the top layer's hidden state
        largest = logits.max()
        return logits - largest - np.log(np.exp(logits - largest).sum()), state

    def log_prob(self, source: list[int], target: list[int]) -> float:
        """log p(target | source): the sum over the words and EOS."""
        state, total = self.encode(source), 0.0
        for before, word in zip([BOS, *target], [*target, EOS], strict=True):
            log_probs, state = self.step(before, state)
            total += float(log_probs[word])
        return total

    def translate(self, source: list[int]) -> list[int]:
        """The most probable word at each step, at most as many as `s2st generate` allows."""
        state, found = self.encode(source), [BOS]
        while len(found) <= 2 * len(source) + 10:
            log_probs, state = self.step(found[-1], state)
            log_probs[[PAD, BOS]] = -np.inf  # which no target has
            found.append(int(log_probs.argmax()))
            if found[-1] == EOS:
                return found[1:-1]
        return found[1:]


def read(layers: list[Layer], x: np.ndarray, state: State) -> State:
    """The state after one input: each layer reads the hidden state of the layer below."""
    after = []
    for layer, (hidden, cell) in zip(layers, state, strict=True):
        hidden, cell = layer.step(x, hidden, cell)
        after.append((hidden, cell))
        x = hidden
    return after


def words(folder: str, language: str) -> list[str]:
    """The vocabulary: four special tokens, then the lines of the dictionary."""
    lines = (Path(folder) / f"dict.{language}.txt").read_text("utf-8").split("\n")[:-1]
    return SPECIAL + [line.rsplit(" ", 1)[0] for line in lines]


def ids_of(vocabulary: list[str], line: str) -> list[int]:
    """The ids of a line's words; unknown words get the id of <unk>."""
    numbers = {word: i for i, word in enumerate(vocabulary) if i >= len(SPECIAL)}
    return [numbers.get(word, UNK) for word in line.split()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint")
    parser.add_argument("--target", type=Path, help="target lines, to score each pair")
    arguments = parser.parse_args()
    model = Model(arguments.checkpoint)
    sources = [ids_of(model.source, line) for line in sys.stdin]
    if arguments.target is None:
        for source in sources:  # an empty line stays empty
            print(" ".join(model.target[i] for i in (model.translate(source) if source else [])))
        return
    targets = arguments.target.read_text("utf-8").split("\n")[:-1]
    for source, target in zip(sources, targets, strict=True):
        print(f"{model.log_prob(source, ids_of(model.target, target)):.6f}")


if __name__ == "__main__":
    main()
