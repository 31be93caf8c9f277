"""Options that need another option: without it they have no effect, which is a usage error.

The rules cover only options on the command line. A `--config` file and a recipe serve several
runs, so they may hold options without effect. Options about speed, device and processes
(`--device`, `--threads`, `--rank-timeout`, ...) are always allowed.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from s2st.errors import UsageError
from s2st.options.option_fields import config_values, option_specs
from s2st.options.resolution import Resolved, alternatives
from s2st_server.addresses import is_loopback

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Rule:
    """Options of a command that need another one.

    Attributes:
        options: their names, with "_".
        works: whether they have an effect, given the values of all options.
        needs: the rest of the message after the option's name: what to add, or why the option
            has no effect; a function, called when the plugins are loaded, may return it.
        role: a role (such as `tuner`) that the rule covers too, with the options of its entry.
    """

    options: tuple[str, ...]
    works: Callable[[Values], bool]
    needs: str | Callable[[], str]
    role: str | None = None


def check_effects(
    command: str, given: Collection[str], resolved: Resolved, extra: Mapping[str, Any]
) -> None:
    """Raise UsageError for the first option without effect.

    Args:
        command: name of the command.
        given: names of the options on the command line.
        resolved, extra: the values of all options.
    """
    values: dict[str, Any] = {}
    for config in (*resolved.fixed.values(), *resolved.configs.values()):
        values |= config_values(config)
    values |= {role: entry.name for role, entry in resolved.entries.items()}
    values |= extra
    for rule in RULES.get(command, ()):
        names = [*rule.options]
        if rule.role is not None:
            chosen = resolved.entries[rule.role].config_type
            names += [rule.role, *(spec.name for spec in option_specs(chosen))]
        for name in names:
            # `--no-...` asks for no effect, so it is always allowed
            if name in given and values.get(name) is not False and not rule.works(values):
                needs = rule.needs if isinstance(rule.needs, str) else rule.needs()
                raise UsageError(f"--{name.replace('_', '-')} {needs}")


def _is(name: str, value: str) -> Callable[[Values], bool]:
    """Whether `name` has this value; true where no such option exists, as in a plugin's config."""
    return lambda values: values.get(name, value) == value


def _models(values: Values) -> int:
    """The number of checkpoints on the command line."""
    return len(values["checkpoint"]) + (len(values["path"].split(":")) if values["path"] else 0)


def _several(values: Values) -> bool:
    # several weights for one checkpoint: the scorer reports the wrong number
    return _models(values) > 1 or len(values["ensemble_weight"]) > 1


def _scores_lists(values: Values) -> bool:
    return _models(values) > 0 or bool(values["channel_checkpoint"])


def _is_seen(feature: str) -> Callable[[Values], bool]:
    """Whether a feature that has weight 0 by default gets a weight, or is written."""

    def seen(values: Values) -> bool:
        by_hand = any(item.startswith(f"{feature}=") for item in values["weight"])
        learned = bool(values["tune"]) or values["weights"] is not None
        return learned or by_hand or values["format"] == "nbest" or values["report"] is not None

    return seen


def _measures(values: Values) -> bool:
    return bool(values["tune"]) or bool(values["oracle"])


def _one_reference(values: Values) -> bool:
    """False if --oracle and --tune name different references of the same lists."""
    tune, oracle = set(values["tune"]), set(values["oracle"])
    return not tune or bool(values["dev_nbest"]) or tune == oracle


def _has_vectors(values: Values) -> bool:
    return values["source_embeddings"] is not None or values["target_embeddings"] is not None


def _decoding_metrics() -> str:
    """What makes validation translate."""
    from s2st.jobs.validation_metrics import METRICS

    names = [name for name in METRICS.names() if name != "perplexity"]
    return f"needs --best-checkpoint-metric {alternatives(names)}, or --validate-samples"


