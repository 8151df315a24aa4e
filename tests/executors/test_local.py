"""Trials in this process and in worker processes: events, failures, deaths, locks."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from engine.trials import STAGE, recipe, registry, trial

from harness.executors import Settings, local
from harness.store import Store
from harness.trial import Choice, Record, Trial


class Heard:
    """A listener that keeps what it hears, and may act on it."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.records: list[Record] = []

    def started(self, trial: Trial) -> None:
        self.events.append(f"start {trial.config.seed}")

    def progress(self, trial: Trial, done: int, total: int, loss: float) -> None:
        assert 0 < done <= total

    def epoch(self, trial: Trial, epoch: int, values: Mapping[str, float]) -> None:
        self.events.append(f"epoch {epoch} of {trial.config.seed}")

    def finished(self, record: Record) -> None:
        self.events.append(f"end {record.trial.config.seed}")
        self.records.append(record)

    def measuring(self, trial: Trial, done: int, total: int) -> None:
        self.events.append(f"measuring {done} of {total}")


def short(seed: int, **changes: object) -> Trial:
    return trial(seed=seed, train=recipe(stages=(replace(STAGE, epochs=1),)), **changes)


def settings(root: Path, workers: int, **changes: object) -> Settings:
    base = Settings(root, root / "data", workers=workers, third_party=False)
    return replace(base, **changes)


@pytest.mark.parametrize("workers", [1, 2])
def test_every_trial_ends_with_a_stored_record_and_its_events_come_back(tmp_path: Path, workers: int):
    trials, heard, store = [short(0), short(1), short(2)], Heard(), Store(tmp_path)
    local.run(trials, store, registry(), settings(tmp_path, workers), heard)
    assert sorted(r.trial.config.seed for r in heard.records) == [0, 1, 2]
    for one in trials:
        record = store.record(one.id)
        assert record is not None
        assert record.status == "ok", record.reason
        seed = one.config.seed
        order = [heard.events.index(f"{what} {seed}") for what in ("start", "epoch 1 of", "end")]
        assert order == sorted(order)


def test_one_process_and_two_give_the_same_numbers(tmp_path: Path):
    for workers in (1, 2):
        local.run(
            [short(0), short(1)],
            Store(tmp_path / str(workers)),
            registry(),
            settings(tmp_path / str(workers), workers),
            Heard(),
        )
    for one in (short(0), short(1)):
        alone, pooled = (Store(tmp_path / str(w)).record(one.id) for w in (1, 2))
        assert alone is not None
        assert pooled is not None
        assert alone.metrics == pooled.metrics


@pytest.mark.parametrize("workers", [1, 2])
def test_a_failing_trial_stops_no_other(tmp_path: Path, workers: int):
    bad = short(0, dataset=Choice("cifar10"))
    heard = Heard()
    local.run([bad, short(1)], Store(tmp_path), registry(), settings(tmp_path, workers), heard)
    status = {r.trial.config.seed: r for r in heard.records}
    assert status[0].status == "failed"
    assert "harness data fetch cifar10" in status[0].reason
    assert status[1].status == "ok"


@pytest.mark.parametrize("workers", [1, 2])
def test_fail_fast_starts_nothing_more(tmp_path: Path, workers: int):
    bad = short(0, dataset=Choice("cifar10"))
    trials, heard = [bad, *(short(i) for i in range(1, 6))], Heard()
    local.run(trials, Store(tmp_path), registry(), settings(tmp_path, workers, fail_fast=True), heard)
    assert heard.records[-1].status == "failed"
    assert len(heard.records) < 6


def test_a_worker_that_is_killed_fails_its_trial_alone_and_is_replaced(tmp_path: Path):
    class Killer(Heard):
        def epoch(self, trial: Trial, epoch: int, values: Mapping[str, float]) -> None:
            super().epoch(trial, epoch, values)
            if trial.config.seed == 0:
                for child in Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split():
                    command = Path(f"/proc/{child}/cmdline").read_bytes()
                    if b"harness.executors.worker" in command and first == [trial.id]:
                        os.kill(int(child), signal.SIGKILL)
                        return

        def started(self, trial: Trial) -> None:
            super().started(trial)
            first.append(trial.id)

        def finished(self, record: Record) -> None:
            super().finished(record)
            first.clear()

    first: list[str] = []
    long = trial(seed=0, train=recipe(stages=(replace(STAGE, epochs=50),)))
    heard, store = Killer(), Store(tmp_path)
    pool_of_one = settings(tmp_path, 2)
    local.run([long], store, registry(), pool_of_one, heard)
    (record,) = heard.records
    assert record.status == "failed"
    assert "killed by signal 9 (out of memory?)" in record.reason
    local.run([short(1)], store, registry(), pool_of_one, heard)
    assert heard.records[-1].status == "ok"


def test_a_trial_that_another_process_trains_is_waited_for_and_not_trained_twice(tmp_path: Path):
    one, store, heard = short(0), Store(tmp_path), Heard()
    done = Record(one.id, "ok", one, metrics={"top1": 0.5})

    def other_process() -> None:
        with Store(tmp_path).lock(one.id) as mine:
            assert mine
            locked.set()
            time.sleep(0.5)
            store.write_record(done)

    locked = threading.Event()
    thread = threading.Thread(target=other_process)
    thread.start()
    locked.wait()
    local.run([one], store, registry(), settings(tmp_path, 1), heard)
    thread.join()
    assert heard.records == [done]
    assert heard.events == ["end 0"]


def test_a_good_record_of_another_process_is_never_taken_away(tmp_path: Path):
    one, store, heard = short(0), Store(tmp_path), Heard()
    done = Record(one.id, "ok", one, metrics={"top1": 0.5})
    store.write_record(done)
    local.run([one], store, registry(), settings(tmp_path, 1, retry_failed=True), heard)
    assert store.record(one.id) == done
    assert heard.events == ["end 0"]


def test_a_failed_record_stays_until_the_trial_has_run_again(tmp_path: Path):
    one, store = short(0), Store(tmp_path)
    store.write_record(Record(one.id, "failed", one, reason="earlier"))

    class Looking(Heard):
        def epoch(self, trial: Trial, epoch: int, values: Mapping[str, float]) -> None:
            record = store.record(one.id)
            assert record is not None
            self.events.append(record.reason)

    heard = Looking()
    local.run([one], store, registry(), settings(tmp_path, 1, retry_failed=True), heard)
    assert "earlier" in heard.events
    record = store.record(one.id)
    assert record is not None
    assert record.status == "ok"


def test_what_a_component_prints_does_not_break_the_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "sitecustomize.py").write_text("import builtins\nprint('noise on standard output')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    heard = Heard()
    local.run([short(0)], Store(tmp_path / "runs"), registry(), settings(tmp_path / "runs", 2), heard)
    assert heard.records[0].status == "ok"
