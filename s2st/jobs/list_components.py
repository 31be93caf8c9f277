"""The job of `s2st list`: the registered components with one line each."""

from collections.abc import Iterator, Sequence
from typing import Any

from s2st.criteria.registry import CRITERIA
from s2st.errors import UsageError
from s2st.jobs.training_recipes import RECIPES
from s2st.jobs.validation_metrics import METRICS
from s2st.models.registry import ARCHITECTURES
from s2st.options.option_fields import OptionSpec, option_specs, shown
from s2st.options.registry import Registry, load_entry_point_plugins, load_plugin
from s2st.rescoring.registry import TUNERS
from s2st.search.registry import SEARCHES
from s2st.search.utilities import UTILITIES
from s2st.text.tokenizers import TOKENIZERS
from s2st.training.lr_schedules import SCHEDULES
from s2st.training.optimizers import OPTIMIZERS

REGISTRIES: dict[str, Registry[Any]] = {
    "architectures": ARCHITECTURES,
    "criteria": CRITERIA,
    "searches": SEARCHES,
    "utilities": UTILITIES,
    "optimizers": OPTIMIZERS,
    "schedules": SCHEDULES,
    "tokenizers": TOKENIZERS,
    "tuners": TUNERS,
    "metrics": METRICS,
}
RECIPE = "recipes"
KINDS = (*REGISTRIES, RECIPE)
# other names of a kind: the option that chooses from it, and fairseq's names
ALIASES = {
    **{registry.kind: name for name, registry in REGISTRIES.items()},
    "recipe": RECIPE,
    "arch": "architectures",
    "archs": "architectures",
    "scheduler": "schedules",
    "schedulers": "schedules",
    "lr-scheduler": "schedules",
    "lr-schedulers": "schedules",
    "criterions": "criteria",
    "best-checkpoint-metric": "metrics",
}


def list_components(
    kind: str | None, with_options: bool = False, plugins: Sequence[str] = ()
) -> Iterator[str]:
    """List the registered components, those of installed plugins included.

    Args:
        kind: one of KINDS or ALIASES; None for all kinds.
        with_options: also list the options of each component.
        plugins: modules to import first.

    Yields:
        Lines of text.

    Raises:
        UsageError: an unknown kind, or a plugin that cannot be loaded.
    """
    load_entry_point_plugins()
    for module in plugins:
        load_plugin(module)
    for name in KINDS if kind is None else [_kind(kind)]:
        if name == RECIPE:
            recipes = [(recipe, "published values for all options of train") for recipe in RECIPES]
            yield from _rows(name, recipes)
            continue
        entries = REGISTRIES[name].entries()
        yield from _rows(name, [(entry.name, entry.description) for entry in entries])
        for entry in entries if with_options else ():
            if entry.name == entry.base:
                for spec in option_specs(entry.config_type):
                    yield f"    {entry.name}: {spec.flag} ({_default(spec)}) {spec.help}"


def _kind(text: str) -> str:
    """The kind of that name; raises UsageError."""
    word = text.lower().replace("_", "-")
    if word in KINDS:
        return word
    if word not in ALIASES:
        raise UsageError(f"unknown kind {shown(text)}; known: {', '.join(KINDS)}")
    return ALIASES[word]


def _default(spec: OptionSpec) -> str:
    """Default and range, such as "5; 1 to 100,000"."""
    return f"{spec.default}; {spec.range}" if spec.numeric else f"{spec.default}"


def _rows(title: str, rows: Sequence[tuple[str, str]]) -> Iterator[str]:
    yield f"{title}:"
    width = max((len(name) for name, _ in rows), default=0)
    for name, description in rows:
        yield f"  {name:<{width}}  {description}"
