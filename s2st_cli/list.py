"""`s2st list`: what is registered, with one line each."""

from typing import Any

import click

from s2st.criteria.registry import CRITERIA
from s2st.errors import UsageError
from s2st.jobs.train import RECIPES
from s2st.models.registry import ARCHITECTURES
from s2st.options.config import OptionSpec, option_specs, shown
from s2st.options.registry import Registry, load_entry_point_plugins, load_plugin
from s2st.rescoring.registry import TUNERS
from s2st.search.registry import SEARCHES
from s2st.text.tokenizers import TOKENIZERS
from s2st.training.lr_schedules import SCHEDULES
from s2st.training.optimizers import OPTIMIZERS
from s2st_cli.click_options import Command
from s2st_cli.terminal_output import show

REGISTRIES: dict[str, Registry[Any]] = {
    "architectures": ARCHITECTURES,
    "criteria": CRITERIA,
    "searches": SEARCHES,
    "optimizers": OPTIMIZERS,
    "schedules": SCHEDULES,
    "tokenizers": TOKENIZERS,
    "tuners": TUNERS,
}
RECIPE = "recipes"
KINDS = (*REGISTRIES, RECIPE)
# other words for a kind: the options that choose from it, and what fairseq calls it
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
}


@click.command(cls=Command)
@click.argument("kind", required=False)
@click.option("--options", "show_options", is_flag=True, help="list each entry's options too")
@click.option("--plugin", multiple=True, metavar="MODULE", help="import a module of plugins first")
def command(kind: str | None, show_options: bool, plugin: tuple[str, ...]) -> None:
    """List what is registered: all of it, or one KIND.

    KIND is architectures, criteria, searches, optimizers, schedules, tokenizers, tuners or recipes,
    or the option that chooses from it (arch, criterion, lr-scheduler, ...).
    """
    load_entry_point_plugins()
    for module in plugin:
        load_plugin(module)
    for name in KINDS if kind is None else [_kind(kind)]:
        if name == RECIPE:
            rows = [(recipe, "all of the options of train, as published") for recipe in RECIPES]
            _print_rows(name, rows)
            continue
        registry = REGISTRIES[name]
        _print_rows(name, [(entry.name, entry.description) for entry in registry.entries()])
        if show_options:
            for entry in registry.entries():
                if entry.name != entry.base:
                    continue
                for spec in option_specs(entry.config_type):
                    show(f"    {entry.name}: {spec.flag} ({_default(spec)}) {spec.help}")


def _kind(text: str) -> str:
    """The kind that a word means; raises UsageError."""
    word = text.lower().replace("_", "-")
    if word in KINDS:
        return word
    if word not in ALIASES:
        raise UsageError(f"unknown kind {shown(text)}; known: {', '.join(KINDS)}")
    return ALIASES[word]


def _default(spec: OptionSpec) -> str:
    """Default and range, such as "5; 1 to 100,000"."""
    return f"{spec.default}; {spec.range}" if spec.numeric else f"{spec.default}"


def _print_rows(title: str, rows: list[tuple[str, str]]) -> None:
    show(f"{title}:")
    width = max((len(name) for name, _ in rows), default=0)
    for name, description in rows:
        show(f"  {name:<{width}}  {description}")