_ENSEMBLE = Rule(("ensemble_weight", "ensemble_mode"), _several, "needs several checkpoints")
_ARCHITECTURE = (
    Rule(("softmax_samples",), _is("softmax", "sampled"), "needs --softmax sampled"),
    Rule(("adaptive_cutoffs",), _is("softmax", "adaptive"), "needs --softmax adaptive"),
    Rule(("init_range",), _is("init", "uniform"), "needs --init uniform"),
)
_CONCATENATED = Rule(
    _ENSEMBLE.options, lambda _: False,
    "has no effect: the states of several checkpoints are concatenated",
)  # fmt: skip
_CURVES = (Rule(("title",), lambda v: v["figure"] is not None, "needs --figure NAME"),)
_PAGE = (
    _ENSEMBLE,
    Rule(
        ("length_normalization",),
        lambda v: v.get("lenpen", 1) > 0,
        "needs --lenpen X: with 0 scores are not normalized",
    ),
    Rule(("nbest",), lambda _: False, "has no effect: the page shows all that the beam finds"),
)
RULES: Mapping[str, tuple[Rule, ...]] = {
    "serve": (
        *_PAGE,
        Rule(
            ("allow_host",), lambda v: is_loopback(v["host"]),
            "needs a loopback --host: for others, all names are allowed",
        ),
    ),
    "explain": _PAGE,
    "train": (
        *_ARCHITECTURE,
        Rule(
            ("max_divergences",),
            lambda v: v["on_divergence"] != "stop",
            "needs --on-divergence skip or restore",
        ),
        Rule(
            ("lowercase_embeddings", "freeze_embeddings"),
            _has_vectors,
            "needs --source-embeddings or --target-embeddings",
        ),
        Rule(
            ("extend_vocabulary",), lambda v: v["finetune_from"] is not None,
            "needs --finetune-from CHECKPOINT",
        ),
        Rule(
            ("unigram_alpha", "bpe_dropout"),
            lambda v: bool(v["subword_sampling"]),
            "needs --subword-sampling",
        ),
        Rule(
            ("validate_beam",),
            lambda v: v["best_checkpoint_metric"] != "perplexity" or v["validate_samples"] > 0,
            _decoding_metrics,
        ),
        Rule(
            ("micro_batches",),
            lambda v: v["pipeline_stages"] * v["vocabulary_parts"] > 1,
            "needs --pipeline-stages or --vocabulary-parts",
        ),
    ),
    "generate": (
        _ENSEMBLE,
        Rule(
            ("length_normalization",), lambda v: v.get("lenpen", 1) > 0,
            "needs --lenpen X: with 0 scores are not normalized",
        ),
        Rule(
            ("temperature", "top_k", "top_p", "sampling_seed"), _is("candidates_from", "sampling"),
            "needs --candidates-from sampling",
        ),
        Rule(
            ("shortlist_first", "shortlist_best", "shortlist_prune"),
            lambda v: v["shortlist"] is not None, "needs --shortlist FILE",
        ),
    ),
    "train-ngram": (
        Rule(("add_k",), _is("smoothing", "add-k"), "needs --smoothing add-k"),
        Rule(
            ("prune", "discount_fallback"), _is("smoothing", "kneser-ney"),
            "needs --smoothing kneser-ney",
        ),
    ),
    "tune-length": (
        _ENSEMBLE,
        Rule(
            ("nbest", "lenpen"), lambda _: False,
            "has no effect: the best translation under each length penalty is measured",
        ),
    ),
    "score": (
        _ENSEMBLE,
        Rule(
            ("tokenize", "lowercase", "ter", "samples"), lambda v: bool(v["ref"]),
            "needs --ref FILE: it applies to metrics of translations",
        ),
        Rule(
            ("samples",), lambda v: len(v["hyp"]) > 1,
            "needs several HYP files for the bootstrap to compare",
        ),
        Rule(("precision",), lambda v: _models(v) > 0, "needs --checkpoint"),
        Rule(("next_words",), lambda v: v["next"] is not None, "needs --next TEXT"),
    ),
    "rescore-nbest": (
        Rule(
            _ENSEMBLE.options,
            lambda v: _several(v) and v["feature_per"] == "ensemble",
            "needs several checkpoints and --feature-per ensemble",
        ),
        Rule(("folds",), lambda v: bool(v["tune"]), "needs --tune REF", role="tuner"),
        Rule(
            ("max_rows", "precision"), _scores_lists,
            "needs --checkpoint: without one, s2st uses the scores in the lists",
        ),
        Rule(
            ("length_feature",), _is_seen("S2STLength"),
            "has weight 0 here: add --tune REF, --weight S2STLength=X, --weights FILE, or "
            "--format nbest",
        ),
        Rule(
            ("consensus",), lambda v: v["consensus"] == "none" or _is_seen("S2STConsensus")(v),
            "has weight 0 here: add --tune REF, --weight S2STConsensus=X, --weights FILE, or "
            "--format nbest",
        ),
        Rule(
            ("consensus_scale",), lambda v: v["consensus"] != "none",
            "needs --consensus bleu or chrf",
        ),
        Rule(("metric",), _measures, "needs --tune REF or --oracle REF"),
        Rule(
            ("tokenize",),
            lambda v: v["consensus"] == "bleu" or (_measures(v) and v["metric"] != "chrf"),
            "needs --consensus bleu, or --tune or --oracle with --metric bleu or ter; chrF counts "
            "characters",
        ),
        Rule(
            ("oracle",), _one_reference,
            "and --tune name different references of NBEST: name the same files, or give "
            "development lists (--dev-nbest)",
        ),
    ),
    "inspect": (
        *_ARCHITECTURE,
        Rule(
            ("nwordssrc", "nwordstgt"), lambda v: v["path"] is None,
            "cannot be combined with PATH, which has its own sizes", role="arch",
        ),
    ),
    "lengths": _CURVES,
    "rarity": _CURVES,
    "gradients": _CURVES,
    "attention": (
        *_CURVES,
        _ENSEMBLE,
        Rule(
            (), lambda v: v["target"] is None,
            "cannot be combined with --target, which replaces the search", role="search",
        ),
        Rule(("nbest",), lambda _: False, "has no effect: the map shows the best translation"),
    ),
    "states": (_CONCATENATED,),
    "vectors": (_CONCATENATED,),
}  # fmt: skip
