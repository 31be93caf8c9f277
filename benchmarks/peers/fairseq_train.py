"""Trains fairseq's encoder-decoders by its own trainer and interpreter.

    python fairseq_train.py TASK.json

Its Trainer.train_step with its criterion, clipping and Adam, one batch an update. Prints the
seconds of the updates after the first `warm` ones.
"""

import math

from fairseq.trainer import Trainer
from fairseq_model import build, make_sample
from tasks import BOS, EOS, Clock, read_task


def main():
    task = read_task()
    config, translation, model = build(task)
    trainer = Trainer(config, translation, model, translation.build_criterion(config.criterion))
    samples = [
        make_sample(
            [[*row, EOS] for row in batch["sources"]],
            [[BOS, *row, EOS] for row in batch["targets"]],
        )
        for batch in task["batches"]
    ]
    clock = Clock(task["warm"])
    loss, words = 0.0, 0
    for sample in clock.watch(samples):
        logged = trainer.train_step([sample])
        loss += logged["loss"] * math.log(2) * sample["ntokens"]  # it logs bits
        words += sample["ntokens"]
    print(f"mean loss a target word: {loss / words:.3f}")
    clock.report()


main()
