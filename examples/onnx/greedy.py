"""Greedy translation with `s2st export --format onnx`: numpy and onnxruntime, no torch, no s2st.

    s2st export model/checkpoint_best model.onnx --format onnx
    python greedy.py model.onnx < tokenized.en > tokenized.fr

Reads and writes tokens with spaces between them. `s2st.json` says which tokenizer made them.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime


class Model:
    """An exported model: two graphs and two vocabularies."""

    def __init__(self, folder: str) -> None:
        self.record = json.loads((Path(folder) / "s2st.json").read_text("utf-8"))
        self.ids = self.record["ids"]
        self.special = {*self.record["special_tokens"]}
        self.encoder, self.decoder = (
            onnxruntime.InferenceSession(
                str(Path(folder) / self.record[part]["file"]), providers=["CPUExecutionProvider"]
            )
            for part in ("encoder", "decoder_step")
        )
        self.targets = json.loads((Path(folder) / "target_vocabulary.json").read_text("utf-8"))
        sources = Path(folder) / "source_vocabulary.json"  # a language model has none
        words = json.loads(sources.read_text("utf-8")) if sources.exists() else []
        self.source_ids = {word: index for index, word in enumerate(words)}

    def encode(self, lines: list[list[str]]) -> dict[str, np.ndarray]:
        """The state before the first step, one row for each line."""
        unk, eos = self.ids["unk"], self.ids["eos"]
        tag = [self.source_ids[token] for token in self.record["source_prefix"]]
        text = [[self.source_ids.get(w, unk) if w not in self.special else unk for w in words]
                for words in lines]  # fmt: skip
        rows = [[*tag, *ids, eos] for ids in text]
        if not self.source_ids:
            rows = [[eos] for _ in lines]
        lengths = np.array([len(row) for row in rows])
        tokens = np.full((len(rows), lengths.max()), self.ids["pad"])
        for row, ids in zip(tokens, rows, strict=True):
            row[: len(ids)] = ids
        return run(self.encoder, {"tokens": tokens, "lengths": lengths})

    def step(
        self, token: np.ndarray, state: dict[str, np.ndarray]
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Logits (N, V) after each row's last token, and the next state."""
        found = run(self.decoder, {"token": token, **state})
        new = {name: found[output] for name, output in self.record["states"].items()}
        return found["logits"], {**state, **new}

    def words(self, ids: list[int]) -> list[str]:
        """The tokens of a translation, in the order of the text."""
        shown = (i for i in ids if i == self.ids["unk"] or self.targets[i] not in self.special)
        words = [self.targets[i] for i in shown]
        return words[::-1] if self.record["reverse_target"] else words


def run(session: onnxruntime.InferenceSession, given: dict[str, np.ndarray]) -> dict:
    """The outputs of a graph by name; `given` may hold more than its inputs."""
    names = [output.name for output in session.get_outputs()]
    inputs = {item.name: given[item.name] for item in session.get_inputs()}
    return dict(zip(names, session.run(names, inputs), strict=True))


def translate(
    model: Model, lines: list[list[str]], max_len_a: float = 2.0, max_len_b: int = 10
) -> list[list[str]]:
    """The best word at every step, until each row has ended or is as long as s2st allows."""
    state = model.encode(lines)
    rows = list(range(len(lines)))  # that have not ended
    token = np.full(len(rows), model.ids["bos"])
    limits = [int(max_len_a * len(line) + max_len_b) for line in lines]
    found: list[list[int]] = [[] for _ in lines]
    while rows:
        logits, state = model.step(token, state)
        logits[:, model.record["never_predict"]] = -np.inf
        token = logits.argmax(axis=1)
        going = []
        for place, row in enumerate(rows):
            if token[place] != model.ids["eos"] and len(found[row]) < limits[row]:
                found[row].append(int(token[place]))
                going.append(place)
        rows, token = [rows[place] for place in going], token[going]
        state = {name: value[going] for name, value in state.items()}
    return [model.words(ids) for ids in found]


def main() -> None:
    model = Model(sys.argv[1])
    for line in sys.stdin:
        words = line.split()  # an empty line stays empty
        print(" ".join(translate(model, [words])[0] if words else []), flush=True)


if __name__ == "__main__":
    main()
