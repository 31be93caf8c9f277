"""Recipes of `s2st train`: named sets of option values, as published. Imports no torch."""

from typing import Any

RECIPES: dict[str, dict[str, Any]] = {
    # Sutskever et al. 2014, section 3.4
    "sutskever2014": {
        "arch": "lstm-sutskever2014",
        "init": "uniform",
        "init_range": 0.08,
        "dropout": 0.0,
        "criterion": "cross-entropy",
        "optimizer": "sgd",
        "lr": 0.7,
        "momentum": 0.0,
        "lr_scheduler": "halve-after",
        "halve_after": 5.0,
        "halve_every": 0.5,
        "clip_norm": 5.0,
        "normalization": "sentences",
        "batch_size": 128,
        "batching": "bucketed",
        "max_epoch": 7.5,
        "patience": None,
    },
    # Vaswani et al. 2017, sections 5.1 to 5.4; lr is the largest rate of their schedule
    "transformer-base": {
        "arch": "transformer-base",
        "criterion": "label-smoothed-cross-entropy",
        "label_smoothing": 0.1,
        "optimizer": "adam",
        "lr": (512 * 4000) ** -0.5,
        "adam_beta1": 0.9,
        "adam_beta2": 0.98,
        "adam_eps": 1e-9,
        "lr_scheduler": "inverse-sqrt",
        "warmup_updates": 4000,
        "clip_norm": 0.0,
        "normalization": "tokens",
        "batch_size": 25_000,
        "max_tokens": 25_000,
        "max_epoch": None,
        "max_update": 100_000,
        "patience": None,
    },
}
