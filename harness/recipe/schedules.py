"""Learning-rate schedules by update, through timm's schedulers; each is a function of the update's number alone.

That is why a resumed trial needs no state of its schedule. Warm-up is linear from zero and counts into the total.
"""

from __future__ import annotations

from typing import Protocol, cast

from timm.scheduler.cosine_lr import CosineLRScheduler
from timm.scheduler.multistep_lr import MultiStepLRScheduler
from timm.scheduler.poly_lr import PolyLRScheduler
from torch.optim import Optimizer

from ..errors import ConfigError


class Schedule(Protocol):
    def step_update(self, num_updates: int) -> None: ...


def constant(optimizer: Optimizer, total_steps: int, steps_per_epoch: int, warmup_epochs: float = 0.0) -> Schedule:
    warmup = _warmup(warmup_epochs, total_steps, steps_per_epoch)
    return _typed(MultiStepLRScheduler(optimizer, decay_t=[], warmup_t=warmup, warmup_lr_init=0.0, t_in_epochs=False))


def cosine(
    optimizer: Optimizer, total_steps: int, steps_per_epoch: int, warmup_epochs: float = 0.0, lr_min: float = 0.0
) -> Schedule:
    warmup = _warmup(warmup_epochs, total_steps, steps_per_epoch)
    return _typed(
        CosineLRScheduler(
            optimizer,
            t_initial=max(total_steps - warmup, 1),
            lr_min=lr_min,
            warmup_t=warmup,
            warmup_lr_init=0.0,
            warmup_prefix=True,
            t_in_epochs=False,
        )
    )


def linear(
    optimizer: Optimizer, total_steps: int, steps_per_epoch: int, warmup_epochs: float = 0.0, lr_min: float = 0.0
) -> Schedule:
    warmup = _warmup(warmup_epochs, total_steps, steps_per_epoch)
    return _typed(
        PolyLRScheduler(
            optimizer,
            t_initial=max(total_steps - warmup, 1),
            power=1.0,
            lr_min=lr_min,
            warmup_t=warmup,
            warmup_lr_init=0.0,
            warmup_prefix=True,
            t_in_epochs=False,
        )
    )


def onecycle(optimizer: Optimizer, total_steps: int, steps_per_epoch: int, peak: float = 0.3) -> Schedule:
    """Up from 0 to the rate over the share `peak` of all updates, then straight down to 0.

    Differs from Smith and Topin: momentum stays as it is, and there is no final phase below the first rate.
    """
    if not 0 < peak < 1:
        raise ConfigError(f"schedule 'onecycle': peak is {peak:g}, but must lie between 0 and 1")
    return linear(optimizer, total_steps, steps_per_epoch, warmup_epochs=peak * total_steps / steps_per_epoch)


def step(
    optimizer: Optimizer,
    total_steps: int,
    steps_per_epoch: int,
    milestones: tuple[int, ...],
    rate: float = 0.1,
    warmup_epochs: float = 0.0,
) -> Schedule:
    """`milestones` are epochs of the stage."""
    warmup = _warmup(warmup_epochs, total_steps, steps_per_epoch)
    # timm asks for t + 1, and so would drop the rate one update early.
    updates = [m * steps_per_epoch + 1 for m in milestones]
    return _typed(
        MultiStepLRScheduler(
            optimizer, decay_t=updates, decay_rate=rate, warmup_t=warmup, warmup_lr_init=0.0, t_in_epochs=False
        )
    )


def _typed(scheduler: object) -> Schedule:
    return cast(Schedule, scheduler)  # timm's package carries no types


def _warmup(epochs: float, total_steps: int, steps_per_epoch: int) -> int:
    if epochs < 0:
        raise ConfigError(f"schedule: warmup_epochs is {epochs:g}, but must not be negative")
    updates = round(epochs * steps_per_epoch)
    if updates >= total_steps:
        raise ConfigError(
            f"schedule: a warm-up of {epochs:g} epochs leaves nothing of {total_steps / steps_per_epoch:g} epochs",
            hint="shorten the warm-up or train longer",
        )
    return updates
