"""Options that have an effect only together with others: alone, each of them is a usage error.

Only what stands on the command line is looked at. A file of options (`--config`) and a recipe
serve several runs, so an option of theirs may lie idle; so may options that say how fast, on which
device and by how many processes (`--device`, `--threads`, `--rank-timeout`, ...).
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from s2st.errors import UsageError
from s2st.options.config import config_values, option_specs
from s2st.options.resolution import Resolved

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Rule:
    """Options of a command that need another one.

    Attributes:
        options: their names, with "_".
        works: whether they have an effect, given the values of all options.
        needs: what to add, or why there is no effect.
        role: a choice (such as `tuner`) that is meant too, with the options of what is chosen.
    """

    options: tuple[str, ...]
    works: Callable[[Values], bool]
    needs: str
    role: str | None = None


def check_effects(
    command: str, given: Collection[str], resolved: Resolved, extra: Mapping[str, Any]
) -> None:
    """Raises UsageError for the first option without effect.

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
            # an option that is switched off has no effect to miss
            if name in given and values.get(name) is not False and not rule.works(values):
                raise UsageError(f"--{name.replace('_', '-')} {rule.needs}")


def _is(name: str, value: str) -> Callable[[Values], bool]:
    """Whether a choice is made; a plugin may have an option of that name without the choice."""
    return lambda values: values.get(name, value) == value


def _models(values: Values) -> int:
    """How many models are named."""
    return len(values["checkpoint"]) + (len(values["path"].split(":")) if values["path"] else 0)


def _several(values: Values) -> bool:
    # a wrong number of weights has an error of its own
    return _models(values) > 1 or len(values["ensemble_weight"]) > 1


def _scores_lists(values: Values) -> bool:
    return _models(values) > 0 or bool(values["channel_checkpoint"])


def _length_is_seen(values: Values) -> bool:
    by_hand = any(item.startswith("S2STLength=") for item in values["weight"])
    learned = bool(values["tune"]) or values["weights"] is not None
    return learned or by_hand or values["output"] == "nbest" or values["report"] is not None


def _one_reference(values: Values) -> bool:
    """Whether --oracle and --tune do not name different references of the same lists."""
    tune, oracle = set(values["tune"]), set(values["oracle"])
    return not tune or values["dev_nbest"] is not None or tune == oracle


def _has_vectors(values: Values) -> bool:
    return values["source_embeddings"] is not None or values["target_embeddings"] is not None


_ENSEMBLE = Rule(("ensemble_weight", "ensemble_mode"), _several, "needs several checkpoints")
_ARCHITECTURE = (
    Rule(("softmax_samples",), _is("softmax", "sampled"), "needs --softmax sampled"),
    Rule(("adaptive_cutoffs",), _is("softmax", "adaptive"), "needs --softmax adaptive"),
    Rule(("init_range",), _is("init", "uniform"), "needs --init uniform"),
)
_CURVES = (Rule(("title",), lambda v: v["figure"] is not None, "needs --figure NAME"),)
RULES: Mapping[str, tuple[Rule, ...]] = {
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
            ("micro_batches",),
            lambda v: v["pipeline_stages"] * v["vocabulary_parts"] > 1,
            "needs --pipeline-stages or --vocabulary-parts",
        ),
    ),
    "generate": (_ENSEMBLE,),
    "score": (
        _ENSEMBLE,
        Rule(
            ("tokenize", "lowercase", "ter", "samples"), lambda v: bool(v["ref"]),
            "needs --ref FILE: it is of BLEU and the other figures of text",
        ),
        Rule(
            ("samples",), lambda v: len(v["hyp"]) > 1,
            "needs several HYP files, which the bootstrap compares",
        ),
        Rule(("precision",), lambda v: _models(v) > 0, "needs --checkpoint"),
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
            "needs --checkpoint: the scores of these lists are there already",
        ),
        Rule(
            ("length_feature",), _length_is_seen,
            "has weight 0 here: add --tune REF, --weight S2STLength=X, --weights FILE, or "
            "--output nbest",
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
            "goes without PATH, which has sizes of its own", role="arch",
        ),
    ),
    "lengths": _CURVES,
    "rarity": _CURVES,
    "attention": (
        _ENSEMBLE,
        Rule((), lambda v: v["target"] is None, "goes without --target: nothing is searched",
             role="search"),
        Rule(("nbest",), lambda _: False, "has no effect: the map is of the best translation"),
    ),
    "states": (
        Rule(
            _ENSEMBLE.options, lambda _: False,
            "has no effect: the states of several checkpoints are put side by side",
        ),
    ),
}  # fmt: skip
