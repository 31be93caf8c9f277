"""Scores lists with fairseq's own sequence scorer; run by its own interpreter.

    python fairseq_score.py TASK.json

As `fairseq-generate --score-reference`: pairs of near-equal length in a batch. The model has random
weights. Prints the seconds of the scoring alone.
"""

import time

import torch
from fairseq.sequence_scorer import SequenceScorer
from fairseq_model import build, make_sample
from tasks import BOS, EOS, read_task


def main():
    task = read_task()
    _, translation, model = build(task)
    model.eval()
    scorer = SequenceScorer(translation.target_dictionary)
    pairs = [
        (source, hypothesis)
        for source, group in zip(task["sources"], task["hypotheses"], strict=True)
        for hypothesis in group
    ]
    pairs.sort(key=lambda pair: (len(pair[0]), len(pair[1])))  # as its data set orders them

    def score(part):
        sample = make_sample(
            [[*source, EOS] for source, _ in part],
            [[BOS, *hypothesis, EOS] for _, hypothesis in part],
        )
        return [best[0]["score"] for best in scorer.generate([model], sample)]

    with torch.inference_mode():
        score(pairs[: task["batch"]])  # warm
        start = time.perf_counter()
        for first in range(0, len(pairs), task["batch"]):
            score(pairs[first : first + task["batch"]])
        print(time.perf_counter() - start)


main()
