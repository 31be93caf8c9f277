"""A plugin in one file: a bag-of-words encoder (architecture) and a search.

PYTHONPATH=examples/plugin s2st train bin --plugin mean_embedding --arch mean-embedding
PYTHONPATH=examples/plugin s2st generate --plugin mean_embedding --search greedy-unk ...
"""

from dataclasses import dataclass, replace

import torch
from torch import nn

from s2st.data.batch import SourceBatch
from s2st.models.base import DecoderState, EncoderOutput, ModelSizes, ModelStep, Seq2SeqModel
from s2st.models.registry import ARCHITECTURES
from s2st.options.option_fields import option
from s2st.scoring.base import Scorer
from s2st.search.base import Hypothesis, Search
from s2st.search.greedy import GreedySearch
from s2st.search.registry import SEARCHES, GreedyConfig
from s2st.text.vocabulary import PAD_ID


@dataclass(frozen=True)
class MeanEmbeddingConfig:
    """Options of the architecture: each field defines a flag, its default, help and range."""

    width: int = option(128, "width of embeddings and decoder", minimum=1, maximum=100_000)


@dataclass(frozen=True)
class HiddenState(DecoderState):
    hidden: torch.Tensor  # (N, H)

    def select(self, rows: torch.Tensor) -> "HiddenState":
        return HiddenState(self.hidden.index_select(0, rows))


class MeanEmbedding(Seq2SeqModel):
    """GRU decoder whose first state is the mean of the source word vectors."""

    def __init__(self, config: MeanEmbeddingConfig, sizes: ModelSizes) -> None:
        super().__init__()
        self.source = nn.Embedding(sizes.source_vocabulary, config.width, PAD_ID)
        self.target = nn.Embedding(sizes.target_vocabulary, config.width, PAD_ID)
        self.cell = nn.GRUCell(config.width, config.width)
        self.softmax = nn.Linear(config.width, sizes.target_vocabulary)

    def encode(self, source: SourceBatch) -> EncoderOutput:
        lengths = source.lengths.to(source.tokens.device).unsqueeze(1)
        return EncoderOutput((self.source(source.tokens).sum(1) / lengths,))

    def initial_state(self, encoder_output: EncoderOutput) -> HiddenState:
        return HiddenState(torch.tanh(encoder_output.final[0]))

    def decode(self, target_in: torch.Tensor, state: DecoderState) -> torch.Tensor:
        assert isinstance(state, HiddenState)
        hidden, features = state.hidden, []
        for column in self.target(target_in).unbind(1):
            hidden = self.cell(column, hidden)
            features.append(hidden)
        return torch.stack(features, 1)

    def project(self, features: torch.Tensor) -> torch.Tensor:
        return self.softmax(features)

    def step(self, tokens: torch.Tensor, state: DecoderState) -> ModelStep:
        assert isinstance(state, HiddenState)
        hidden = self.cell(self.target(tokens), state.hidden)
        return ModelStep(hidden, HiddenState(hidden), None)


class SeveralGreedy(Search):
    """Greedy search with and without the unknown word; the better result comes first."""

    def __init__(self, config: GreedyConfig) -> None:
        self.config = config

    def __call__(self, scorer: Scorer, source: SourceBatch) -> list[list[Hypothesis]]:
        runs = [
            GreedySearch(replace(self.config, nbest=1, unk=unk)) for unk in (self.config.unk, False)
        ]
        rows = zip(*(run(scorer, source) for run in runs), strict=True)
        best = [sorted((h for (h,) in row), key=lambda h: -h.score) for row in rows]
        return [hypotheses[: self.config.nbest] for hypotheses in best]


ARCHITECTURES.register(
    "mean-embedding", MeanEmbeddingConfig, MeanEmbedding, "bag-of-words encoder, GRU decoder"
)
SEARCHES.register("greedy-unk", GreedyConfig, SeveralGreedy, "greedy with and without <unk>")
