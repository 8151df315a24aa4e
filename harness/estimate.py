"""What a study will cost, from timing a few updates of every row on this machine."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from . import environment
from .assembly import Parts, assemble, begin_stage, loss_terms, set_training
from .evaluation import autocast
from .front import Feeder, hold
from .ledger import Ledger
from .loading import Loader
from .registry import Registry
from .trial import Config, Stage, Trial

UPDATES = 4
PATIENCE = 5.0
"""Seconds for the updates of one stage, after which two have to do: the first warms up."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Seconds of one update (the mean over stages), updates of a whole trial, seconds of the trial (training alone)."""

    update: float
    updates: int

    @property
    def seconds(self) -> float:
        return self.update * self.updates


def estimate(trial: Trial, registry: Registry, data_root: Path, device: str, threads: int) -> Estimate:
    """Median of a few updates of every stage after one that warms up. Raises HarnessError like the trial would.

    Nothing is stored: where a frozen front's features will take the place of frames, zeros stand in for them.
    """
    config = trial.config
    with environment.pinned(threads, config.train.deterministic):
        parts = assemble(config, registry, data_root)
        parts.to(device)
        loader = Loader(parts.dataset.split("train", config.fold), device, config.train.batch_size, config.seed)
        updates = [stage.epochs * loader.steps for stage in config.train.stages]
        feeder = Feeder(parts, {"train": loader}, sketch=True)
        times = []
        with parts.blocks.telling():
            for i, stage in enumerate(config.train.stages):
                fed = feeder.loaders(config.train.stages[: i + 1])["train"]
                times.append(_update(parts, registry, fed, config, stage))
    total = sum(time_ * count for time_, count in zip(times, updates, strict=True))
    return Estimate(total / max(1, sum(updates)), sum(updates))


def _update(parts: Parts, registry: Registry, loader: Loader, config: Config, stage: Stage) -> float:
    """Seconds of one update of a stage."""
    optimizer, _ = begin_stage(parts, registry, stage, loader.steps)
    set_training(parts.model, stage)
    hold(parts.model)
    ledger = Ledger.of(parts.losses, False, loader.steps)
    times = []
    started = time.perf_counter()
    for step, raw in enumerate(loader.training(0)):
        if step > UPDATES:
            break
        batch = parts.prepare(raw, 0)
        with autocast(str(loader.device), config.train.precision):
            output = parts.model(parts.task.present(batch))
        loss = ledger.total(loss_terms(parts, output, batch))
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimizer.step()
        loss.item()  # waits for the device
        now = time.perf_counter()
        times.append(now - started)
        started = now
        if len(times) > 1 and sum(times) > PATIENCE:
            break
    return statistics.median(times[1:] or times)
