"""The plan of a study: what a TOML file of `plans/` says, checked, as records."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from study.steps import StudyError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Options = Mapping[str, Any]  # of an s2st command: name without dashes -> value


@dataclass(frozen=True)
class Corpus:
    """Where the text comes from: files of --data by these names, or a made-up corpus.

    Attributes:
        source, target: languages, the suffixes of the files.
        train, valid, test: names of the files of --data without suffix.
        demo_pairs: training pairs of the corpus of `s2st demo`; 0 for real text.
        demo_test_pairs: its validation pairs, and its test pairs.
    """

    source: str = "en"
    target: str = "fr"
    train: str = "train"
    valid: str = "val"
    test: str = "test_2016_flickr"
    demo_pairs: int = 0
    demo_test_pairs: int = 0


@dataclass(frozen=True)
class Lists:
    """The n-best lists: files of --lists by these names, or those of a model of the study.

    Attributes:
        label: what their system is called in the tables.
        valid, test: names of the files of --lists.
        model, nbest: the system that makes them, and how many hypotheses a sentence.
    """

    label: str
    valid: str = ""
    test: str = ""
    model: str = ""
    nbest: int = 0


@dataclass(frozen=True)
class Model:
    """One architecture with its options, trained once a seed."""

    name: str
    label: str
    seeds: tuple[int, ...]
    options: Options


@dataclass(frozen=True)
class Ensemble:
    """Some seeds of a model, together."""

    name: str
    label: str
    model: str
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class System:
    """What translates: one trained model or several.

    Attributes:
        name: of its files.
        label: in tables.
        members: names of trained models.
    """

    name: str
    label: str
    members: tuple[str, ...]


@dataclass(frozen=True)
class Search:
    """Beams of table 1, and those of the curve of BLEU and time for the systems named."""

    beams: tuple[int, ...]
    curve_beams: tuple[int, ...]
    curve_systems: tuple[str, ...]
    options: Options


@dataclass(frozen=True)
class Rescoring:
    """Systems that rescore the lists, each alone."""

    systems: tuple[str, ...]
    options: Options


@dataclass(frozen=True)
class Batching:
    """The comparison of bucketed with random batches: so many updates of one model each."""

    model: str
    updates: int


@dataclass(frozen=True)
class Analysis:
    """The figures: a single model and an ensemble at a beam, buckets of a curve, and phrases.

    Attributes:
        phrases: a file beside run.py, for `s2st analyze states`.
        panels: what its first column holds.
    """

    single: str
    ensemble: str
    beam: int
    buckets: int
    phrases: str
    panels: tuple[str, ...]


@dataclass(frozen=True)
class Roles:
    """Which models the paper's claims are about."""

    rnn: str
    forward: str
    reversed: str
    small_ensemble: str
    large_ensemble: str
    depth: tuple[str, ...]


@dataclass(frozen=True)
class Cost:
    """What the plan's text would be, and a speed to reckon with, of a plan that is too large.

    Attributes:
        source_words, target_words: of an epoch.
        source_vocabulary, target_vocabulary: words.
        measured: a benchmark's results, a path from the repository's root.
    """

    source_words: float
    target_words: float
    source_vocabulary: int
    target_vocabulary: int
    measured: str


@dataclass(frozen=True)
class Plan:
    """A whole study. One with a `cost` is reckoned, and run only if the user insists."""

    title: str
    lead: str
    corpus: Corpus
    lists: Lists
    preprocess: Options
    train: Options
    models: tuple[Model, ...]
    ensembles: tuple[Ensemble, ...]
    search: Search
    rescoring: Rescoring
    batching: Batching
    analysis: Analysis
    roles: Roles
    cost: Cost | None = None

    def systems(self) -> tuple[System, ...]:
        """Every trained model, then the ensembles."""
        found = []
        for model in self.models:
            for seed in model.seeds:
                label = model.label if len(model.seeds) == 1 else f"{model.label}, seed {seed}"
                found.append(System(f"{model.name}-{seed}", label, (f"{model.name}-{seed}",)))
        for own in self.ensembles:
            members = tuple(f"{own.model}-{seed}" for seed in own.seeds)
            found.append(System(own.name, own.label, members))
        return tuple(found)

    def system(self, name: str) -> System:
        """By name; that of a model stands for its first seed."""
        for own in self.systems():
            if own.name == name or own.name.rpartition("-")[0] == name:
                return own
        raise StudyError(f"the plan has no system {name!r}")

    def model(self, name: str) -> Model:
        """By name."""
        for own in self.models:
            if own.name == name:
                return own
        raise StudyError(f"the plan has no model {name!r}")


