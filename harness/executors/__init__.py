"""Where trials run. Events and records come back to the parent process, which alone writes records and calls hooks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..trial import Record, Trial


@dataclass(frozen=True, slots=True)
class Settings:
    """How many workers, where, and with what. One device a worker, in turn."""

    store: Path
    data_root: Path
    devices: tuple[str, ...] = ("cpu",)
    workers: int = 1
    threads: int = 1
    loader_processes: int = 0
    third_party: bool = True
    fail_fast: bool = False
    retry_failed: bool = False


class Listener(Protocol):
    """What a parent process hears of its trials."""

    def started(self, trial: Trial) -> None: ...

    def progress(self, trial: Trial, done: int, total: int, loss: float) -> None: ...

    def epoch(self, trial: Trial, epoch: int, values: Mapping[str, float]) -> None: ...

    def finished(self, record: Record) -> None: ...

    def measuring(self, trial: Trial, done: int, total: int) -> None: ...
