"""What a plan would take: parameters, memory, words and hours, from a speed measured elsewhere.

Nothing is run and no weight is allocated. A training's operations are 6 for every weight of a
matrix and word that passes it (a product and two for its gradients); hours are operations over the
useful operations a second that a benchmark reached.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from s2st.jobs.train import TRAIN_SPEC
from s2st.models.base import ModelSizes, parameters_by_part
from s2st.models.model_files import hollow_model
from s2st.models.registry import with_default_sizes
from s2st.options.resolution import OptionLayer, resolve
from study.plan import Model, Plan
from study.steps import StudyError

SPECIALS = 4  # tokens of a vocabulary that are no words
# values kept for each parameter: weight, gradient, and what the optimiser remembers
COPIES = {"sgd": 2, "adam": 4, "adamw": 4, "lazy-adam": 4}
ROUND_GPU = 1e14  # operations a second, for a plain conversion; no measurement


@dataclass(frozen=True)
class ModelCost:
    """One training.

    Attributes:
        weights, biases: of the whole model.
        memory: bytes of weights, gradients and the optimiser's state in float32; activations apart.
        words: (source, target) that pass the model.
        operations: of all its training.
    """

    model: Model
    weights: int
    biases: int
    memory: int
    words: tuple[float, float]
    operations: float


def model_cost(plan: Plan, model: Model) -> ModelCost:
    """The cost of one seed of a model."""
    cost = plan.cost
    assert cost is not None
    options = {key.replace("-", "_"): v for key, v in {**plan.train, **model.options}.items()}
    resolved = resolve(TRAIN_SPEC, [OptionLayer(f"models.{model.name}", options)])
    entry = resolved.entries["arch"]
    config = with_default_sizes(resolved.configs["arch"], int(cost.target_words))
    sizes = ModelSizes(cost.source_vocabulary + SPECIALS, cost.target_vocabulary + SPECIALS)
    parts = parameters_by_part(hollow_model(entry.base, config, sizes))
    weights, biases = (sum(part[i] for part in parts.values()) for i in (0, 1))
    epochs = float(options["max_epoch"])
    source, target = cost.source_words * epochs, cost.target_words * epochs
    matrices = parts["decoder"][0] + parts["softmax"][0]
    return ModelCost(
        model, weights, biases,
        4 * (weights + biases) * COPIES[resolved.entries["optimizer"].name],
        (source, target), 6 * (source * parts["encoder"][0] + target * matrices),
    )  # fmt: skip


def cost_table(plan: Plan, folder: Path) -> Iterator[str]:
    """The plan's cost as lines of Markdown.

    Args:
        plan: one that has a [cost].
        folder: where the benchmark's results that it names lie.

    Raises:
        StudyError: no [cost], or results that hold no measurement of training.
    """
    if plan.cost is None:
        raise StudyError("the plan has no [cost]: sizes of the text and a measured speed")
    speed, machine, peak = _measured(folder / plan.cost.measured)
    rows = []
    total = 0.0
    for model in plan.models:
        own = model_cost(plan, model)
        hours = own.operations / speed / 3600
        total += own.operations * len(model.seeds)
        rows.append([
            model.label, str(len(model.seeds)), f"{own.weights:,} + {own.biases:,}",
            f"{own.memory / 1e9:.1f} GB", f"{sum(own.words) / 1e6:,.0f} M",
            f"{own.operations:.2e}", f"{hours:,.0f}",
            f"{own.operations / ROUND_GPU / 3600:,.1f}",
        ])  # fmt: skip
    names = [
        "model", "seeds", "weights + biases", "with gradients and optimizer", "words read, a seed",
        "operations, a seed", "hours a seed, as measured", "hours a seed at 100 TFLOP/s",
    ]  # fmt: skip
    for row in (names, ["---"] * len(names), *rows):
        yield f"| {' | '.join(row)} |"
    yield ""
    yield (
        f"All trainings: {total:.2e} operations, {total / speed / 3600:,.0f} hours at the measured "
        f"{speed / 1e9:.0f} GFLOP/s, {total / ROUND_GPU / 3600:,.0f} hours at 100 TFLOP/s."
    )
    yield (
        f"Measured: {machine}; that training used {peak / 1e9:.1f} GB in all. 100 TFLOP/s is a "
        "round number to convert with, no measurement."
    )


def _measured(path: Path) -> tuple[float, str, float]:
    """(useful operations a second, what was measured, its peak memory in bytes)."""
    try:
        part = json.loads(path.read_text("utf-8"))["parts"]["memory"]
        own = part["results"][0]
        facts = ", ".join(f"{name} {value}" for name, value in part["machine"].items())
        speed = float(own["operations"]) / float(own["seconds"])
        return speed, f"`{part['command']}` ({facts})", float(own["peak_memory"])
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise StudyError(f"{path}: holds no measured training ({error!r})") from error
