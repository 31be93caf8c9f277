"""Options of the jobs that use checkpoints, importable without torch."""

from dataclasses import dataclass

from s2st.errors import UsageError
from s2st.options.config import MOST_WEIGHT, option
from s2st.options.resolution import CommandSpec, Role
from s2st.process.device import ScoringDeviceConfig
from s2st.process.ranks import RanksConfig
from s2st.rescoring.registry import TUNERS
from s2st.search.registry import SEARCHES


@dataclass(frozen=True)
class ModelsConfig:
    """Which checkpoints, and how they score together."""

    checkpoint: tuple[str, ...] = option(
        (), "checkpoint folder, ARPA file, or TOML file of an ensemble; repeat it for an ensemble"
    )
    path: str | None = option(None, "checkpoints with : between, as another way to name several")
    ensemble_weight: tuple[float, ...] = option(
        (), "weight of each checkpoint, in order", minimum=0, maximum=MOST_WEIGHT, open_minimum=True
    )
    ensemble_mode: str = option(
        "probability",
        "average the members' probabilities, or their log-probabilities (renormalised)",
        choices=("probability", "log-probability"),
    )

    def paths(self) -> list[str]:
        """All checkpoints, in order; raises UsageError for an empty name in `path`."""
        more = self.path.split(":") if self.path else []
        if not all(more):
            raise UsageError(f"--path {self.path}: an empty name; give names with : between")
        return [*self.checkpoint, *more]


@dataclass(frozen=True)
class TranslateConfig:
    """Batches and output of `generate`."""

    batch_size: int | None = option(
        None,
        "sentences decoded together; left out, as many as make about 2,000 hypotheses",
        minimum=1,
        maximum=1_000_000,
    )
    buffer_size: int = option(
        4096,
        "lines read ahead and sorted by length; a pipe is answered as soon as it can be",
        minimum=1,
        maximum=10_000_000,
    )
    format: str = option(
        "text", "output: text, Moses n-best lists, or JSON lines", choices=("text", "moses", "json")
    )
    detokenize: bool = option(True, "join tokens to text by the checkpoint's tokeniser")
    alignments: str | None = option(
        None,
        "write each best hypothesis' alignment by attention to this file: source-target pairs of "
        "words, from 0",
    )
    replace_unk: bool = option(
        False, "replace each <unk> by the source word that it attends to most"
    )
    unk_dictionary: str | None = option(
        None, "lines `source target`: with --replace-unk, translations of source words"
    )
    resume: bool = option(
        False, "go on after the last whole line (or list) of the --output-file of a stopped run"
    )
    encoding_errors: str = option(
        "strict", "bad UTF-8: stop, or go on with U+FFFD", choices=("strict", "replace")
    )


@dataclass(frozen=True)
class RescoreConfig:
    """Features, weights, batches and output of `rescore-nbest`."""

    feature_per: str = option(
        "ensemble",
        "one new feature for all checkpoints together, or one for each member",
        choices=("ensemble", "member"),
    )
    baseline_features: str = option(
        "total",
        "the baseline as one feature, its total, or as its own features apart",
        choices=("total", "own"),
    )
    channel_checkpoint: tuple[str, ...] = option(
        (),
        "checkpoint of the other direction: log p(source | hypothesis) is a feature, S2STChannel0 "
        "and so on; repeatable",
    )
    length_feature: bool = option(False, "add the number of words as a feature")
    normalize: str = option(
        "none",
        "list: divide each feature by its spread within the lists before weighting",
        choices=("none", "list"),
    )
    weight: tuple[str, ...] = option(
        (),
        "NAME=VALUE, repeatable; NAME is Baseline, S2ST0, S2ST1, ..., S2STChannel0, S2STLength; "
        "left out, the baseline and the models' mean have equal weight",
    )
    weights: str | None = option(None, "weights from a Moses weights file")
    weights_out: str | None = option(None, "write the weights that were used to this file")
    tune: tuple[str, ...] = option(
        (), "reference of the development lists: learn the weights on them; may be repeated"
    )
    dev_nbest: str | None = option(None, "development lists; NBEST itself when left out")
    dev_source: str | None = option(None, "source lines of the development lists")
    folds: int = option(
        5, "folds of the cross-validated gain that tuning reports", minimum=2, maximum=10_000
    )
    oracle: tuple[str, ...] = option(
        (), "reference of NBEST: report the headroom (oracle, worst, curve); may be repeated"
    )
    report: str | None = option(None, "write the reports as JSON to this file")
    output: str = option(
        "1best",
        "the best hypotheses, the re-sorted lists, or each word's scores as JSON lines",
        choices=("1best", "nbest", "words"),
    )
    resume: bool = option(
        False, "go on where a stopped run with this --output-file was (its scores are beside it)"
    )
    shard: str | None = option(
        None,
        "I/N: only the I-th of N parts of the lists; the parts' outputs, joined by cat, are those "
        "of one run",
    )
    max_rows: int = option(
        2048, "prefixes stepped together; bounds the memory", minimum=1, maximum=1_000_000
    )
    encoding_errors: str = option(
        "strict", "bad UTF-8: stop, or go on with U+FFFD", choices=("strict", "replace")
    )


@dataclass(frozen=True)
class ScoreConfig:
    """Texts, metrics and output of `score`."""

    ref: tuple[str, ...] = option((), "reference file; repeatable", flags=("-r",))
    source: str | None = option(None, "source lines of the pairs that --checkpoint scores")
    target: str | None = option(None, "target lines of the pairs that --checkpoint scores")
    resume: bool = option(False, "continue a stopped run that wrote the same --output-file")
    tokenize: str = option("13a", "sacreBLEU tokenizer for BLEU; none for tokenized text")
    lowercase: bool = option(
        False, "lowercase both sides for both BLEU scores; chrF stays cased, TER uncased"
    )
    ter: bool = option(False, "also compute TER; slow on long files")
    json: bool = option(False, "write JSON lines")
    samples: int = option(
        1000, "number of resamplings of the paired bootstrap", minimum=1, maximum=1_000_000
    )


GENERATE_SPEC = CommandSpec(
    fixed=(ModelsConfig, TranslateConfig, ScoringDeviceConfig, RanksConfig),
    roles=(Role("search", SEARCHES, "beam", "search strategy"),),
)
SCORE_SPEC = CommandSpec(fixed=(ModelsConfig, ScoreConfig, ScoringDeviceConfig, RanksConfig))
RESCORE_SPEC = CommandSpec(
    fixed=(ModelsConfig, RescoreConfig, ScoringDeviceConfig, RanksConfig),
    roles=(Role("tuner", TUNERS, "line-search", "how --tune learns the weights"),),
)
