"""Estimate the cost of a plan: parameters, memory, words and hours, from a measured speed.

Nothing runs and no weight is allocated. Training takes 6 operations for every matrix weight and
every word that passes it (one product, and two for its gradients). Hours are operations divided by
the useful operations per second that a benchmark reached.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from s2st.jobs.train import TRAIN_SPEC
from s2st.models.base import ModelSizes, parameters_by_part
from s2st.models.configs import with_default_sizes
from s2st.models.model_building import hollow_model
from s2st.options.resolution import OptionSource, resolve
from study.plan import Model, Plan
from study.steps import StudyError

SPECIALS = 4  # special tokens of a vocabulary
# values stored per parameter: weight, gradient, and the state of the optimizer
COPIES = {"sgd": 2, "adam": 4, "adamw": 4, "lazy-adam": 4}
ROUND_GPU = 1e14  # operations per second; a round number, not a measurement


@dataclass(frozen=True)
class ModelCost:
    """The cost of one training.

    Attributes:
        weights, biases: numbers of weights and biases in the whole model.
        memory: bytes of weights, gradients and optimizer state in float32, without activations.
        words: (source, target) words that the model reads.
        operations: operations of the whole training.
    """

    model: Model
    weights: int
    biases: int
    memory: int
    words: tuple[float, float]
    operations: float


def model_cost(plan: Plan, model: Model) -> ModelCost:
    """Estimate the cost of one seed of a model."""
    cost = plan.cost
    assert cost is not None
    options = {key.replace("-", "_"): v for key, v in {**plan.train, **model.options}.items()}
    resolved = resolve(TRAIN_SPEC, [OptionSource(f"models.{model.name}", options)])
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
    """Yield the cost of a plan as lines of Markdown.

    Args:
        plan: a plan with a [cost] table.
        folder: folder of the benchmark results that [cost] names.

    Raises:
        StudyError: there is no [cost], or the results hold no measurement of training.
    """
    if plan.cost is None:
        raise StudyError("the plan has no [cost] table (sizes of the text and a measured speed)")
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
        "model", "seeds", "weights + biases", "with gradients and optimizer", "words per seed",
        "operations per seed", "hours per seed, as measured", "hours per seed at 100 TFLOP/s",
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
        "round number, not a measurement."
    )


def _measured(path: Path) -> tuple[float, str, float]:
    """Return (useful operations per second, what was measured, peak memory in bytes)."""
    try:
        part = json.loads(path.read_text("utf-8"))["parts"]["memory"]
        own = part["results"][0]
        facts = ", ".join(f"{name} {value}" for name, value in part["machine"].items())
        speed = float(own["operations"]) / float(own["seconds"])
        return speed, f"`{part['command']}` ({facts})", float(own["peak_memory"])
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise StudyError(f"{path}: holds no measured training ({error!r})") from error
