"""Each claim against the records of the study."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from ..contracts import Metric
from ..stats import Difference, Interval, mean_interval, paired_difference, quantity
from ..stats.wording import between
from ..trial import Cell, Claim, Record, Study
from .exclusions import Identities, find_clashes, row_name
from .numbers import Reported, counted, read, seed_values, unfinished
from .settings import Defaults, Where, find_cell
from .timing import LATENCY, Timing, timed

VerdictWord: TypeAlias = Literal["reproduced", "contradicted", "inconclusive", "not comparable", "impossible"]


@dataclass(frozen=True, slots=True)
class Judgement:
    """A claim, the verdict on it, and the sentence that gives the numbers.

    reproduced: the interval lies wholly within reported ± tolerance. contradicted: wholly outside. inconclusive: across
    the edge, or one seed. not comparable: the study has no such row, or no result for it. impossible: it excludes
    another claim, breaks an identity of the task, or differs from a number that was counted.
    """

    claim: Claim
    verdict: VerdictWord
    sentence: str
    measured: Interval | None = None
    difference: Difference | None = None


@dataclass(frozen=True, slots=True)
class _Audit:
    study: Study
    records: Mapping[str, Record]
    metrics: Mapping[str, Metric]
    defaults: Defaults | None
    disowned: Mapping[str, str]
    timings: Mapping[str, Timing]

    def row(self, where: Where) -> str:
        """Two descriptions of one row of the study are the same, however many settings they name."""
        cell = find_cell(self.study, where, self.defaults)
        return f"row {cell.key}" if isinstance(cell, Cell) else row_name(where)


def judge(
    study: Study,
    records: Mapping[str, Record],
    metrics: Mapping[str, Metric],
    identities: Identities,
    defaults: Defaults | None = None,
    remarks: Identities | None = None,
    disowned: Mapping[str, str] | None = None,
    timings: Mapping[str, Timing] | None = None,
) -> tuple[Judgement, ...]:
    """Judge every claim of a study, in order.

    records: by trial id. metrics: by name, costs included. identities: the task's; it is given the numbers that one
    publication claims for one row, in the units of records; remarks: likewise, for what is possible.
    defaults: (kind, name) -> options that a grid left out. disowned: key of a row that is not ranked with the others ->
    why, without a full stop; a number of it is judged, and the sentence ends with that. timings: by the row's key.
    """
    metrics = {**metrics, LATENCY.name: LATENCY}
    audit = _Audit(study, records, metrics, defaults, disowned or {}, timings or {})
    clashes = find_clashes(study.claims, metrics, identities, audit.row, remarks)
    judged = []
    for i, claim in enumerate(study.claims):
        judgement = _measured(audit, claim)
        if i in clashes.impossible:
            reasons = " ".join(dict.fromkeys(clashes.impossible[i]))
            judgement = replace(judgement, verdict="impossible", sentence=f"{reasons} {judgement.sentence}")
        elif i in clashes.noted:
            notes = " ".join(dict.fromkeys(clashes.noted[i]))
            judgement = replace(judgement, sentence=f"{judgement.sentence} {notes}")
        judged.append(_ended(audit, judgement))
    return tuple(judged)


def _ended(audit: _Audit, judgement: Judgement) -> Judgement:
    """With the reason why its row is not ranked, if so."""
    if judgement.claim.difference or judgement.claim.order:
        return judgement
    cell = find_cell(audit.study, judgement.claim.where, audit.defaults)
    if isinstance(cell, str) or cell.key not in audit.disowned:
        return judgement
    return replace(judgement, sentence=f"{judgement.sentence} But {audit.disowned[cell.key]}.")


def _measured(audit: _Audit, claim: Claim) -> Judgement:
    metric = audit.metrics.get(claim.metric)
    if metric is None:
        known = ", ".join(audit.metrics) or "none"
        return Judgement(claim, "not comparable", f"The study does not measure '{claim.metric}'; it has {known}.")
    number = None if claim.order else read(claim, metric)
    if isinstance(number, str):
        return Judgement(claim, "not comparable", number)
    cells = []
    for where in claim.difference or claim.order or (claim.where,):
        cell = find_cell(audit.study, where, audit.defaults)
        if isinstance(cell, str):
            return Judgement(claim, "not comparable", cell)
        if metric is not LATENCY and not any(_done(audit, cell, metric)):
            return Judgement(claim, "not comparable", unfinished(cell, audit.records, metric))
        cells.append(cell)
    if metric is LATENCY:
        return Judgement(claim, "not comparable", timed(cells, audit.timings, number))
    if number is not None and not claim.difference:
        return _absolute(audit, claim, metric, cells[0], number)
    if len(cells) != 2 or cells[0].key == cells[1].key:
        return Judgement(claim, "not comparable", f"Both sides of the claim are the row '{cells[0].label}'.")
    reasons = [audit.disowned[c.key] for c in cells if c.key in audit.disowned]
    if reasons:
        return Judgement(
            claim, "not comparable", f"No difference to a row that failed an audit is taken: {'; '.join(reasons)}."
        )
    return _compared(audit, claim, metric, cells[0], cells[1], number)


def _done(audit: _Audit, cell: Cell, metric: Metric) -> tuple[bool, bool]:
    values = seed_values(cell, audit.records, metric.name)
    return bool(values), counted(cell, audit.records, metric.name) is not None


def _absolute(audit: _Audit, claim: Claim, metric: Metric, cell: Cell, number: Reported) -> Judgement:
    exact = counted(cell, audit.records, metric.name)
    measured = mean_interval(list(seed_values(cell, audit.records, metric.name).values()))
    if exact is not None:
        counts = (
            f"Reported {number.text}; counted in '{cell.label}' ({_identity(cell)}): {quantity(exact, metric.unit)}"
        )
        if number.holds(exact, exact):
            return Judgement(claim, "reproduced", f"{counts}, which agrees.", measured)
        return Judgement(
            claim, "impossible", f"{counts}. The count is exact, so the number is not this row's.", measured
        )
    lead = f"Reported {number.text}; measured in '{cell.label}': {quantity(measured.mean or 0.0, metric.unit)}"
    if measured.low is None or measured.high is None:
        return Judgement(claim, "inconclusive", f"{lead}, {_no_interval(measured.n, 'seed')}.", measured)
    span = between(measured.low, measured.high, metric.unit)
    lead = f"{lead} (95 % t-interval {span}, n = {measured.n} seeds)"
    word, reason = _word(number.holds(measured.low, measured.high))
    return Judgement(claim, word, f"{lead}; {reason}.", measured)


def _identity(cell: Cell) -> str:
    """Model, attention and data: what a count belongs to."""
    config = cell.trials[0].config
    return f"model {config.model.label()}, attention {config.attention.label()}, dataset {config.dataset.label()}"


def _no_interval(n: int, what: str) -> str:
    if n == 1:
        return f"from one {what}, which gives no interval"
    return f"the same in all {n} {what}s, so their spread is unknown and there is no interval"


def _word(holds: bool | None) -> tuple[VerdictWord, str]:
    if holds is None:
        return "inconclusive", "the interval reaches across the edge of the tolerance"
    if holds:
        return "reproduced", "the interval lies wholly within the tolerance"
    return "contradicted", "the interval lies wholly outside the tolerance"


def _compared(audit: _Audit, claim: Claim, metric: Metric, a: Cell, b: Cell, number: Reported | None) -> Judgement:
    relative = number is not None and number.relative
    unit = "relative %" if relative else metric.unit
    lead = _lead(claim, metric, a, b, number)
    exact = counted(a, audit.records, metric.name), counted(b, audit.records, metric.name)
    left, right = (seed_values(c, audit.records, metric.name) for c in (a, b))
    if relative and not (all(right.values()) and exact[1] != 0):
        return Judgement(claim, "not comparable", f"{lead} '{b.label}' has a value of 0, so nothing is relative to it.")
    difference = _difference(left, right, relative)
    if exact[0] is not None and exact[1] is not None:
        gap = exact[0] / exact[1] - 1 if relative else exact[0] - exact[1]
        sides = f"{quantity(exact[0], metric.unit)} against {quantity(exact[1], metric.unit)}"
        counts = f"{lead} Counted: {sides}, that is {quantity(gap, unit, signed=True, difference=True)}"
        if _agrees(gap, gap, metric, number):
            return Judgement(claim, "reproduced", f"{counts}, which agrees.", None, difference)
        return Judgement(
            claim, "impossible", f"{counts}. Counts are exact, so the claim cannot hold.", None, difference
        )
    if difference.mean is None:
        return Judgement(claim, "not comparable", f"{lead} No seed was finished in both rows.", None, difference)
    lead = f"{lead} Measured: {quantity(difference.mean, unit, signed=True, difference=True)}"
    if difference.low is None or difference.high is None:
        return Judgement(claim, "inconclusive", f"{lead}, {_no_interval(difference.n, 'pair')}.", None, difference)
    span = between(difference.low, difference.high, unit, signed=True, difference=True)
    lead = f"{lead} (95 % t-interval {span}, n = {difference.n} pairs)"
    holds = _agrees(difference.low, difference.high, metric, number)
    word, reason = _order_word(holds) if number is None else _word(holds)
    return Judgement(claim, word, f"{lead}; {reason}.", None, difference)


def _lead(claim: Claim, metric: Metric, a: Cell, b: Cell, number: Reported | None) -> str:
    if number is None:
        return f"Claimed: '{a.label}' beats '{b.label}' in {metric.name} ({metric.better} is better)."
    return f"Reported for '{a.label}' minus '{b.label}': {number.text}."


def _difference(left: Mapping[int, float], right: Mapping[int, float], relative: bool) -> Difference:
    if not relative:
        return paired_difference(left, right)
    ratios = {seed: left[seed] / right[seed] - 1 for seed in left if seed in right}
    # A ratio has one value a seed already, so there is nothing left that could go unpaired.
    return replace(paired_difference(ratios, dict.fromkeys(ratios, 0.0)), welch=None, correlation=None)


def _agrees(low: float, high: float, metric: Metric, number: Reported | None) -> bool | None:
    """A claimed number: does the tolerance hold the interval? An order: is it wholly on the claimed side of 0?"""
    if number is not None:
        return number.holds(low, high)
    if metric.better == "lower":
        low, high = -high, -low
    if low > 0:
        return True
    return False if high < 0 or low == high == 0 else None


def _order_word(holds: bool | None) -> tuple[VerdictWord, str]:
    if holds is None:
        return "inconclusive", "the interval contains 0"
    if holds:
        return "reproduced", "the interval lies wholly on the claimed side of 0"
    return "contradicted", "the interval lies wholly on the other side of 0"
