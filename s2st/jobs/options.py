"""Options of the jobs generate, score and rescore-nbest, importable without torch."""

import math
from dataclasses import dataclass

from s2st.errors import UsageError
from s2st.models.languages import LanguageChoice
from s2st.options.option_fields import MAX_WEIGHT, option
from s2st.options.resolution import CommandSpec, Role
from s2st.process.device import ScoringDeviceConfig
from s2st.process.ranks import RanksConfig
from s2st.rescoring.registry import TUNERS
from s2st.search.registry import SEARCHES, BeamConfig
from s2st.text.nbest_dialects import AUTO
from s2st.text.nbest_dialects import NAMES as FORMATS

VECTORS_HELP = "vector sequences as the sources, in place of --source: .npy or .npz file or folder"


@dataclass(frozen=True)
class ModelsConfig:
    """The checkpoints, and how an ensemble combines them."""

    checkpoint: tuple[str, ...] = option(
        (),
        "checkpoint folder, ARPA file, or TOML file of an ensemble; repeat the option for an "
        "ensemble",
    )
    path: str | None = option(
        None, "several checkpoints separated by ':'; same as repeating --checkpoint"
    )
    ensemble_weight: tuple[float, ...] = option(
        (), "weight of each checkpoint, in order", minimum=0, maximum=MAX_WEIGHT, open_minimum=True
    )
    ensemble_mode: str = option(
        "probability",
        "average the members' probabilities, or their log-probabilities (renormalized)",
        choices=("probability", "log-probability"),
    )

    source_lang: str | None = option(
        None, "source language, for a model with several", flags=("-s",)
    )
    target_lang: str | None = option(
        None, "target language, for a model with several", flags=("-t",)
    )

    @property
    def languages(self) -> LanguageChoice:
        """Return the languages that the user names."""
        return LanguageChoice(self.source_lang, self.target_lang)

    def paths(self) -> list[str]:
        """Return all checkpoints in order; raise UsageError for an empty name in `path`."""
        more = self.path.split(":") if self.path else []
        if not all(more):
            raise UsageError(f"--path {self.path}: an empty name; separate names by one ':'")
        return [*self.checkpoint, *more]


@dataclass(frozen=True)
class TranslateConfig:
    """Batches and output of `generate`."""

    batch_size: int | None = option(
        None,
        "sentences per batch; default: enough for about 2,000 hypotheses",
        minimum=1,
        maximum=1_000_000,
    )
    buffer_size: int = option(
        4096,
        "lines to read ahead and sort by length; lines from a pipe are translated at once",
        minimum=1,
        maximum=10_000_000,
    )
    format: str = option(
        "text", "output: text, Moses n-best lists, or JSON lines", choices=("text", "moses", "json")
    )
    prefix: str | None = option(
        None,
        "file of prefixes: line i begins the translation of line i; an empty line leaves it free",
    )
    constraints: str | None = option(
        None,
        "file of phrases: those of line i, separated by tabs, must occur in the translation of "
        "line i",
    )
    source_vectors: str | None = option(
        None,
        "translate the vector sequences of this .npy or .npz file or folder instead of INPUT, for "
        "a model of preprocess --source-vectors",
    )
    detokenize: bool = option(True, "detokenize the output with the checkpoint's tokenizer")
    alignments: str | None = option(
        None,
        "write the attention-based word alignment of each best hypothesis to this file, as "
        "source-target pairs counted from 0",
    )
    replace_unk: bool = option(
        False, "replace each <unk> with the source word of the largest attention weight"
    )
    unk_dictionary: str | None = option(
        None,
        "with --replace-unk: file of translations of source words, from `s2st train-lexicon` or "
        "with lines `source target`",
    )
    resume: bool = option(
        False, "continue a stopped run: reuse the results that it left next to its --output-file"
    )
    encoding_errors: str = option(
        "strict", "on invalid UTF-8: stop, or replace it with U+FFFD", choices=("strict", "replace")
    )


def report_format(json: str) -> str:
    """Return the field of `--format` for a report that is text or JSON.

    Args:
        json: what the report is as JSON, such as "JSON lines".
    """
    field: str = option("text", f"text, or {json}", choices=("text", "json"))
    return field


