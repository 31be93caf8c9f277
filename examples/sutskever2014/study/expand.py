"""Expand a plan into steps: which command makes which file. Only this module has file names."""

from collections.abc import Iterator
from typing import Any

from study.plan import Model, Options, Plan, System
from study.steps import Step

STORE = "bin"
PARTS = ("valid", "test")


def translation(system: str, beam: int, target: str) -> str:
    """Return the file of a system's translations of the test set."""
    return f"out/{system}.beam{beam}.{target}"


def timed_translation(system: str, beam: int, target: str) -> str:
    """Return the file of translations made while nothing else ran."""
    return f"timing/{system}.beam{beam}.{target}"


def probabilities(system: str) -> str:
    """Return the file of the log-probabilities of the test pairs."""
    return f"out/{system}.scores.jsonl"


def nbest(part: str, plan: Plan) -> str:
    """Return the file of the n-best lists of "valid" or "test"."""
    return f"lists/{part}.nbest" + ("" if plan.lists.model else ".gz")


def scored(system: str, part: str) -> str:
    """Return the file of the lists of "valid" or "test" with a system's scores."""
    return f"rescored/{system}.{part}.nbest.gz"


def rescored(system: str, kind: str) -> str:
    """Return a file of a system's rescoring of the test lists.

    Args:
        system: name of the system.
        kind: "even", "scaled" or "tuned" for the chosen hypotheses: by the even average of the raw
            scores, by that of scores with equal spread, or by tuned weights; "report" for the
            JSON report; "weights".
    """
    return f"rescored/{system}.{kind}"


def checkpoint(member: str) -> str:
    """Return the checkpoint folder of a trained model."""
    return f"models/{member}/checkpoint_best"


def expand(plan: Plan, lists: bool) -> list[Step]:
    """Return the steps in order of priority: long ones, and those others wait for, come first.

    Args:
        plan: the plan of the study.
        lists: whether there are n-best lists to rescore.
    """
    return [
        _preprocess(plan),
        *_batching(plan),
        *_splitting(plan),
        *_training(plan),
        *(_rescoring(plan) if lists else ()),
        *_scoring(plan),
        *_searching(plan),
        *_search_curve(plan),
        *_analysis(plan, lists),
    ]


def _preprocess(plan: Plan) -> Step:
    corpus = plan.corpus
    languages = (corpus.source, corpus.target)
    words = ["preprocess", "-s", corpus.source, "-t", corpus.target]
    words += ["--trainpref", "data/train", "--validpref", "data/valid", "--testpref", "data/test"]
    words += [*option_words(plan.preprocess), "--destdir", STORE]
    inputs = [f"data/{part}.{lang}" for part in ("train", "valid", "test") for lang in languages]
    return Step("preprocess", tuple(words), tuple(inputs), (STORE,))


def _train(plan: Plan, model: Model, seed: int, folder: str, more: Options) -> tuple[str, ...]:
    options = {**plan.train, **model.options, **more, "seed": seed}
    return ("train", STORE, *option_words(options), "--save-dir", folder)


def _training(plan: Plan) -> Iterator[Step]:
    def cost(pair: tuple[Model, int]) -> tuple[int, int]:
        return (-int(pair[0].options.get("layers", 1)), pair[1])

    pairs = [(model, seed) for model in plan.models for seed in model.seeds]
    for model, seed in sorted(pairs, key=cost):  # deep models first: they take longest
        name = f"{model.name}-{seed}"
        folder = f"models/{name}"
        words = _train(plan, model, seed, folder, {})
        outputs = (checkpoint(name), f"{folder}/checkpoint_last")
        yield Step(f"train-{name}", words, (STORE,), outputs, owned=(folder,))


def _batching(plan: Plan) -> Iterator[Step]:
    model = plan.model(plan.batching.model)
    for kind in ("bucketed", "random"):
        folder = f"timing/{kind}"
        more = {"batching": kind, "max-update": plan.batching.updates, "log-interval": 10}
        words = _train(plan, model, model.seeds[0], folder, more)
        outputs = (f"{folder}/checkpoint_last",)
        yield Step(f"batches-{kind}", words, (STORE,), outputs, owned=(folder,), alone=True)


