"""Which architectures, criteria, optimizers and searches the tests of the device walk over."""

from dataclasses import fields, replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from builders import corpus, describe, equal_lengths, model, random_sentences, trainable, variants

from s2st.criteria.registry import CRITERIA
from s2st.training.optimizers import OPTIMIZERS

# cuDNN's and the CPU's layers draw different dropout masks, so models are compared without dropout
DROPOUTS = ("dropout", "recurrent_dropout", "attention_dropout")


def still(config: Any) -> Any:
    """The config without dropout."""
    names = {field.name for field in fields(config)}
    return replace(config, **{name: 0.0 for name in DROPOUTS if name in names})


def models() -> list[tuple[str, str, Any]]:
    """(test id, architecture, config without dropout) of each variant of each architecture."""
    named: dict[str, tuple[str, str, Any]] = {}
    for name in trainable():
        for config in variants(name):
            label = describe(name, config)
            while label in named:
                label += "+"
            named[label] = label, name, still(config)
    return list(named.values())


def combinations() -> list[Any]:
    """Models with criteria and optimizers.

    The fast part has each architecture once, with criteria and optimizers in turn. The extensive
    part has one variant of each architecture with each criterion and optimizer, and the other
    variants once.
    """
    made: list[Any] = []
    seen: set[str] = set()
    for index, (label, name, config) in enumerate(models()):
        first = name not in seen
        seen.add(name)
        kinds = list(product(CRITERIA.names(), OPTIMIZERS.names()))
        turn = (len(seen) if first else index) * 5 % len(kinds)  # 5 reaches all of the kinds
        for place, (criterion, optimizer) in enumerate(kinds):
            if place == turn or first:
                marks = [] if place == turn and first else [pytest.mark.extensive]
                test = f"{label}-{criterion}-{optimizer}"
                made.append(pytest.param(name, config, criterion, optimizer, marks=marks, id=test))
    return made


def pairs(name: str, config: Any, count: int = 12, seed: int = 1) -> Any:
    """A split of random pairs that the architecture can have."""
    sources = random_sentences(count, 10, seed)
    if equal_lengths(model(name, config)):
        rng = np.random.default_rng(seed)
        return corpus(sources, [rng.integers(3, 8, len(s)).tolist() for s in sources])
    targets = random_sentences(count, 8, seed + 1)
    return corpus(sources, targets[1:] + targets[:1])
