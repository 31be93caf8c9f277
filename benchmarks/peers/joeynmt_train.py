"""Trains JoeyNMT's recurrent encoder-decoder by its own step; run by its own interpreter.

    python joeynmt_train.py TASK.json

With attention, see joeynmt_model.py. Its TrainManager's step, its clipping and its Adam; around
them what its loop over batches does. Prints the seconds of the updates after the first `warm` ones.
"""

from types import SimpleNamespace

from joeynmt.builders import build_gradient_clipper, build_optimizer
from joeynmt.training import TrainManager
from joeynmt_model import build_model, make_batch
from tasks import BOS, EOS, Clock, read_task


def main():
    task = read_task()
    manager = TrainManager.__new__(TrainManager)  # its constructor wants data and folders
    manager.model = build_model(task)
    manager.args = SimpleNamespace(normalization="batch", batch_multiplier=1)
    manager.n_gpu, manager.scaler = 0, None
    manager.autocast = {"device_type": "cpu", "enabled": False}
    clip = build_gradient_clipper({"clip_grad_val": None, "clip_grad_norm": 5.0})
    options = {"optimizer": "adam", "learning_rate": 0.001}
    optimizer = build_optimizer(options, manager.model.parameters())
    batches = [
        make_batch(
            [[*row, EOS] for row in batch["sources"]],
            [[BOS, *row, EOS] for row in batch["targets"]],
        )
        for batch in task["batches"]
    ]
    clock = Clock(task["warm"])
    loss, words = 0.0, 0
    for batch in clock.watch(batches):
        own, _ = manager._train_step(batch)
        loss += own * batch.nseqs
        words += batch.ntokens
        clip(parameters=manager.model.parameters())
        optimizer.step()
        manager.model.zero_grad()
    print(f"mean loss a target word: {loss / words:.3f}")
    clock.report()


main()
