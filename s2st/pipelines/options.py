"""Options of the jobs that use checkpoints, importable without torch."""

from dataclasses import dataclass

from s2st.components import CommandSpec, Role
from s2st.config import option
from s2st.device import DeviceConfig
from s2st.search.registry import SEARCHES


@dataclass(frozen=True)
class ModelsConfig:
    """Which checkpoints, and how they score together."""

    checkpoint: tuple[str, ...] = option(
        (), "checkpoint folder, or a TOML file of an ensemble; repeat it for an ensemble"
    )
    path: str | None = option(None, "checkpoints with : between, as another way to name several")
    ensemble_weight: tuple[float, ...] = option((), "weight of each checkpoint, in order")
    ensemble_mode: str = option(
        "probability",
        "average the members' probabilities, or their log-probabilities (renormalised)",
        choices=("probability", "log-probability"),
    )

    def paths(self) -> list[str]:
        """All checkpoints, in order."""
        more = self.path.split(":") if self.path else []
        return [*self.checkpoint, *more]


@dataclass(frozen=True)
class TranslateConfig:
    """Batches and output of `generate`."""

    batch_size: int = option(64, "sentences decoded together", minimum=1)
    buffer_size: int = option(
        4096,
        "lines read ahead and sorted by length; a pipe is answered as soon as it can be",
        minimum=1,
    )
    format: str = option(
        "text", "output: text, Moses n-best lists, or JSON lines", choices=("text", "moses", "json")
    )
    detokenize: bool = option(True, "join tokens to text by the checkpoint's tokeniser")
    encoding_errors: str = option(
        "strict", "bad UTF-8: stop, or go on with U+FFFD", choices=("strict", "replace")
    )


@dataclass(frozen=True)
class RescoreConfig:
    """Weights, batches and output of `rescore-nbest`."""

    feature_per: str = option(
        "ensemble",
        "one new feature for all checkpoints together, or one for each member",
        choices=("ensemble", "member"),
    )
    weight: tuple[str, ...] = option(
        (),
        "NAME=VALUE, repeatable; NAME is Baseline, S2ST0, S2ST1, ...; "
        "left out, the baseline and the models' mean have equal weight",
    )
    output: str = option(
        "1best", "the best hypotheses, or the re-sorted lists", choices=("1best", "nbest")
    )
    max_rows: int = option(2048, "prefixes stepped together; bounds the memory", minimum=1)
    encoding_errors: str = option(
        "strict", "bad UTF-8: stop, or go on with U+FFFD", choices=("strict", "replace")
    )


GENERATE_SPEC = CommandSpec(
    fixed=(ModelsConfig, TranslateConfig, DeviceConfig),
    roles=(Role("search", SEARCHES, "beam", "search strategy"),),
)
SCORE_SPEC = CommandSpec(fixed=(ModelsConfig, DeviceConfig))
RESCORE_SPEC = CommandSpec(fixed=(ModelsConfig, RescoreConfig, DeviceConfig))
