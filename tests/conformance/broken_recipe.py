"""Augmentations, optimisers and schedules, each with one fault; `Mirror`, `sgd` and `Falling` have none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

Uniform = Callable[[int], Tensor]


class Mirror:
    def __call__(self, x: Tensor, uniform: Uniform) -> Tensor:
        return torch.where((uniform(1) < 0.5)[:, :, None, None], x.flip(-1), x)


class Uncallable:
    pass


class Cropped(Mirror):
    def __call__(self, x: Tensor, uniform: Uniform) -> Tensor:
        return super().__call__(x, uniform)[..., 1:]


class Brighter(Mirror):
    def __call__(self, x: Tensor, uniform: Uniform) -> Tensor:
        return x + uniform(1)[:, :, None, None]


class GlobalStream(Mirror):
    def __call__(self, x: Tensor, uniform: Uniform) -> Tensor:
        torch.rand(1)
        return super().__call__(x, uniform)


class Idle(Mirror):
    """Compares a draw with the wrong bound."""

    def __call__(self, x: Tensor, uniform: Uniform) -> Tensor:
        return torch.where((uniform(1) > 1.0)[:, :, None, None], x.flip(-1), x)


class BatchMean(Mirror):
    def __call__(self, x: Tensor, uniform: Uniform) -> Tensor:
        return 0.5 * x + 0.5 * x.mean(dim=0, keepdim=True)


def trained(model: nn.Module) -> list[nn.Parameter]:
    return [p for p in model.parameters() if p.requires_grad]


def sgd(model: nn.Module, lr: float = 0.1) -> torch.optim.Optimizer:
    return torch.optim.SGD(trained(model), lr=lr, momentum=0.5)


def no_optimizer(model: nn.Module) -> list[nn.Parameter]:
    return trained(model)


def without_biases(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD([p for p in trained(model) if p.ndim > 1], lr=0.1)


def uphill(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(trained(model), lr=0.01, maximize=True)


class Forgetful(torch.optim.SGD):
    """Its rate hangs on a count that is in no state."""

    def __init__(self, parameters: Any) -> None:
        super().__init__(parameters, lr=0.1)
        self.count = 0

    def step(self, closure: Any = None) -> Any:
        self.count += 1
        for group in self.param_groups:
            group["lr"] = 0.1 / self.count
        return super().step(closure)


def forgetful(model: nn.Module) -> torch.optim.Optimizer:
    return Forgetful(trained(model))


class Falling:
    def __init__(self, optimizer: torch.optim.Optimizer, total_steps: int, steps_per_epoch: int) -> None:
        self.optimizer, self.total = optimizer, total_steps
        self.rates = [group["lr"] for group in optimizer.param_groups]

    def factor(self, n: int) -> float:
        return 1 - n / self.total

    def step_update(self, num_updates: int) -> None:
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * self.factor(num_updates)


class Steps:
    def __init__(self, optimizer: torch.optim.Optimizer, total_steps: int, steps_per_epoch: int) -> None:
        self.optimizer = optimizer

    def step(self) -> None:
        return None


class BelowZero(Falling):
    def factor(self, n: int) -> float:
        return 0.5 - n / self.total


class Counting(Falling):
    """Halves whatever the rate is at each call."""

    def step_update(self, num_updates: int) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] *= 0.9
