"""Scheduled sampling: in training the decoder also reads words of its own (Bengio et al. 2015).

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

NEVER_READ = (PAD_ID, BOS_ID, EOS_ID)  # what no position but the first, or none, reads
STEEPNESS = 10.0  # of the inverse sigmoid, from its first update to its last


class ScheduledSampling(Criterion):
    """Cross entropy where each input word but BOS is, with probability 1 - ratio, the model's own.

    Bengio et al. decode step by step, and each own word follows from the own words before it. Here
    all positions are decoded at once, whatever the architecture (Mihaylova & Martins 2019;
    Duckworth et al. 2019): a pass without gradient over the reference gives the model's word at
    every position, some of which then replace the reference's as inputs of the pass that is
    trained. So an own word was chosen after the reference's words. Every further `sampling_passes`
    chooses after the inputs that the pass before made, at the same positions: with as many passes
    as positions, argmax and no dropout the inputs are those of the step-by-step form.

    What the model is to predict is the reference, always; in validation so is what it reads.

    Raises:
        UsageError: an exponential schedule is to end at 0.
    """

    def __init__(self, config: ScheduledSamplingConfig) -> None:
        if config.teacher_forcing_schedule == "exponential" and config.teacher_forcing == 0:
            raise UsageError(
                "--teacher-forcing-schedule exponential never comes to 0: set --teacher-forcing "
                "above it, or take linear"
            )
        self.config = config
        self.ratio = 1.0

    def begin_update(self, update: int) -> None:
        """Sets the ratio for this update."""
        config = self.config
        self.ratio = teacher_forcing_ratio(
            config.teacher_forcing_schedule,
            config.teacher_forcing,
            (update - 1) / config.teacher_forcing_updates,
        )

    def check(self, model: Seq2SeqModel) -> None:
        """As the smoothed cross entropy."""
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
        """The batch with some of its inputs replaced."""
        reference = batch.target_in
        # drawn on the CPU, so that a GPU draws the same
        replaced = moved(torch.rand(reference.shape) >= self.ratio, reference.device)
        replaced &= batch.target_mask()
        replaced[:, 0] = False  # BOS
        inputs = reference
        for _ in range(self.config.sampling_passes):
            words = self._words(model, state, replace(batch, target_in=inputs))
            inputs = torch.where(replaced, words, reference)
        return replace(batch, target_in=inputs)

    def _words(self, model: Seq2SeqModel, state: DecoderState, batch: Batch) -> torch.Tensor:
        """(B, T) the model's own word for each input, which the position before gave."""
        places = batch.target_positions()
        features = model.decode(batch.target_in, state).flatten(0, 1)[places]
        words = batch.target_in.new_full((batch.target_in.numel(),), PAD_ID)
        vocabulary = model.project(features[:1]).shape[-1]
        for rows in row_chunks(len(places), vocabulary, 4):
            logits = model.project(features[rows]).float()
            logits[:, list(NEVER_READ)] = -torch.inf
            if self.config.sampled_words == "drawn":  # by Gumbel's noise, -log of an exponential
                logits -= torch.empty_like(logits).exponential_().log_()
            words[places[rows]] = logits.argmax(dim=1)
        return words.view_as(batch.target_in).roll(1, dims=1)


def teacher_forcing_ratio(schedule: str, last: float, done: float) -> float:
    """Chance that an input is the reference's word.

    Args:
        schedule: "linear"; "exponential", last ** done; or "inverse-sigmoid", Bengio et al.'s
            k / (k + exp(i / k)) of update i with its middle halfway, stretched to go from 1 at
            first to `last` (with k = 148 that takes 1484 updates).
        last: the ratio in the end.
        done: share of the fall that is over; 1 or more at its end.
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
