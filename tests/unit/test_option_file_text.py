"""Option files that s2st writes: `--config` reads back every option and every value."""

import math

import pytest

from s2st.jobs.train import TRAIN_SPEC
from s2st.jobs.training_recipes import RECIPES
from s2st.options.option_fields import option_specs, read_option_file
from s2st.options.option_file_text import option_file, toml_value
from s2st.options.resolution import OptionSource, resolve

TEXT = 'a "b" \\ é \x01\x7f\t🙂'


def another(spec):
    """A value of an option that differs from its default."""
    if spec.kind is bool:
        return not spec.default
    if spec.choices:
        value = spec.choices[-1] if spec.default != spec.choices[-1] else spec.choices[0]
    elif spec.kind is str:
        value = TEXT
    else:
        low, high = spec.range.minimum, spec.range.maximum
        value = spec.kind(low + (high - low) / 3 if spec.kind is float else low + 7)
    return (value, value) if spec.repeated else value


def written(tmp_path, options):
    path = tmp_path / "options.toml"
    path.write_text("".join(f"{line}\n" for line in option_file(TRAIN_SPEC, options)), "utf-8")
    return resolve(TRAIN_SPEC, [OptionSource(str(path), read_option_file(path))])


def assert_equal(found, expected):
    assert found.fixed == expected.fixed
    assert found.configs == expected.configs
    assert {k: v.name for k, v in found.entries.items()} == {
        k: v.name for k, v in expected.entries.items()
    }


# values that the other values of "others" do not contradict
GO_TOGETHER = {
    "aligned-rnn": {"cell": "rnn"},  # has a nonlinearity
    "lstm-attention": {"attention": "dot"},  # not none
    "gru-attention": {"attention": "dot"},
}
CHOICES = [(role.name, entry.name) for role in TRAIN_SPEC.roles for entry in role.offered()]


@pytest.mark.parametrize(("role", "name"), CHOICES)
@pytest.mark.parametrize("values", ["defaults", "others"])
def test_every_option_comes_back(tmp_path, role, name, values):
    chosen = {role: name}
    if values == "others":
        types = [*TRAIN_SPEC.fixed]
        defaults = {r.name: r.default for r in TRAIN_SPEC.roles} | chosen
        types += [r.registry.get(defaults[r.name]).config_type for r in TRAIN_SPEC.roles]
        chosen |= {s.name: another(s) for t in types for s in option_specs(t)}
        chosen |= GO_TOGETHER.get(name, {})
        chosen["finetune_from"] = None  # read at once, so it must exist
    expected = resolve(TRAIN_SPEC, [OptionSource("test", chosen)])
    assert_equal(written(tmp_path, expected), expected)


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_comes_back_with_its_options_of_no_value(tmp_path, recipe):
    expected = resolve(TRAIN_SPEC, [OptionSource("test", RECIPES[recipe], lenient=True)])
    assert_equal(written(tmp_path, expected), expected)


def test_a_preset_is_overridden_by_no_value(tmp_path):
    source = OptionSource("test", {"arch": "transformer-base", "feedforward_size": None})
    expected = resolve(TRAIN_SPEC, [source])
    assert expected.configs["arch"].feedforward_size is None
    assert_equal(written(tmp_path, expected), expected)


def test_what_toml_cannot_express_is_refused():
    for value in (None, {"a": 1}, b"a"):
        with pytest.raises(ValueError, match="not a TOML value"):
            toml_value(value)
    assert toml_value(math.inf) == "inf"
