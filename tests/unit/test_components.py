"""One resolution of all options: default < preset < recipe < config file < command line."""

from dataclasses import dataclass

import pytest

from s2st.errors import ConfigError, UsageError
from s2st.jobs.train import TRAIN_SPEC
from s2st.jobs.training_recipes import RECIPES
from s2st.options.option_fields import option
from s2st.options.registry import Registry
from s2st.options.resolution import CommandSpec, OptionSource, Role, resolve
from s2st.training.options import TrainerConfig


@dataclass(frozen=True)
class Fixed:
    """Options that the command always has."""

    seed: int = option(1, "seed", minimum=0)
    folder: str = option("out", "where")


@dataclass(frozen=True)
class Engine:
    """Options of an engine."""

    power: int = option(10, "power", minimum=1)
    fuel: str = option("gas", "fuel", choices=("gas", "sun"))
    doors: int = option(4, "doors")


@dataclass(frozen=True)
class Sail:
    """Options of a sail."""

    area: float = option(2.0, "square metres")


DRIVES: Registry = Registry("drive")
DRIVES.register("engine", Engine, dict, "with an engine")
DRIVES.register("sail", Sail, dict, "with a sail")
DRIVES.preset("sports", "engine", {"power": 500, "doors": 2}, "fast")
SPEC = CommandSpec((Fixed,), (Role("drive", DRIVES, "engine", "what moves it"),))


def layers(recipe=None, file=None, line=None):
    return [
        OptionSource("recipe", recipe or {}, lenient=True),
        OptionSource("my.toml", file or {}),
        OptionSource("command line", line or {}),
    ]


def drive(**parts):
    return resolve(SPEC, layers(**parts)).configs["drive"]


def test_defaults():
    resolved = resolve(SPEC, layers())
    assert resolved.entries["drive"].name == "engine"
    assert resolved.configs["drive"] == Engine(10, "gas", 4)
    assert resolved.config(Fixed) == Fixed(1, "out")


def test_each_place_wins_over_those_before_it():
    """One option set in ever more places: default 10 < 500 < 20 < 30 < 40."""
    name = {"drive": "sports"}
    assert drive().power == 10
    assert drive(line=name).power == 500
    assert drive(recipe=name | {"power": 20}).power == 20
    assert drive(recipe={"power": 20}, line=name).power == 20
    assert drive(recipe={"power": 20}, file=name | {"power": 30}).power == 30
    parts = {"recipe": {"power": 20}, "file": {"power": 30}, "line": name | {"power": 40}}
    assert drive(**parts).power == 40
    assert drive(**parts).doors == 2  # nobody but the preset spoke of doors


def test_the_component_is_chosen_by_the_last_place_too():
    chosen = resolve(SPEC, layers({"drive": "sail"}, {"drive": "sports"}, {"drive": "engine"}))
    assert chosen.entries["drive"].name == "engine"
    assert chosen.configs["drive"].power == 10
    fixed = resolve(SPEC, layers(file={"seed": 5}, line={"seed": 0, "folder": "x"})).config(Fixed)
    assert fixed == Fixed(0, "x")


def error(kind=ConfigError, **parts):
    with pytest.raises(kind) as caught:
        resolve(SPEC, layers(**parts))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_unknown_options_name_their_place_and_the_nearest():
    assert error(file={"sed": 1}) == "my.toml: unknown option 'sed'; did you mean seed?"
    assert error(line={"pwer": 1}) == "command line: unknown option 'pwer'; did you mean power?"


def test_an_option_of_a_component_that_is_not_chosen_says_whose_it_is():
    message = error(file={"area": 1.0})
    assert message == "my.toml: option 'area' belongs to drive 'sail', but 'engine' is chosen"


@pytest.mark.parametrize(
    ("others", "text"),
    [
        (["kite"], "drive 'sail' or 'kite'"),
        (["kite", "wing"], "drive 'sail', 'kite' or 'wing'"),
    ],
)
def test_an_option_of_several_components_names_all_of_them(monkeypatch, others, text):
    monkeypatch.setattr(DRIVES, "_entries", dict(DRIVES._entries))
    for name in others:  # as a plugin does
        DRIVES.register(name, Sail, dict, "another sail")
    DRIVES.preset("storm-kite", "kite", {"area": 0.5}, "a preset, which is not named")
    message = error(file={"area": 1.0})
    assert message == f"my.toml: option 'area' belongs to {text}, but 'engine' is chosen"


