"""The models of `s2st serve` and `s2st explain`, from the options of the command."""

from typing import TYPE_CHECKING

from s2st.jobs.options import ModelsConfig
from s2st.options.option_fields import config_values
from s2st.options.resolution import Resolved
from s2st.process.device import ScoringDeviceConfig
from s2st.search.registry import BeamConfig
from s2st_server.options import PageConfig

if TYPE_CHECKING:
    from s2st_server.shown_models import Shown


def load_models(options: Resolved, page: PageConfig) -> "list[Shown]":
    """Load the model of --checkpoint, and one for each --compare; raise S2STError."""
    from s2st_server.shown_models import load_shown

    config = options.config(ModelsConfig)
    keywords = {**config_values(config), **config_values(options.config(ScoringDeviceConfig))}
    for name in ("checkpoint", "path"):
        keywords.pop(name)
    search = config_values(options.config(BeamConfig))
    search.pop("nbest")
    return load_shown(config.paths(), page.compare, keywords, search)
