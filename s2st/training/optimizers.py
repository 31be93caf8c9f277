"""Optimizers and their registry: SGD, Adam, AdamW and lazy Adam.

A builder takes (config, parameters). An optimizer whose attribute `sparse_tables` is true receives
sparse gradients of the embedding tables.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from s2st.options.option_fields import option
from s2st.options.registry import Registry

if TYPE_CHECKING:
    import torch

OPTIMIZERS: Registry["torch.optim.Optimizer"] = Registry("optimizer", "torch.optim:Optimizer")
MAX_DECAY = 0.999999  # 1 would divide by 0; single precision must distinguish it from 1
MIN_EPS = 1e-20  # 0 would divide 0 by 0 for a weight with gradient 0


@dataclass(frozen=True)
class SGDConfig:
    """Options of `sgd`."""

    lr: float = option(0.7, "learning rate", minimum=0, maximum=1000)
    momentum: float = option(0.0, "momentum", minimum=0, maximum=1, open_maximum=True)
    weight_decay: float = option(0.0, "L2 penalty", minimum=0, maximum=100)


@dataclass(frozen=True)
class AdamConfig:
    """Options of `adam` and `adamw`."""

    lr: float = option(0.001, "learning rate", minimum=0, maximum=1000)
    adam_beta1: float = option(0.9, "decay of the mean of gradients", minimum=0, maximum=MAX_DECAY)
    adam_beta2: float = option(
        0.999, "decay of the mean of squared gradients", minimum=0, maximum=MAX_DECAY
    )
    adam_eps: float = option(1e-8, "added to the denominator (epsilon)", minimum=MIN_EPS, maximum=1)
    weight_decay: float = option(
        0.0, "L2 penalty (adam) or decoupled weight decay (adamw)", minimum=0, maximum=100
    )


@dataclass(frozen=True)
class LazyAdamConfig:
    """Options of `lazy-adam`."""

    lr: float = option(0.001, "learning rate", minimum=0, maximum=1000)
    adam_beta1: float = option(0.9, "decay of the mean of gradients", minimum=0, maximum=MAX_DECAY)
    adam_beta2: float = option(
        0.999, "decay of the mean of squared gradients", minimum=0, maximum=MAX_DECAY
    )
    adam_eps: float = option(1e-8, "added to the denominator (epsilon)", minimum=MIN_EPS, maximum=1)


def build_sgd(
    config: SGDConfig, parameters: Iterable["torch.nn.Parameter"]
) -> "torch.optim.Optimizer":
    """Build torch's fused SGD, with sparse tables where momentum and weight decay are 0."""
    from s2st.training.sparse_embeddings import SGD

    return SGD(
        parameters,
        config.lr,
        momentum=config.momentum,
        weight_decay=config.weight_decay,
        fused=True,
    )


def build_adam(
    config: AdamConfig, parameters: Iterable["torch.nn.Parameter"]
) -> "torch.optim.Optimizer":
    """Build torch's fused Adam, which reads the weights once per update."""
    import torch

    betas = (config.adam_beta1, config.adam_beta2)
    return torch.optim.Adam(
        parameters, config.lr, betas, config.adam_eps, config.weight_decay, fused=True
    )


def build_adamw(
    config: AdamConfig, parameters: Iterable["torch.nn.Parameter"]
) -> "torch.optim.Optimizer":
    """Build torch's fused AdamW."""
    import torch

    betas = (config.adam_beta1, config.adam_beta2)
    return torch.optim.AdamW(
        parameters, config.lr, betas, config.adam_eps, config.weight_decay, fused=True
    )


def build_lazy_adam(
    config: LazyAdamConfig, parameters: Iterable["torch.nn.Parameter"]
) -> "torch.optim.Optimizer":
    """Build fused Adam that updates only the embedding rows that the batches read."""
    from s2st.training.sparse_embeddings import LazyAdam

    betas = (config.adam_beta1, config.adam_beta2)
    return LazyAdam(parameters, config.lr, betas, config.adam_eps, fused=True)


OPTIMIZERS.register("adam", AdamConfig, build_adam, "Adam (Kingma & Ba 2015)")
OPTIMIZERS.register("adamw", AdamConfig, build_adamw, "Adam with decoupled weight decay")
OPTIMIZERS.register(
    "lazy-adam",
    LazyAdamConfig,
    build_lazy_adam,
    "Adam that updates only the embeddings a batch reads, for large vocabularies",
)
OPTIMIZERS.register("sgd", SGDConfig, build_sgd, "stochastic gradient descent (the paper's)")
