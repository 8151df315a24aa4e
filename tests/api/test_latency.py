"""When the latency of a study is measured again, and when it is not; the measurement itself is made up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from predict.stored import components, frames, store_trial

from harness import measure
from harness.latency import TRIES, measure_latency
from harness.store import Store


def row(batch: int, low: float = 1.0, high: float = 1.1, median: float = 1.05) -> dict[str, Any]:
    made = {"median_ms": median, "low_ms": low, "high_ms": high, "rounds": 9, "batch": batch, "device": "cpu"}
    return {"none": {**made, "definition": "made up", "memory": None}}


Go = Callable[[], Any]


@pytest.fixture
def go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`go(rows=…, batched=…)` measures with these answers, and gives the parts that were measured and the file."""
    registry, store = components(), Store(tmp_path)
    trial = store_trial(tmp_path, frames(), registry=registry).trial
    study: Any = SimpleNamespace(name="made", cells=(SimpleNamespace(key="none", trials=(trial,)),))

    def run(rows: Any = None, batched: Any = None) -> tuple[list[str], Any]:
        asked: list[str] = []

        def latency(models: Any, device: str, batch: Any = 1, *rest: Any) -> Any:
            part = "rows" if batch == 1 else "batched"
            asked.append(part)
            answer = {"rows": rows or row(1), "batched": batched or row(8)}[part]
            if isinstance(answer, Exception):
                raise answer
            return answer

        monkeypatch.setattr(measure, "latency", latency)
        measure_latency(study, store, registry, "cpu")
        return asked, store.latency("made")

    run.store = store  # type: ignore[attr-defined]
    return run


def test_what_was_measured_in_peace_is_not_measured_again(go: Any):
    assert go()[0] == ["rows", "batched"]
    assert go()[0] == []


def test_a_batch_too_large_for_the_memory_is_tried_a_few_times_and_batch_1_once(go: Any):
    full = MemoryError("no room")
    for number in range(1, TRIES + 1):
        with pytest.warns(RuntimeWarning, match=rf"training batch could not .* no room \(try {number} of {TRIES}\)"):
            asked, kept = go(batched=full)
        assert asked == (["rows", "batched"] if number == 1 else ["batched"])
        assert kept["batched"] == {}
        assert kept["failed"] == {"batched": "MemoryError: no room"}
    assert go(batched=full)[0] == []


def test_what_fails_with_one_item_is_not_tried_with_many_and_soon_given_up(go: Any):
    for _ in range(TRIES):
        with pytest.warns(RuntimeWarning, match="latency could not be measured"):
            assert go(rows=MemoryError("no room"))[0] == ["rows"]
    asked, kept = go()
    assert (asked, kept["rows"], kept["batched"]) == ([], {}, {})


def test_a_failure_that_passes_leaves_no_trace(go: Any):
    with pytest.warns(RuntimeWarning, match="latency could not be measured"):
        go(rows=MemoryError("no room"))
    asked, kept = go()
    assert asked == ["rows", "batched"]
    assert kept["failed"] == {}
    assert kept["rows"] == row(1)


def test_a_noisy_part_alone_is_repeated_at_most_so_often_and_the_calmest_is_kept(go: Any):
    assert go(rows=row(1, 1.0, 3.0))[0] == ["rows", "batched"]
    asked, kept = go(rows=row(1, 1.0, 2.0))
    assert (asked, kept["rows"]["none"]["high_ms"]) == (["rows"], 2.0)
    asked, kept = go(rows=row(1, 1.0, 9.0))
    assert (asked, kept["rows"]["none"]["high_ms"], kept["tries"]["rows"]) == (["rows"], 2.0, TRIES)
    assert go()[0] == []


def test_other_rows_are_counted_afresh(go: Any):
    for _ in range(TRIES):
        go(batched=row(8, 1.0, 9.0))
    store = go.store
    kept = store.latency("made")
    store.write_latency("made", {**kept, "signature": {**kept["signature"], "threads": -1}})
    asked, kept = go()
    assert (asked, kept["tries"]) == (["rows", "batched"], {"rows": 1, "batched": 1})


@pytest.mark.parametrize(("batched", "expected"), [(row(8), []), ({}, ["batched"]), (row(8, 1.0, 9.0), ["batched"])])
def test_a_file_of_an_earlier_version_is_read(go: Any, batched: Any, expected: list[str]):
    _, kept = go()
    go.store.write_latency("made", {"signature": kept["signature"], "rows": kept["rows"], "batched": batched})
    asked, kept = go()
    assert asked == expected
    assert kept["batched"] == row(8)
