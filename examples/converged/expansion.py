"""The plan of the converged systems, and its steps: which s2st command makes which file."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from multi30k.corpus import (
    SHARED,
    CorpusError,
    find_text,
    plain_or_gz,
    put_first_hypotheses,
    put_lines,
)
from study.expand import option_words
from study.steps import Step, StudyError

from s2st.demo_corpus import read_corpus
from s2st.text.atomic_text_output import write_whole
from s2st.text.line_files import read_lines

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DEV = "val"
SOURCE, TARGET = "en", "fr"


@dataclass(frozen=True)
class Model:
    """One kind of model, trained with several seeds.

    Attributes:
        options: of `s2st train`. With the criterion guided-alignment, the lexicon is that of the
            store.
    """

    name: str
    label: str
    store: str
    seeds: tuple[int, ...]
    options: Mapping[str, Any]

    @property
    def lexicon(self) -> bool:
        """Whether training reads a lexicon of the store."""
        return self.options.get("criterion") == "guided-alignment"

    def members(self) -> list[str]:
        """Return the names of the trained models, one per seed."""
        return [f"{self.name}-{seed}" for seed in self.seeds]


@dataclass(frozen=True)
class Ensemble:
    """All seeds of some kinds of model."""

    name: str
    label: str
    models: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """The whole comparison.

    Attributes:
        sets: test sets, as file names without language; lists belong to the first one.
        pairs: training pairs of the corpus of `s2st demo`; 0 for Multi30k.
        average: number of last checkpoints whose weights are averaged.
        beam: of the translations; their length penalty is tuned on val.
        nbest: set -> hypotheses per list to rescore: the first ones.
        rescoring, tuning: options of `rescore-nbest` for scoring, and for tuning.
        stores: options of `s2st preprocess` by name.
        members: a feature of the rescored lists -> the trained models whose ensemble gives it.
        variants: name -> more options of `rescore-nbest` for the tuning of all members.
    """

    sets: tuple[str, ...]
    pairs: int
    average: int
    beam: int
    nbest: Mapping[str, int]
    rescoring: Mapping[str, Any]
    tuning: Mapping[str, Any]
    stores: Mapping[str, Mapping[str, Any]]
    train: Mapping[str, Any]
    models: tuple[Model, ...]
    ensembles: tuple[Ensemble, ...]
    members: Mapping[str, tuple[str, ...]]
    variants: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def trained(self, names: Sequence[str]) -> list[str]:
        """Return all trained models of some kinds."""
        return [one for model in self.models if model.name in names for one in model.members()]

    def systems(self) -> list[tuple[str, list[str]]]:
        """Return (name, trained models that it consists of) of every system that translates."""
        single = [(one, [one]) for model in self.models for one in model.members()]
        return single + [(own.name, self.trained(own.models)) for own in self.ensembles]


def read_plan(path: Path) -> Plan:
    """Read a plan; raise StudyError if it is incomplete."""
    try:
        content = tomllib.loads(path.read_text("utf-8"))
        models = tuple(
            Model(name, **{**own, "seeds": tuple(own["seeds"])})
            for name, own in content.pop("models").items()
        )
        ensembles = tuple(
            Ensemble(name, own["label"], tuple(own["models"]))
            for name, own in content.pop("ensembles").items()
        )
        members = {name: tuple(own) for name, own in content.pop("members").items()}
        content["sets"] = tuple(content["sets"])
        plan = Plan(models=models, ensembles=ensembles, members=members, **content)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise StudyError(f"{path}: not a plan: {error}") from error
    unknown = {name for own in ensembles for name in own.models} - {own.name for own in models}
    trained = {name for own in models for name in own.members()}
    unknown |= {name for own in members.values() for name in own} - trained
    if unknown:
        raise StudyError(f"{path}: no model {min(unknown)!r}")
    if double := trained & {own.name for own in ensembles}:
        raise StudyError(f"{path}: {min(double)!r} is the name of a model and of an ensemble")
    if missing := {DEV, plan.sets[0]} - plan.nbest.keys():
        raise StudyError(f"{path}: nbest does not name {min(missing)!r}")
    return plan


def put_texts(plan: Plan, data: Path | None, lists: Path | None, run: Path) -> bool:
    """Write RUN/data and, from real lists, RUN/lists.

    Returns:
        Whether there are n-best lists.

    Raises:
        StudyError: the text is missing and cannot be downloaded.
    """
    (run / "data").mkdir(parents=True, exist_ok=True)
    if plan.pairs:
        made = read_corpus(plan.pairs, 100, 100)
        parts = {"train": made.train, DEV: made.valid} | dict.fromkeys(plan.sets, made.test)
        for name, pairs in parts.items():
            put_lines(run / f"data/{name}.{SOURCE}", [pair.source for pair in pairs])
            put_lines(run / f"data/{name}.{TARGET}", [pair.target for pair in pairs])
        return lists is not None and _put_lists(plan, lists, run)
    names = ("train", DEV, *plan.sets)
    files = [f"{name}.{language}" for name in names for language in (SOURCE, TARGET)]
    try:
        found = find_text(data, files, run / "download")
    except CorpusError as error:
        raise StudyError(str(error)) from error
    for file in files:
        put_lines(run / "data" / file, list(read_lines(str(plain_or_gz(found, file)))))
    folder = lists or SHARED / "smt-multi30k"
    if lists is None and not plain_or_gz(folder, f"{DEV}.1000best").is_file():
        return False
    return _put_lists(plan, folder, run)


def _put_lists(plan: Plan, folder: Path, run: Path) -> bool:
    for name in (DEV, plan.sets[0]):
        path = plain_or_gz(folder, f"{name}.1000best")
        if not path.is_file():
            raise StudyError(f"{path}: no such file (name its folder with --lists)")
        put_first_hypotheses(path, run / baseline_lists(name), plan.nbest[name])
    return True


def averaged(member: str) -> str:
    """Return the checkpoint of a trained model: the average of its last ones."""
    return f"models/{member}.average"


def translation(system: str, name: str) -> str:
    """Return the file of a system's translations of a test set."""
    return f"out/{system}.{name}.{TARGET}"