def _splitting(plan: Plan) -> Iterator[Step]:
    """Yield a training in one process on all cores, and one of the model in parts."""
    if plan.split is None:
        return
    model = plan.model(plan.split.model)
    for kind, processes, parts in (
        ("one", 1, {}), ("split", plan.split.processes, plan.split.parts),
    ):  # fmt: skip
        folder = f"timing/{kind}"
        more = {**plan.split.options, **parts}
        more |= {"max-update": plan.split.updates, "log-interval": 10}
        words = _train(plan, model, model.seeds[0], folder, more)
        outputs = (f"{folder}/checkpoint_last",)
        yield Step(
            f"speed-{kind}", words, (STORE,), outputs, owned=(folder,), alone=True,
            processes=processes,
        )  # fmt: skip


def _models(system: System) -> tuple[list[str], list[str]]:
    """Return (options that name the system's checkpoints, the checkpoints)."""
    paths = [checkpoint(member) for member in system.members]
    return [word for path in paths for word in ("--checkpoint", path)], paths


def _scoring(plan: Plan) -> Iterator[Step]:
    files = [f"data/test.{plan.corpus.source}", f"data/test.{plan.corpus.target}"]
    for system in plan.systems():
        flags, paths = _models(system)
        output = probabilities(system.name)
        words = ["score", *flags, "--source", files[0], "--target", files[1], "--format", "json"]
        inputs = (*paths, *files)
        yield Step(f"score-{system.name}", tuple(words), inputs, (output,), stdout=output)


def _searching(plan: Plan) -> Iterator[Step]:
    depth = {f"{name}-{s}" for name in plan.roles.depth for s in plan.model(name).seeds}
    depth -= {f"{plan.roles.reversed}-{s}" for s in plan.model(plan.roles.reversed).seeds}
    for system in plan.systems():
        for beam in () if system.name in depth else plan.search.beams:
            output = translation(system.name, beam, plan.corpus.target)
            yield _generate(plan, system, beam, f"generate-{system.name}-beam{beam}", output)


def _search_curve(plan: Plan) -> Iterator[Step]:
    for name in plan.search.curve_systems:
        system = plan.system(name)
        for beam in plan.search.curve_beams:
            output = timed_translation(system.name, beam, plan.corpus.target)
            yield _generate(plan, system, beam, f"time-{system.name}-beam{beam}", output, True)


def _rescoring(plan: Plan) -> Iterator[Step]:
    """Yield steps that make lists (if a model makes them), score, tune and choose."""
    sources, references = (
        {part: f"data/{part}.{language}" for part in PARTS}
        for language in (plan.corpus.source, plan.corpus.target)
    )
    if plan.lists.model:
        yield from _model_lists(plan)
    systems = [plan.system(name) for name in plan.rescoring.systems]
    for system in systems:
        flags, paths = _models(system)
        for part in PARTS:
            lists, output = nbest(part, plan), scored(system.name, part)
            words = ["rescore-nbest", lists, "--source", sources[part], *flags]
            words += [*option_words(plan.rescoring.options), "--format", "nbest", "-o", output]
            inputs = (*paths, lists, sources[part])
            yield Step(f"rescore-{system.name}-{part}", tuple(words), inputs, (output,))
    for system in systems:
        valid, test = (scored(system.name, part) for part in PARTS)
        tuned, report, weights = (
            rescored(system.name, kind) for kind in ("tuned", "report", "weights")
        )
        again = ["rescore-nbest", test, "--source", sources["test"]]
        words = ["--dev-nbest", valid, "--dev-source", sources["valid"]]
        words += ["--tune", references["valid"], "--length-feature"]
        words += ["--oracle", references["test"], "--report", report, "--weights-out", weights]
        inputs = (test, valid, *sources.values(), *references.values())
        outputs = (tuned, report, weights)
        yield Step(f"tune-{system.name}", (*again, *words, "-o", tuned), inputs, outputs)
        for kind, more in (("even", ()), ("scaled", ("--normalize", "list"))):
            output = rescored(system.name, kind)
            name = f"choose-{system.name}-{kind}"
            yield Step(name, (*again, *more, "-o", output), (test, sources["test"]), (output,))
    first = scored(systems[0].name, "test")
    output = translation("baseline", 0, plan.corpus.target)
    words = ["rescore-nbest", first, "--source", sources["test"], "--weight", "Baseline=1"]
    inputs = (first, sources["test"])
    yield Step("choose-baseline", (*words, "-o", output), inputs, (output,))


