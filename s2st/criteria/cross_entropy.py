"""Negative log-likelihood of the target given the source, plain and label-smoothed."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from s2st.criteria.registry import CrossEntropyConfig, LabelSmoothingConfig
from s2st.data.batch import Batch
from s2st.models.base import Seq2SeqModel
from s2st.models.output import at_least_float32


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
    """Scores a model on a batch."""

    @abstractmethod
    def __call__(self, model: Seq2SeqModel, batch: Batch) -> CriterionOutput:
        """Sums of loss and counts over the batch."""


def target_logits(model: Seq2SeqModel, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (P, V) and words (P,) of the P real target positions only, sentence by sentence."""
    state = model.initial_state(model.encode(batch.source))
    features = model.decode(batch.target_in, state)
    mask = batch.target_mask()
    return model.project(features[mask]), batch.target_out[mask]


class CrossEntropy(Criterion):
    """-sum of log p(word | words before, source)."""

    def __init__(self, config: CrossEntropyConfig) -> None:
        self.config = config

    def __call__(self, model: Seq2SeqModel, batch: Batch) -> CriterionOutput:
        """Sums over the batch."""
        logits, words = target_logits(model, batch)
        loss = F.cross_entropy(at_least_float32(logits), words, reduction="sum")
        return CriterionOutput(loss, loss.detach(), len(words), len(batch))


class LabelSmoothedCrossEntropy(Criterion):
    """(1 - e) * nll + e * mean over the vocabulary of -log p (Szegedy et al. 2016)."""

    def __init__(self, config: LabelSmoothingConfig) -> None:
        self.smoothing = config.label_smoothing

    def __call__(self, model: Seq2SeqModel, batch: Batch) -> CriterionOutput:
        """Sums over the batch."""
        logits, words = target_logits(model, batch)
        log_probs = F.log_softmax(at_least_float32(logits), dim=-1)
        nll = -log_probs.gather(1, words.unsqueeze(1)).sum()
        uniform = -log_probs.mean(dim=-1).sum()
        loss = (1 - self.smoothing) * nll + self.smoothing * uniform
        return CriterionOutput(loss, nll.detach(), len(words), len(batch))
