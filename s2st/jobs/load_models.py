"""Load the models of a job: `ModelsConfig` and the device's options to scorers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from s2st.jobs.options import ModelsConfig
from s2st.options.resolution import Resolved
from s2st.process.device import ScoringDeviceConfig

if TYPE_CHECKING:
    import torch

    from s2st.scoring.base import Scorer


@dataclass(frozen=True)
class LoadedModels:
    """The models of a job in memory, for several calls.

    Attributes:
        config: their paths, weights and languages.
        members: one scorer for each path.
        scorer: all of them together: the only member, or an ensemble.
    """

    config: ModelsConfig
    members: "Sequence[Scorer]"
    scorer: "Scorer"


def load_models(options: Resolved, device: "torch.device") -> LoadedModels:
    """Load all models that the options name.

    Raises:
        S2STError: a model cannot be loaded, or the models do not go together.
    """
    from s2st.scoring.load_scorers import combined, load_members

    config, precision = options.config(ModelsConfig), options.config(ScoringDeviceConfig).precision
    paths = config.paths()
    members = load_members(paths, device, precision, config.languages)
    scorer = combined(members, paths, config.ensemble_weight, config.ensemble_mode)
    return LoadedModels(config, members, scorer)


def load_chosen_scorer(options: Resolved, device: "torch.device") -> "Scorer":
    """Return a scorer for all models that the options name, an ensemble if there are several.

    Raises:
        S2STError: a model cannot be loaded, or the models do not go together.
    """
    return load_models(options, device).scorer
