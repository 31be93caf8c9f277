"""Scheduled sampling: in training the decoder also reads its predictions (Bengio et al. 2015).

Letters: B sentences, T target length, P real target positions, V words.
"""

import math
from dataclasses import replace

import torch

from s2st.criteria.cross_entropy import (
    Criterion,
    CriterionOutput,
    check_smoothing,
    decoded_loss,
)
from s2st.criteria.registry import ScheduledSamplingConfig
from s2st.data.batch import Batch, moved
from s2st.errors import UsageError
from s2st.models.base import DecoderState, Seq2SeqModel
from s2st.models.softmax.chunked_loss import row_chunks
from s2st.text.vocabulary import BOS_ID, EOS_ID, PAD_ID

NEVER_READ = (PAD_ID, BOS_ID, EOS_ID)  # ids that no position after the first reads
STEEPNESS = 10.0  # of the inverse sigmoid between its first and its last update


class ScheduledSampling(Criterion):
    """Cross entropy while the model predicts each input word but BOS with probability 1 - ratio.

    Bengio et al. decode step by step, so that each predicted word depends on the predicted words
    before it. Here all positions are decoded at once, for every architecture (Mihaylova & Martins
    2019; Duckworth et al. 2019). A pass without gradient over the reference predicts a word at
    every position. Some of these words then replace the reference's as inputs of the pass that is
    trained. So the predictions depend on words of the reference. Each further pass
    (`sampling_passes`) predicts from the inputs of the pass before, and replaces the same
    positions. With as many passes as positions, argmax and no dropout, the inputs are those of
    step-by-step decoding.

    The model always learns to predict the reference. In validation it also reads the reference.

    Raises:
        UsageError: an exponential schedule has the final ratio 0.
    """

    def __init__(self, config: ScheduledSamplingConfig) -> None:
        if config.teacher_forcing_schedule == "exponential" and config.teacher_forcing == 0:
            raise UsageError(
                "--teacher-forcing-schedule exponential never reaches 0: set --teacher-forcing "
                "above 0, or use --teacher-forcing-schedule linear"
            )
        self.config = config
        self.ratio = 1.0

    def begin_update(self, update: int) -> None:
        """Sets the ratio of this update."""
        config = self.config
        self.ratio = teacher_forcing_ratio(
            config.teacher_forcing_schedule,
            config.teacher_forcing,
            (update - 1) / config.teacher_forcing_updates,
        )

    def check(self, model: Seq2SeqModel) -> None:
        """See `check_smoothing`."""
        check_smoothing(model, self.config.label_smoothing)

    def __call__(self, model: Seq2SeqModel, batch: Batch) -> CriterionOutput:
        """Sums over the batch."""
        model.check_pairs(batch)
        state = model.initial_state(model.encode(batch.source))
        if model.training and self.ratio < 1:
            batch = self._mixed(model, state, batch)
        return decoded_loss(model, state, batch, self.config.label_smoothing)

    @torch.no_grad()
    def _mixed(self, model: Seq2SeqModel, state: DecoderState, batch: Batch) -> Batch:
        """The batch, with some input words replaced by the model's predictions."""
        reference = batch.target_in
        # drawn on the CPU, so that the draws are the same with and without a GPU
        replaced = moved(torch.rand(reference.shape) >= self.ratio, reference.device)
        replaced &= batch.target_mask()
        replaced[:, 0] = False  # BOS
        inputs = reference
        for _ in range(self.config.sampling_passes):
            words = self._words(model, state, replace(batch, target_in=inputs))
            inputs = torch.where(replaced, words, reference)
        return replace(batch, target_in=inputs)

    def _words(self, model: Seq2SeqModel, state: DecoderState, batch: Batch) -> torch.Tensor:
        """(B, T) the word that the model predicts for each input, from the position before."""
        places = batch.target_positions()
        features = model.decode_targets(batch, state)
        words = batch.target_in.new_full((batch.target_in.numel(),), PAD_ID)
        vocabulary = model.project(features[:1]).shape[-1]
        for rows in row_chunks(len(places), vocabulary, 4):
            logits = model.project(features[rows]).float()
            for word in NEVER_READ:  # a list as an index would wait for the GPU
                logits[:, word] = -torch.inf
            if (
                self.config.sampled_words == "drawn"
            ):  # with Gumbel noise, the -log of an exponential
                logits -= torch.empty_like(logits).exponential_().log_()
            words[places[rows]] = logits.argmax(dim=1)
        return words.view_as(batch.target_in).roll(1, dims=1)


def teacher_forcing_ratio(schedule: str, last: float, done: float) -> float:
    """Probability that an input is the word of the reference.

    Args:
        schedule: "linear"; "exponential", last ** done; or "inverse-sigmoid", Bengio et al.'s
            k / (k + exp(i / k)) of update i with its middle halfway, stretched to go from 1 at
            first to `last` (with k = 148 that takes 1484 updates).
        last: the final ratio.
        done: share of the updates of the fall that are over; 1 or more after the fall.
    """
    if done >= 1:
        return last
    if schedule == "linear":
        return 1 - (1 - last) * done
    if schedule == "exponential":
        return float(last**done)
    first, now, end = (_falling(share) for share in (0.0, done, 1.0))
    return last + (1 - last) * (now - end) / (first - end)


def _falling(share: float) -> float:
    return 1 / (1 + math.exp(STEEPNESS * (share - 0.5)))