def test_a_lenient_place_may_hold_options_nobody_has():
    assert drive(recipe={"area": 3.0, "power": 7}) == Engine(7, "gas", 4)


def test_a_value_that_does_not_fit_names_its_place():
    assert error(file={"power": 0}) == "my.toml: --power is 0; the minimum is 1"
    # also where a later place would mend it
    assert error(file={"power": 0}, line={"power": 5}).startswith("my.toml: --power")
    assert error(line={"fuel": "coal"}).startswith("command line: --fuel is 'coal'")
    assert error(line={"seed": "x"}).startswith("command line: --seed takes a whole number")


def test_unknown_components():
    assert error(UsageError, line={"drive": "sael"}) == "unknown drive 'sael'; did you mean sail?"
    assert "drive must be a name, not 3" in error(file={"drive": 3})


def test_the_papers_recipe_is_the_papers_settings():
    """Sutskever et al. 2014, section 3.4, and the size of section 3."""
    resolved = resolve(TRAIN_SPEC, [OptionSource("recipe", RECIPES["sutskever2014"], lenient=True)])
    arch = resolved.configs["arch"]
    assert (arch.layers, arch.hidden_size, arch.embedding_size) == (4, 1000, 1000)
    assert (arch.reverse_source, arch.init, arch.init_range) == (True, "uniform", 0.08)
    assert resolved.entries["optimizer"].name == "sgd"
    assert (resolved.configs["optimizer"].lr, resolved.configs["optimizer"].momentum) == (0.7, 0.0)
    schedule = resolved.configs["lr_scheduler"]
    assert (schedule.halve_after, schedule.halve_every) == (5.0, 0.5)
    trainer = resolved.config(TrainerConfig)
    assert (trainer.clip_norm, trainer.normalization, trainer.max_epoch) == (5.0, "sentences", 7.5)
    assert trainer.patience is None
    # on a small corpus the command line may make it small, the rest staying the paper's
    small = [
        OptionSource("recipe", RECIPES["sutskever2014"], lenient=True),
        OptionSource("command line", {"layers": 2, "batch_size": 8, "arch": "gru"}),
    ]
    resolved = resolve(TRAIN_SPEC, small)
    assert (resolved.configs["arch"].layers, resolved.configs["arch"].init) == (2, "uniform")


def test_the_transformers_recipe_is_the_papers_settings():
    """Vaswani et al. 2017: table 3's base, and sections 5.1 (batches) to 5.4 (smoothing)."""
    resolved = resolve(
        TRAIN_SPEC, [OptionSource("recipe", RECIPES["transformer-base"], lenient=True)]
    )
    arch = resolved.configs["arch"]
    assert (arch.layers, arch.hidden_size, arch.heads, arch.feedforward_size) == (6, 512, 8, 2048)
    assert (arch.dropout, arch.norm, arch.tie_embeddings) == (0.1, "post", "all")
    adam = resolved.configs["optimizer"]
    assert (adam.adam_beta1, adam.adam_beta2, adam.adam_eps) == (0.9, 0.98, 1e-9)
    rates = resolved.entries["lr_scheduler"].build(resolved.configs["lr_scheduler"])
    for step in (1, 4000, 100_000):
        published = 512**-0.5 * min(step**-0.5, step * 4000**-1.5)
        assert adam.lr * rates.factor(step, 0.0) == pytest.approx(published)
    assert resolved.configs["criterion"].label_smoothing == 0.1
    trainer = resolved.config(TrainerConfig)
    assert (trainer.max_update, trainer.max_epoch, trainer.clip_norm) == (100_000, None, 0.0)


def test_no_two_parts_of_training_claim_one_option():
    """Options share one name space: every pair of components chosen together must be disjoint."""
    from s2st.options.option_fields import option_specs

    groups = [{spec.name for spec in option_specs(fixed)} for fixed in TRAIN_SPEC.fixed]
    groups += [
        {spec.name for entry in role.registry.entries() for spec in option_specs(entry.config_type)}
        for role in TRAIN_SPEC.roles
    ]
    groups.append({role.name for role in TRAIN_SPEC.roles})
    names = [name for group in groups for name in group]
    # the ensemble is an architecture that is never trained: its members and mode collide with none
    assert sorted(names) == sorted(set(names))
