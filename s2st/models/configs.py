"""The options of all architectures, importable without torch: one frozen dataclass each."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from s2st.errors import UsageError
from s2st.options.option_fields import MAX_WEIGHT, option

MAX_WORDS = (1 << 31) - 1
MAX_WIDTH = 100_000  # width of a layer; a square matrix then takes 40 GB


@dataclass(frozen=True)
class DefaultSizes:
    """Default sizes of a model for a corpus of up to `tokens` target words."""

    tokens: float
    layers: int
    hidden_size: int
    embedding_size: int
    dropout: float


# The first two were found on the demo's corpus and on Multi30k; the others have the paper's width,
# and the last one also its depth.
DEFAULT_SIZES = (
    DefaultSizes(3e5, 1, 256, 256, 0.2),
    DefaultSizes(3e6, 1, 512, 256, 0.4),
    DefaultSizes(3e7, 2, 1000, 500, 0.2),
    DefaultSizes(float("inf"), 4, 1000, 1000, 0.1),
)

# Published sizes, not tuned here. For a corpus like Multi30k, 4 x 128 is better than wider and
# deeper models (Wu et al. 2021, "Good for Misconceived Reasons"). Above 3e6 words: width and depth
# of the base model, with more dropout for a smaller corpus. The first row is a guess; only
# examples/verse has tried it.
TRANSFORMER_SIZES = (
    DefaultSizes(3e5, 2, 128, 128, 0.2),
    DefaultSizes(3e6, 4, 128, 128, 0.3),
    DefaultSizes(3e7, 6, 512, 512, 0.3),
    DefaultSizes(float("inf"), 6, 512, 512, 0.1),
)


@dataclass(frozen=True)
class ModelConfig:
    """Options of every architecture: the softmax, and the order of the target words.

    Attributes:
        reads_source: whether p(target) depends on a source; False for a language model.
        default_sizes: sizes that replace missing ones, in the order of the corpus size.
    """

    reads_source: ClassVar[bool] = True
    default_sizes: ClassVar[tuple[DefaultSizes, ...]] = DEFAULT_SIZES

    reverse_target: bool = option(
        False, "predict the target from right to left (input and output text do not change)"
    )
    tie_embeddings: str = option(
        "none",
        "output: share weights between softmax and target embedding; all: also with the source "
        "embedding (needs preprocess --joined-dictionary)",
        choices=("none", "output", "all"),
    )
    softmax: str = option(
        "full",
        "full: over all words; adaptive: less computation for rare words; sampled: over words "
        "drawn for each batch in training, over all words in scoring",
        choices=("full", "adaptive", "sampled"),
    )
    adaptive_cutoffs: tuple[int, ...] = option(
        (),
        "first word id of each further part of the adaptive softmax; can be repeated",
        minimum=1,
        maximum=MAX_WORDS,
    )
    softmax_samples: int = option(
        1000, "words drawn per batch for the sampled softmax", minimum=1, maximum=MAX_WORDS
    )


def _layers(help: str) -> Any:
    return option(None, help, minimum=1, maximum=1000)


def _width(help: str) -> Any:
    return option(None, help, minimum=1, maximum=MAX_WIDTH)


def _dropout(help: str) -> Any:
    return option(None, help, minimum=0, maximum=0.99)


def _source_eos() -> Any:
    return option(
        True, "the encoder reads </s> after the last source word, as fairseq and unlike OpenNMT-py"
    )


def _output_bias() -> Any:
    return option(False, "add a bias to the logits of the words")


@dataclass(frozen=True)
class SizedConfig(ModelConfig):
    """The sizes of the recurrent architectures. `train` derives missing sizes from the corpus.

    A subclass repeats a field to give it another help text; the order of the fields stays.
    """

    layers: int | None = _layers("number of layers in the encoder and in the decoder")
    hidden_size: int | None = _width("cells per layer")
    embedding_size: int | None = _width("width of the word embeddings")
    dropout: float | None = _dropout(
        "dropout on embeddings, between layers, and before the output layer"
    )

    def sizes(self) -> tuple[int, int, int, float]:
        """Layers, hidden size, embedding size and dropout; raises ValueError if one is missing."""
        layers, hidden, embedding = self.layers, self.hidden_size, self.embedding_size
        if layers is None or hidden is None or embedding is None or self.dropout is None:
            raise ValueError("layers, hidden_size, embedding_size and dropout must be set")
        return layers, hidden, embedding, self.dropout


@dataclass(frozen=True)
class RecurrentConfig(SizedConfig):
    """Options of the recurrent encoder-decoders."""

    reverse_source: bool = option(False, "read the source words in reverse order")
    bidirectional: bool = option(
        False, "the encoder reads in both directions, with half of the cells for each direction"
    )
    residual: bool = option(
        False, "layers from the second on add their input to their output (Wu et al. 2016)"
    )
    layer_norm: bool = option(
        False, "layer normalization in the cells (Ba et al. 2016); slower training"
    )
    recurrent_dropout: float = option(
        0.0,
        "dropout of the hidden state that the recurrent weights read, with one mask per sentence "
        "(Gal & Ghahramani 2016); slower training",
        minimum=0,
        maximum=0.99,
    )
    context: str = option(
        "first-state",
        "how the decoder uses the encoder's final state: as its initial state only, or also as "
        "an input at every step",
        choices=("first-state", "every-step"),
    )
    init: str = option(
        "default",
        "initial weights: torch's defaults, or uniform in +-init-range as in the paper",
        choices=("default", "uniform"),
    )
    init_range: float = option(0.08, "bound of the uniform initialization", minimum=0, maximum=100)


def _nonlinearity(cells: str) -> Any:
    return option(
        "tanh",
        f"function of {cells}: tanh, or sigmoid as in section 2 of Sutskever et al. 2014; sigmoid "
        "is slower",
        choices=("tanh", "sigmoid"),
    )


@dataclass(frozen=True)
class VanillaConfig(RecurrentConfig):
    """Options of the vanilla RNN encoder-decoder."""

    nonlinearity: str = _nonlinearity("the cells")

    @property
    def cell(self) -> str:
        """Return the name of the cells in `recurrent/cell_formulas.py`."""
        return vanilla_cell(self.nonlinearity)


def vanilla_cell(nonlinearity: str) -> str:
    """Return the name of vanilla cells in `recurrent/cell_formulas.py`."""
    return "rnn" if nonlinearity == "tanh" else "rnn-sigmoid"


@dataclass(frozen=True)
class AttentionConfig(SizedConfig):
    """Options of the recurrent encoder-decoders with attention."""

    attention: str = option(
        "additive",
        "score function of the attention: additive (Bahdanau et al. 2015), dot or general (Luong "
        "et al. 2015); none: the decoder reads the source through its first state only",
        choices=("additive", "dot", "general", "none"),
    )
    attention_heads: int = option(1, "attention heads", minimum=1, maximum=1000)
    attention_query: str = option(
        "auto",
        "decoder state that is compared with the source: the state after the last word (Luong et "
        "al.), or the one before it (Bahdanau et al., needs --input-feeding); auto: "
        "previous-state for additive attention with --input-feeding",
        choices=("auto", "current-state", "previous-state"),
    )
    attention_bias: bool = option(
        False, "biases in the products with the query of additive attention and with the context"
    )
    attention_output: str = option(
        "tanh",
        "function of the product with context and state, from which words are predicted",
        choices=("tanh", "linear"),
    )
    bidirectional: bool = option(True, "the encoder reads in both directions")
    encoder_hidden_size: int | None = _width(
        "cells per layer of the encoder, of both directions together; default: --hidden-size"
    )
    bridge: str = option(
        "none",
        "what a decoder layer starts from: the last state of the encoder layer at its height, a "
        "linear function of it (the same for all layers), or the ReLU of a linear function of the "
        "states of all layers",
        choices=("none", "linear", "relu"),
    )
    input_feeding: bool = option(
        False,
        "the next step also reads the attended features (Luong et al. 2015, section 3.3); with "
        "--attention none the last output",
    )
    source_eos: bool = _source_eos()
    output_bias: bool = _output_bias()

    def check(self) -> None:
        """Raises UsageError for options that contradict each other or have no effect."""
        if self.attention_query == "previous-state" and not self.input_feeding:
            raise UsageError("--attention-query previous-state needs --input-feeding")
        if self.attention != "none":
            return
        for name in ("attention_heads", "attention_query", "attention_bias", "attention_output"):
            if getattr(self, name) != getattr(AttentionConfig, name):
                raise UsageError(f"--{name.replace('_', '-')} has no effect with --attention none")

    @property
    def attends_first(self) -> bool:
        """Whether the decoder state before a word is the query, and the next one reads its context.

        If not, the state after the word is the query.
        """
        if self.attention_query != "auto":
            return self.attention_query == "previous-state"
        return self.input_feeding and self.attention == "additive"


@dataclass(frozen=True)
class TransformerConfig(ModelConfig):
    """Options of the Transformer. `train` derives missing sizes from the corpus."""

    default_sizes: ClassVar[tuple[DefaultSizes, ...]] = TRANSFORMER_SIZES

    layers: int | None = _layers("number of layers in the encoder and in the decoder")
    decoder_layers: int | None = _layers("layers of the decoder; default: as many as --layers")
    hidden_size: int | None = _width("width of the model")
    heads: int = option(4, "attention heads; must divide --hidden-size", minimum=1, maximum=10_000)
    feedforward_size: int | None = option(
        None,
        "width of the feed-forward layers; default: 4 x --hidden-size",
        minimum=1,
        maximum=10 * MAX_WIDTH,
    )
    dropout: float | None = _dropout("dropout on embeddings and on the output of each sublayer")
    attention_dropout: float = option(0.0, "dropout of attention weights", minimum=0, maximum=0.99)
    norm: str = option(
        "pre",
        "pre: layer normalization before each sublayer; post: after it, as published",
        choices=("pre", "post"),
    )
    activation: str = option(
        "relu",
        "function between the two feed-forward layers; gelu-tanh is GPT-2's approximation of gelu",
        choices=("relu", "gelu", "gelu-tanh", "silu"),
    )
    positions: str = option(
        "sinusoids",
        "what tells the model the position of a token: interleaved sines and cosines, as "
        "published; all sines, then all cosines, as Marian and fairseq; or learned vectors",
        choices=("sinusoids", "half-sinusoids", "learned"),
    )
    max_positions: int = option(
        1024,
        "longest sentence in tokens, with --positions learned",
        minimum=1,
        maximum=1_000_000,
    )
    scale_embeddings: bool = option(
        True, "multiply the embeddings by the square root of --hidden-size"
    )
    output_bias: bool = _output_bias()
    norm_epsilon: float = option(
        1e-5, "number added to the variance in layer normalization", minimum=1e-12, maximum=1
    )
    source_eos: bool = _source_eos()


@dataclass(frozen=True)
class TransformerLMConfig(TransformerConfig):
    """Options of the decoder-only Transformer."""

    reads_source: ClassVar[bool] = False


@dataclass(frozen=True)
class RecurrentLMConfig(SizedConfig):
    """Options of the recurrent language models."""

    reads_source: ClassVar[bool] = False

    layers: int | None = _layers("layers")


@dataclass(frozen=True)
class ConvolutionalConfig(SizedConfig):
    """Options of the convolutional sentence encoder with a recurrent decoder."""

    layers: int | None = _layers("layers of the decoder")
    hidden_size: int | None = _width("cells per layer of the decoder")
    embedding_size: int | None = _width("width of the word embeddings and of the sentence vector")
    decoder_cell: str = option("rnn", "cells of the decoder", choices=("rnn", "gru", "lstm"))
    largest_kernel: int = option(
        10,
        "width n of the largest convolution, in words; sentences of n (n + 1) / 2 tokens or more "
        "apply it repeatedly",
        minimum=2,
        maximum=1000,
    )


@dataclass(frozen=True)
class AlignedConfig(SizedConfig):
    """Options of the aligned RNN: one target word for each source word."""

    layers: int | None = _layers("layers")
    cell: str = option("rnn", "kind of cell", choices=("rnn", "gru", "lstm"))
    nonlinearity: str = _nonlinearity("the cells of --cell rnn")

    def check(self) -> None:
        """Raise UsageError for a nonlinearity that the cells do not have."""
        if self.cell != "rnn" and self.nonlinearity != "tanh":
            raise UsageError("--nonlinearity needs --cell rnn")


@dataclass(frozen=True)
class EnsembleConfig:
    """Options of an ensemble: several checkpoints whose scores are averaged."""

    members: tuple[str, ...] = option(
        (), "checkpoint folders, relative to the folder of the TOML file"
    )
    weights: tuple[float, ...] = option(
        (),
        "one weight per member; default: equal weights",
        minimum=0,
        maximum=MAX_WEIGHT,
        open_minimum=True,
    )
    mode: str = option(
        "probability",
        "average the members' probabilities, or their log-probabilities (then renormalized)",
        choices=("probability", "log-probability"),
    )


def with_default_sizes(config: Any, training_tokens: int) -> Any:
    """The config with default sizes, for a corpus of that many words, in place of missing ones.

    Works for the config of any architecture: it sets only fields that are None.
    """
    table = getattr(config, "default_sizes", DEFAULT_SIZES)
    sizes = next(item for item in table if training_tokens <= item.tokens)
    names = ("layers", "hidden_size", "embedding_size", "dropout")
    return replace(
        config, **{name: getattr(sizes, name) for name in names if getattr(config, name, 0) is None}
    )
