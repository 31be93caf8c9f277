"""One model as a Scorer."""

import torch

from s2st.data.batch import Batch, SourceBatch
from s2st.device import autocast
from s2st.models.base import PROJECTED_ROWS, DecoderState, Seq2SeqModel
from s2st.models.int8 import require_int8
from s2st.models.output import at_least_float32
from s2st.scoring.base import Scorer, ScorerStep, TextSide, WordStep


class ModelScorer(Scorer):
    """Wraps a model in evaluation mode.

    Args:
        model: on its device already.
        source, target: what the ids mean.
        precision: number format of the matrix products: "float32", "bfloat16" or "int8"; for int8
            the weights of the model are replaced, for good.
    """

    def __init__(
        self, model: Seq2SeqModel, source: TextSide, target: TextSide, precision: str = "float32"
    ) -> None:
        self.model = model.eval()
        self.source = source
        self.target = target
        self.device = next(model.parameters()).device
        self._precision = precision
        if precision == "int8":
            require_int8(self.device)
            model.quantize()

    @torch.inference_mode()
    def start(self, source: SourceBatch) -> DecoderState:
        """Encodes the sources."""
        with autocast(self.device, self._precision):
            return self.model.initial_state(self.model.encode(source.to(self.device)))

    @torch.inference_mode()
    def step(self, tokens: torch.Tensor, state: DecoderState) -> ScorerStep:
        """One step of the model and the softmax, in parts of the rows that fit a cache."""
        with autocast(self.device, self._precision):
            result = self.model.step(tokens, state)
            parts = [
                torch.log_softmax(at_least_float32(self.model.project(part)), dim=-1)
                for part in torch.split(result.features, PROJECTED_ROWS)
            ]
        log_probs = parts[0] if len(parts) == 1 else torch.cat(parts)
        return ScorerStep(log_probs, result.state, result.attention)

    @torch.inference_mode()
    def step_words(
        self, tokens: torch.Tensor, state: DecoderState, rows: torch.Tensor, words: torch.Tensor
    ) -> WordStep:
        """One step of the model, and the normaliser without all log-probabilities."""
        with autocast(self.device, self._precision):
            result = self.model.step(tokens, state)
            log_probs = self.model.word_log_probs(result.features, rows, words)
        return WordStep(log_probs, result.state)

    @torch.inference_mode()
    def score(self, batch: Batch) -> torch.Tensor:
        """Teacher forced; only real target positions are projected."""
        batch = batch.to(self.device)
        mask = batch.target_mask()
        with autocast(self.device, self._precision):
            state = self.model.initial_state(self.model.encode(batch.source))
            features = self.model.decode(batch.target_in, state)[mask]
            rows = torch.arange(len(features), device=self.device)
            log_probs = self.model.word_log_probs(features, rows, batch.target_out[mask])
        result = torch.zeros(mask.shape, dtype=log_probs.dtype, device=self.device)
        result[mask] = log_probs
        return result
