"""How far a trial has come: what accumulates over epochs and goes into every checkpoint."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .contracts import Metric
from .trial import TRAINABLE

PROGRESS_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Outcome:
    """What training hands on: the curve, and one mapping a stage."""

    curve: tuple[Mapping[str, float], ...]
    stages: tuple[Mapping[str, float], ...]
    seconds: float

    def trainable(self) -> dict[str, float]:
        """Weights that each stage trains: `trainable_1`, `trainable_2`, …"""
        return {f"{TRAINABLE}{i}": stage["trainable"] for i, stage in enumerate(self.stages, 1)}


class Progress:
    """What accumulates over epochs, and goes into every checkpoint as plain numbers."""

    def __init__(self, resumed: Mapping[str, Any] | None) -> None:
        state = resumed or {}
        self.epochs_done = int(state.get("epochs_done", 0))
        self.curve: list[Mapping[str, float]] = list(state.get("curve", ()))
        self.stages: list[Mapping[str, float]] = list(state.get("stages", ()))
        self.best_value: float | None = state.get("best_value")
        self._seconds_before = float(state.get("seconds", 0.0))
        self._seconds = self._seconds_before

    def finish_epoch(
        self, epoch: int, values: Mapping[str, float], metric: Metric, choose: str, seconds: float
    ) -> bool:
        """Note an epoch; True if it is the best so far and the best is what will be tested."""
        self.epochs_done, self._seconds = epoch + 1, self._seconds_before + seconds
        self.curve.append(dict(values))
        if choose != "best":
            return False
        value = values[f"val/{metric.name}"]
        sign = 1 if metric.better == "higher" else -1
        if self.best_value is not None and sign * value <= sign * self.best_value:
            return False
        self.best_value = value
        return True

    def plain(self) -> dict[str, Any]:
        return {
            "epochs_done": self.epochs_done,
            "curve": self.curve,
            "stages": self.stages,
            "best_value": self.best_value,
            "seconds": self._seconds,
        }

    def outcome(self, seconds: float) -> Outcome:
        return Outcome(tuple(self.curve), tuple(self.stages), self._seconds_before + seconds)


class Clock:
    def __init__(self) -> None:
        self._last = time.monotonic()

    def due(self) -> bool:
        """Reading a loss waits for the GPU, so progress is told a few times a second at most."""
        now = time.monotonic()
        if now - self._last < PROGRESS_SECONDS:
            return False
        self._last = now
        return True
