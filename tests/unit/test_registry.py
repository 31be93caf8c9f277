"""The registry: names, presets, plugins, and the messages of what can go wrong."""

import importlib.metadata
import logging
import sys
from dataclasses import dataclass

import pytest

from s2st.errors import UsageError
from s2st.options import registry
from s2st.options.option_fields import option
from s2st.options.registry import Registry, load_entry_point_plugins, load_plugin, loaded_plugins


@dataclass(frozen=True)
class SizeConfig:
    """An option or two."""

    size: int = option(3, "how much")
    name: str = option("x", "what")


@dataclass
class Thawed:
    """A config that is not frozen."""

    size: int = 3


@pytest.fixture
def animals():
    made = Registry("animal")
    made.register("horse", SizeConfig, lambda config: f"horse {config.size}", "runs")
    made.preset("pony", "horse", {"size": 1}, "small")
    return made


@pytest.fixture(autouse=True)
def _own_plugins(monkeypatch, tmp_path):
    """Plugins of a test are its own."""
    monkeypatch.setattr(registry, "_loaded_plugins", [])
    monkeypatch.setattr(registry, "_entry_points_loaded", True)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(logging.getLogger("s2st"), "propagate", True)
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("plugin_"):
            del sys.modules[name]


def test_an_entry_builds_by_function_or_by_name(animals):
    assert animals.get("horse").build(SizeConfig(5)) == "horse 5"
    animals.register("counter", SizeConfig, "collections:Counter", "imported when built")
    assert animals.get("counter").build("aab") == {"a": 2, "b": 1}


def test_a_preset_is_its_base_with_other_defaults(animals):
    pony = animals.get("pony")
    assert (pony.base, dict(pony.overrides), pony.config_type) == ("horse", {"size": 1}, SizeConfig)
    assert pony.builder is animals.get("horse").builder
    animals.preset("shetland", "pony", {"name": "s"}, "of a preset")
    shetland = animals.get("shetland")
    assert (shetland.base, dict(shetland.overrides)) == ("horse", {"size": 1, "name": "s"})
    assert animals.names() == ["horse", "pony", "shetland"]
    assert animals.names(presets=False) == ["horse"]
    assert [entry.name for entry in animals.entries()] == animals.names()


def test_a_preset_of_nothing_or_with_unknown_options_is_refused(animals):
    with pytest.raises(UsageError, match="horse has no option 'colour'"):
        animals.preset("red", "horse", {"colour": "red"}, "")
    with pytest.raises(UsageError, match="unknown animal 'hors'"):
        animals.preset("red", "hors", {}, "")
    assert "red" not in animals.names()


def test_a_name_is_registered_once(animals):
    with pytest.raises(UsageError, match="animal 'horse' is registered twice"):
        animals.register("horse", SizeConfig, list, "again")
    with pytest.raises(UsageError, match="animal 'pony' is registered twice"):
        animals.preset("pony", "horse", {}, "again")


def test_a_config_must_be_a_frozen_dataclass(animals):
    for bad in (Thawed, dict):
        with pytest.raises(UsageError, match="frozen dataclass"):
            animals.register("cow", bad, list, "")


def test_an_unknown_name_lists_the_nearest_or_all(animals):
    with pytest.raises(UsageError, match="unknown animal 'horze'; did you mean horse\\?"):
        animals.get("horze")
    with pytest.raises(UsageError, match="unknown animal 'q'; known: horse, pony"):
        animals.get("q")


def test_the_decorator_registers_and_returns_the_builder(animals):
    @animals.registered("cat", SizeConfig, "purrs")
    def build(config):
        return config.size

    assert build(SizeConfig(2)) == 2
    assert animals.get("cat").build(SizeConfig(4)) == 4


# plugins


def test_a_plugin_is_loaded_once_and_remembered(tmp_path):
    (tmp_path / "plugin_good.py").write_text("import sys\nsys.plugin_loads = 1\n")
    load_plugin("plugin_good")
    assert sys.plugin_loads == 1
    sys.plugin_loads = 5
    load_plugin("plugin_good")
    assert sys.plugin_loads == 5
    assert loaded_plugins() == ("plugin_good",)
    del sys.plugin_loads


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ("raise RuntimeError('first\\nsecond')", "RuntimeError: first"),
        ("import no_such_module_at_all", "ModuleNotFoundError: No module named"),
        ("def broken(:", "SyntaxError: invalid syntax"),
        ("raise KeyError", "KeyError: "),
        (
            "from s2st.models.registry import ARCHITECTURES, RecurrentConfig\n"
            "ARCHITECTURES.register('lstm', RecurrentConfig, list, '')",
            "UsageError: architecture 'lstm' is registered twice",
        ),
        ("raise SystemExit(3)", "SystemExit: 3"),
    ],
)
def test_a_broken_plugin_is_one_clear_line(tmp_path, code, shown):
    (tmp_path / "plugin_bad.py").write_text(code + "\n")
    with pytest.raises(UsageError) as caught:
        load_plugin("plugin_bad")
    assert str(caught.value).startswith("plugin 'plugin_bad' cannot be loaded: " + shown)
    assert "\n" not in str(caught.value)
    assert loaded_plugins() == ()


def test_a_missing_plugin_is_one_clear_line():
    with pytest.raises(UsageError, match="plugin 'plugin_nowhere' cannot be loaded"):
        load_plugin("plugin_nowhere")


def entry_points(monkeypatch, **modules):
    points = [
        importlib.metadata.EntryPoint(name, module, registry.PLUGIN_GROUP)
        for name, module in modules.items()
    ]
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: points)
    monkeypatch.setattr(registry, "_entry_points_loaded", False)


def test_installed_plugins_are_looked_at_for_an_unknown_name(tmp_path, monkeypatch, animals):
    monkeypatch.setattr(registry, "animals_of_test", animals, raising=False)
    (tmp_path / "plugin_dog.py").write_text(
        "from s2st.options import registry\n"
        "base = registry.animals_of_test.get('horse')\n"
        "registry.animals_of_test.register('dog', base.config_type, str, 'barks')\n"
    )
    entry_points(monkeypatch, dog="plugin_dog")
    assert animals.get("horse").name == "horse"
    assert loaded_plugins() == ()  # nobody asked for anything unknown yet
    assert animals.get("dog").description == "barks"
    assert loaded_plugins() == ("plugin_dog",)


def test_a_broken_installed_plugin_warns_and_the_others_work(tmp_path, monkeypatch, caplog):
    (tmp_path / "plugin_bad.py").write_text("1 / 0\n")
    (tmp_path / "plugin_fine.py").write_text("")
    entry_points(monkeypatch, one="plugin_bad", two="plugin_fine:anything")
    load_entry_point_plugins()
    load_entry_point_plugins()
    assert loaded_plugins() == ("plugin_fine",)
    warnings = [record.getMessage() for record in caplog.records]
    expected = "plugin 'plugin_bad' cannot be loaded: ZeroDivisionError: division by zero"
    place = f"{tmp_path / 'plugin_bad.py'}, line 1"
    assert warnings == [f"{expected} ({place}) (installed as entry point one)"]
