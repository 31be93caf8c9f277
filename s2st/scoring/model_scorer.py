"""One model as a Scorer."""

from dataclasses import replace

import torch

from s2st.data.batch import Batch, SourceBatch
from s2st.models.base import DecoderState, Reading, Seq2SeqModel
from s2st.models.packed.int8_linear import require_int8
from s2st.models.prefix_tree import PrefixTree
from s2st.models.softmax.chunked_loss import at_least_float32
from s2st.process.device import autocast
from s2st.scoring.base import Advance, Features, Scorer, ScorerStep, TextSide
from s2st.scoring.shortlist import Shortlist
from s2st.scoring.shortlist_scorer import ShortlistScorer


class ModelScorer(Scorer):
    """Wraps a model in evaluation mode.

    The model receives copies of ids. So a plugin's model that writes into its input changes neither
    the search nor the input of the other members of an ensemble.

    Args:
        model: a model that is already on its device.
        source, target: the sides that define the ids.
        precision: data type of the matrix products: "float32", "bfloat16" or "int8". The weights
            are prepared for it, so that later changes to them have no effect.
        tag: id of the target language's tag, which the model reads before each source; None
            without tags. Attention does not count it.
    """

    def __init__(
        self,
        model: Seq2SeqModel,
        source: TextSide,
        target: TextSide,
        precision: str = "float32",
        tag: int | None = None,
    ) -> None:
        self.model = model.eval()
        self.source = source
        self.target = target
        self.device = next(model.parameters()).device
        self._precision = precision
        self._tag = tag
        if precision == "int8":
            require_int8(self.device)
        self.computes_trees = model.computes_trees
        model.prepare(precision)

    @torch.inference_mode()
    def start(self, source: SourceBatch) -> DecoderState:
        """Encodes the sources."""
        with autocast(self.device, self._precision):
            return self.model.initial_state(self.model.encode(self._copied(source)))

    @torch.inference_mode()
    def sentence_vectors(self, source: SourceBatch) -> dict[str, torch.Tensor]:
        """The sentence vectors of the model."""
        with autocast(self.device, self._precision):
            encoded = self.model.encode(self._copied(source))
        parts = self.model.sentence_vectors(encoded)
        return {name: at_least_float32(part) for name, part in parts.items()}

    @torch.inference_mode()
    def attention_weights(self, batch: Batch) -> dict[str, tuple[torch.Tensor, ...]]:
        """The weights of the model; a tag before the source has no row and no column."""
        copied = batch.to(self.device).copied()
        with autocast(self.device, self._precision):
            found = self.model.attention_weights(
                replace(copied, source=self._tagged(copied.source))
            )
        if self._tag is None:
            return found
        every, rest = slice(None), slice(1, None)
        cut = {"encoder": (every, every, rest, rest), "cross": (every, every, every, rest)}
        return {
            part: tuple(w[cut[part]] if part in cut else w for w in layers)
            for part, layers in found.items()
        }

    @torch.inference_mode()
    def reading(self, source: SourceBatch) -> Reading | None:
        """How the model reads a source; None with tags, which are no words of it."""
        if self._tag is not None:
            return None
        with autocast(self.device, self._precision):
            return self.model.reading(self._copied(source))

    @torch.inference_mode()
    def state_vectors(self, state: DecoderState) -> torch.Tensor | None:
        """What the model's state remembers."""
        vectors = self.model.state_vectors(state)
        return None if vectors is None else at_least_float32(vectors)

    def check_pairs(self, batch: Batch) -> None:
        """Checks the pairs with the model."""
        batch = batch.copied()
        self.model.check_pairs(replace(batch, source=self._tagged(batch.source)))

    def _copied(self, source: SourceBatch) -> SourceBatch:
        return self._tagged(source.copied()).to(self.device)

    def _tagged(self, source: SourceBatch) -> SourceBatch:
        return source if self._tag is None else source.with_tag(self._tag)

    @torch.inference_mode()
    def advance(self, tokens: torch.Tensor, state: DecoderState) -> Advance:
        """One step of the model."""
        with autocast(self.device, self._precision):
            result = self.model.step(tokens.clone(), state)
        attention = None if result.attention is None else at_least_float32(result.attention)
        if attention is not None and self._tag is not None:
            attention = attention[:, 1:]
        return Advance(result.features, result.state, attention)

    @torch.inference_mode()
    def tree_features(self, state: DecoderState, tree: PrefixTree) -> "Features | None":
        """Computes all prefixes at once, if the model can."""
        if not self.computes_trees:
            return None
        with autocast(self.device, self._precision):
            return self.model.decode_tree(tree.to(self.device), state)

    @torch.inference_mode()
    def log_probs(self, features: Features) -> torch.Tensor:
        """Projects the features and applies log-softmax."""
        return torch.log_softmax(self._logits(features), dim=-1)

    @torch.inference_mode()
    def probabilities(self, features: Features) -> torch.Tensor:
        """Projects the features and applies softmax."""
        return torch.softmax(self._logits(features), dim=-1)

    def _logits(self, features: Features) -> torch.Tensor:
        assert isinstance(features, torch.Tensor)
        with autocast(self.device, self._precision):
            return at_least_float32(self.model.project(features))

    @torch.inference_mode()
    def narrowed(self, shortlist: Shortlist) -> Scorer:
        """The model with a softmax over the shortlist."""
        words = shortlist.words.to(self.device)
        project = self.model.narrowed(words, self._precision)
        return ShortlistScorer(self, project, shortlist, self._precision)

    def step(self, tokens: torch.Tensor, state: DecoderState) -> ScorerStep:
        """One step of the model and the softmax."""
        return self.whole_step(tokens, state)

    @torch.inference_mode()
    def score(self, batch: Batch) -> torch.Tensor:
        """Uses teacher forcing, and projects only real target positions."""
        batch = batch.to(self.device)
        places = batch.target_positions()
        with autocast(self.device, self._precision):
            state = self.model.initial_state(self.model.encode(self._copied(batch.source)))
            features = self.model.decode_targets(batch.copied(), state)
        rows = torch.arange(len(features), device=self.device)
        log_probs = self.pick(features, rows, batch.target_out.flatten()[places])
        result = log_probs.new_zeros(batch.target_out.numel())
        result[places] = log_probs
        return result.view_as(batch.target_out)
