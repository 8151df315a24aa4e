"""Every comparison with the baseline in detail: over seeds, and over the items of the test split."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..errors import HarnessError
from ..stats import Difference, Resampled, hierarchical_bootstrap
from ..trial import Record
from . import numbers
from .analysis import Analysis, Arm
from .document import Block, Column, Entry, Line, Table, Text, Tone
from .rows import head, lined

DRAWS = 2000


def difference(d: Difference, unit: str, tone: Tone) -> Entry:
    return Entry(numbers.value(d.mean, unit, signed=True), numbers.span(d.low, d.high, unit, signed=True), tone)


def pairing(analysis: Analysis) -> tuple[Block, ...] | None:
    """The primary metric, how sure its difference is over items, and the other metrics; None without comparisons."""
    arms = [a for a in analysis.challengers if analysis.primary.name in a.differences]
    if not arms:
        return None
    unit = analysis.primary.unit
    shown = f" ({numbers.unit_of_difference(unit)})" if unit else ""
    redrawn = over_items(analysis)
    columns = (
        Column("row", numeric=False),
        Column("pairs"),
        Column(f"difference{shown}", "row − baseline; paired 95 % t-interval"),
        Column(f"sd{shown}", "of the differences"),
        Column("Welch", "95 % interval without pairing"),
        *([Column(_what(redrawn), "95 % bootstrap interval")] if redrawn else []),
        Column("correlation", "of the pairs; from 3"),
        Column("effect", "mean / sd of differences"),
        Column("P(row > baseline)", "over pairs"),
        Column("p", "paired t-test; from 5 pairs"),
        Column("p, Holm", "from 5 pairs"),
        Column("p, sign-flip", "from 8 pairs"),
    )
    lines = tuple(_pair(arm, arm.differences[analysis.primary.name], unit, redrawn) for arm in arms)
    blocks: list[Block] = [Table(f"{analysis.primary.name}: every comparison with the baseline.", columns, lines)]
    if redrawn:
        blocks.append(Text(_told(redrawn), "muted"))
    if analysis.others:
        blocks.append(_others(analysis, arms))
    return tuple(blocks)


def _pair(arm: Arm, d: Difference, unit: str, redrawn: Mapping[str, Resampled]) -> Line:
    tested = d.n >= 5  # fewer pairs get an interval and no p, as in the verdicts
    welch = numbers.span(*d.welch, unit, signed=True) if d.welch is not None else numbers.NONE
    found = redrawn.get(arm.cell.key)
    items = Entry(numbers.NONE)
    if found is not None:
        mean = numbers.value(found.mean, unit, signed=True)
        items = Entry(mean, numbers.span(found.low, found.high, unit, signed=True))
    return lined(
        arm,
        Entry(f"{d.n}"),
        difference(d, unit, ""),
        Entry(numbers.spread(d.sd, unit)),
        Entry(welch),
        *([items] if redrawn else []),
        Entry(numbers.value(d.correlation, "")),
        Entry(numbers.value(d.d, "", signed=True)),
        Entry(numbers.value(d.improvement, "")),
        Entry(numbers.value(d.p if tested else None, "")),
        Entry(numbers.value(arm.adjusted_p if tested else None, "")),
        Entry(numbers.value(d.sign_flip, "")),
    )


def _others(analysis: Analysis, arms: list[Arm]) -> Table:
    heads = [
        Column(
            f"{m.name} ({numbers.unit_of_difference(m.unit)})" if m.unit else m.name,
            f"{numbers.direction(m)}; 95 % interval",
        )
        for m in analysis.others
    ]
    rows = tuple(
        Line((head(a), *(difference(a.differences[m.name], m.unit, "") for m in analysis.others))) for a in arms
    )
    caption = "Other metrics: paired differences to the baseline. They are read beside the primary one, not judged."
    return Table(caption, (Column("row", numeric=False), *heads), rows)


def over_items(analysis: Analysis) -> dict[str, Resampled]:
    """Cell's key -> the bootstrap of the primary metric's difference, where both rows stored it for equal items."""
    baseline = analysis.baseline
    if baseline is None:
        return {}
    name = analysis.primary.name
    arms = [a for a in analysis.challengers if name in a.differences]
    reference = _by_seed(analysis, baseline, name) if arms else {}
    found = {}
    for arm in arms if reference else ():
        own = _by_seed(analysis, arm, name)
        seeds = [s for s in own if s in reference and own[s].keys() == reference[s].keys()]
        # Folds that are drawn may test other items under another seed; what is redrawn must be the same in all.
        seeds = [s for s in seeds if own[s].keys() == own[seeds[0]].keys()]
        if not seeds:
            continue
        keys = list(own[seeds[0]])
        a, b = (np.array([[row[s][k] for k in keys] for s in seeds], np.float64) for row in (own, reference))
        if np.isfinite(a).all() and np.isfinite(b).all():
            found[arm.cell.key] = hierarchical_bootstrap(a, b, analysis.evidence.resample, draws=DRAWS)
    return found


def _by_seed(analysis: Analysis, arm: Arm, name: str) -> dict[int, dict[str, float]]:
    """Seed -> item -> value, of seeds whose trials have all stored it.

    An item that several folds test counts once, with its mean: folds are no replicates of it.
    """
    runs: dict[int, list[Record | None]] = {}
    for trial, record in arm.runs:
        runs.setdefault(trial.config.seed, []).append(record)
    found = {}
    for seed, records in runs.items():
        parts = [_values(analysis, r, name) for r in records if r is not None and r.status == "ok"]
        if len(parts) == len(records) and all(parts):
            tested: dict[str, list[float]] = {}
            for part in parts:
                for item, value in part.items():
                    tested.setdefault(item, []).append(value)
            found[seed] = {item: sum(values) / len(values) for item, values in tested.items()}
    return found


def _values(analysis: Analysis, record: Record, name: str) -> dict[str, float]:
    try:
        items = analysis.evidence.items(record.id)
    except HarnessError:  # a damaged file costs a column, not the report
        return {}
    if items is None or name not in items.values:
        return {}
    values = np.asarray(items.values[name])
    if values.shape != (len(items.ids),) or values.dtype.kind not in "fiub" or len(set(items.ids)) != len(items.ids):
        return {}
    return {i: float(v) for i, v in zip(items.ids, values, strict=True)}


def _what(redrawn: Mapping[str, Resampled]) -> str:
    both = any(r.resample == "item+seed" for r in redrawn.values())
    return "over items and seeds" if both else "over items"


def _told(redrawn: Mapping[str, Resampled]) -> str:
    methods = "; ".join(dict.fromkeys(r.method for r in redrawn.values()))
    return (
        f"{_what(redrawn).capitalize()}: mean difference of single test items, {methods}. It says how much the"
        " difference hangs on which items the test split happens to have; with few seeds it is too narrow for new ones,"
        " and no verdict rests on it."
    )
