"""Pages of the site that come from elsewhere: README, examples, and the reference of commands.

MkDocs calls the functions `on_files` and `on_page_markdown`. Links between Markdown files of the
repository become links between pages. A link to any other file becomes its path.
"""

import importlib
import posixpath
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

import s2st  # noqa: E402
from s2st.options.option_fields import option_specs  # noqa: E402
from s2st_cli.click_options import ConfiguredCommand, _options, _role_option  # noqa: E402
from s2st_cli.lazy_group import module_name  # noqa: E402
from s2st_cli.main import COMMANDS  # noqa: E402

LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]+)\)")
# file of the repository -> page of the site
PAGES = {
    "README.md": "index.md",
    "README.ko.md": "ko/index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "benchmarks/README.md": "benchmarks.md",
    **{
        path.relative_to(ROOT).as_posix(): f"examples/{path.parent.name}.md"
        for path in sorted(ROOT.glob("examples/*/README.md"))
    },
}
SOURCES = {page: source for source, page in PAGES.items()}


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are not in the folder docs."""
    for source, page in PAGES.items():
        path = ROOT / source
        if path.exists():
            files.append(File.generated(config, page, content=path.read_text("utf-8")))
    files.append(File.generated(config, "examples/index.md", content=_examples()))
    files.append(File.generated(config, "reference/commands.md", content=commands_page()))
    files.append(File.generated(config, "reference/python.md", content=python_page()))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Rewrite the links of a page for its place on the site."""
    here = page.file.src_uri
    source = SOURCES.get(here, f"docs/{here}")

    def rewritten(match: re.Match[str]) -> str:
        text, target = match.groups()
        if re.match(r"[a-z]+:|#", target):
            return match[0]
        path, _, anchor = target.partition("#")
        wanted = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        if wanted in PAGES or (wanted.startswith("docs/") and wanted.endswith(".md")):
            on_site = PAGES.get(wanted, wanted.removeprefix("docs/"))
            relative = posixpath.relpath(on_site, posixpath.dirname(here) or ".")
            return f"[{text}]({relative}{'#' + anchor if anchor else ''})"
        if not (ROOT / wanted).exists():
            return match[0]  # MkDocs reports it
        return f"{text} (`{wanted}`)"

    return LINK.sub(rewritten, markdown)


def _examples() -> str:
    lines = ["# Examples", ""]
    for source, page in PAGES.items():
        if page.startswith("examples/"):
            title = (ROOT / source).read_text("utf-8").splitlines()[0].lstrip("# ")
            lines.append(f"- [{title}]({page.removeprefix('examples/')})")
    return "\n".join(lines) + "\n"


def python_page() -> str:
    """Everything that `s2st.__all__` promises, from the docstrings."""
    lines = ["# Python classes and functions", "", "[Python](../python.md) explains their use.", ""]
    for name, home in s2st._HOMES.items():
        lines += [f"::: {home}.{name}", "    options:", f"      heading: s2st.{name}", ""]
    return "\n".join(lines)


def commands_page() -> str:
    """The reference of all commands, from the same dataclasses as `--help`."""
    return "\n".join(_commands()) + "\n"


def _commands() -> Iterator[str]:
    yield "# Commands\n"
    yield "Every command and option, from the definitions that `--help` uses."
    for name, line in COMMANDS.items():
        module = importlib.import_module(f"s2st_cli.{module_name(name)}")
        command: click.Command = module.command
        if isinstance(command, click.Group):
            context = click.Context(command)
            for inner in command.list_commands(context):
                found = command.get_command(context, inner)
                assert found is not None
                yield from _command(f"{name} {inner}", found)
        else:
            yield f"\n<!-- {line} -->"
            yield from _command(name, command)


def _command(name: str, command: click.Command) -> Iterator[str]:
    yield f"\n## s2st {name}\n"
    yield from (_escaped(line) for line in (command.help or "").strip().splitlines())
    yield ""
    if not isinstance(command, ConfiguredCommand):
        yield from _table(command, command.params)
        return
    general = [*command._fixed_params, *map(_role_option, command.spec.roles)]
    for config_type in command.spec.fixed:
        general += _options(config_type, {}, "")
    yield from _table(command, general)
    seen = set(command.spec.fixed)
    for role in command.spec.roles:
        for entry in role.offered():
            if entry.config_type not in seen and option_specs(entry.config_type):
                seen.add(entry.config_type)
                flag = "--" + role.name.replace("_", "-")
                yield f"\n**Options of `{flag} {entry.name}`** ({_escaped(entry.description)})\n"
                yield from _table(command, _options(entry.config_type, entry.overrides, ""))


def _table(command: click.Command, parameters: list[click.Parameter]) -> Iterator[str]:
    context = click.Context(command)
    records = [
        record
        for parameter in parameters
        if isinstance(parameter, click.Option)
        for record in [parameter.get_help_record(context)]
        if record is not None
    ]
    if records:
        yield "| option | meaning |"
        yield "|---|---|"
        for flags, text in records:
            yield f"| `{flags}` | {_escaped(text)} |"


def _escaped(text: str) -> str:
    """Text for a cell or a paragraph: without markup, on one line."""
    signs = {"<": "&lt;", ">": "&gt;", "*": r"\*", "_": r"\_", "|": r"\|", "[": r"\[", "]": r"\]"}
    return " ".join("".join(signs.get(letter, letter) for letter in text).split())
