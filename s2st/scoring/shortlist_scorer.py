"""One model as a Scorer over a batch's shortlist."""

from typing import TYPE_CHECKING

import torch
from torch import nn

from s2st.data.batch import SourceBatch
from s2st.models.base import DecoderState
from s2st.models.softmax.chunked_loss import at_least_float32
from s2st.process.device import autocast
from s2st.scoring.base import Advance, Features, Scorer, ScorerStep
from s2st.scoring.shortlist import NarrowState, Shortlist, narrowed_side

if TYPE_CHECKING:
    from s2st.scoring.model_scorer import ModelScorer


class ShortlistScorer(Scorer):
    """Scores only the words of a batch's shortlists; target ids are places in the shortlist.

    Args:
        scorer: the scorer of all words.
        project: logits (N, K) of features (N, H).
        shortlist: the shortlists of the sentences with which `start` is called.
        precision: data type of the matrix products.
    """

    def __init__(
        self, scorer: "ModelScorer", project: nn.Module, shortlist: Shortlist, precision: str
    ) -> None:
        self.source = scorer.source
        self.target = narrowed_side(scorer.target, shortlist.words)
        self.device = scorer.device
        self._scorer = scorer
        self._project = project
        self._shortlist = shortlist.to(self.device)
        self._precision = precision

    def start(self, source: SourceBatch) -> DecoderState:
        """Encodes the sources."""
        sentences = torch.arange(len(source), device=self.device)
        return NarrowState(self._scorer.start(source), sentences)

    @torch.inference_mode()
    def advance(self, tokens: torch.Tensor, state: DecoderState) -> Advance:
        """One step of the model."""
        assert isinstance(state, NarrowState)
        result = self._scorer.advance(self._shortlist.words[tokens], state.inner)
        features = (result.features, state.sentences)
        return Advance(features, NarrowState(result.state, state.sentences), result.attention)

    @torch.inference_mode()
    def log_probs(self, features: Features) -> torch.Tensor:
        """Log-softmax over the shortlist of each row's sentence."""
        return torch.log_softmax(self._logits(features), dim=-1)

    @torch.inference_mode()
    def probabilities(self, features: Features) -> torch.Tensor:
        """Softmax over the shortlist of each row's sentence."""
        return torch.softmax(self._logits(features), dim=-1)

    def _logits(self, features: Features) -> torch.Tensor:
        inner, sentences = features
        assert isinstance(inner, torch.Tensor)
        assert isinstance(sentences, torch.Tensor)
        with autocast(self.device, self._precision):
            logits = at_least_float32(self._project(inner))
        return logits.masked_fill_(self._shortlist.forbidden[sentences], -torch.inf)

    def step(self, tokens: torch.Tensor, state: DecoderState) -> ScorerStep:
        """One step of the model and the softmax."""
        return self.whole_step(tokens, state)
