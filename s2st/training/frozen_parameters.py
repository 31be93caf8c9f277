"""Parameters that are not trained, chosen by name: `--freeze`.

A frozen parameter has no gradient, so the optimizer makes no state for it. It stays in the
optimizer's list, whose indices name the state in a checkpoint.
"""

import difflib
import logging
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from torch import nn

from s2st.errors import UsageError

log = logging.getLogger("s2st")


def freeze(model: nn.Module, patterns: Sequence[str]) -> None:
    """Exclude parameters from training.

    Args:
        model: the model, possibly without memory.
        patterns: names of parameters or of modules, possibly with the wildcards `*`, `?` and `[]`.
            A module stands for all its parameters. A parameter with two names (tied embeddings) is
            frozen by either.

    Raises:
        UsageError: a pattern fits no parameter; or no parameter is left to train.
    """
    named = dict(model.named_parameters(remove_duplicate=False))
    for pattern in patterns:
        chosen = [name for name in named if _fits(name, pattern)]
        if not chosen:
            raise UsageError(_unmatched(pattern, named))
        for name in chosen:
            named[name].requires_grad_(False)
    if patterns and not any(parameter.requires_grad for parameter in named.values()):
        raise UsageError(f"--freeze {' '.join(patterns)}: no parameter is left to train")


def log_frozen(model: nn.Module, patterns: Sequence[str]) -> None:
    """Log how many parameters the patterns exclude, and names of tied ones that none fits."""
    if not patterns:
        return
    sizes = {id(p): (p.numel(), p.requires_grad) for p in model.parameters()}.values()
    frozen = sum(size for size, trained in sizes if not trained)
    log.info("--freeze: %s of %s parameters are not trained", f"{frozen:,}",
             f"{sum(size for size, _ in sizes):,}")  # fmt: skip
    for name, parameter in model.named_parameters(remove_duplicate=False):
        if not parameter.requires_grad and not any(_fits(name, pattern) for pattern in patterns):
            log.info("--freeze: %s is not trained either: it is shared (--tie-embeddings)", name)


def _fits(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.*")


def _unmatched(pattern: str, names: Iterable[str]) -> str:
    known: dict[str, None] = {}
    for name in names:
        parts = name.split(".")
        known |= dict.fromkeys(".".join(parts[:end]) for end in range(1, len(parts) + 1))
    near = difflib.get_close_matches(pattern, known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else (
        f"the model has {', '.join(name for name in known if '.' not in name)}"
    )  # fmt: skip
    return (
        f"--freeze {pattern}: no parameter has this name; {hint} (`s2st inspect --parameters` "
        "lists all names)"
    )
