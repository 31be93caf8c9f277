"""A convolutional sentence model, then a recurrent decoder: Kalchbrenner & Blunsom (2013), RCTM I.

As in the paper ("Recurrent Continuous Translation Models", EMNLP 2013): the source becomes one
vector by the cascade of convolutions in `sentence_convolution.py`; the decoder is a plain RNN whose
every step adds S e, a matrix times that vector, to its input: h_t = tanh(I v(word) + S e + R h).
(Here v(word) and e stand side by side and I and S are one matrix, which is the same.) The first
state is zero, and e is all that the decoder knows of the source.

Not as in the paper: the source ends with EOS, which is a column like any other (so that an empty
source has one); sources longer than the largest kernels reach repeat the largest; nonlinearities
are tanh; the softmax is over all words, not over classes of them, and has no bias; there is
dropout; GRU and LSTM cells and several layers can be had. RCTM II, whose decoder is told the
target's length and unfolds the source's n-grams into it, is not here.
"""

import torch
import torch.nn.functional as F
from torch import nn

from s2st.data.batch import SourceBatch
from s2st.models.base import (
    DecoderState,
    EncoderOutput,
    ModelSizes,
    ModelStep,
)
from s2st.models.convolutional.sentence_convolution import SentenceConvolution
from s2st.models.recurrent.decoder import RecurrentState, run_decoder, step_decoder
from s2st.models.recurrent.layer_stack import Stack
from s2st.models.registry import ConvolutionalConfig
from s2st.models.softmax.output_layer import Output, word_tables
from s2st.models.softmax.softmax_model import WordModel
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
        inputs = F.dropout(self.source_embedding(source.tokens), self.dropout, self.training)
        return EncoderOutput((self.encoder(inputs, source.lengths),))

    def initial_state(self, encoder_output: EncoderOutput) -> RecurrentState:
        """Zeros, and the sentence vector."""
        (vector,) = encoder_output.final
        memory = vector.new_zeros(self.decoder.planes, len(vector), self.hidden_size)
        return RecurrentState(memory, vector)

    def decode(self, target_in: torch.Tensor, state: DecoderState) -> torch.Tensor:
        """Top hidden states (B, T, H) after each token of target_in (B, T)."""
        return run_decoder(self.target_embedding, self.decoder, target_in, state, self.dropout)

    def step(self, tokens: torch.Tensor, state: DecoderState) -> ModelStep:
        """One token in each row."""
        return step_decoder(self.target_embedding, self.decoder, tokens, state)
