"""Vanilla RNN, GRU and LSTM encoder-decoders without attention (Sutskever et al. 2014).

The final states of the encoder's layers are the first states of the decoder's layers. With
`context="every-step"` every decoder step also reads the encoder's top hidden state (Cho et al.
2014). The softmax has no output bias, as in the paper. With `bidirectional`, each encoder layer has
two halves, whose states are concatenated (`BidirectionalStack`).
"""

import torch
from torch import nn

from s2st.data.batch import SourceBatch
from s2st.errors import UsageError
from s2st.models.base import (
    DecoderState,
    EncoderOutput,
    ModelSizes,
    ModelStep,
    Reading,
    reverse_tokens,
)
from s2st.models.configs import RecurrentConfig, VanillaConfig
from s2st.models.recurrent.bidirectional_stack import BidirectionalStack
from s2st.models.recurrent.decoder import (
    RecurrentState,
    memory_vectors,
    run_decoder,
    step_decoder,
)
from s2st.models.recurrent.layer_stack import Stack, StackDesign
from s2st.models.recurrent.pipeline_stage import RecurrentStage
from s2st.models.recurrent.word_inputs import word_inputs
from s2st.models.softmax.output_layer import Output, word_tables
from s2st.models.softmax.softmax_model import WordModel
from s2st.models.vector_input import InputTable, input_table, refuse_vectors
from s2st.text.vocabulary import PAD_ID


class RecurrentModel(WordModel):
    """Encoder and decoder stacks of one kind of cell, with embeddings and a softmax matrix.

    Args:
        cell: "lstm", "gru", "rnn" or "rnn-sigmoid".
        config: sizes; every one must be set.
        sizes: vocabulary sizes.
    """

    prepared_parts = ("encoder", "decoder", "softmax")

    def __init__(self, cell: str, config: RecurrentConfig, sizes: ModelSizes) -> None:
        super().__init__()
        layers, hidden, embedding, self.dropout = config.sizes()
        self.config = config
        self.hidden_size = hidden
        every_step = config.context == "every-step"
        tables = word_tables(config, sizes, embedding)
        self.source_embedding, self.target_embedding = tables
        design = StackDesign(config.residual, config.layer_norm, config.recurrent_dropout)
        reader = BidirectionalStack if config.bidirectional else Stack
        self.encoder = reader(cell, embedding, hidden, layers, design)
        width = embedding + (hidden if every_step else 0)
        self.decoder = Stack(cell, width, hidden, layers, design)
        self.softmax = Output(hidden, sizes.target_vocabulary, config, self.target_embedding)
        self._initialize()

    def _initialize(self) -> None:
        if self.config.init == "uniform":
            bound = self.config.init_range
            norms = (m for m in self.modules() if isinstance(m, nn.LayerNorm))
            kept = {id(p) for norm in norms for p in norm.parameters()}
            for parameter in self.parameters():
                if id(parameter) not in kept:
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
        table = input_table(self.source_embedding, source)
        return EncoderOutput((self._read(table, tokens, source.lengths),))

    def _read(self, table: InputTable, tokens: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """The encoder's memory (P, B, H) after tokens (B, S) in the order of reading."""
        if self.encoder.prepared:
            words, rows = torch.unique(tokens, return_inverse=True)
            inputs = table(words)
            return self.encoder.read(inputs, rows, lengths)
        inputs, rows = word_inputs(table, tokens.t(), self.encoder, self.dropout)
        return self.encoder.run_packed(inputs, lengths, self.dropout, rows)

    def reading(self, source: SourceBatch) -> Reading:
        """The memory after each token. A bidirectional encoder reads each beginning anew."""
        (length,) = source.lengths.tolist()
        places = list(range(length))
        if self.config.reverse_source:
            places = [*places[-2::-1], length - 1]
        ends = torch.arange(1, length + 1)
        table = input_table(self.source_embedding, source)
        tokens = source.tokens[:, places].expand(length, length)
        read = torch.arange(length).unsqueeze(0) < ends.unsqueeze(1)
        tokens = tokens.masked_fill(~read.to(tokens.device), PAD_ID)
        state = self.initial_state(EncoderOutput((self._read(table, tokens, ends),)))
        return Reading(tuple(places), state)

    def state_vectors(self, state: DecoderState) -> torch.Tensor:
        """(N, D) the memory of each row."""
        return memory_vectors(state)

    def initial_state(self, encoder_output: EncoderOutput) -> RecurrentState:
        """The encoder's memory and, with `context="every-step"`, its top hidden state."""
        (memory,) = encoder_output.final
        context = self.encoder.top(memory) if self.config.context == "every-step" else None
        return RecurrentState(memory, context)

    def sentence_vectors(self, encoder_output: EncoderOutput) -> dict[str, torch.Tensor]:
        """Concatenated hidden states, lowest layer first; for the LSTM also the cell states."""
        (memory,) = encoder_output.final
        parts = torch.split(memory.transpose(0, 1), len(self.decoder.layers), dim=1)
        return {n: part.flatten(1) for n, part in zip(("hidden", "cell"), parts, strict=False)}

    def decode(self, target_in: torch.Tensor, state: DecoderState) -> torch.Tensor:
        """Outputs of the top layer (B, T, H) after each token of target_in (B, T)."""
        return run_decoder(self.target_embedding, self.decoder, target_in, state, self.dropout)

    def stage(self, index: int, count: int) -> RecurrentStage:
        """Some encoder layers with the decoder layers of the same height."""
        config, layers = self.config, len(self.decoder.layers)
        refuse_vectors(self, "--pipeline-stages")
        if config.context == "every-step":
            raise UsageError(
                "--pipeline-stages: with --context every-step the first decoder layer reads the "
                "last encoder layer, which is on another stage; use --context first-state"
            )
        for option, given in (
            ("--bidirectional", config.bidirectional),
            ("--residual", config.residual),
        ):
            if given:
                raise UsageError(f"--pipeline-stages cannot divide a model with {option}")
        assert isinstance(self.encoder, Stack)
        if count > layers:
            raise UsageError(
                f"--pipeline-stages {count}: a stage needs a layer, and the model has {layers}"
            )
        first, end = layers * index // count, layers * (index + 1) // count
        tables = (self.source_embedding, self.target_embedding) if first == 0 else None
        return RecurrentStage(
            self.encoder.part(first, end), self.decoder.part(first, end), tables, end == layers,
            self.dropout, config.reverse_source,
        )  # fmt: skip

    def step(self, tokens: torch.Tensor, state: DecoderState) -> ModelStep:
        """Reads one token in each row."""
        return step_decoder(self.target_embedding, self.decoder, tokens, state)


def build_lstm(config: RecurrentConfig, sizes: ModelSizes) -> RecurrentModel:
    """The architecture `lstm`."""
    return RecurrentModel("lstm", config, sizes)


def build_gru(config: RecurrentConfig, sizes: ModelSizes) -> RecurrentModel:
    """The architecture `gru`."""
    return RecurrentModel("gru", config, sizes)


def build_rnn(config: VanillaConfig, sizes: ModelSizes) -> RecurrentModel:
    """The architecture `rnn`."""
    return RecurrentModel(config.cell, config, sizes)
