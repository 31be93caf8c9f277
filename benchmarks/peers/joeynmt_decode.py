"""Decodes with JoeyNMT's own search and random weights; run by its own interpreter.

    python joeynmt_decode.py TASK.json

Our weights do not fit its model, see joeynmt_model.py: what comes out has no meaning. Every output
has LENGTH words for each one of its batch's longest source, as Marian's have: compare output words
a second. Prints the seconds.
"""

import math

import torch
from joeynmt.search import search
from joeynmt_model import build_model, make_batch
from tasks import decode, read_task, source_rows

LENGTH = 1.2


def main():
    task = read_task()
    model = build_model(task).eval()
    for parameter in model.parameters():  # its embeddings start so small that every word is alike
        torch.nn.init.uniform_(parameter, -0.1, 0.1)
    beam = 0 if task["beam"] == 1 else task["beam"]  # 0: greedy

    def translate(places):
        batch = make_batch(source_rows(task, places))
        most = math.ceil(LENGTH * (batch.src.shape[1] - 1))
        words, _, _ = search(model, batch, most, beam, -1, n_best=1, min_output_length=most)
        return words.tolist()

    decode(task, translate)


main()