@dataclass(frozen=True)
class ShortlistConfig:
    """The words among which `generate` searches."""

    shortlist: str | None = option(
        None,
        "search only among probable words, by this file of word translations (from `s2st "
        "train-lexicon`, Moses or fast_align); faster on CPUs; scores are then relative to these "
        "words",
    )
    shortlist_first: int = option(
        100, "with --shortlist: number of most frequent target words", minimum=0,
        maximum=100_000_000,
    )  # fmt: skip
    shortlist_best: int = option(
        100, "with --shortlist: number of translations of each source word", minimum=0,
        maximum=100_000_000,
    )  # fmt: skip
    shortlist_prune: float = option(
        0.0, "with --shortlist: lowest probability of a translation", minimum=0, maximum=1
    )


@dataclass(frozen=True)
class RescoreConfig:
    """Features, weights, batches and output of `rescore-nbest`."""

    feature_per: str = option(
        "ensemble",
        "one new feature for the whole ensemble, or one for each member",
        choices=("ensemble", "member"),
    )
    baseline_features: str = option(
        "total",
        "weigh the baseline's total as one feature, or each of the baseline's own features",
        choices=("total", "own"),
    )
    channel_checkpoint: tuple[str, ...] = option(
        (),
        "checkpoint of the opposite direction: log p(source | hypothesis) becomes feature "
        "S2STChannel0, S2STChannel1, ...; repeatable",
    )
    length_feature: bool = option(False, "add the number of words as a feature")
    consensus: str = option(
        "none",
        "add the BLEU or chrF of a hypothesis against the other hypotheses of its list as a "
        "feature; needs no model",
        choices=("none", "bleu", "chrf"),
    )
    consensus_scale: float = option(
        1.0,
        "sharpness of the probabilities in --consensus; 0 weighs all hypotheses equally",
        minimum=0,
        maximum=1000,
    )
    normalize: str = option(
        "none",
        "list: divide each feature by its standard deviation within the lists before weighting",
        choices=("none", "list"),
    )
    weight: tuple[str, ...] = option(
        (),
        "NAME=VALUE, repeatable; NAME is Baseline, S2ST0, S2ST1, ..., S2STChannel0, S2STLength, "
        "S2STConsensus; features that are not named get 0; "
        "default: equal weight for the baseline and the mean of the models",
    )
    weights: str | None = option(None, "read weights from this Moses weights file")
    weights_out: str | None = option(None, "write the final weights to this file")
    tune: tuple[str, ...] = option(
        (), "tune the weights on the development lists, whose reference this is; repeatable"
    )
    metric: str = option(
        "bleu", "metric that --tune maximizes and reports show", choices=("bleu", "chrf", "ter")
    )
    tokenize: str = option(
        "none",
        "sacreBLEU tokenizer for BLEU and TER of --metric and --consensus, such as char, ko-mecab "
        "or zh; none for tokenized text",
    )
    tuning_memory: int = option(
        4096,
        "MiB of features, and of statistics, that tuning and reports keep in memory; more go to a "
        "temporary file in the folder of TMPDIR",
        minimum=0,
        maximum=1_000_000_000,
    )
    dev_nbest: tuple[str, ...] = option(
        (), "development lists; default: NBEST; repeatable, one file for each NBEST"
    )
    dev_source: str | None = option(None, "source lines of the development lists")
    folds: int = option(
        5, "folds of the cross-validated gain that tuning reports", minimum=2, maximum=10_000
    )
    oracle: tuple[str, ...] = option(
        (), "reference of NBEST: report the headroom (oracle, worst choice, curve); repeatable"
    )
    report: str | None = option(None, "write the reports to this JSON file")
    explain: str | None = option(
        None,
        "write to this file why choices changed: a page (.html) or all figures (.json)",
    )
    format: str = option(
        "1best",
        "the best hypotheses, the re-sorted lists, or each word's scores as JSON lines",
        choices=("1best", "nbest", "words"),
    )
    resume: bool = option(
        False, "continue a stopped run: reuse the scores that it left next to its --output-file"
    )
    shard: str | None = option(
        None,
        "I/N: rescore only part I of N of the lists; the concatenated outputs of all parts equal "
        "the output of one run",
    )
    nbest_format: str = option(
        AUTO, "format of the n-best lists; auto recognizes it", choices=(AUTO, *FORMATS)
    )
    max_rows: int = option(
        2048, "hypotheses per decoder step; limits the memory", minimum=1, maximum=1_000_000
    )
    encoding_errors: str = option(
        "strict", "on invalid UTF-8: stop, or replace it with U+FFFD", choices=("strict", "replace")
    )


