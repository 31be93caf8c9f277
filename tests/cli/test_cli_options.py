"""Rules for every option of every command: given once, never empty, compatible with others."""

import click
import pytest
from options_of import commands, parameters

from s2st.jobs.list_components import KINDS
from s2st.options.registry import Registry
from s2st_cli.click_options import Command, SpecOption, _takes_one

ALL = list(parameters())
ONE_VALUE = [p for p in ALL if isinstance(p.parameter, click.Option) and _takes_one(p.parameter)]
TEXTS = [
    p
    for p in ALL
    if (p.spec is None or (p.spec.kind is str and p.spec.default != ""))
    and isinstance(p.parameter.type, click.types.StringParamType)
    and not (isinstance(p.parameter, click.Option) and p.parameter.is_flag)
]


def test_every_command_is_strict():
    assert [words for words, command in commands() if not isinstance(command, Command)] == []
    assert len(ALL) > 300
    assert len(ONE_VALUE) > 200


@pytest.mark.parametrize("case", ONE_VALUE, ids=str)
def test_an_option_of_one_value_is_given_once(s2st, tmp_path, case):
    """`--trainpref a --trainpref b` kept only b."""
    parameter = case.parameter
    flags = [case.flag, min(parameter.opts, key=len)]
    value = "1"
    if parameter.name == "config":
        value = str(tmp_path / "options.toml")
        (tmp_path / "options.toml").write_text("")
    elif parameter.name == "recipe":
        value = "sutskever2014"
    elif isinstance(parameter.type, click.Choice):
        value = parameter.type.choices[0]
    elif case.spec is None and isinstance(parameter, SpecOption):  # the choice of a component
        value = parameter.help.rpartition("[default: ")[2].rstrip("]")
    values = [value] * parameter.nargs
    words = [flags[0], *values, flags[1], *values]
    if parameter.is_flag:
        words = [parameter.opts[0], parameter.secondary_opts[0]]
    chosen = case.words
    if len(chosen) > 1 and case.flag == chosen[-2]:
        chosen = chosen[:-2]
    s2st(*chosen, *words).check_error(2, f"{case.flag} is given twice")


def test_a_plain_flag_may_be_repeated(s2st, world):
    command = ("score", world.target, "--ref", world.target, "--lowercase")
    assert s2st(*command, "--lowercase").out == s2st(*command).out


@pytest.mark.parametrize("case", TEXTS, ids=str)
def test_an_empty_value_is_one_clear_line(s2st, case, tmp_path, monkeypatch):
    """`--save-dir ''` was an internal error, and meant the present folder elsewhere."""
    monkeypatch.chdir(tmp_path)
    required = []
    for words, command in commands():
        if words == case.words[: len(words)]:
            required = [p for p in command.params if p.required and p.name != case.parameter.name]
    words = [*case.words]
    for parameter in required:
        if isinstance(parameter, click.Option):
            words += [parameter.opts[0], "x"]
    arguments = [p for p in required if isinstance(p, click.Argument)]
    values = [""] * max(1, case.parameter.nargs)
    if isinstance(case.parameter, click.Argument):
        place = {"b": 1, "release": 1}.get(case.parameter.name, 0)
        plain = ["x"] * len(arguments)
        words += [*plain[:place], "", *plain[place:]]
    else:
        words += [case.flag, *values, *("x" for _ in arguments)]
    outcome = s2st(*words)
    outcome.check_error(outcome.code)
    assert outcome.code == 2 or (outcome.code == 66 and case.parameter.name == "config")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("options", [("--beam", "3", "--nbest", "8"), ("--nbest", "6")])
def test_more_hypotheses_than_the_beam_are_refused(s2st, world, options):
    """fairseq cuts them down to the beam without a word; --nbest 8 gave 3 to 8."""
    command = (
        "generate",
        "--checkpoint",
        world.forward,
        "--format",
        "json",
        *options,
        world.source,
    )
    s2st(*command).check_error(2, "is more than --beam", f"use --beam {options[-1]}")


def test_as_many_hypotheses_as_the_beam(s2st, world):
    command = ("generate", "--checkpoint", world.forward, "--format", "moses", world.source)
    outcome = s2st(*command, "--beam", 8, "--nbest", 8)
    ids = [line.partition(" ")[0] for line in outcome.lines]
    assert ids == [str(number) for number in range(12) for _ in range(8)]


@pytest.mark.parametrize("search", ["beam", "greedy", "sampling", "exhaustive"])
@pytest.mark.parametrize("least", [50, 1_000_000])
def test_a_least_length_above_the_greatest_is_refused(s2st, world, search, least):
    """It beat --max-len, and 1000000 ran for hours."""
    command = ("generate", "--checkpoint", world.forward, "--search", search, world.source)
    outcome = s2st(*command, "--min-len", least, "--max-len-b", 40)
    outcome.check_error(2, f"--min-len {least}", "--max-len-b 40", f"use --max-len-b {least}")


def test_a_config_file_and_the_command_line_are_judged_together(s2st, world, tmp_path):
    path = tmp_path / "options.toml"
    path.write_text('min-len = 13\nnbest = 6\nformat = "moses"\n')
    command = ("generate", "--checkpoint", world.forward, "--config", path, world.source)
    s2st(*command).check_error(2, "--min-len 13")
    s2st(*command, "--max-len-b", 13).check_error(2, "--nbest 6")
    assert s2st(*command, "--max-len-b", 13, "--beam", 6).code == 0


def test_an_ensemble_is_not_offered_for_training(s2st):
    for command in ("train", "inspect"):
        outcome = s2st(command, "--help")
        names = outcome.out.partition("--arch is one of:")[2].replace("\n", " ").split(". `")[0]
        assert "ensemble" not in names
        assert "transformer-base" in names
    outcome = s2st("train", "data", "--members", "x")
    outcome.check_error(2, "No such option")


def test_every_registry_is_listed_by_any_of_its_names(s2st):
    specs = [
        command.spec for _, command in commands() if getattr(command, "spec", None) is not None
    ]
    roles = {role.name: role.registry for spec in specs for role in spec.roles}
    whole = s2st("list").out
    for name, registry in roles.items():
        assert isinstance(registry, Registry)
        for word in (name, name.replace("_", "-"), registry.kind):
            outcome = s2st("list", word)
            assert outcome.code == 0, word
            assert outcome.out in whole
            assert all(f"  {entry} " in outcome.out for entry in registry.names())
    for kind in KINDS:
        assert s2st("list", kind).out.startswith(f"{kind}:\n")
    assert s2st("list", "schedulers").out == s2st("list", "schedules").out
