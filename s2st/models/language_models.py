"""Language models: p(target) by a decoder-only Transformer or an LSTM, without a source."""

import torch
from torch import nn

from s2st.data.batch import Batch, SourceBatch
from s2st.errors import UsageError
from s2st.models.attention_record import recorded
from s2st.models.base import (
    DecoderState,
    EncoderOutput,
    ModelSizes,
    ModelStep,
)
from s2st.models.configs import RecurrentLMConfig, TransformerLMConfig
from s2st.models.prefix_tree import PrefixTree
from s2st.models.recurrent.decoder import (
    RecurrentState,
    memory_vectors,
    run_decoder,
    step_decoder,
)
from s2st.models.recurrent.layer_stack import Stack
from s2st.models.softmax.output_layer import Output
from s2st.models.softmax.softmax_model import WordModel
from s2st.models.transformer.decoder_cache import TransformerState, WordCache, first_rows
from s2st.models.transformer.encoder_decoder import TransformerStack, initialize_table
from s2st.models.transformer.layers import sizes_of
from s2st.models.transformer.packing import Packing, packing_of
from s2st.text.vocabulary import PAD_ID


class LanguageModel(WordModel):
    """Base class: an embedding table, layers on it, and a softmax.

    `--tie-embeddings all` means `output`, since there is no source table to share.

    Args:
        config: `tie_embeddings` and the options of the softmax.
        sizes: vocabulary sizes; only that of the target counts.
        widths: width of the embeddings and width of the features.
    """

    decoder: TransformerStack | Stack

    def __init__(
        self,
        config: TransformerLMConfig | RecurrentLMConfig,
        sizes: ModelSizes,
        widths: tuple[int, int],
    ) -> None:
        super().__init__()
        self.config = config
        words = sizes.target_vocabulary
        self.target_embedding = nn.Embedding(words, widths[0], PAD_ID)
        self.softmax = Output(widths[1], words, config, self.target_embedding)

    def encode(self, source: SourceBatch) -> EncoderOutput:
        """An empty tensor (B, 0), which only holds the number of sources."""
        return EncoderOutput((source.tokens[:, :0],))

    def sentence_vectors(self, encoder_output: EncoderOutput) -> dict[str, torch.Tensor]:
        """Raises UsageError: there is no source."""
        raise UsageError("a language model reads no source, so it has no sentence vectors")


class TransformerLM(LanguageModel):
    """The Transformer's decoder without a source.

    Args:
        config: sizes; every one must be set.
        sizes: vocabulary sizes; only that of the target counts.
    """

    computes_trees = True
    decoder: TransformerStack

    def __init__(self, config: TransformerLMConfig, sizes: ModelSizes) -> None:
        width, _, _ = sizes_of(config)
        super().__init__(config, sizes, (width, width))
        initialize_table(self.target_embedding)
        self.decoder = TransformerStack(config, self.target_embedding, False)

    def initial_state(self, encoder_output: EncoderOutput) -> TransformerState:
        """No words."""
        (empty,) = encoder_output.final
        return TransformerState(first_rows(len(empty), empty.device), 0, WordCache([]))

    def attention_weights(self, batch: Batch) -> dict[str, tuple[torch.Tensor, ...]]:
        """The weights of the self-attention."""
        with recorded() as record:
            self.decode(batch.target_in, self.initial_state(self.encode(batch.source)))
        return {"decoder": self.decoder.attention_weights(record)["self"]}

    def decode(self, target_in: torch.Tensor, state: DecoderState) -> torch.Tensor:
        """Top states (B, T, H) after each token of target_in (B, T)."""
        packing = Packing((target_in.shape[0], target_in.shape[1]))
        return packing.unpack(self.decoder(target_in, packing, causal=True))

    def decode_targets(self, batch: Batch, state: DecoderState) -> torch.Tensor:
        """Top states (P, H) of the real positions only."""
        width, device = batch.target_in.shape[1], batch.target_in.device
        features: torch.Tensor = self.decoder(
            batch.target_in, packing_of(batch.target_lengths, width, device), causal=True
        )
        return features

    def decode_tree(self, tree: PrefixTree, state: DecoderState) -> torch.Tensor:
        """Top states (P, H) after each node of a tree."""
        return self.decoder.read_tree(tree, None)

    def step(self, tokens: torch.Tensor, state: DecoderState) -> ModelStep:
        """Reads one token in each row."""
        assert isinstance(state, TransformerState)
        return self.decoder.step(tokens, state)


class RecurrentLM(LanguageModel):
    """A stack of LSTM layers whose first state is zero.

    Args:
        config: sizes; every one must be set.
        sizes: vocabulary sizes; only that of the target counts.
    """

    decoder: Stack

    def __init__(self, config: RecurrentLMConfig, sizes: ModelSizes) -> None:
        layers, hidden, embedding, dropout = config.sizes()
        super().__init__(config, sizes, (embedding, hidden))
        self.dropout = dropout
        self.hidden_size = hidden
        self.decoder = Stack("lstm", embedding, hidden, layers)
        nn.init.normal_(self.target_embedding.weight, std=0.1)
        with torch.no_grad():
            self.target_embedding.weight[PAD_ID].zero_()

    def initial_state(self, encoder_output: EncoderOutput) -> RecurrentState:
        """A zero memory."""
        (empty,) = encoder_output.final
        shape = (self.decoder.planes, len(empty), self.hidden_size)
        return RecurrentState(self.target_embedding.weight.new_zeros(shape), None)

    def state_vectors(self, state: DecoderState) -> torch.Tensor:
        """(N, D) the memory of each row."""
        return memory_vectors(state)

    def decode(self, target_in: torch.Tensor, state: DecoderState) -> torch.Tensor:
        """Top hidden states (B, T, H) after each token of target_in (B, T)."""
        return run_decoder(self.target_embedding, self.decoder, target_in, state, self.dropout)

    def step(self, tokens: torch.Tensor, state: DecoderState) -> ModelStep:
        """Reads one token in each row; rows with the same token share its product."""
        return step_decoder(self.target_embedding, self.decoder, tokens, state)