def length_table(system: str) -> str:
    """Return the file of BLEU by length penalty on val."""
    return f"out/{system}.lenpen.jsonl"


def evaluation(name: str) -> str:
    """Return the file of all systems' scores on a test set."""
    return f"out/{name}.scores.jsonl"


def baseline_lists(name: str) -> str:
    """Return the file of a set's lists, as the phrase-based system wrote them."""
    return f"lists/{name}.nbest.gz"


def scored_lists(member: str, name: str) -> str:
    """Return the file of a set's lists with a member's score as their feature S2ST0."""
    return f"lists/{name}.{member}.nbest.gz"


def joined_lists(choice: str, name: str) -> str:
    """Return the file of a set's lists with the scores of several members."""
    return f"lists/{name}.{choice}.joined.nbest.gz"


def choices(plan: Plan) -> dict[str, list[str]]:
    """Return the features of every rescoring: each alone, all, and all but one.

    Returns:
        name of the rescoring -> members whose scores are tuned together with the total.
    """
    names = list(plan.members)
    found = {f"only-{name}": [name] for name in names}
    found["all"] = names
    if len(names) > 2:
        found |= {f"without-{name}": [own for own in names if own != name] for name in names}
    return found


def tunings(plan: Plan) -> dict[str, tuple[str, Mapping[str, Any]]]:
    """Return how weights are tuned: for every choice of members, and for every variant.

    Returns:
        name of the tuning -> (choice of members, options of `rescore-nbest`).
    """
    found = {choice: (choice, plan.tuning) for choice in choices(plan)}
    for name, more in plan.variants.items():
        found[f"all-{name}"] = ("all", {**plan.tuning, **more})
    return found


def training_steps(plan: Plan) -> Iterator[Step]:
    """Yield the steps that make stores, lexicons, models and averages."""
    for name, options in plan.stores.items():
        texts = ["--trainpref", "data/train", "--validpref", f"data/{DEV}"]
        words = ("preprocess", "-s", SOURCE, "-t", TARGET, *texts, *option_words(options))
        files = [f"data/{part}.{lang}" for part in ("train", DEV) for lang in (SOURCE, TARGET)]
        yield Step(f"preprocess-{name}", (*words, "--destdir", name), tuple(files), (name,))
    for name in dict.fromkeys(model.store for model in plan.models if model.lexicon):
        words = ("train-lexicon", name, "-o", f"{name}.lexicon")
        yield Step(f"train-lexicon-{name}", words, (name,), (f"{name}.lexicon",))
    longest = max(len(model.seeds) for model in plan.models)
    for place in range(longest):  # first seeds first: a stopped run can be judged
        for model in plan.models:
            for seed in model.seeds[place : place + 1]:
                yield from _training(plan, model, seed)


def _training(plan: Plan, model: Model, seed: int) -> Iterator[Step]:
    name, folder = f"{model.name}-{seed}", f"models/{model.name}-{seed}"
    options = {**plan.train, **model.options, "seed": seed}
    inputs = (model.store,)
    if model.lexicon:
        options["alignment-lexicon"] = f"{model.store}.lexicon"
        inputs += (f"{model.store}.lexicon",)
    words = ("train", model.store, *option_words(options), "--save-dir", folder)
    last = f"{folder}/checkpoint_last"
    yield Step(f"train-{name}", words, inputs, (last,), owned=(folder,))
    words = ("average", "--last", str(plan.average), folder, "-o", averaged(name))
    yield Step(f"average-{name}", words, (last,), (averaged(name),))


