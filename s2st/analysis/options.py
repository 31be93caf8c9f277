"""Options of `s2st compare` and the `s2st analyze` commands, importable without torch or numpy."""

from dataclasses import dataclass
from typing import Literal

from s2st.errors import UsageError
from s2st.jobs.options import GENERATE_SPEC, ModelsConfig, report_format
from s2st.options.option_fields import MAX_INTEGER, option
from s2st.options.resolution import CommandSpec
from s2st.process.device import PlaceConfig, ScoringDeviceConfig
from s2st.process.ranks import RanksConfig

MAX_SEED = (1 << 32) - 1  # the largest seed of numpy's older generators, which sacreBLEU uses
FIGURE_HELP = "draw NAME.svg and NAME.png; needs matplotlib"
_REF_HELP = "reference file; repeatable"


@dataclass(frozen=True)
class CompareConfig:
    """Texts, metric and output of `compare`."""

    ref: tuple[str, ...] = option((), _REF_HELP, flags=("-r",))
    source: str | None = option(None, "source lines, to show them with the sentences")
    tokenize: str = option("13a", "sacreBLEU tokenizer for BLEU; use none for tokenized text")
    samples: int = option(
        1000, "number of resamplings of the paired bootstrap", minimum=1, maximum=1_000_000
    )
    count: int = option(
        10,
        "how many improved sentences to show, and how many worsened ones",
        minimum=0,
        maximum=1_000_000,
    )
    format: str = report_format("JSON lines")


@dataclass(frozen=True)
class CurvesConfig:
    """Texts, windows, bootstrap and output of `analyze lengths` and `analyze rarity`."""

    ref: tuple[str, ...] = option((), _REF_HELP, flags=("-r",))
    buckets: int = option(10, "number of windows", minimum=1, maximum=1_000_000)
    tokenize: str | None = option(
        None, "compute sacreBLEU's BLEU with this tokenizer instead of multi-bleu.perl's BLEU"
    )
    samples: int = option(1000, "number of bootstrap resamplings", minimum=1, maximum=1_000_000)
    seed: int = option(12345, "random seed of the resampling", minimum=0, maximum=MAX_SEED)
    figure: str | None = option(None, FIGURE_HELP)
    title: str = option("", "title of the figure")
    format: str = report_format("JSON lines")


@dataclass(frozen=True)
class RarityConfig:
    """Where `analyze rarity` takes the ranks of words from."""

    vocabulary: str | None = option(None, "dict file, store or checkpoint that ranks the words")
    train_source: str | None = option(None, "text file whose words are counted and ranked")


@dataclass(frozen=True)
class MapsConfig:
    """The attention that `analyze attention` and `Model.attention` show."""

    part: str | None = option(
        None,
        "attention of the decoder to the source (cross), or self-attention of the encoder or of "
        "the decoder; default: cross; decoder for a language model",
        choices=("cross", "encoder", "decoder"),
    )
    layer: int | Literal["all"] | None = option(
        None,
        "number of the layer, from 1 (lowest), or all; default: the highest",
        minimum=1,
        maximum=1000,
        words=("all",),
    )
    head: int | Literal["all"] | None = option(
        None,
        "number of the attention head, from 1, or all; default: the mean over the heads",
        minimum=1,
        maximum=10_000,
        words=("all",),
    )
    words: bool = option(
        False,
        "join pieces to words: weights are summed over pieces that are read, and averaged over "
        "pieces that read",
    )


@dataclass(frozen=True)
class AttentionConfig:
    """The sentence and the output of `analyze attention`."""

    target: str | None = option(
        None, "target lines, or text of a language model; without them, s2st translates the source"
    )
    line: int = option(1, "number of the line, from 1", minimum=1, maximum=MAX_INTEGER)
    figure: str | None = option(None, FIGURE_HELP)
    title: str = option("", "title of the figure")
    format: str = report_format("JSON lines, one for each map")


