"""Vanilla RNN, GRU and LSTM encoder-decoders without attention (Sutskever et al. 2014).

The encoder's final state (every layer) is the decoder's first state; `context="every-step"` also
feeds the encoder's top hidden state to every decoder step (Cho et al. 2014). The softmax has no
output bias, as in the paper.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from s2st.data.batch import SourceBatch
from s2st.errors import UsageError
from s2st.models.base import (
    DecoderState,
    EncoderOutput,
    ModelSizes,
    ModelStep,
    Seq2SeqModel,
    reverse_tokens,
)
from s2st.models.products import make_product
from s2st.models.recurrent_stage import RecurrentStage
from s2st.models.registry import RecurrentConfig
from s2st.models.softmax_loss import softmax_loss
from s2st.models.stack import Stack
from s2st.text.vocabulary import PAD_ID


@dataclass(frozen=True)
class RecurrentState(DecoderState):
    """Hidden and, for the LSTM, cell states.

    Attributes:
        memory: (P, N, H), the layers' hidden states, then their cell states.
        context: (N, H) the encoder's summary where every step reads it, else None.
    """

    memory: torch.Tensor
    context: torch.Tensor | None

    def select(self, rows: torch.Tensor) -> "RecurrentState":
        """Rows of the state, in a new one."""
        context = None if self.context is None else self.context.index_select(0, rows)
        return RecurrentState(self.memory.index_select(1, rows), context)


class RecurrentModel(Seq2SeqModel):
    """Encoder and decoder stacks of one cell kind, with embeddings and a softmax matrix.

    Args:
        cell: "lstm", "gru" or "rnn".
        config: sizes; every one must be set.
        sizes: vocabulary sizes.
    """

    def __init__(self, cell: str, config: RecurrentConfig, sizes: ModelSizes) -> None:
        super().__init__()
        layers, hidden, embedding = config.layers, config.hidden_size, config.embedding_size
        if layers is None or hidden is None or embedding is None or config.dropout is None:
            raise ValueError("layers, hidden_size, embedding_size and dropout must be set")
        self.config = config
        self.dropout = config.dropout
        every_step = config.context == "every-step"
        self.source_embedding = nn.Embedding(sizes.source_vocabulary, embedding, PAD_ID)
        self.target_embedding = nn.Embedding(sizes.target_vocabulary, embedding, PAD_ID)
        self.encoder = Stack(cell, embedding, hidden, layers)
        self.decoder = Stack(cell, embedding + (hidden if every_step else 0), hidden, layers)
        self.softmax = nn.Linear(hidden, sizes.target_vocabulary, bias=False)
        self._projection: nn.Module | None = None
        self._initialize()

    def _initialize(self) -> None:
        if self.config.init == "uniform":
            bound = self.config.init_range
            for parameter in self.parameters():
                nn.init.uniform_(parameter, -bound, bound)
        else:
            for table in (self.source_embedding, self.target_embedding):
                nn.init.normal_(table.weight, std=0.1)
        for table in (self.source_embedding, self.target_embedding):
            with torch.no_grad():
                table.weight[PAD_ID].zero_()

    def encode(self, source: SourceBatch) -> EncoderOutput:
        """The encoder's memory after each source's EOS."""
        tokens = reverse_tokens(source) if self.config.reverse_source else source.tokens
        if self.encoder.prepared:
            words, rows = torch.unique(tokens, return_inverse=True)
            inputs = self.source_embedding(words)
            before = inputs.new_zeros(self.encoder.planes, len(source), self.softmax.in_features)
            memory = self.encoder.steps.read(inputs, rows, source.lengths, before)
            return EncoderOutput((memory,))
        inputs = self.source_embedding(tokens.t())
        inputs = F.dropout(inputs, self.dropout, self.training)
        return EncoderOutput((self.encoder.run_packed(inputs, source.lengths, self.dropout),))

    def initial_state(self, encoder_output: EncoderOutput) -> RecurrentState:
        """The encoder's memory, and its top hidden state where every step reads it."""
        (memory,) = encoder_output.final
        top = len(self.encoder.layers) - 1
        context = memory[top] if self.config.context == "every-step" else None
        return RecurrentState(memory, context)

    def sentence_vectors(self, encoder_output: EncoderOutput) -> dict[str, torch.Tensor]:
        """The layers' hidden states side by side, lowest first, and, for the LSTM, cell states."""
        (memory,) = encoder_output.final
        parts = torch.split(memory.transpose(0, 1), len(self.encoder.layers), dim=1)
        return {n: part.flatten(1) for n, part in zip(("hidden", "cell"), parts, strict=False)}

    def decode(self, target_in: torch.Tensor, state: DecoderState) -> torch.Tensor:
        """Top hidden states (B, T, H) after each token of target_in (B, T)."""
        assert isinstance(state, RecurrentState)
        inputs = self.target_embedding(target_in.t())
        inputs = F.dropout(inputs, self.dropout, self.training)
        if state.context is not None:
            context = state.context.unsqueeze(0).expand(len(inputs), -1, -1)
            inputs = torch.cat([inputs, context], dim=2)
        outputs, _ = self.decoder.run(inputs, state.memory, self.dropout)
        return F.dropout(outputs, self.dropout, self.training).transpose(0, 1)

    def project(self, features: torch.Tensor) -> torch.Tensor:
        """Logits by the softmax matrix."""
        if self._projection is None:
            logits: torch.Tensor = self.softmax(features)
            return logits
        flat: torch.Tensor = self._projection(features.flatten(0, -2))
        return flat.view(*features.shape[:-1], flat.shape[1])

    def target_loss(
        self, features: torch.Tensor, words: torch.Tensor, smoothing: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """In chunks of rows."""
        return softmax_loss(features, self.softmax.weight, words, smoothing)

    def stage(self, index: int, count: int) -> RecurrentStage:
        """Encoder layers and the decoder layers of the same height."""
        layers = len(self.encoder.layers)
        if self.config.context == "every-step":
            raise UsageError(
                "--pipeline-stages: with --context every-step the first decoder layer reads the "
                "last encoder layer, on another stage; use first-state"
            )
        if count > layers:
            raise UsageError(
                f"--pipeline-stages {count}: a stage needs a layer, and the model has {layers}"
            )
        first, end = layers * index // count, layers * (index + 1) // count
        tables = (self.source_embedding, self.target_embedding) if first == 0 else None
        return RecurrentStage(
            self.encoder.part(first, end), self.decoder.part(first, end), tables, end == layers,
            self.dropout, self.config.reverse_source,
        )  # fmt: skip

    def softmax_weight(self) -> torch.Tensor:
        """The softmax matrix."""
        return self.softmax.weight

    def prepare(self, precision: str) -> None:
        """Packed or int8 weights on CPUs."""
        if self.softmax.weight.device.type == "cpu":
            self.encoder.prepare(precision)
            self.decoder.prepare(precision)
            self._projection = make_product(self.softmax.weight, None, precision)
        else:
            super().prepare(precision)

    def step(self, tokens: torch.Tensor, state: DecoderState) -> ModelStep:
        """One token in each row."""
        assert isinstance(state, RecurrentState)
        if state.context is not None:
            inputs = torch.cat([self.target_embedding(tokens), state.context], dim=1)
            memory = self.decoder.steps.step(inputs, state.memory)
        else:  # rows of a beam or list often read the same word
            words, rows = torch.unique(tokens, return_inverse=True)
            memory = self.decoder.steps.step(self.target_embedding(words), state.memory, rows)
        top = memory[len(self.decoder.layers) - 1]
        return ModelStep(top, RecurrentState(memory, state.context), None)


def build_lstm(config: RecurrentConfig, sizes: ModelSizes) -> RecurrentModel:
    """The architecture `lstm`."""
    return RecurrentModel("lstm", config, sizes)


def build_gru(config: RecurrentConfig, sizes: ModelSizes) -> RecurrentModel:
    """The architecture `gru`."""
    return RecurrentModel("gru", config, sizes)


def build_rnn(config: RecurrentConfig, sizes: ModelSizes) -> RecurrentModel:
    """The architecture `rnn`."""
    return RecurrentModel("rnn", config, sizes)
