"""Config records: types, limits, choices, TOML files, and messages."""

import json
from dataclasses import FrozenInstanceError, dataclass
from typing import Literal

import pytest

from s2st.errors import ConfigError, InputMissingError
from s2st.options.option_fields import (
    Range,
    config_values,
    make_config,
    option,
    option_specs,
    read_option_file,
    unknown_option_message,
)


@dataclass(frozen=True)
class Sample:
    """One option of every kind."""

    count: int = option(3, "a whole number", minimum=1, maximum=10)
    rate: float = option(0.5, "a number", minimum=0, flags=("-r",))
    loud: bool = option(False, "yes or no")
    mode: str = option("soft", "a choice", choices=("soft", "hard"))
    limit: int | None = option(None, "may be left out", minimum=0)
    names: tuple[str, ...] = option((), "a list")
    weights: tuple[float, ...] = option((), "a list of numbers", minimum=0)
    share: float = option(
        0.5, "an open range", minimum=0, maximum=1, open_minimum=True, open_maximum=True
    )
    file: str | None = option(None, "a path")
    title: str = option("", "text that may be empty")
    most: int | Literal["auto"] | None = option(
        None, "a number or a word", minimum=1, maximum=9, words=("auto",)
    )


@dataclass(frozen=True)
class Needy:
    """An option without a default."""

    path: str


def make(**values):
    return make_config(Sample, values, "here")


def refused(**values):
    with pytest.raises(ConfigError) as caught:
        make(**values)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_number_may_have_a_word_beside_it():
    assert make(most="auto").most == "auto"
    assert make(most=9).most == 9
    assert make(most=None).most is None
    assert "whole number or auto" in refused(most="all")
    assert "the maximum is 9" in refused(most=10)
    assert "a whole number, not 'auto'" in refused(count="auto")


def test_defaults_and_values():
    assert make() == Sample(3, 0.5, False, "soft", None, (), ())
    assert make(title="").title == ""
    made = make(count=10, rate=0, loud=True, mode="hard", limit=0, names=["a", "b"], weights=[1, 2])
    assert made == Sample(10, 0.0, True, "hard", 0, ("a", "b"), (1.0, 2.0))
    assert isinstance(made.rate, float)
    assert isinstance(made.weights[0], float)
    with pytest.raises(FrozenInstanceError):
        made.count = 1


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"count": 0}, "here: --count is 0; the minimum is 1"),
        ({"count": 11}, "here: --count is 11; the maximum is 10"),
        ({"count": 2.0}, "here: --count takes a whole number, not 2.0"),
        ({"count": True}, "here: --count takes a whole number, not True"),
        ({"count": "2"}, "here: --count takes a whole number, not '2'"),
        ({"count": None}, "here: --count needs a value"),
        ({"count": [1]}, "here: --count takes a whole number, not [1]"),
        ({"rate": "fast"}, "here: --rate takes a number, not 'fast'"),
        ({"rate": float("nan")}, "here: --rate is not a number"),
        ({"rate": -0.1}, "here: --rate is -0.1; the minimum is 0"),
        ({"rate": float("inf")}, "here: --rate must be a finite number"),
        ({"rate": -float("inf")}, "here: --rate is -inf; the minimum is 0"),
        ({"share": 1}, "here: --share is 1.0; it must be below 1"),
        ({"share": 0.0}, "here: --share is 0.0; it must be above 0"),
        ({"share": float("inf")}, "here: --share is inf; it must be below 1"),
        ({"file": ""}, "here: --file is empty; leave the option out, or give it a value"),
        ({"names": ["a", ""]}, "here: --names is empty; leave the option out, or give it a value"),
        ({"file": "a\0b"}, "here: --file is 'a\\x00b'; it must not contain a NUL character"),
        ({"rate": True}, "here: --rate takes a number, not True"),
        ({"loud": 1}, "here: --loud takes true or false, not 1"),
        ({"mode": "medium"}, "here: --mode is 'medium'; choose from soft, hard"),
        ({"limit": -1}, "here: --limit is -1; the minimum is 0"),
        ({"names": "abc"}, "here: --names takes a list, not 'abc'"),
        ({"names": ["a", 1]}, "here: --names takes text, not 1"),
        ({"weights": [1.0, -2.0]}, "here: --weights is -2.0; the minimum is 0"),
    ],
    ids=str,
)
def test_values_that_do_not_fit(values, message):
    assert refused(**values) == message


