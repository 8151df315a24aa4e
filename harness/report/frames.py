"""The comparison and every raw value as data frames and CSV; metrics in % are fractions here, as in records."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

import pandas as pd

from ..trial import Cell, Record, Trial, format_value
from .analysis import COSTS, Analysis, Arm, stage_costs
from .escaping import csv_text
from .evidence import Evidence
from .rows import NOT_RANKED

_RECORD = ("cell", "row", "trial", "seed", "fold", "status", "reason", "what", "name", "unit", "better", "value")


def comparison_frame(analysis: Analysis) -> pd.DataFrame:
    """One row a cell, indexed by its key; `<metric>_difference` is row - baseline, empty where there is none."""
    rows = [_comparison_row(analysis, arm) for arm in analysis.arms]
    frame = pd.DataFrame(rows, index=pd.Index([a.cell.key for a in analysis.arms], name="cell"))
    return frame.infer_objects()


def _comparison_row(analysis: Analysis, arm: Arm) -> dict[str, object]:
    nan = float("nan")
    row: dict[str, object] = {"row": arm.label, "baseline": arm.cell.baseline}
    row |= {key: format_value(value) for key, value in arm.cell.settings}
    state = "" if arm.ranked else NOT_RANKED
    row |= {"n": arm.intervals[analysis.primary.name].n, "verdict": arm.verdict.word if arm.verdict else state}
    row |= {"marks": "; ".join(arm.marks)}
    for metric in (analysis.primary, *analysis.others):
        i, d = arm.intervals[metric.name], arm.differences.get(metric.name)
        numbers = {"mean": i.mean, "sd": i.sd, "low": i.low, "high": i.high}
        numbers |= {"difference": d.mean, "difference_low": d.low, "difference_high": d.high} if d else {}
        keys = ("mean", "sd", "low", "high", "difference", "difference_low", "difference_high")
        row |= {f"{metric.name}_{key}": nan if numbers.get(key) is None else numbers[key] for key in keys}
    latency, batched = arm.latency, arm.batched
    seconds = arm.intervals["seconds"]
    costs = {
        "parameters": arm.parameters,
        "attention_parameters": arm.attention_parameters,
        "attention_share": arm.attention_share,
        "macs": arm.macs,
        "latency_ms": latency.median_ms if latency else None,
        "latency_low_ms": latency.low_ms if latency else None,
        "latency_high_ms": latency.high_ms if latency else None,
        "batch": batched.batch if batched else None,
        "batch_latency_ms": batched.median_ms if batched else None,
        "batch_latency_low_ms": batched.low_ms if batched else None,
        "batch_latency_high_ms": batched.high_ms if batched else None,
        "throughput": batched.throughput if batched else None,
        "inference_memory_bytes": batched.memory if batched else None,
        "seconds_mean": seconds.mean,
        "seconds_sd": seconds.sd,
        "peak_memory_bytes": arm.peak_memory,
    }
    return row | {key: nan if value is None else value for key, value in costs.items()}


def table_csv(frame: pd.DataFrame) -> str:
    """Text cells are guarded against spreadsheets that compute."""
    return _csv(
        [["cell", *frame.columns], *([key, *row] for key, row in zip(frame.index, frame.to_numpy(), strict=True))]
    )


def records_csv(evidence: Evidence) -> str:
    """One line a value: test metrics, validation metrics and costs of every trial of every row."""
    return _csv([list(_RECORD), *_values(evidence)])


def _values(evidence: Evidence) -> Iterator[list[object]]:
    units = {
        m.name: (m.unit.replace("%", "fraction"), m.better)
        for m in (*evidence.metrics, *COSTS, *stage_costs(evidence.study))
    }
    for cell in evidence.study.cells:
        for trial in cell.trials:
            record = evidence.records.get(trial.id)
            head = _head(cell, trial, record)
            if record is None or record.status != "ok":
                yield [*head, "", "", "", "", ""]
                continue
            for what, values in (("test", record.metrics), ("validation", record.validation), ("cost", record.cost)):
                for name, value in values.items():
                    yield [*head, what, name, *units.get(name, ("", "")), value]


def _head(cell: Cell, trial: Trial, record: Record | None) -> list[object]:
    status, reason = (record.status, record.reason) if record is not None else ("not run", "")
    return [cell.key, cell.label, trial.id, trial.config.seed, trial.config.fold, status, reason]


def _csv(rows: list[list[object]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    for row in rows:
        writer.writerow([csv_text(cell) if isinstance(cell, str) else _blank(cell) for cell in row])
    return buffer.getvalue()


def _blank(cell: object) -> object:
    return "" if isinstance(cell, float) and cell != cell else cell
