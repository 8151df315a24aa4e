"""What a running study looks like: bars in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from ..executors import Listener
from ..planning import Plan
from ..trial import Record, Trial
from .tables import duration

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


@contextmanager
def view(plan: Plan) -> Iterator[Listener]:
    """A listener that draws; its display ends with the block."""
    from .terminal import animated, console

    labels = {t.id: c.label for c in plan.study.cells for t in c.trials}
    if not animated() or not plan.pending:
        yield Lines(labels, len(plan.pending))
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[state]}", markup=False),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console()) as progress:
        yield Bars(labels, len(plan.pending), progress)


def _ending(record: Record) -> str:
    if record.status != "ok":
        return f"{record.status}: {next(iter(record.reason.splitlines()), 'no reason was given')}"
    return ", ".join(f"{name} {value:.4f} on test" for name, value in list(record.metrics.items())[:1]) or "ok"


class Lines:
    """One line a finished epoch or trial, for logs."""

    def __init__(self, labels: Mapping[str, str], total: int) -> None:
        self._labels, self._total, self._done = labels, total, 0
        self._started: dict[str, float] = {}

    def _say(self, text: str) -> None:
        with suppress(BrokenPipeError):  # `harness ablate | head`: nobody reads on, and the study goes on
            print(text, flush=True)

    def started(self, trial: Trial) -> None:
        self._started[trial.id] = time.monotonic()
        self._say(f"start {trial.named(self._labels[trial.id])} ({trial.id})")

    def progress(self, trial: Trial, done: int, total: int, loss: float) -> None:
        """Too fine for a log."""

    def epoch(self, trial: Trial, epoch: int, values: Mapping[str, float]) -> None:
        shown = {k: v for k, v in values.items() if k == "train/loss" or k.startswith("val/")}
        text = ", ".join(f"{k} {v:.4f}" for k, v in list(shown.items())[:3])
        self._say(f"{trial.named(self._labels[trial.id])}: epoch {epoch}/{trial.config.train.epochs}: {text}")

    def finished(self, record: Record) -> None:
        self._done += 1
        took = time.monotonic() - self._started.pop(record.id, time.monotonic())
        name = record.trial.named(self._labels[record.id])
        self._say(f"[{self._done}/{self._total}] {name}: {_ending(record)} ({duration(took)})")

    def measuring(self, trial: Trial, done: int, total: int) -> None:
        self._say(f"measuring {trial.named(self._labels[trial.id])} ({done}/{total})")


class Bars:
    """A bar for the study and one for each running trial."""

    def __init__(self, labels: Mapping[str, str], total: int, progress: Progress) -> None:
        self._labels, self._progress = labels, progress
        self._study = progress.add_task("study", total=total, state="")
        self._tasks: dict[str, TaskID] = {}
        self._measure: TaskID | None = None
        self._failed = 0
        self._rate: dict[str, tuple[float, int]] = {}

    def started(self, trial: Trial) -> None:
        self._tasks[trial.id] = self._progress.add_task(trial.named(self._labels[trial.id]), total=None, state="")
        self._rate[trial.id] = (time.monotonic(), 0)

    def progress(self, trial: Trial, done: int, total: int, loss: float) -> None:
        started, first = self._rate[trial.id]
        if first == 0:
            self._rate[trial.id] = (time.monotonic(), done)
        elapsed = time.monotonic() - started
        rate = (done - first) / elapsed if first and elapsed > 0 else 0.0
        state = f"loss {loss:.4f}" + (f"  {rate:.1f} updates/s" if rate else "")
        self._progress.update(self._tasks[trial.id], completed=done, total=total, state=state)

    def epoch(self, trial: Trial, epoch: int, values: Mapping[str, float]) -> None:
        shown = [f"{k} {v:.4f}" for k, v in values.items() if k == "train/loss" or k.startswith("val/")]
        state = f"epoch {epoch}  " + "  ".join(shown[:2])
        self._progress.update(self._tasks[trial.id], state=state)

    def finished(self, record: Record) -> None:
        task = self._tasks.pop(record.id, None)
        if task is not None:
            self._progress.remove_task(task)
        self._failed += record.status == "failed"
        self._progress.print(
            f"{record.trial.named(self._labels[record.id])}: {_ending(record)}", markup=False, highlight=False
        )
        state = f"{self._failed} failed" if self._failed else ""
        self._progress.update(self._study, advance=1, state=state)

    def measuring(self, trial: Trial, done: int, total: int) -> None:
        if self._measure is None:
            self._measure = self._progress.add_task("measuring", total=total, state="")
        self._progress.update(self._measure, completed=done, total=total, state=trial.named(self._labels[trial.id]))
