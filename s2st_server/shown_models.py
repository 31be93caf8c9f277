"""The models of a server or page: loaded, and named for their readers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s2st.errors import UsageError

if TYPE_CHECKING:
    import s2st


@dataclass(frozen=True)
class Shown:
    """A model with its name on the page and in requests.

    Attributes:
        name: distinct from the other models' names.
        model: the model.
        search: options of every beam search, by keyword.
    """

    name: str
    model: "s2st.Model"
    search: Mapping[str, Any]

    def described(self) -> dict[str, Any]:
        """Return what the page and `GET /health` say about the model."""
        model = self.model
        return {
            "name": self.name,
            "source_lang": model.source_lang,
            "target_lang": model.target_lang,
        }


def load_shown(
    paths: Sequence[str],
    compare: Sequence[str],
    options: Mapping[str, Any],
    search: Mapping[str, Any],
) -> list[Shown]:
    """Load the model of all `paths` together, and one for each path of `compare`.

    Args:
        paths: checkpoints; several are an ensemble.
        compare: checkpoints of the other models.
        options: other keywords of `s2st.load`.
        search: options of every beam search, by keyword.

    Raises:
        S2STError: a model cannot be loaded.
    """
    import s2st

    if not paths:
        raise UsageError("no model: give --checkpoint")
    single = {k: v for k, v in options.items() if not k.startswith("ensemble_")}
    models = [s2st.load(paths, **options), *(s2st.load(path, **single) for path in compare)]
    names: list[str] = []
    for model in models:
        if model.source_vector_size:
            raise UsageError(
                f"{model.paths[0]}: the model reads vectors, which a page cannot take; use `s2st "
                "generate --source-vectors`"
            )
        name = " + ".join(map(_name, model.paths))
        same = sum(other == name or other.startswith(f"{name} (") for other in names)
        names.append(f"{name} ({same + 1})" if same else name)
    return [Shown(name, model, dict(search)) for name, model in zip(names, models, strict=True)]


def _name(path: str) -> str:
    """Return the last two parts of a path, in characters that a page can show."""
    name = "/".join(Path(path).parts[-2:])
    return name.encode("utf-8", "replace").decode("utf-8")