def read_plan(path: Path) -> Plan:
    """Reads a plan.

    Raises:
        StudyError: not TOML, a key that no record has, one missing, or a name that nothing has.
    """
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise StudyError(f"{path}: {error}") from error
    try:
        plan = _plan(content)
        _check_names(plan)
    except (TypeError, ValueError, StudyError) as error:
        raise StudyError(f"{path}: {error}") from error
    return plan


def _plan(content: dict[str, Any]) -> Plan:
    common = content.pop("train", {})
    models = content.pop("models", {})
    ensembles = content.pop("ensembles", {})
    simple = {
        "corpus": Corpus, "lists": Lists, "search": Search, "rescoring": Rescoring,
        "batching": Batching, "analysis": Analysis, "roles": Roles,
    }  # fmt: skip
    if "cost" in content:
        simple["cost"] = Cost
    made = {key: _record(kind, key, content.pop(key, {})) for key, kind in simple.items()}
    return _record(
        Plan,
        "the plan",
        {
            **content, **made, "train": common,
            "preprocess": content.pop("preprocess", {}),
            "models": _named(Model, "models", models),
            "ensembles": _named(Ensemble, "ensembles", ensembles),
        },
    )  # fmt: skip


def _named(kind: type, where: str, tables: Any) -> list[Any]:
    """A record of each table in a table; its key is the record's name."""
    return [
        _record(kind, f"{where}.{name}", {"name": name, **_table(f"{where}.{name}", values)})
        for name, values in _table(where, tables).items()
    ]


def _table(where: str, values: Any) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise StudyError(f"{where} is {values!r}, not a table")
    return values


def _record(kind: type, where: str, values: Any) -> Any:
    known = {field.name for field in fields(kind)}
    own = {key.replace("-", "_"): value for key, value in _table(where, values).items()}
    for key in own:
        if key not in known:
            raise StudyError(f"{where} has no key {key!r}; known: {', '.join(sorted(known))}")
    if "options" in known:
        own.setdefault("options", {})
    frozen = {key: tuple(v) if isinstance(v, list) else v for key, v in own.items()}
    for key, hint in get_type_hints(kind).items():
        if key in frozen and not _fits(frozen[key], hint):
            raise StudyError(f"{where}.{key} is {frozen[key]!r}: of the wrong type")
    try:
        return kind(**frozen)
    except TypeError as error:
        raise StudyError(f"{where}: {error}") from error


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value of a plan is of a record's type, one level down."""
    if get_origin(hint) is tuple:
        return isinstance(value, tuple) and all(_fits(one, get_args(hint)[0]) for one in value)
    if hint is float:
        return isinstance(value, int | float)
    kind = get_origin(hint) or hint
    return not isinstance(kind, type) or kind is UnionType or isinstance(value, kind)


def _check_names(plan: Plan) -> None:
    """Refuses what would fail at the end of the study, after all training."""
    for model in plan.models:
        if not model.seeds or len(set(model.seeds)) < len(model.seeds):
            raise StudyError(f"models.{model.name}: seeds must differ, and be one at least")
    for own in plan.ensembles:
        missing = set(own.seeds) - set(plan.model(own.model).seeds)
        if missing:
            raise StudyError(f"ensembles.{own.name}: {own.model} has no seed {min(missing)}")
    roles = plan.roles
    for name in (
        *plan.search.curve_systems, *plan.rescoring.systems, plan.analysis.single,
        plan.analysis.ensemble, roles.small_ensemble, roles.large_ensemble,
    ):  # fmt: skip
        plan.system(name)
    for name in (plan.batching.model, roles.rnn, roles.forward, roles.reversed, *roles.depth):
        plan.model(name)
    if not plan.search.beams or plan.analysis.beam not in plan.search.beams:
        raise StudyError("search.beams must hold analysis.beam")
    rescorers = {plan.system(name).name for name in plan.rescoring.systems}
    for name in (roles.forward, roles.reversed, roles.large_ensemble):
        trained = {f"{own.name}-{seed}" for own in plan.models if own.name == name
                   for seed in own.seeds}  # fmt: skip
        if not rescorers & (trained or {name}):
            raise StudyError(f"rescoring.systems has no {name}, which table 2 needs")
