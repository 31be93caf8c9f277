"""Options of `s2st compare` and the `s2st analyze` commands, importable without torch or numpy."""

from dataclasses import dataclass

from s2st.jobs.options import GENERATE_SPEC, ModelsConfig, report_format
from s2st.options.option_fields import MAX_INTEGER, option
from s2st.options.resolution import CommandSpec
from s2st.process.device import ScoringDeviceConfig
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
class AttentionConfig:
    """The sentence and the output of `analyze attention`."""

    target: str | None = option(None, "target lines; without them, s2st translates the source")
    line: int = option(1, "number of the line, from 1", minimum=1, maximum=MAX_INTEGER)
    figure: str | None = option(None, FIGURE_HELP)
    format: str = report_format("one JSON object")


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
    fixed=(ModelsConfig, AttentionConfig, ScoringDeviceConfig), roles=GENERATE_SPEC.roles
)
STATES_SPEC = CommandSpec(fixed=(ModelsConfig, StatesConfig, ScoringDeviceConfig, RanksConfig))
VECTORS_SPEC = CommandSpec(fixed=(ModelsConfig, VectorsConfig, ScoringDeviceConfig))
NEIGHBORS_SPEC = CommandSpec(fixed=(NeighborsConfig,))
