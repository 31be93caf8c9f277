"""One model as a Scorer."""

import torch

from s2st.data.batch import Batch, SourceBatch
from s2st.device import autocast
from s2st.models.base import DecoderState, Seq2SeqModel
from s2st.scoring.base import Scorer, ScorerStep, TextSide


class ModelScorer(Scorer):
    """Wraps a model in evaluation mode.

    Args:
        model: on its device already.
        source, target: what the ids mean.
        precision: number format of the matrix products ("float32" or "bfloat16").
    """

    def __init__(
        self, model: Seq2SeqModel, source: TextSide, target: TextSide, precision: str = "float32"
    ) -> None:
        self.model = model.eval()
        self.source = source
        self.target = target
        self.device = next(model.parameters()).device
        self._precision = precision

    @torch.inference_mode()
    def start(self, source: SourceBatch) -> DecoderState:
        """Encodes the sources."""
        with autocast(self.device, self._precision):
            return self.model.initial_state(self.model.encode(source.to(self.device)))

    @torch.inference_mode()
    def step(self, tokens: torch.Tensor, state: DecoderState) -> ScorerStep:
        """One step of the model and the softmax."""
        with autocast(self.device, self._precision):
            result = self.model.step(tokens, state)
        log_probs = torch.log_softmax(_float(result.logits), dim=-1)
        return ScorerStep(log_probs, result.state, result.attention)

    @torch.inference_mode()
    def score(self, batch: Batch) -> torch.Tensor:
        """Teacher forced; only real target positions are projected."""
        batch = batch.to(self.device)
        mask = batch.target_mask()
        with autocast(self.device, self._precision):
            state = self.model.initial_state(self.model.encode(batch.source))
            features = self.model.decode(batch.target_in, state)
            logits = _float(self.model.project(features[mask]))
        words = batch.target_out[mask].unsqueeze(1)
        log_probs = logits.gather(1, words).squeeze(1) - logits.logsumexp(dim=-1)
        result = torch.zeros(mask.shape, dtype=log_probs.dtype, device=self.device)
        result[mask] = log_probs
        return result


def _float(logits: torch.Tensor) -> torch.Tensor:
    return logits if logits.dtype == torch.float64 else logits.float()
