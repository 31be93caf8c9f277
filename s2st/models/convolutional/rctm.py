"""A convolutional sentence model, then a recurrent decoder: Kalchbrenner & Blunsom (2013), RCTM I.

As in the paper ("Recurrent Continuous Translation Models", EMNLP 2013): a cascade of convolutions
(`sentence_convolution.py`) turns the source into one vector e. The decoder is a plain RNN. Every
step adds a matrix times e to its input: h_t = tanh(I v(word) + S e + R h). (Here v(word) and e are
concatenated, and I and S are one matrix, which is equivalent.) The first state is zero, and e is
all that the decoder knows of the source.

Different from the paper:
- The source ends with EOS, a column like any other, so that an empty source has one column.
- A source too long for the cascade repeats the largest kernel.
- The nonlinearities are tanh.
- The softmax is over words, not over classes of words, and has no bias.
- There is dropout, and a choice of GRU and LSTM cells and of several layers.

RCTM II is not implemented. Its decoder knows the target's length and unfolds the source's n-grams.
"""

import torch
from torch import nn

from s2st.data.batch import SourceBatch
from s2st.models.base import (
    DecoderState,
    EncoderOutput,
    ModelSizes,
    ModelStep,
)
from s2st.models.configs import ConvolutionalConfig
from s2st.models.convolutional.sentence_convolution import SentenceConvolution
from s2st.models.dropout import dropped
from s2st.models.recurrent.decoder import RecurrentState, run_decoder, step_decoder
from s2st.models.recurrent.layer_stack import Stack
from s2st.models.softmax.output_layer import Output, word_tables
from s2st.models.softmax.softmax_model import WordModel
from s2st.models.vector_input import input_table
from s2st.text.vocabulary import PAD_ID


class ConvolutionalModel(WordModel):
    """The architecture `rctm`.

    No convolution mixes dimensions: the sentence vector is as wide as the embeddings, E.

    Args:
        config: sizes; every one must be set.
        sizes: vocabulary sizes.
    """

    def __init__(self, config: ConvolutionalConfig, sizes: ModelSizes) -> None:
        super().__init__()
        layers, hidden, embedding, self.dropout = config.sizes()
        self.config = config
        self.hidden_size = hidden
        tables = word_tables(config, sizes, embedding)
        self.source_embedding, self.target_embedding = tables
        self.encoder = SentenceConvolution(embedding, config.largest_kernel)
        self.decoder = Stack(config.decoder_cell, 2 * embedding, hidden, layers)
        self.softmax = Output(hidden, sizes.target_vocabulary, config, self.target_embedding)
        for table in tables:
            nn.init.normal_(table.weight, std=0.1)
            with torch.no_grad():
                table.weight[PAD_ID].zero_()

    def encode(self, source: SourceBatch) -> EncoderOutput:
        """The vector (B, E) of each source."""
        table = input_table(self.source_embedding, source)
        inputs = dropped(table(source.tokens), self.dropout, self.training)
        return EncoderOutput((self.encoder(inputs, source.lengths),))

    def initial_state(self, encoder_output: EncoderOutput) -> RecurrentState:
        """A zero memory, and the sentence vector."""
        (vector,) = encoder_output.final
        memory = vector.new_zeros(self.decoder.planes, len(vector), self.hidden_size)
        return RecurrentState(memory, vector)

    def decode(self, target_in: torch.Tensor, state: DecoderState) -> torch.Tensor:
        """Top hidden states (B, T, H) after each token of target_in (B, T)."""
        return run_decoder(self.target_embedding, self.decoder, target_in, state, self.dropout)

    def step(self, tokens: torch.Tensor, state: DecoderState) -> ModelStep:
        """Reads one token in each row."""
        return step_decoder(self.target_embedding, self.decoder, tokens, state)
