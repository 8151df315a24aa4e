"""The tables that the study was run for: the primary metric with its costs, and the other metrics."""

from __future__ import annotations

from ..contracts import Metric
from ..stats import Interval
from . import numbers
from .analysis import COSTS, Analysis, Arm
from .audited import all_passed
from .document import Block, Column, Entry, Fold, Line, Section, Table, Text, Tone
from .escaping import one_line
from .pairing import difference, pairing
from .rows import NOT_RANKED, group, head

_DASH = Entry(numbers.NONE, tone="muted")
_TONES: dict[str, Tone] = {"better": "better", "worse": "worse"}


def comparison(analysis: Analysis) -> Section:
    """The table that the study was run for."""
    blocks: list[Block] = [main_table(analysis), *(Text(s, "muted") for s in notes(analysis))]
    if analysis.others:
        blocks.append(other_metrics(analysis))
    details = pairing(analysis)
    if details is not None:
        blocks.append(Fold("Details of every comparison with the baseline", details))
    return Section("comparison", "Comparison", tuple(blocks))


def main_table(analysis: Analysis) -> Table:
    """One row a cell, those that failed an audit below the others, then the predictors that need no training."""
    m, unit = analysis.primary, analysis.primary.unit
    columns = [
        Column("row", numeric=False),
        Column("n", "seeds"),
        Column(numbers.head(m), f"mean, 95 % interval; {numbers.direction(m)}"),
        Column("sd", unit),
    ]
    if analysis.baseline is not None:
        shown = numbers.unit_of_difference(unit)
        columns += [
            Column(f"difference{f' ({shown})' if shown else ''}", "to the baseline, 95 % interval"),
            Column("verdict", numeric=False),
        ]
    columns.append(Column("parameters", "share of attention"))
    columns.append(Column("MACs", "an item"))
    costs = _cost_columns(analysis)
    columns += [column for column, _ in costs]
    lines = [_line(analysis, arm, costs) for arm in analysis.arms]
    for name, value in floors(analysis, m):
        entries = [Entry(name, _untrained(analysis, name)), _DASH, Entry(value)]
        lines.append(Line((*entries, *[_DASH] * (len(columns) - 3)), "floor"))
    caption = f"{m.name} on the test split: {m.definition}."
    if analysis.unranked:
        caption += " Rows that failed an audit stand below the others and are not ranked with them."
    return Table(caption, tuple(columns), tuple(lines))


def _cost_columns(analysis: Analysis) -> list[tuple[Column, str]]:
    latency = next((a.latency for a in analysis.arms if a.latency is not None), None)
    costs = []
    if latency is not None:
        costs.append((Column("latency", f"batch {latency.batch}, ms; quartiles"), "latency"))
    if any(a.intervals["seconds"].n for a in analysis.arms):
        costs.append((Column("training time", "mean ± sd over seeds"), "seconds"))
    if any(a.peak_memory is not None for a in analysis.arms):
        costs.append((Column("peak memory", "highest of the seeds"), "peak_memory"))
    return costs


def _line(analysis: Analysis, arm: Arm, costs: list[tuple[Column, str]]) -> Line:
    unit = analysis.primary.unit
    i = arm.intervals[analysis.primary.name]
    is_baseline = arm is analysis.baseline
    word: Tone = _TONES.get(arm.verdict.word, "") if arm.verdict is not None else ""
    entries = [
        head(arm, "baseline" if arm.cell.baseline else "", word),
        Entry(f"{i.n}", f"of {arm.seeds}" if i.n != arm.seeds else ""),
        Entry(numbers.value(i.mean, unit), numbers.span(i.low, i.high, unit) if i.mean is not None else ""),
        Entry(numbers.spread(i.sd, unit)),
    ]
    if analysis.baseline is not None:
        d = arm.differences.get(analysis.primary.name)
        entries.append(_DASH if d is None else difference(d, unit, word))
        state = "baseline" if is_baseline else numbers.NONE if arm.ranked else NOT_RANKED
        entries.append(Entry(arm.verdict.word if arm.verdict is not None else state, tone=word or "muted"))
    share = arm.attention_share
    attention = "" if share is None else "none" if share == 0 else f"{100 * share:.2f} %"
    entries.append(Entry(numbers.counted(arm.parameters), attention))
    entries.append(Entry(numbers.large(arm.macs)))
    entries += [_cost(arm, key) for _, key in costs]
    return Line(tuple(entries), group(arm))


