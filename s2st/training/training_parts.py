"""What a training consists of: model, criterion, optimizer, schedule, data, metrics."""

from dataclasses import dataclass, field

import torch

from s2st.criteria.cross_entropy import Criterion
from s2st.data.corpora import CorpusSet
from s2st.data.parallel_corpus import ParallelCorpus
from s2st.models.base import Seq2SeqModel
from s2st.models.model_record import ModelRecord
from s2st.training.checkpoint import RunIdentity
from s2st.training.lr_schedules import Schedule
from s2st.training.validation import BestMetric, ValidationDecoder


@dataclass(frozen=True)
class TrainingParts:
    """Model, criterion, optimizer, schedule and data of one training.

    Attributes:
        decoder: translates the validation split; None if only the loss is computed.
        best_metric: decides which checkpoint is best.
    """

    record: ModelRecord
    model: Seq2SeqModel
    criterion: Criterion
    optimizer: torch.optim.Optimizer
    schedule: Schedule
    training: ParallelCorpus | CorpusSet
    validation: ParallelCorpus | CorpusSet | None
    identity: RunIdentity
    decoder: ValidationDecoder | None = None
    best_metric: BestMetric = field(default_factory=BestMetric)
