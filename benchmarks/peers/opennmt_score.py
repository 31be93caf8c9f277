"""Scores lists with OpenNMT-py's own modules and scoring code; run by its own interpreter.

    python opennmt_score.py TASK.json

The model has random weights. Prints the seconds of the scoring alone.
"""

import time

import torch
from opennmt_model import build_model, build_translator, make_batch
from tasks import BOS, EOS, read_task


def main() -> None:
    task = read_task()
    translator = build_translator(task, build_model(task).eval())
    pairs = [
        (source, hypothesis)
        for source, group in zip(task["sources"], task["hypotheses"], strict=True)
        for hypothesis in group
    ]
    with torch.inference_mode():
        score(translator, pairs[: task["batch"]])  # warm
        start = time.perf_counter()
        for first in range(0, len(pairs), task["batch"]):
            score(translator, pairs[first : first + task["batch"]])
        print(time.perf_counter() - start)


def score(translator, pairs):
    """As Inference._gold_score does after the encoder."""
    # longest source first, as its own batches are
    order = sorted(range(len(pairs)), key=lambda place: -len(pairs[place][0]))
    batch = make_batch(
        [[*pairs[place][0], EOS] for place in order],
        [[BOS, *pairs[place][1], EOS] for place in order],
    )
    out, final, lengths = translator.model.encoder(batch["src"], batch["srclen"])
    translator.model.decoder.init_state(batch["src"], out, final)
    scores, _ = translator._score_target(batch, out, lengths, None)
    return scores[torch.tensor(order).argsort()]


main()
