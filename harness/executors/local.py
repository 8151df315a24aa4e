"""Trials on this machine: one after the other in this process, or in worker processes that live for many trials."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from typing import IO, Any

from ..registry import Registry
from ..restore import from_plain
from ..store import Store
from ..trial import Record, Trial, to_plain
from . import Listener, Settings
from .worker import MARK

LOG_TAIL = 2000
POLL_SECONDS = 1.0


def run(trials: Sequence[Trial], store: Store, registry: Registry, settings: Settings, listener: Listener) -> None:
    """Run every trial that has no record, write its record, tell the listener.

    A trial that another process is training is waited for. Raises KeyboardInterrupt after everything was stopped;
    what is kept by then goes on next time.
    """
    loop = _Serial(registry, settings) if settings.workers == 1 else _Pool(settings)
    _Schedule(trials, store, settings, listener, loop).run()


class _Schedule:
    """Hands trials to a loop while holding their locks, so that no other process trains them too."""

    def __init__(
        self, trials: Sequence[Trial], store: Store, settings: Settings, listener: Listener, loop: _Serial | _Pool
    ) -> None:
        self._waiting = deque(trials)
        self._store, self._settings, self._listener, self._loop = store, settings, listener, loop
        self._held: dict[str, ExitStack] = {}
        self._stop = False

    def run(self) -> None:
        try:
            while self._waiting or self._held:
                started = self._start_what_fits()
                if self._held:
                    self._loop.wait(self)
                elif not started and self._waiting:
                    time.sleep(POLL_SECONDS)  # all that is left is being trained by another process
        finally:
            self._loop.close()
            for lock in self._held.values():
                lock.close()

    def _start_what_fits(self) -> bool:
        started = False
        for _ in range(len(self._waiting)):
            if self._stop or not self._loop.free():
                break
            trial = self._waiting.popleft()
            stack = ExitStack()
            if not stack.enter_context(self._store.lock(trial.id)):
                self._waiting.append(trial)
                continue
            other = self._store.record(trial.id)
            again = other is not None and other.status == "failed" and self._settings.retry_failed
            if other is not None and not again:  # trained by another process since the study was planned
                stack.close()
                self._listener.finished(other)
                continue
            self._held[trial.id] = stack
            started = True
            self._listener.started(trial)
            self._loop.start(trial, self._store, self)
        if self._stop:
            self._waiting.clear()
        return started

    # -- what the loops tell

    def epoch(self, trial: Trial, epoch: int, values: dict[str, float]) -> None:
        self._listener.epoch(trial, epoch, values)

    def progress(self, trial: Trial, done: int, total: int, loss: float) -> None:
        self._listener.progress(trial, done, total, loss)

    def finished(self, record: Record) -> None:
        self._store.write_record(record)
        self._held.pop(record.id).close()
        self._listener.finished(record)
        if record.status == "failed" and self._settings.fail_fast:
            self._stop = True
            self._waiting.clear()
            self._loop.close()
            for trial_id in list(self._held):
                self._held.pop(trial_id).close()


class _Serial:
    """In this process; fewer moving parts, and no start-up of a second one."""

    def __init__(self, registry: Registry, settings: Settings) -> None:
        self._registry, self._settings = registry, settings

    def free(self) -> bool:
        return True

    def start(self, trial: Trial, store: Store, schedule: _Schedule) -> None:
        from ..engine import Run, run_trial

        s = self._settings
        sink = store.sink(
            trial,
            lambda epoch, values: schedule.epoch(trial, epoch, dict(values)),
            lambda done, total, loss: schedule.progress(trial, done, total, loss),
        )
        run = Run(s.data_root, s.devices[0], s.threads, s.loader_processes)
        schedule.finished(run_trial(trial, self._registry, sink, run))

    def wait(self, schedule: _Schedule) -> None:
        """Nothing is ever under way between two calls of `start`."""

    def close(self) -> None:
        """Nothing to end."""


class _Worker:
    """One child process, the trial it is at, and its log."""

    def __init__(self, number: int, settings: Settings, lines: queue.Queue[tuple[_Worker, str | None]]) -> None:
        s = settings
        self.trial: Trial | None = None
        self.log = s.store / "workers" / f"{os.getpid()}-{number}.log"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "harness.executors.worker", "--store", s.store, "--data", s.data_root]
        command += ["--device", s.devices[number % len(s.devices)], "--threads", s.threads]
        command += ["--loader-processes", s.loader_processes] + ([] if s.third_party else ["--no-plugins"])
        paths = os.pathsep.join(p or os.getcwd() for p in sys.path)
        environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": str(s.threads)}
        with self.log.open("wb") as log:
            # A session of its own: Ctrl-C reaches the parent alone, which then ends its workers in order.
            self.process = subprocess.Popen(
                [str(c) for c in command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment,
                text=True,
                start_new_session=True,
            )
        self._reader = threading.Thread(target=self._read, args=(lines,), daemon=True)
        self._reader.start()

    def _read(self, lines: queue.Queue[tuple[_Worker, str | None]]) -> None:
        for line in _pipe(self.process.stdout):
            lines.put((self, line))
        lines.put((self, None))

    def send(self, trial: Trial) -> None:
        self.trial = trial
        pipe = _pipe(self.process.stdin)
        pipe.write(json.dumps(to_plain(trial)) + "\n")
        pipe.flush()

    def end(self) -> None:
        # Every file of the store appears by atomic rename, so a worker may be ended at any instant.
        self.process.kill()
        self.process.wait()
        self._reader.join()
        _pipe(self.process.stdout).close()
        with suppress(BrokenPipeError):  # what it did not read any more
            _pipe(self.process.stdin).close()
        self.log.unlink(missing_ok=True)

    def obituary(self) -> str:
        """Why it died: the signal or exit code, and the end of its log."""
        code = self.process.wait()
        tail = self.log.read_text(encoding="utf-8", errors="replace")[-LOG_TAIL:] if self.log.exists() else ""
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        memory = " (out of memory?)" if code == -9 else ""
        return f"the worker process {how}{memory}" + (f"; its last words: {tail.strip()}" if tail.strip() else "")


class _Pool:
    """Worker processes, started when first needed; one that dies takes its own trial with it and is replaced."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lines: queue.Queue[tuple[_Worker, str | None]] = queue.Queue()
        self._workers: dict[int, _Worker] = {}

    def free(self) -> bool:
        return len(self._workers) < self._settings.workers or any(w.trial is None for w in self._workers.values())

    def start(self, trial: Trial, store: Store, schedule: _Schedule) -> None:
        worker = next((w for w in self._workers.values() if w.trial is None), None)
        if worker is None:
            number = next(n for n in range(self._settings.workers) if n not in self._workers)
            worker = self._workers[number] = _Worker(number, self._settings, self._lines)
        # If it died while idle, its reader says so, and the trial becomes a failed record with the cause.
        with suppress(BrokenPipeError):
            worker.send(trial)

    def wait(self, schedule: _Schedule) -> None:
        """Handle the next line of any worker."""
        worker, line = self._lines.get()
        if worker not in self._workers.values():
            return  # it was ended on purpose; what it said before that no longer matters
        trial = worker.trial
        if line is None:
            del self._workers[next(n for n, w in self._workers.items() if w is worker)]
            reason = worker.obituary()
            worker.end()
            if trial is not None:
                schedule.finished(Record(trial.id, "failed", trial, reason=reason))
            return
        if trial is None or not (line.startswith(MARK) and line.endswith("\n")):
            return  # noise, or the last words of a worker that was killed in the middle of them
        message: dict[str, Any] = json.loads(line.removeprefix(MARK))
        if message["event"] == "epoch":
            schedule.epoch(trial, message["epoch"], from_plain(dict[str, float], message["values"]))
        elif message["event"] == "progress":
            schedule.progress(trial, message["done"], message["total"], float(message["loss"]))
        else:
            worker.trial = None
            schedule.finished(from_plain(Record, message["record"], "worker"))

    def close(self) -> None:
        for worker in self._workers.values():
            worker.end()
        self._workers.clear()


def _pipe(pipe: IO[str] | None) -> IO[str]:
    if pipe is None:
        raise RuntimeError("the worker was started without pipes")
    return pipe
