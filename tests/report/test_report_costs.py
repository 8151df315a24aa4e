"""The table of costs, from made-up trials."""

from __future__ import annotations

import dataclasses

import pytest
from report.evidence import make_evidence

from harness.report import Evidence
from harness.report.analysis import analyse
from harness.report.costs import breakdown, costs
from harness.report.document import Table, Text
from harness.report.frames import comparison_frame


def with_batches(memory: float | None = None, batches: tuple[int, int] = (128, 128)) -> Evidence:
    evidence = make_evidence(("none", "se"), epochs=1)
    batched = {
        key: dataclasses.replace(t, median_ms=64.0, low_ms=60.0, high_ms=70.0, rounds=5, batch=b, memory=memory)
        for (key, t), b in zip(evidence.latency.items(), batches, strict=True)
    }
    return dataclasses.replace(evidence, batched=batched)


def content(evidence: Evidence) -> tuple[Table, str]:
    section = costs(analyse(evidence))
    assert section is not None
    table, *told = section.blocks
    assert isinstance(table, Table)
    return table, " ".join(t.text for t in told if isinstance(t, Text))


def test_throughput_is_the_batch_over_its_median_latency():
    table, told = content(with_batches())
    throughput = [c.label for c in table.columns].index("throughput")
    assert [line.entries[throughput].text for line in table.lines] == ["2,000", "2,000"]
    assert "batch 128, ms; quartiles" in [c.sub for c in table.columns]
    assert "5 rounds on cpu" in told
    assert "Memory of inference is measured on CUDA alone" in told
    assert comparison_frame(analyse(with_batches()))["throughput"].tolist() == [2000.0, 2000.0]


def test_rows_with_other_batches_and_with_memory_say_so():
    table, told = content(with_batches(memory=2.0**30, batches=(64, 128)))
    assert "each row's batch" in [c.sub for c in table.columns]
    assert [line.entries[-1].text for line in table.lines] == ["1.00 GiB", "1.00 GiB"]
    assert "other rows' models are not counted" in told


def test_a_store_of_before_reports_without_the_training_batch():
    table, told = content(make_evidence(("none", "se"), epochs=1))
    assert "throughput" not in [c.label for c in table.columns]
    assert "The training batch was not measured" in told


@pytest.mark.parametrize(
    ("parts", "sites", "expected"),
    [
        ({"backbone": 95.0, "backbone.layer1": 60.0, "head": 5.0}, ("layer1.0",), (85.0, 10.0, 5.0)),
        ({"backbone": 70.0, "backbone.layer4": 60.0, "head": 30.0}, ("encoder",), (70.0, 10.0, 20.0)),
        ({"head": 100.0}, ("encoder.0",), (0.0, 10.0, 90.0)),
        ({}, ("layer1.0",), (None, 10.0, None)),
    ],
)
def test_the_parts_of_a_model_add_up_wherever_attention_sits(
    parts: dict[str, float], sites: tuple[str, ...], expected: tuple[float | None, ...]
):
    evidence = make_evidence(("none", "se"), epochs=1)
    cost = {"parameters": 100.0, "attention_parameters": 10.0}
    records = {k: dataclasses.replace(r, cost=cost, parts=parts, sites=sites) for k, r in evidence.records.items()}
    assert breakdown(analyse(dataclasses.replace(evidence, records=records)).arms[1]) == expected
