"""A tiny trainer, its data and a recording observer, for the tests of training."""

from dataclasses import replace

import numpy as np
import torch
from builders import SOURCE_WORDS, TARGET_WORDS, TINY, corpus, model, random_sentences, record

from s2st.criteria.registry import CRITERIA
from s2st.data.batch_planner import BatchingConfig
from s2st.models.configs import RecurrentConfig
from s2st.training.checkpoint import RunIdentity
from s2st.training.gradient_accumulation import Gradients, Loss
from s2st.training.lr_schedules import SCHEDULES
from s2st.training.observer import Observer
from s2st.training.optimizers import OPTIMIZERS
from s2st.training.options import TrainerConfig
from s2st.training.sparse_embeddings import set_sparse_tables
from s2st.training.trainer import Trainer
from s2st.training.training_parts import TrainingParts

PAIRS = 22
TRAIN = corpus(random_sentences(PAIRS, 10, 1), random_sentences(PAIRS, 8, 2))
VALID = corpus(random_sentences(5, 10, 3), random_sentences(5, 8, 4))
CONFIG = RecurrentConfig(**{**TINY, "layers": 2})  # with dropout
STILL = replace(CONFIG, dropout=0.0)
CPU = torch.device("cpu")


class Recorder(Observer):
    """Keeps what it is told."""

    def __init__(self):
        self.saved_names, self.validations, self.updates = [], [], []

    def saved(self, name):
        self.saved_names.append(name)

    def validated(self, report):
        self.validations.append(report)

    def updated(self, report):
        self.updates.append(report)


def translations(seed=0):
    """Lines of a lexicon: two random translations of each source word."""
    draw = np.random.default_rng(seed)
    targets = TARGET_WORDS.split()
    for word in SOURCE_WORDS.split():
        for other in draw.choice(targets, 2, replace=False):
            yield f"{word}\t{other}\t{draw.uniform(0.1, 0.5):.3f}\n"


def criterion_for(name, made, described, folder):
    """The criterion with default options; guided alignment has a lexicon if the model attends."""
    entry, options = CRITERIA.get(name), {}
    guided = name == "guided-alignment" and made.source_attention()
    if guided:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "lexicon"
        path.write_text("".join(translations()))
        options = {"alignment_lexicon": str(path)}
    criterion = entry.build(entry.config_type(**options))
    if guided:
        criterion.read_files(described)
    return criterion


def trainer(
    folder, *, config=CONFIG, optimizer="sgd", lr=0.1, schedule="fixed", batch_size=4,
    valid=VALID, stop=lambda: 0, dtype=torch.float32, training=TRAIN, criterion="cross-entropy",
    architecture="lstm", device=CPU, **options,
):  # fmt: skip
    made = model(architecture, config, dtype=dtype).to(device)
    options = {"max_epoch": 2.0, "clip_norm": 0.0, "patience": None, "log_interval": 1} | options
    entry, plan = OPTIMIZERS.get(optimizer), SCHEDULES.get(schedule)
    update_rule = entry.build(entry.config_type(lr=lr), made.parameters())
    set_sparse_tables(made, getattr(update_rule, "sparse_tables", False))
    described = record(architecture, config)
    parts = TrainingParts(
        described,
        made,
        criterion_for(criterion, made, described, folder),
        update_rule,
        plan.build(plan.config_type()),
        training,
        valid,
        RunIdentity({"lr": lr}, "data"),
    )
    gradients = Gradients(Loss(made, parts.criterion, device, "float32"), device)
    config = TrainerConfig(save_dir=str(folder), **options)
    return Trainer(parts, config, BatchingConfig(batch_size), gradients, Recorder(), stop)
