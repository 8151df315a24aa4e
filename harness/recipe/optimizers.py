"""Optimisers through timm's factory, which leaves vectors (norms and biases) out of weight decay."""

from __future__ import annotations

from typing import Any, cast

from torch import nn
from torch.optim import Optimizer

from ..errors import ConfigError
from ..registry import suggest


def sgd(
    model: nn.Module,
    lr: float = 0.1,
    momentum: float = 0.9,
    nesterov: bool = True,
    weight_decay: float = 5e-4,
    decay_vectors: bool = False,
) -> Optimizer:
    """`decay_vectors` applies weight decay to biases and norm weights too, as the early papers did."""
    name = "nesterov" if nesterov else "momentum"
    return _create(model, name, lr, weight_decay, decay_vectors, momentum=momentum)


def adam(
    model: nn.Module,
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    weight_decay: float = 0.0,
    decay_vectors: bool = False,
) -> Optimizer:
    return _create(model, "adam", lr, weight_decay, decay_vectors, betas=tuple(betas))


def adamw(
    model: nn.Module,
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    weight_decay: float = 0.05,
    decay_vectors: bool = False,
) -> Optimizer:
    return _create(model, "adamw", lr, weight_decay, decay_vectors, betas=tuple(betas))


def timm(
    model: nn.Module, opt: str, lr: float = 1e-3, weight_decay: float = 0.0, decay_vectors: bool = False
) -> Optimizer:
    """Any optimiser that timm lists, with timm's defaults for the rest. Raises ConfigError if it has no `opt`."""
    from timm.optim import list_optimizers

    known = list_optimizers()
    if opt not in known:
        raise ConfigError(f"optimizer 'timm': unknown opt '{opt}'", suggest(opt, known))
    return _create(model, opt, lr, weight_decay, decay_vectors)


def _create(
    model: nn.Module, name: str, lr: float, weight_decay: float, decay_vectors: bool, **options: Any
) -> Optimizer:
    from timm.optim import create_optimizer_v2

    if lr <= 0:
        raise ConfigError(f"optimizer '{name}': lr is {lr:g}, but must be above 0")
    if weight_decay < 0:
        raise ConfigError(f"optimizer '{name}': weight_decay is {weight_decay:g}, but must not be negative")
    return cast(
        Optimizer,
        create_optimizer_v2(
            model, opt=name, lr=lr, weight_decay=weight_decay, filter_bias_and_bn=not decay_vectors, **options
        ),
    )