@dataclass(frozen=True)
class GradientsConfig:
    """The sentences, the alignments and the output of `analyze gradients`."""

    sentences: int = option(
        200, "number of sentence pairs, from the first line on", minimum=1, maximum=MAX_INTEGER
    )
    word_alignments: str | None = option(
        None, "word alignments of the lines, as fast_align and Moses write them (0-0 1-2)"
    )
    lexicon: str | None = option(
        None,
        "file of word translations (from `s2st train-lexicon`, Moses or fast_align): align each "
        "target word to its most probable source word",
    )
    aligner: str | None = option(
        None, "checkpoint of a model with attention: align each target word by it"
    )
    bins: int = option(
        10, "number of relative positions per side of the map", minimum=1, maximum=100
    )
    min_pairs: int = option(
        20,
        "leave out lags with fewer pairs of words in the table and the figure",
        minimum=1,
        maximum=MAX_INTEGER,
    )
    source_lang: str | None = option(
        None, "source language, for a model with several", flags=("-s",)
    )
    target_lang: str | None = option(
        None, "target language, for a model with several", flags=("-t",)
    )
    figure: str | None = option(
        None,
        "draw the curves as NAME.svg and NAME.png, and the maps as NAME-map; needs matplotlib",
    )
    title: str = option("", "title of the figures")
    format: str = report_format("JSON lines: one for each model, then one for each order")

    def check(self) -> None:
        """Raise UsageError if several sources of alignments are given."""
        if sum(x is not None for x in (self.word_alignments, self.lexicon, self.aligner)) > 1:
            raise UsageError("give only one of --word-alignments, --lexicon and --aligner")


@dataclass(frozen=True)
class StatesConfig:
    """The part of the state and the output of `analyze states`."""

    part: str = option(
        "all", "part of the state: hidden, cell (LSTM), another part of the architecture, or all"
    )
    figure: str | None = option(
        None, "draw NAME.svg and NAME.png, or NAME-PANEL for each panel; needs matplotlib"
    )
    format: str = report_format("JSON lines: one for each phrase, then one for each panel")
    vectors: bool = option(False, "also write the states; needs --format json")


@dataclass(frozen=True)
class VectorsConfig:
    """The part of the state and the output of `analyze vectors`."""

    part: str = option(
        "all", "part of the state: hidden, cell (LSTM), another part of the architecture, or all"
    )
    npy: str | None = option(
        None, "write the vectors to this NumPy file instead: a table (lines, numbers) of float32"
    )
    format: str = report_format("JSON lines")


@dataclass(frozen=True)
class NeighborsConfig:
    """The vectors and the output of `analyze neighbors`."""

    checkpoint: str | None = option(None, "model that holds the embeddings")
    vectors: str | None = option(None, "text file of word vectors; may be compressed")
    side: str | None = option(
        None,
        "embedding table of the checkpoint; default: source; target for a language model",
        choices=("source", "target"),
    )
    count: int = option(10, "number of neighbors of each word", minimum=1, maximum=1_000_000)
    format: str = report_format("JSON lines, one for each word")


COMPARE_SPEC = CommandSpec(fixed=(CompareConfig,))
LENGTHS_SPEC = CommandSpec(fixed=(CurvesConfig,))
RARITY_SPEC = CommandSpec(fixed=(CurvesConfig, RarityConfig))
ATTENTION_SPEC = CommandSpec(
    fixed=(ModelsConfig, AttentionConfig, MapsConfig, ScoringDeviceConfig),
    roles=GENERATE_SPEC.roles,
)
GRADIENTS_SPEC = CommandSpec(fixed=(GradientsConfig, PlaceConfig))
STATES_SPEC = CommandSpec(fixed=(ModelsConfig, StatesConfig, ScoringDeviceConfig, RanksConfig))
VECTORS_SPEC = CommandSpec(fixed=(ModelsConfig, VectorsConfig, ScoringDeviceConfig))
NEIGHBORS_SPEC = CommandSpec(fixed=(NeighborsConfig,))
