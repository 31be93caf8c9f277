"""Trains OpenNMT-py's encoder-decoders by its own trainer; run by its own interpreter.

    python opennmt_train.py TASK.json

Its Trainer, LossCompute (with the statistics that it always makes), Optimizer and report manager,
one batch an update. Prints the seconds of the updates after the first `warm` ones.
"""

from types import SimpleNamespace

import onmt.utils
import torch
from onmt.trainer import Trainer
from onmt.utils.loss import LossCompute
from onmt.utils.optimizers import Optimizer, build_torch_optimizer
from opennmt_model import build_model, make_batch
from tasks import BOS, EOS, PAD, Clock, read_task


def main():
    task = read_task()
    model = build_model(task)
    criterion = torch.nn.CrossEntropyLoss(ignore_index=PAD, reduction="sum")
    options = SimpleNamespace(optim="adam", adam_beta1=0.9, adam_beta2=0.999, learning_rate=0.001)
    trainer = Trainer(
        model,
        LossCompute(criterion, model.generator),
        None,
        SimpleNamespace(transforms=[]),
        [],
        Optimizer(build_torch_optimizer(model, options), 0.001, max_grad_norm=5.0),
        report_manager=onmt.utils.ReportMgr(report_every=50),
        dropout=[task["dropout"]],
    )
    clock = Clock(task["warm"])
    batches = [
        make_batch(
            [[*row, EOS] for row in batch["sources"]],
            [[BOS, *row, EOS] for row in batch["targets"]],
        )
        for batch in task["batches"]
    ]
    numbered = ((batch, 0) for batch in clock.watch(batches))
    statistics = trainer.train(numbered, len(batches))
    print(f"mean loss a target word: {statistics.xent():.3f}")
    clock.report()


main()
