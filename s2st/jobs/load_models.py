"""Load the models of a command: one scorer from `ModelsConfig` and the device's options."""

from typing import TYPE_CHECKING

from s2st.jobs.options import ModelsConfig
from s2st.options.resolution import Resolved
from s2st.process.device import ScoringDeviceConfig

if TYPE_CHECKING:
    import torch

    from s2st.scoring.base import Scorer


def load_chosen_scorer(options: Resolved, device: "torch.device") -> "Scorer":
    """Return a scorer for all models that the options name, an ensemble if there are several.

    Raises:
        S2STError: a model cannot be loaded, or the models do not go together.
    """
    from s2st.scoring.load_scorers import load_scorer

    models, precision = options.config(ModelsConfig), options.config(ScoringDeviceConfig).precision
    return load_scorer(
        models.paths(), device, precision, models.ensemble_weight, models.ensemble_mode,
        models.languages,
    )  # fmt: skip