@dataclass(frozen=True)
class ScoreConfig:
    """Texts, metrics and output of `score`."""

    ref: tuple[str, ...] = option((), "reference file; repeatable", flags=("-r",))
    source: str | None = option(None, "source lines of the pairs that --checkpoint scores")
    source_vectors: str | None = option(None, VECTORS_HELP)
    target: str | None = option(None, "target lines of the pairs that --checkpoint scores")
    next: str | None = option(
        None,
        "text with which the target begins (' ' for no words): print its most probable next words; "
        "a model that translates needs --source, and gives a table for each line",
    )
    next_words: int = option(
        10, "with --next: number of next words", minimum=1, maximum=100_000_000
    )
    resume: bool = option(False, "continue a stopped run that wrote the same --output-file")
    tokenize: str = option(
        "13a",
        "sacreBLEU tokenizer for BLEU; none for tokenized text (--bleu-tokenize of train)",
    )
    lowercase: bool = option(
        False, "lowercase both sides for both BLEU scores; chrF is always case-sensitive, TER never"
    )
    ter: bool = option(False, "also compute TER; slow on long files")
    rouge: bool = option(
        False, "also compute ROUGE-1, -2 and -L of summaries (needs s2st[rouge]); no bootstrap"
    )
    format: str = report_format("JSON lines")
    samples: int = option(
        1000, "number of resamplings of the paired bootstrap", minimum=1, maximum=1_000_000
    )


@dataclass(frozen=True)
class TuneLengthConfig:
    """The development set and the length penalties of `tune-length`."""

    source: str | None = option(None, "source lines of the development set")
    source_vectors: str | None = option(None, VECTORS_HELP)
    ref: tuple[str, ...] = option((), "reference of the development set; repeatable", flags=("-r",))
    max_lenpen: float = option(2.0, "largest length penalty to try", minimum=0, maximum=10)
    lenpen_step: float = option(
        0.1, "distance between the penalties that are tried", minimum=0.01, maximum=10
    )
    tokenize: str = option(
        "13a",
        "sacreBLEU tokenizer for BLEU; none for tokenized text (--bleu-tokenize of train)",
    )
    batch_size: int | None = option(
        None,
        "sentences per batch; default: as many as give about 2,000 hypotheses",
        minimum=1,
        maximum=1_000_000,
    )
    format: str = report_format("JSON lines")

    def lenpens(self) -> list[float]:
        """Return the penalties: 0, the multiples of `lenpen_step` below `max_lenpen`, and that."""
        count = math.ceil(self.max_lenpen / self.lenpen_step - 1e-9)
        return [*(round(i * self.lenpen_step, 10) for i in range(count)), self.max_lenpen]


GENERATE_SPEC = CommandSpec(
    fixed=(ModelsConfig, TranslateConfig, ShortlistConfig, ScoringDeviceConfig, RanksConfig),
    roles=(Role("search", SEARCHES, "beam", "search strategy"),),
)
# lines and lists in memory, with loaded models
TRANSLATE_SPEC = CommandSpec(fixed=(TranslateConfig, ShortlistConfig), roles=GENERATE_SPEC.roles)
MODELS_SPEC = CommandSpec(fixed=(ModelsConfig, ScoringDeviceConfig))
TUNE_LENGTH_SPEC = CommandSpec(
    fixed=(ModelsConfig, TuneLengthConfig, BeamConfig, ScoringDeviceConfig, RanksConfig)
)
SCORE_SPEC = CommandSpec(fixed=(ModelsConfig, ScoreConfig, ScoringDeviceConfig, RanksConfig))
RESCORE_SPEC = CommandSpec(
    fixed=(ModelsConfig, RescoreConfig, ScoringDeviceConfig, RanksConfig),
    roles=(Role("tuner", TUNERS, "line-search", "how --tune learns the weights"),),
)
RESCORE_LISTS_SPEC = CommandSpec(fixed=(RescoreConfig,), roles=RESCORE_SPEC.roles)
