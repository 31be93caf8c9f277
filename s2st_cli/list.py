"""`s2st list`: what is registered, with one line each."""

import click

from s2st.config import option_specs
from s2st.criteria.registry import CRITERIA
from s2st.errors import UsageError
from s2st.models.registry import ARCHITECTURES
from s2st.pipelines.train import RECIPES
from s2st.registry import Registry, load_entry_point_plugins, load_plugin
from s2st.search.registry import SEARCHES
from s2st.text.tokenizers import TOKENIZERS
from s2st.training.optimizers import OPTIMIZERS
from s2st.training.schedules import SCHEDULES
from s2st_cli.lazy import PlainCommand
from s2st_cli.terminal import show

REGISTRIES: dict[str, Registry[object]] = {
    "architectures": ARCHITECTURES,
    "criteria": CRITERIA,
    "searches": SEARCHES,
    "optimizers": OPTIMIZERS,
    "schedules": SCHEDULES,  # type: ignore[dict-item]
    "tokenizers": TOKENIZERS,  # type: ignore[dict-item]
}


@click.command(cls=PlainCommand)
@click.argument("kind", required=False)
@click.option("--options", "show_options", is_flag=True, help="list each entry's options too")
@click.option("--plugin", multiple=True, metavar="MODULE", help="import a module of plugins first")
def command(kind: str | None, show_options: bool, plugin: tuple[str, ...]) -> None:
    """List what is registered, of every KIND or of one (architectures, searches, ...)."""
    load_entry_point_plugins()
    for module in plugin:
        load_plugin(module)
    kinds = [*REGISTRIES, "recipes"]
    if kind is not None and kind not in kinds:
        raise UsageError(f"unknown kind {kind!r}; known: {', '.join(kinds)}")
    for name in kinds if kind is None else [kind]:
        if name == "recipes":
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
                    show(f"    {entry.name}: {spec.flag} ({spec.default}) {spec.help}")


def _print_rows(title: str, rows: list[tuple[str, str]]) -> None:
    show(f"{title}:")
    width = max((len(name) for name, _ in rows), default=0)
    for name, description in rows:
        show(f"  {name:<{width}}  {description}")
