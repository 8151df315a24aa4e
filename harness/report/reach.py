"""How many epochs it took to a score that the study names."""

from __future__ import annotations

import statistics

from ..contracts import Metric
from ..stats import quantity
from ..trial import Record, Trial
from . import numbers
from .analysis import Analysis, Arm
from .document import Block, Column, Entry, Line, Section, Table, Text
from .escaping import one_line
from .rows import group, head


def reached(analysis: Analysis) -> Section | None:
    """One table a score; None if the study asks for none."""
    metrics = {m.name: m for m in analysis.evidence.metrics}
    blocks: list[Block] = []
    for name, score in analysis.evidence.study.reach:
        metric = metrics.get(name)
        if metric is None:
            blocks.append(Text(f"Not shown: the task does not measure '{one_line(name)}'.", "muted"))
        else:
            blocks.append(_table(analysis, metric, score))
    return Section("reach", "Epochs until a stated score", tuple(blocks)) if blocks else None


def _table(analysis: Analysis, metric: Metric, score: float) -> Table:
    sizes = sorted({r.sizes["val"] for r in analysis.ok if "val" in r.sizes})
    split = f"the validation split ({' or '.join(f'{n:,}' for n in sizes)} items)" if sizes else "the validation split"
    goal = f"{'at least' if metric.better == 'higher' else 'at most'} {quantity(score, metric.unit)}"
    caption = (
        f"{metric.name} of {goal}: the first epoch after which it was measured on {split}, seed by seed."
        f" {metric.name}: {metric.definition}. Fewer epochs are faster; the test split plays no part."
    )
    columns = (
        Column("row", numeric=False),
        Column("reached", "finished trials"),
        Column("first epoch", "one number a trial, in the order of seeds", numeric=False),
        Column("median", "where all reached it"),
    )
    return Table(caption, columns, tuple(_line(arm, metric, score) for arm in analysis.arms))


def _line(arm: Arm, metric: Metric, score: float) -> Line:
    done = [(t, r) for t, r in arm.runs if r is not None and r.status == "ok"]
    found = [first(r, metric, score) for _, r in sorted(done, key=_order)]
    hits = [e for e in found if e is not None]
    epochs = max((len(r.curve) for _, r in done), default=0)
    listed = ", ".join(numbers.NONE if e is None else str(e) for e in found)
    measured = any(f"val/{metric.name}" in epoch for _, r in done for epoch in r.curve)
    if not measured:
        listed = "not measured" if done else numbers.NONE
    elif not hits:
        listed = f"not within {numbers.plural(epochs, 'epoch')}"
    entries = (
        head(arm, "baseline" if arm.cell.baseline else ""),
        Entry(f"{len(hits)} of {len(found)}"),
        Entry(listed),
        Entry(f"{statistics.median(hits):g}" if found and len(hits) == len(found) else numbers.NONE),
    )
    return Line(entries, group(arm))


def _order(run: tuple[Trial, Record]) -> tuple[int, int]:
    return run[0].config.seed, run[0].config.fold


def first(record: Record, metric: Metric, score: float) -> int | None:
    """The first epoch, counted from 1, whose validation value is as good as the score."""
    for epoch, values in enumerate(record.curve, 1):
        value = values.get(f"val/{metric.name}")
        if value is not None and (value >= score if metric.better == "higher" else value <= score):
            return epoch
    return None