def _model_lists(plan: Plan) -> Iterator[Step]:
    flags, paths = _models(plan.system(plan.lists.model))
    size = str(plan.lists.nbest)
    for part in ("valid", "test"):
        source, output = f"data/{part}.{plan.corpus.source}", nbest(part, plan)
        words = ("generate", *flags, "--beam", size, "--nbest", size, "--format", "moses")
        yield Step(f"lists-{part}", (*words, "-o", output, source), (*paths, source), (output,))


def _analysis(plan: Plan, lists: bool) -> Iterator[Step]:
    """Yield steps for BLEU by length and by rarity, and for states: a figure and a table each."""
    own, target = plan.analysis, plan.corpus.target
    source, reference = f"data/test.{plan.corpus.source}", f"data/test.{target}"
    single, ensemble = plan.system(own.single), plan.system(own.ensemble)
    shown = {
        single.label.partition(",")[0]: translation(single.name, own.beam, target),
        ensemble.label: translation(ensemble.name, own.beam, target),
    }
    if lists:
        shown[plan.lists.label] = translation("baseline", 0, target)
        shown[f"{plan.lists.label}, rescored"] = rescored(ensemble.name, "tuned")
    hypotheses = [f"{label}={path}" for label, path in shown.items()]
    common = [
        "--ref",
        reference,
        "--source",
        source,
        "--buckets",
        str(own.buckets),
        "--format",
        "json",
    ]
    for kind, more in (("lengths", []), ("rarity", ["--vocabulary", STORE])):
        table = f"analysis/{kind}.jsonl"
        words = ["analyze", kind, *hypotheses, *common, *more, "--figure", f"figures/{kind}"]
        inputs = [*shown.values(), reference, source, *more[1:]]
        outputs = (table, f"figures/{kind}.svg", f"figures/{kind}.png")
        yield Step(f"analyze-{kind}", tuple(words), tuple(inputs), outputs, stdout=table)
    table, phrases = "analysis/states.jsonl", "data/phrases.tsv"
    path = checkpoint(single.members[0])
    words = (
        "analyze",
        "states",
        phrases,
        "--checkpoint",
        path,
        "--part",
        "hidden",
        "--format",
        "json",
    )
    figures = [f"figures/states-{panel}.{kind}" for panel in own.panels for kind in ("svg", "png")]
    yield Step(
        "analyze-states", (*words, "--figure", "figures/states"), (path, phrases),
        (table, *figures), stdout=table,
    )  # fmt: skip


def _generate(
    plan: Plan, system: System, beam: int, name: str, output: str, alone: bool = False
) -> Step:
    flags, paths = _models(system)
    source = f"data/test.{plan.corpus.source}"
    options = option_words({**plan.search.options, "beam": beam})
    words = ("generate", *flags, *options, "-o", output, source)
    return Step(name, words, (*paths, source), (output,), alone=alone)


def option_words(options: Options) -> list[str]:
    """Convert options to the words of a command line."""
    words: list[str] = []
    for name, value in options.items():
        words += _flag(name, value)
    return words


def _flag(name: str, value: Any) -> list[str]:
    if value is True or value is False:
        return [f"--{'' if value else 'no-'}{name}"]
    if isinstance(value, list | tuple):
        return [word for one in value for word in (f"--{name}", str(one))]
    return [f"--{name}", str(value)]
