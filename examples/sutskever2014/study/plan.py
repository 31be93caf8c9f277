"""Read and check the plan of a study, a TOML file such as those in `plans/`."""

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

Options = Mapping[str, Any]  # options of an s2st command: name without leading dashes -> value


@dataclass(frozen=True)
class Corpus:
    """The text: files of these names in --data, or the generated corpus of `s2st demo`.

    Attributes:
        source, target: languages, the suffixes of the files.
        train, valid, test: file names in --data, without suffix.
        demo_pairs: training pairs of the corpus of `s2st demo`; 0 for real text.
        demo_test_pairs: validation pairs, and test pairs, of that corpus.
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
    """The n-best lists: files of these names in --lists, or lists that a model of the study makes.

    Attributes:
        label: name of their system in the tables.
        valid, test: file names in --lists.
        valid_nbest: hypotheses of each validation list to use: the first ones; 0 for all.
        model, nbest: the system that makes the lists, and hypotheses per sentence.
    """

    label: str
    valid: str = ""
    test: str = ""
    valid_nbest: int = 0
    model: str = ""
    nbest: int = 0


@dataclass(frozen=True)
class Model:
    """One architecture with its options, trained once per seed."""

    name: str
    label: str
    seeds: tuple[int, ...]
    options: Options


@dataclass(frozen=True)
class Ensemble:
    """An ensemble of several seeds of a model."""

    name: str
    label: str
    model: str
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class System:
    """A translation system: one trained model, or an ensemble.

    Attributes:
        name: name in file names.
        label: name in tables.
        members: names of the trained models.
    """

    name: str
    label: str
    members: tuple[str, ...]


@dataclass(frozen=True)
class Search:
    """Beam sizes of table 1, and beam sizes and systems of the curves of BLEU and time."""

    beams: tuple[int, ...]
    curve_beams: tuple[int, ...]
    curve_systems: tuple[str, ...]
    options: Options


@dataclass(frozen=True)
class Rescoring:
    """The systems that rescore the lists, one at a time."""

    systems: tuple[str, ...]
    options: Options


@dataclass(frozen=True)
class Batching:
    """The comparison of bucketed with random batches: the model, and updates for each kind."""

    model: str
    updates: int


@dataclass(frozen=True)
class Split:
    """The comparison of a model in one process with its parts in several.

    Attributes:
        model: the model.
        updates: for each of the two.
        processes: number of processes of the split model.
        options: of `s2st train` for both.
        parts: of `s2st train` for the split model: --pipeline-stages and --vocabulary-parts.
    """

    model: str
    updates: int
    processes: int
    options: Options
    parts: Options


@dataclass(frozen=True)
class Analysis:
    """The figures: a single model and an ensemble, their beam, buckets of a curve, and phrases.

    Attributes:
        phrases: a file beside run.py, for `s2st analyze states`.
        panels: the values of its first column.
    """

    single: str
    ensemble: str
    beam: int
    buckets: int
    phrases: str
    panels: tuple[str, ...]


@dataclass(frozen=True)
class Roles:
    """The models and ensembles that the paper's claims compare."""

    rnn: str
    forward: str
    reversed: str
    small_ensemble: str
    large_ensemble: str
    depth: tuple[str, ...]


@dataclass(frozen=True)
class Cost:
    """Size of the text and a measured speed, to estimate the cost of a plan too large to run.

    Attributes:
        source_words, target_words: running words of an epoch.
        source_vocabulary, target_vocabulary: vocabulary sizes.
        measured: path of benchmark results, from the root of the repository.
    """

    source_words: float
    target_words: float
    source_vocabulary: int
    target_vocabulary: int
    measured: str


@dataclass(frozen=True)
class Plan:
    """A whole study. A plan with `cost` is only estimated, and run only with --insist."""

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
    split: Split | None = None
    cost: Cost | None = None

    def systems(self) -> tuple[System, ...]:
        """Return every trained model, then the ensembles."""
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
        """Return a system by name; the name of a model stands for its first seed."""
        for own in self.systems():
            if own.name == name or own.name.rpartition("-")[0] == name:
                return own
        raise StudyError(f"the plan has no system {name!r}")

    def model(self, name: str) -> Model:
        """Return a model by name."""
        for own in self.models:
            if own.name == name:
                return own
        raise StudyError(f"the plan has no model {name!r}")


def read_plan(path: Path) -> Plan:
    """Read a plan.

    Raises:
        StudyError: the file is not TOML, or has an unknown key, a missing key or an unknown name.
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
    simple: dict[str, type] = {
        "corpus": Corpus, "lists": Lists, "search": Search, "rescoring": Rescoring,
        "batching": Batching, "analysis": Analysis, "roles": Roles,
    }  # fmt: skip
    simple |= {key: kind for key, kind in (("split", Split), ("cost", Cost)) if key in content}
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
    """Make a record of each table in a table; the key of a table is the name of its record."""
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
            raise StudyError(f"{where}.{key} is {frozen[key]!r}, which has the wrong type")
    try:
        return kind(**frozen)
    except TypeError as error:
        raise StudyError(f"{where}: {error}") from error


def _fits(value: Any, hint: Any) -> bool:
    """Return whether a value has a field's type, including the items of a tuple."""
    if get_origin(hint) is tuple:
        return isinstance(value, tuple) and all(_fits(one, get_args(hint)[0]) for one in value)
    if hint is float:
        return isinstance(value, int | float)
    kind = get_origin(hint) or hint
    return not isinstance(kind, type) or kind is UnionType or isinstance(value, kind)


def _check_names(plan: Plan) -> None:
    """Refuse now what would fail after all training, at the end of the study."""
    for model in plan.models:
        if not model.seeds or len(set(model.seeds)) < len(model.seeds):
            raise StudyError(
                f"models.{model.name}: seeds must differ, and there must be at least one"
            )
    names = [own.name for own in (*plan.models, *plan.systems())]
    for own in plan.ensembles:
        if names.count(own.name) > 1:
            raise StudyError(f"ensembles.{own.name}: this is the name of another system")
        missing = set(own.seeds) - set(plan.model(own.model).seeds)
        if missing:
            raise StudyError(f"ensembles.{own.name}: {own.model} has no seed {min(missing)}")
    roles = plan.roles
    for name in (
        *plan.search.curve_systems, *plan.rescoring.systems, plan.analysis.single,
        plan.analysis.ensemble, roles.small_ensemble, roles.large_ensemble,
    ):  # fmt: skip
        plan.system(name)
    split = (plan.split.model,) if plan.split else ()
    for name in (
        plan.batching.model,
        *split,
        roles.rnn,
        roles.forward,
        roles.reversed,
        *roles.depth,
    ):
        plan.model(name)
    if not plan.search.beams or plan.analysis.beam not in plan.search.beams:
        raise StudyError("search.beams must hold analysis.beam")
    rescorers = {plan.system(name).name for name in plan.rescoring.systems}
    for name in (roles.forward, roles.reversed, roles.large_ensemble):
        trained = {f"{own.name}-{seed}" for own in plan.models if own.name == name
                   for seed in own.seeds}  # fmt: skip
        if not rescorers & (trained or {name}):
            raise StudyError(f"rescoring.systems has no {name}, which table 2 needs")
