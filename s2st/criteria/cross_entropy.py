"""Cross entropy of the target given the source, plain and label-smoothed."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch

from s2st.criteria.registry import CrossEntropyConfig, LabelSmoothingConfig
from s2st.data.batch import Batch
from s2st.errors import UsageError
from s2st.models.base import DecoderState, Seq2SeqModel
from s2st.models.model_record import ModelRecord
from s2st.models.softmax.output_layer import Output


@dataclass(frozen=True)
class CriterionOutput:
    """Sums over a batch, in nats; the trainer divides them once.

    Attributes:
        loss_sum: scalar, with gradient.
        nll_sum: scalar, without gradient: -log p of the targets, whatever the loss is.
        token_count: number of real target positions, including EOS.
        sentence_count: number of sentences.
    """

    loss_sum: torch.Tensor
    nll_sum: torch.Tensor
    token_count: int
    sentence_count: int


class Criterion(ABC):
    """Scores a model on a batch.

    Attributes:
        smoothing: label smoothing of a criterion that is plain cross entropy, so that processes
            can divide the softmax; None for other criteria.
    """

    smoothing: float | None = None

    def begin_update(self, update: int) -> None:  # noqa: B027 - most criteria never change
        """Called with the number of each update, from 1, before its batches."""

    def check(self, model: Seq2SeqModel) -> None:  # noqa: B027 - most criteria train any model
        """Called with the model before training.

        Raises:
            UsageError: this criterion cannot train the model.
        """

    def read_files(self, record: ModelRecord) -> None:  # noqa: B027 - most criteria have no files
        """Called with the record of the model before training, after `check`.

        Raises:
            S2STError: a file that the options name cannot be used for the model.
        """

    @abstractmethod
    def __call__(self, model: Seq2SeqModel, batch: Batch) -> CriterionOutput:
        """Sums of the loss and counts over the batch."""


def model_loss(model: Seq2SeqModel, batch: Batch, smoothing: float) -> CriterionOutput:
    """The model's loss at the real target positions.

    Raises:
        DataError: the model gives a pair the probability 0.
    """
    model.check_pairs(batch)
    state = model.initial_state(model.encode(batch.source))
    return decoded_loss(model, state, batch, smoothing)


def decoded_loss(
    model: Seq2SeqModel, state: DecoderState, batch: Batch, smoothing: float
) -> CriterionOutput:
    """Like `model_loss`, from the first state of the decoder."""
    features = model.decode_targets(batch, state)
    words = batch.target_out.flatten()[batch.target_positions()]
    loss, nll = model.target_loss(features, words, smoothing)
    return CriterionOutput(loss, nll, len(words), len(batch))


def check_smoothing(model: Seq2SeqModel, smoothing: float) -> None:
    """Raises UsageError for label smoothing of a sampled softmax."""
    outputs = (module for module in model.modules() if isinstance(module, Output))
    if smoothing and any(output.kind == "sampled" for output in outputs):
        raise UsageError(
            f"--label-smoothing {smoothing:g} is over all words, which --softmax sampled does not "
            "compute: use --label-smoothing 0 or another softmax"
        )


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

    def check(self, model: Seq2SeqModel) -> None:
        """See `check_smoothing`."""
        check_smoothing(model, self.config.label_smoothing)

    def __call__(self, model: Seq2SeqModel, batch: Batch) -> CriterionOutput:
        """Sums over the batch."""
        return model_loss(model, batch, self.config.label_smoothing)
