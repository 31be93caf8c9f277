"""`s2st serve`: a page and a JSON interface for one model or several."""

from collections.abc import Mapping
from typing import Any

from s2st.jobs.options import ModelsConfig
from s2st.jobs.scoring_job_files import require_checkpoints
from s2st.options.resolution import CommandSpec, Resolved
from s2st.process.device import ScoringDeviceConfig
from s2st.process.stop_signals import noted
from s2st.search.registry import BeamConfig
from s2st_cli.click_options import ConfiguredCommand
from s2st_cli.page_models import load_models
from s2st_server.options import PageConfig, ServeConfig

HELP = """Serve a page that shows how models translate, and a JSON interface.

Open the address that s2st prints. The page translates what you type, and shows the beam, the words
that the model considered, and its attention or states. `POST /translate` translates lines;
`GET /openapi.json` describes the interface. Several --checkpoint options make an ensemble;
--compare shows another model beside it.

The server listens on this machine only unless --host names another address. On SIGTERM or Ctrl-C it
answers the requests that it has accepted, and exits with code 0.
"""
SPEC = CommandSpec(fixed=(ModelsConfig, PageConfig, ServeConfig, BeamConfig, ScoringDeviceConfig))


def run(options: Resolved, extra: Mapping[str, Any]) -> None:
    """Open the port, load the models and serve."""
    from s2st_server.running import bound_socket, check_beam, require_libraries, serve

    require_libraries()
    config, page = options.config(ServeConfig), options.config(PageConfig)
    require_checkpoints(options.config(ModelsConfig))
    check_beam(options.config(BeamConfig).beam, config)
    with bound_socket(config) as bound:
        models = load_models(options, page)
        from s2st_server.app import make_app

        app = make_app(models, config, page)
        with noted() as stop_requested:
            serve(app, bound, stop_requested)


command = ConfiguredCommand("serve", SPEC, run, HELP)
