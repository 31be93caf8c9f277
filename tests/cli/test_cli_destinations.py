"""No command writes to one of its inputs, whichever options name the two: all pairs of options."""

import os
from itertools import product

import click
import pytest

from s2st.options.option_fields import option_specs
from s2st_cli import path_checks
from s2st_cli.click_options import Command, ConfiguredCommand, _options, _role_option
from s2st_cli.main import main

SETS = {
    name: getattr(path_checks, name)
    for name in (
        "INPUTS", "LISTS", "LABELED", "PREFIXES", "MODULES", "OUTPUTS", "FIGURES", "FOLDERS",
        "NO_FILES",
    )
}  # fmt: skip
READ = ("INPUTS", "LISTS", "LABELED", "PREFIXES", "MODULES")
WRITTEN = ("OUTPUTS", "FIGURES", "FOLDERS")


def commands(group=main, before=()):
    """(words, command) of every command there is."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*before, name))
        else:
            yield (*before, name), command


COMMANDS = dict(commands())


def parameters(command):
    """Every parameter by name, of all components that the command can be given."""
    if not isinstance(command, ConfiguredCommand):
        found = command.params
    else:
        records = [*command.spec.fixed]
        records += [e.config_type for role in command.spec.roles for e in role.registry.entries()]
        found = [*command._fixed_params, *map(_role_option, command.spec.roles)]
        found += [option for record in records for option in _options(record, {}, "")]
    return {parameter.name: parameter for parameter in found}


def takes_text(parameter):
    is_flag = getattr(parameter, "is_flag", False)
    return isinstance(parameter.type, click.types.StringParamType | click.Tuple) and not is_flag


def set_of(name):
    return next((title for title, names in SETS.items() if name in names), None)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_parameter_of_text_is_said_to_be_a_file_or_none(words):
    """A new option has to be put into one of the sets of s2st_cli/path_checks.py."""
    command = COMMANDS[words]
    assert isinstance(command, Command)
    for name, parameter in parameters(command).items():
        if takes_text(parameter):
            assert sum(name in names for names in SETS.values()) == 1, name
        else:  # a choice or number must not be taken for an output
            assert set_of(name) not in WRITTEN, name


def test_no_set_names_what_no_command_has():
    known = {name for command in COMMANDS.values() for name in parameters(command)}
    assert set().union(*SETS.values()) <= known


PAIRS = [
    (words, written, read)
    for words, command in COMMANDS.items()
    for written, read in product(parameters(command), repeat=2)
    if set_of(written) in WRITTEN and set_of(read) in READ
    and takes_text(parameters(command)[read])
]  # fmt: skip


def choices(command, names):
    """The options that choose a component which has some parameters, such as --criterion NAME."""
    if not isinstance(command, ConfiguredCommand):
        return
    for role in command.spec.roles:
        having = [
            entry.name
            for entry in role.registry.entries()
            if {*names} & {spec.name for spec in option_specs(entry.config_type)}
        ]
        if having and role.default not in having and role.name not in names:
            yield from (f"--{role.name.replace('_', '-')}", having[0])


def arguments(words, given):
    """A command line of the given values and of names of nothing where more is needed."""
    line, last = [*words, *choices(COMMANDS[words], given)], []
    for name, parameter in parameters(COMMANDS[words]).items():
        if isinstance(parameter, click.Argument):
            if parameter.required or name in given:
                last.append(given.get(name, "nothing"))
        elif name in given or parameter.required:
            values = [given.get(name, "nothing"), "nothing"][: parameter.nargs]
            line += [max(parameter.opts, key=len), *values]
    return [*line, "--", *last]


def test_there_are_the_pairs_that_a_reader_would_name():
    found = {(" ".join(words), written, read) for words, written, read in PAIRS}
    assert len(found) > 80
    for pair in (
        ("report", "output_file", "run_dir"), ("rescore-nbest", "weights_out", "dev_source"),
        ("generate", "alignments", "checkpoint"), ("train", "save_dir", "data"),
        ("analyze rarity", "figure", "vocabulary"), ("preprocess", "destdir", "srcdict"),
    ):  # fmt: skip
        assert pair in found


@pytest.mark.parametrize("how", ["name", "link", "hard link"])
@pytest.mark.parametrize(("words", "written", "read"), PAIRS)
def test_no_command_writes_to_a_file_that_it_reads(
    s2st, tmp_path, monkeypatch, words, written, read, how
):
    if set_of(written) == "FOLDERS":
        pytest.skip("a folder: see the next test")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    module = f"victim_{abs(hash((words, written, read, how)))}"
    suffix = {"FIGURES": ".svg"}.get(set_of(written), ".en")
    victim = tmp_path / f"{module}.py"
    if set_of(read) != "MODULES":
        victim = tmp_path / f"victim{suffix}"
    content = b"batch-size = 4\n" if read == "config" else b"precious = 1\n"
    if read == "config" and "batch_size" not in parameters(COMMANDS[words]):
        content = b""
    victim.write_bytes(content)
    other = tmp_path / f"other{suffix}"
    if how == "link":
        other.symlink_to(victim)
    elif how == "hard link":
        os.link(victim, other)
    target = str(victim if how == "name" else other)
    if set_of(read) == "MODULES" and how == "name" and set_of(written) == "FIGURES":
        pytest.skip("no figure ends in .py")
    given = {
        "INPUTS": str(victim), "LISTS": f"nothing:{victim}", "LABELED": f"label={victim}",
        "PREFIXES": str(victim.with_suffix("")), "MODULES": module,
    }[set_of(read)]  # fmt: skip
    values = {read: given, written: target}
    if set_of(read) == "PREFIXES":
        values |= {"source_lang": "en", "target_lang": "fr"}
    s2st(*arguments(words, values)).check_error(2, os.path.basename(target), "overwrite")
    assert victim.read_bytes() == content


@pytest.mark.parametrize("through", ["the folder", "a link to it", "the save folder"])
@pytest.mark.parametrize(
    ("words", "written", "read"),
    [pair for pair in PAIRS if set_of(pair[2]) in ("INPUTS", "LISTS") and pair[2] != "config"],
)
def test_no_command_writes_into_a_checkpoint_or_store_that_it_reads(
    s2st, tmp_path, words, written, read, through
):
    folder = tmp_path / "run" / "checkpoint_0000001"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text("{}")
    (tmp_path / "run" / "checkpoint_best").symlink_to(folder.name)
    given = {
        "the folder": folder, "a link to it": tmp_path / "run" / "checkpoint_best",
        "the save folder": tmp_path / "run",
    }[through]  # fmt: skip
    before = contents(tmp_path)
    for target in ("manifest.json", "new", "."):
        for name in (folder.name, "checkpoint_best"):
            if target == "." and set_of(written) != "FOLDERS":
                continue
            place = tmp_path / "run" / name / target
            outcome = s2st(*arguments(words, {read: str(given), written: str(place)}))
            outcome.check_error(2, "")
            assert "overwrite" in outcome.err or "which this command reads" in outcome.err
    assert contents(tmp_path) == before


def contents(folder):
    return {path: path.is_file() and path.read_bytes() for path in folder.rglob("*")}


INPUTS = [
    (words, read)
    for words, command in COMMANDS.items()
    for read in parameters(command)
    if set_of(read) in ("INPUTS", "LISTS", "LABELED") and takes_text(parameters(command)[read])
    and read != "config"
]  # fmt: skip


@pytest.mark.parametrize(("words", "read"), INPUTS)
def test_an_input_that_may_not_be_read_is_an_input_error_of_its_name(s2st, tmp_path, words, read):
    """A loop of links, which nobody can follow, also not root."""
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    given = f"label={loop}" if set_of(read) == "LABELED" else str(loop)
    outcome = s2st(*arguments(words, {read: given}))
    outcome.check_error(66, f"{loop}: cannot be read: Too many levels of symbolic links")


@pytest.mark.parametrize(("words", "read"), [pair for pair in INPUTS if pair[1] != "plugin"])
def test_a_folder_that_may_not_be_entered_is_not_called_empty(
    s2st, tmp_path, words, read, monkeypatch
):
    folder = tmp_path / "closed"
    folder.mkdir()
    access = os.access

    def refuse(path, mode):
        return access(path, mode) and os.path.realpath(path) != str(folder)

    monkeypatch.setattr(os, "access", refuse)
    given = f"label={folder}" if set_of(read) == "LABELED" else str(folder)
    outcome = s2st(*arguments(words, {read: given}))
    outcome.check_error(66, f"{folder}: cannot be read: Permission denied")


def test_a_folder_that_cannot_be_listed_is_not_called_empty(s2st, world, tmp_path, monkeypatch):
    def refuse(path="."):
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(os, "listdir", refuse)
        outcome = s2st("average", "--last", 2, world.save_dir, "-o", tmp_path / "new")
    outcome.check_error(66, f"{world.save_dir}: cannot be read: Permission denied")


def test_report_never_destroys_a_checkpoint(s2st, world):
    """What the issue saw."""
    place = world.save_dir / "checkpoint_best" / "manifest.json"
    before = place.read_bytes()
    s2st("report", world.save_dir, "-o", place).check_error(2, "overwrite", "manifest.json")
    assert place.read_bytes() == before


def test_the_members_of_an_ensemble_file_are_inputs(s2st, world, tmp_path):
    """Also those of an ensemble within it, and files that name each other."""
    (tmp_path / "inner.toml").write_text(f'members = ["{world.forward}", "outer.toml"]\n')
    (tmp_path / "outer.toml").write_text('members = ["inner.toml"]\n')
    before = contents(world.forward)
    for place in (world.forward / "manifest.json", world.forward / "new", tmp_path / "inner.toml"):
        outcome = s2st("generate", "--checkpoint", tmp_path / "outer.toml", "-o", place)
        outcome.check_error(2, str(place))
    assert contents(world.forward) == before


def test_a_studys_report_and_figures_are_inputs(s2st, tmp_path):
    (tmp_path / "figures").mkdir()
    for name in ("report.json", "figures/a.svg"):
        (tmp_path / name).write_text("{}")
        s2st("report", tmp_path, "-o", tmp_path / name).check_error(2, "overwrite", name)


def test_a_page_in_the_folder_that_it_describes_is_fine(s2st, world):
    outcome = s2st("report", world.save_dir, "-o", world.save_dir / "report.html")
    again = s2st("report", world.save_dir, "-o", world.save_dir / "report.html")
    assert (outcome.code, again.code) == (0, 0), outcome.err
    (world.save_dir / "report.html").unlink()


def test_two_outputs_are_not_both_standard_output(s2st):
    line = ["rescore-nbest", "nbest", "--source", "src", "--checkpoint", "m", "--weights-out", "-"]
    s2st(*line).check_error(2, "--weights-out needs a file")
