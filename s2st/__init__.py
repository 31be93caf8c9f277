"""s2st: sequence-to-sequence translation, the library behind the `s2st` command.

    import s2st

    model = s2st.load("model/checkpoint_best")
    model.translate(["A dog runs ."], beam=5)

`__all__` names what the library promises; `docs/python.md` describes it. Everything else is
internal and may change. Importing `s2st` is quick: torch loads when a model is loaded or trained.

The library prints nothing. Its messages go to the logger "s2st" of the module `logging`.

Text -> ids on disk -> length-bucketed batches -> model -> criterion -> trainer -> checkpoint ->
scorer -> search or rescoring -> text. `docs/development.md` draws the layers.
"""

import importlib
import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from s2st.api.demo_text import write_demo_corpus as write_demo_corpus
    from s2st.api.model import Model as Model
    from s2st.api.model import load as load
    from s2st.api.nbest_files import read_nbest as read_nbest
    from s2st.api.nbest_files import write_nbest as write_nbest
    from s2st.api.records import AttentionMap as AttentionMap
    from s2st.api.records import BeamNode as BeamNode
    from s2st.api.records import Candidate as Candidate
    from s2st.api.records import Choice as Choice
    from s2st.api.records import Explanation as Explanation
    from s2st.api.records import Hypothesis as Hypothesis
    from s2st.api.records import PairScore as PairScore
    from s2st.api.records import Rescoring as Rescoring
    from s2st.api.records import StatePath as StatePath
    from s2st.api.training import preprocess as preprocess
    from s2st.api.training import train as train
    from s2st.api.vectors import principal_components as principal_components
    from s2st.data.preprocess_report import PreprocessReport as PreprocessReport
    from s2st.errors import CheckpointError as CheckpointError
    from s2st.errors import ConfigError as ConfigError
    from s2st.errors import DataError as DataError
    from s2st.errors import InputMissingError as InputMissingError
    from s2st.errors import OutOfMemoryError as OutOfMemoryError
    from s2st.errors import OutputError as OutputError
    from s2st.errors import S2STError as S2STError
    from s2st.errors import UsageError as UsageError
    from s2st.jobs.training_result import TrainResult as TrainResult
    from s2st.training.observer import UpdateReport as UpdateReport
    from s2st.training.observer import ValidationReport as ValidationReport

__version__ = "0.1.0"

__all__ = [
    "__version__",
    "AttentionMap",
    "BeamNode",
    "Candidate",
    "CheckpointError",
    "Choice",
    "ConfigError",
    "DataError",
    "Explanation",
    "Hypothesis",
    "InputMissingError",
    "Model",
    "OutOfMemoryError",
    "OutputError",
    "PairScore",
    "PreprocessReport",
    "Rescoring",
    "S2STError",
    "StatePath",
    "TrainResult",
    "UpdateReport",
    "UsageError",
    "ValidationReport",
    "load",
    "preprocess",
    "principal_components",
    "read_nbest",
    "train",
    "write_demo_corpus",
    "write_nbest",
]
# name -> module that has it
_HOMES = {
    "AttentionMap": "s2st.api.records",
    "BeamNode": "s2st.api.records",
    "Candidate": "s2st.api.records",
    "CheckpointError": "s2st.errors",
    "Choice": "s2st.api.records",
    "ConfigError": "s2st.errors",
    "DataError": "s2st.errors",
    "Explanation": "s2st.api.records",
    "Hypothesis": "s2st.api.records",
    "InputMissingError": "s2st.errors",
    "Model": "s2st.api.model",
    "OutOfMemoryError": "s2st.errors",
    "OutputError": "s2st.errors",
    "PairScore": "s2st.api.records",
    "PreprocessReport": "s2st.data.preprocess_report",
    "Rescoring": "s2st.api.records",
    "S2STError": "s2st.errors",
    "StatePath": "s2st.api.records",
    "TrainResult": "s2st.jobs.training_result",
    "UpdateReport": "s2st.training.observer",
    "UsageError": "s2st.errors",
    "ValidationReport": "s2st.training.observer",
    "load": "s2st.api.model",
    "preprocess": "s2st.api.training",
    "principal_components": "s2st.api.vectors",
    "read_nbest": "s2st.api.nbest_files",
    "train": "s2st.api.training",
    "write_demo_corpus": "s2st.api.demo_text",
    "write_nbest": "s2st.api.nbest_files",
}
logging.getLogger("s2st").addHandler(logging.NullHandler())


def __getattr__(name: str) -> Any:
    """Import a promised name on its first use."""
    if name not in _HOMES:
        raise AttributeError(f"module 's2st' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