def test_numbers_too_large_for_floating_point():
    assert refused(count=10**400).endswith("the maximum is 10")
    assert refused(count=-(10**400)).endswith("the minimum is 1")
    assert make(limit=2**63 - 1).limit == 2**63 - 1
    for large in (2**63, 10**400):
        assert refused(limit=large) == "here: --limit is too large a number"
    assert "rate" in refused(rate=10**400)


def test_ranges_as_help_shows_them():
    assert str(Range(1, 10)) == "1 to 10"
    assert str(Range(0, 1, open_maximum=True)) == "0 to below 1"
    assert str(Range(0, 1e9, open_minimum=True)) == "above 0 to 1,000,000,000"
    assert str(Range(1e-6, 0.999999)) == "1e-06 to 0.999999"
    assert str(Range(0, 2**63 - 1)) == str(Range(0)) == "0 or more"
    assert str(Range(maximum=5)) == "at most 5"
    assert str(Range()) == ""
    assert Range(0, 1).stated
    assert not Range(0).stated
    assert not Range(0, float("inf")).stated


def test_unknown_options_suggest_the_nearest():
    assert refused(cuont=1) == "here: unknown option 'cuont'; did you mean count?"
    assert refused(zzz=1) == "here: unknown option 'zzz'"
    message = unknown_option_message("batch_sise", ["batch_size", "seed"], "x.toml")
    assert message == "x.toml: unknown option 'batch-sise'; did you mean batch-size?"


def test_a_required_option():
    with pytest.raises(ConfigError, match="here: option 'path' is required"):
        make_config(Needy, {}, "here")
    assert make_config(Needy, {"path": "p"}, "here") == Needy("p")


def test_specs_say_all_about_an_option():
    specs = {spec.name: spec for spec in option_specs(Sample)}
    assert list(specs) == [
        "count", "rate", "loud", "mode", "limit", "names", "weights", "share",
        "file", "title", "most",
    ]  # fmt: skip
    assert (specs["count"].kind, specs["count"].range) == (int, Range(1, 10))
    assert (specs["limit"].kind, specs["limit"].optional) == (int, True)
    assert (specs["weights"].kind, specs["weights"].repeated) == (float, True)
    assert specs["mode"].choices == ("soft", "hard")
    assert specs["rate"].flags == ("-r",)
    assert specs["names"].flag == "--names"
    assert specs["rate"].default == 0.5


def test_values_go_through_json_and_back():
    made = make(count=7, names=["a"], weights=[0.25], limit=2, mode="hard", loud=True)
    assert make_config(Sample, json.loads(json.dumps(config_values(made))), "json") == made


def test_option_files(tmp_path):
    path = tmp_path / "options.toml"
    path.write_text('batch-size = 3\nmax_epoch = 7.5\nnames = ["a"]\nloud = true\n')
    assert read_option_file(path) == {
        "batch_size": 3, "max_epoch": 7.5, "names": ["a"], "loud": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a = ", "not a TOML file"),
        (b"a = '\xff'", "not a TOML file"),
        (b"[training]\nlr = 1\n", "'training' is a table"),
        (b"a = 1\na = 2\n", "not a TOML file"),
        (b"x = " + b"[" * 5000, "not a TOML file"),
        (b"max-epoch = 1\nmax_epoch = 2\n", "twice"),
    ],
)
def test_option_files_that_cannot_be_used(tmp_path, content, message):
    path = tmp_path / "options.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=message) as caught:
        read_option_file(path)
    assert str(caught.value).startswith(str(path))


def test_a_missing_option_file(tmp_path):
    with pytest.raises(InputMissingError, match="cannot be read"):
        read_option_file(tmp_path / "none.toml")
