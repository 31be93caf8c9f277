"""Several trainings one after the other in one process of a job, for test_data_parallel.py.

Each line of stdin is a JSON object: port, store, stop (0, or after which call of the stop signal to
stop) and options. A line of stdout tells how each ended.
"""

import json
import os
import sys
from dataclasses import dataclass
from hashlib import sha256

from s2st.errors import InterruptedBySignalError
from s2st.jobs.train import TRAIN_SPEC, run_training
from s2st.jobs.validation_metrics import METRICS, ValidationMetric
from s2st.options.resolution import OptionSource, resolve
from s2st.training.observer import Observer


@dataclass(frozen=True)
class NoOptions:
    """Options of `exact`: none."""


@METRICS.registered("exact", NoOptions, "a number that differs for other translations")
class Exact(ValidationMetric):
    """Number of words, then digits of a hash of the text."""

    def __init__(self, config):
        self.config = config

    def __call__(self, hypotheses, references):
        text = "\n".join(hypotheses)
        digits = int(sha256(text.encode()).hexdigest()[:8], 16) % 10**6
        return len(text.split()) + digits / 10**6


def train(store, options, stop=0):
    """Trains; `stop` is after which look at the signals one is there, 0 for never."""
    looks = []

    def signal():
        looks.append(1)
        return 15 if stop and len(looks) >= stop else 0

    return run_training(
        store, resolve(TRAIN_SPEC, [OptionSource("test", options)]), Observer(), signal
    )


if __name__ == "__main__":
    for line in sys.stdin:
        case = json.loads(line)
        os.environ["MASTER_PORT"] = str(case["port"])
        try:
            print("updates", train(case["store"], case["options"], case["stop"]).update)
        except InterruptedBySignalError as stop:
            print("stopped", stop)