def length_steps(plan: Plan) -> Iterator[Step]:
    """Yield the steps that tune the length penalty of each system on val."""
    source, reference = f"data/{DEV}.{SOURCE}", f"data/{DEV}.{TARGET}"
    for system, members in plan.systems():
        flags, paths = _checkpoints(members)
        words = ("tune-length", *flags, "--beam", str(plan.beam), "--tokenize", "none")
        words += ("--source", source, "--ref", reference, "--format", "json")
        output = length_table(system)
        inputs = (*paths, source, reference)
        yield Step(f"tune-length-{system}", words, inputs, (output,), stdout=output)


def translation_steps(plan: Plan, run: Path) -> Iterator[Step]:
    """Yield the steps that translate the test sets, after those of `length_steps`."""
    for name in plan.sets:
        for system, members in plan.systems():
            flags, paths = _checkpoints(members)
            source, output = f"data/{name}.{SOURCE}", translation(system, name)
            words = ("generate", *flags, "--beam", str(plan.beam))
            words += ("--lenpen", f"{length_penalty(run, system):g}", "-o", output, source)
            yield Step(f"generate-{system}-{name}", words, (*paths, source), (output,))


def length_penalty(run: Path, system: str) -> float:
    """Return the length penalty that has the best BLEU of a system on val."""
    rows = [json.loads(line) for line in read_lines(str(run / length_table(system)))]
    return next((float(row["lenpen"]) for row in rows if row["best"]), 0.0)


def _checkpoints(members: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return (options that name the checkpoints, the checkpoints)."""
    paths = tuple(averaged(member) for member in members)
    return tuple(word for path in paths for word in ("--checkpoint", path)), paths


def scoring_steps(plan: Plan) -> Iterator[Step]:
    """Yield the steps that score the lists with each member."""
    for member, models in plan.members.items():
        flags, paths = _checkpoints(models)
        for name in (DEV, plan.sets[0]):
            lists, source = baseline_lists(name), f"data/{name}.{SOURCE}"
            words = ["rescore-nbest", lists, "--source", source, *flags]
            words += [*option_words(plan.rescoring), "--weight", "Baseline=1"]
            words += ["--format", "nbest", "-o", scored_lists(member, name)]
            inputs = (*paths, lists, source)
            yield Step(
                f"rescore-{member}-{name}", tuple(words), inputs, (scored_lists(member, name),)
            )


def tuning_steps(plan: Plan) -> Iterator[Step]:
    """Yield the steps that tune weights on the lists of val, and choose from the test lists."""
    test = plan.sets[0]
    texts = (f"data/{test}.{SOURCE}", f"data/{DEV}.{SOURCE}", f"data/{DEV}.{TARGET}")
    reference = f"data/{test}.{TARGET}"
    for choice, (joined, own) in tunings(plan).items():
        lists, dev = (joined_lists(joined, name) for name in (test, DEV))
        outputs = (f"rescored/{choice}.{TARGET}", f"rescored/{choice}.json")
        words = ("rescore-nbest", lists, "--source", texts[0], "--dev-nbest", dev)
        words += ("--dev-source", texts[1], "--tune", texts[2], *option_words(own))
        words += ("--oracle", reference, "--report", outputs[1], "-o", outputs[0])
        yield Step(f"tune-{choice}", words, (lists, dev, *texts, reference), outputs)


def join_lists(plan: Plan, run: Path) -> None:
    """Write the lists with the scores of several members, from those with one score each."""
    for choice, members in choices(plan).items():
        for name in (DEV, plan.sets[0]):
            output = run / joined_lists(choice, name)
            inputs = [run / scored_lists(member, name) for member in members]
            newest = max(path.stat().st_mtime_ns for path in inputs)
            if not output.exists() or output.stat().st_mtime_ns < newest:
                write_whole(str(output), _joined(inputs))


def _joined(paths: Sequence[Path]) -> Iterator[str]:
    """Yield the lines of the first file with the feature S2ST0 of the others as S2ST1, ..."""
    for first, *rest in zip(*(read_lines(str(path)) for path in paths), strict=True):
        fields = first.split(" ||| ")
        for number, line in enumerate(rest, 1):
            own = line.split(" ||| ")
            if own[:2] != fields[:2]:
                raise StudyError(f"{paths[number]}: other hypotheses than {paths[0]}")
            features = own[2].split()
            fields[2] += f" S2ST{number}= {features[features.index('S2ST0=') + 1]}"
        yield " ||| ".join(fields) + "\n"