def _cost(arm: Arm, key: str) -> Entry:
    if key == "latency":
        if arm.latency is None:
            return _DASH
        return Entry(f"{arm.latency.median_ms:.3g}", f"{arm.latency.low_ms:.3g} to {arm.latency.high_ms:.3g}")
    if key == "seconds":
        i = arm.intervals["seconds"]
        return Entry(numbers.duration(i.mean), f"± {numbers.duration(i.sd)}" if i.sd is not None else "")
    return Entry(numbers.memory(arm.peak_memory))


def floors(analysis: Analysis, metric: Metric) -> list[tuple[str, str]]:
    """(predictor, value) of all that needs no training; a range where rows were tested on different data."""
    rows = []
    for name, seen in analysis.floors(metric.name).items():
        low, high = numbers.value(min(seen), metric.unit), numbers.value(max(seen), metric.unit)
        rows.append((name, low if low == high else f"{low} to {high}"))
    return rows


def _untrained(analysis: Analysis, name: str) -> str:
    return "no training; knows answers" if name in analysis.evidence.ceilings else "no training"


def notes(analysis: Analysis) -> tuple[str, ...]:
    """What the columns mean, and which split chose the checkpoint."""
    chosen = list(dict.fromkeys(one_line(r.chosen_by) for r in analysis.ok if r.chosen_by))
    found = [f"The tested checkpoint: {'; '.join(chosen[:4])}{'; …' if len(chosen) > 4 else ''}."] if chosen else []
    found.append(
        "Intervals are Student's t over seeds (95 %); differences are paired by seed. One seed, or seeds that all"
        " agree, give no interval (–). Only rows judged better or worse are coloured."
    )
    found.extend(all_passed(analysis))
    if any(a.latency is not None for a in analysis.arms):
        measured = dict.fromkeys(
            f"{one_line(a.latency.definition)} ({a.latency.rounds} rounds on {one_line(a.latency.device)})"
            for a in analysis.arms
            if a.latency is not None
        )
        found.append(f"Latency, in ms, lower is better: {'; '.join(measured)}.")
    else:
        found.append("Latency was not measured.")
    costs = {m.name: m.definition for m in COSTS}
    found.append(
        f"Lower is better for all costs. Parameters: {costs['parameters']}. MACs: {costs['macs']}."
        f" Training time: {costs['seconds']}. Peak memory: "
        + (costs["peak_memory"] if any(a.peak_memory for a in analysis.arms) else "not recorded on this device")
        + "."
    )
    said = dict.fromkeys(one_line(n).rstrip(".") for r in analysis.ok for n in r.notes)
    found.extend(f"Note: {n}." for n in said)
    return tuple(found)


def other_metrics(analysis: Analysis) -> Table:
    """Mean ± standard deviation and interval; defined in the heads."""
    columns = [Column("row", numeric=False), Column("n", "seeds")]
    columns += [Column(numbers.head(m), f"{numbers.direction(m)}; {m.definition}") for m in analysis.others]
    lines = []
    for arm in analysis.arms:
        n = max((arm.intervals[m.name].n for m in analysis.others), default=0)
        entries = [head(arm, "baseline" if arm.cell.baseline else ""), Entry(f"{n}")]
        entries += [_mean(arm.intervals[m.name], m.unit) for m in analysis.others]
        lines.append(Line(tuple(entries), group(arm)))
    values = {m.name: dict(floors(analysis, m)) for m in analysis.others}
    for name in dict.fromkeys(n for found in values.values() for n in found):
        entries = [Entry(name, _untrained(analysis, name)), _DASH]
        entries += [Entry(values[m.name].get(name, numbers.NONE)) for m in analysis.others]
        lines.append(Line(tuple(entries), "floor"))
    return Table(
        "Other metrics on the test split: mean ± standard deviation over seeds, and the 95 % t-interval of the mean.",
        tuple(columns),
        tuple(lines),
    )


def _mean(interval: Interval, unit: str) -> Entry:
    sub = numbers.span(interval.low, interval.high, unit) if interval.low is not None else ""
    return Entry(numbers.mean_sd(interval, unit), sub)
