"""Negative log-likelihood of the target given the source, plain and label-smoothed."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch

from s2st.criteria.registry import CrossEntropyConfig, LabelSmoothingConfig
from s2st.data.batch import Batch
from s2st.models.base import Seq2SeqModel


@dataclass(frozen=True)
class CriterionOutput:
    """Sums over a batch, in nats; the trainer normalises once.

    Attributes:
        loss_sum: scalar with gradient.
        nll_sum: scalar without gradient: -log p of the targets, whatever the loss is.
        token_count: real target positions, EOS counted.
        sentence_count: sentences.
    """

    loss_sum: torch.Tensor
    nll_sum: torch.Tensor
    token_count: int
    sentence_count: int


class Criterion(ABC):
    """Scores a model on a batch.

    Attributes:
        smoothing: of a loss that is (label-smoothed) cross entropy and nothing else, so that the
            softmax can be divided over processes; None of others.
    """

    smoothing: float | None = None

    @abstractmethod
    def __call__(self, model: Seq2SeqModel, batch: Batch) -> CriterionOutput:
        """Sums of loss and counts over the batch."""


def model_loss(model: Seq2SeqModel, batch: Batch, smoothing: float) -> CriterionOutput:
    """The model's loss of the real target positions only."""
    state = model.initial_state(model.encode(batch.source))
    places = batch.target_positions()
    features = model.decode(batch.target_in, state).flatten(0, 1)[places]
    words = batch.target_out.flatten()[places]
    loss, nll = model.target_loss(features, words, smoothing)
    return CriterionOutput(loss, nll, len(words), len(batch))


class CrossEntropy(Criterion):
    """-sum of log p(word | words before, source)."""

    smoothing = 0.0

    def __init__(self, config: CrossEntropyConfig) -> None:
        self.config = config

    def __call__(self, model: Seq2SeqModel, batch: Batch) -> CriterionOutput:
        """Sums over the batch."""
        return model_loss(model, batch, smoothing=0.0)


class LabelSmoothedCrossEntropy(Criterion):
    """(1 - e) * nll + e * mean over the vocabulary of -log p (Szegedy et al. 2016)."""

    def __init__(self, config: LabelSmoothingConfig) -> None:
        self.config = config
        self.smoothing = config.label_smoothing

    def __call__(self, model: Seq2SeqModel, batch: Batch) -> CriterionOutput:
        """Sums over the batch."""
        return model_loss(model, batch, self.config.label_smoothing)
