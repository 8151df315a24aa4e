"""Reported numbers in the units of records, and what the records say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from ..contracts import Metric
from ..trial import TRAINABLE, Cell, Claim, Record

EXACT = ("parameters", "attention_parameters", "macs")
"""Costs that are counted, not measured: every seed has the same number, and a wrong one is impossible."""
_PREFIX = {"k": 1e3, "K": 1e3, "thousand": 1e3, "M": 1e6, "million": 1e6, "G": 1e9, "billion": 1e9}
_PARTS = {
    "ms": {"s": 1e3, "us": 1e-3},
    "s": {"ms": 1e-3, "min": 60.0, "h": 3600.0},
    "bytes": {"MB": 1e6, "GB": 1e9, "MiB": 2.0**20, "GiB": 2.0**30},
}


@dataclass(frozen=True, slots=True)
class Reported:
    """A claimed number in the unit of the records (a fraction for "%"), with its tolerance.

    `relative`: a difference as a fraction of the second arm's value. `unit` is for `quantity`; `text` is the number
    as it was published, with the tolerance and where that comes from.
    """

    value: float
    tolerance: float
    relative: bool
    unit: str
    text: str

    @property
    def low(self) -> float:
        return self.value - self.tolerance

    @property
    def high(self) -> float:
        return self.value + self.tolerance

    def holds(self, low: float, high: float) -> bool | None:
        """Is [low, high] wholly within the tolerance (True), wholly outside (False), or across its edge (None)?"""
        slack = 1e-9 * max(abs(self.value), self.tolerance)  # 0.941 - 0.003 must not miss 0.938 by a bit
        if self.low - slack <= low and high <= self.high + slack:
            return True
        return False if high < self.low - slack or low > self.high + slack else None


def read(claim: Claim, metric: Metric) -> Reported | str:
    """The claim's number in the unit of the records, or the sentence that says why it has none."""
    if claim.reported is None:
        return "The claim reports no number."
    relative = bool(claim.difference) and _is_relative(claim.unit, metric.unit)
    factor = 0.01 if relative else _factor(claim, metric)
    if factor is None:
        return (
            f"The claim's unit '{claim.unit}' is none of {metric.name}, which is given in '{metric.unit or 'no unit'}'."
        )
    tolerance, origin = claim.tolerance, ""
    if tolerance is None:
        tolerance = half_digit(claim.reported, claim.last_digit)
        origin = ", half of the last digit reported, as none is given"
    unit = {"": metric.unit, "relative %": "%"}.get(claim.unit, claim.unit)
    if unit in _PREFIX and metric.unit:
        unit = f"{unit} {metric.unit}"
    sign = "+" if claim.difference else ""
    text = f"{claim.reported:{sign}.10g} {unit}".strip() + f" (± {tolerance:g}{origin})"
    shown = "relative %" if relative else metric.unit
    return Reported(claim.reported * factor, tolerance * factor, relative, shown, text)


def _is_relative(unit: str, metric_unit: str) -> bool:
    return unit == "relative %" or (unit == "%" and metric_unit != "%")


def _factor(claim: Claim, metric: Metric) -> float | None:
    if metric.unit == "%":
        known = {"": 0.01, "%": 0.01, "fraction": 1.0} | ({"pp": 0.01} if claim.difference else {})
        return known.get(claim.unit)
    if claim.unit in ("", metric.unit):
        return 1.0
    bare = claim.unit.removesuffix(metric.unit).strip() if metric.unit else claim.unit
    return _PARTS.get(metric.unit, {}).get(claim.unit) or _PREFIX.get(bare)


def half_digit(number: float, last_digit: int | None = None) -> float:
    """Half a unit of the last digit: 94.1 -> 0.05, 94.10 -> 0.005, 94 -> 0.5.

    `last_digit` is its power of ten as it was written; without it, that of the number's shortest form.
    """
    exponent = Decimal(repr(number)).as_tuple().exponent if last_digit is None else last_digit
    return 0.5 * 10.0**exponent if isinstance(exponent, int) else 0.0


def seed_values(cell: Cell, records: Mapping[str, Record], metric: str) -> dict[int, float]:
    """Seed -> mean over its folds. A seed counts when all its folds are done, since folds differ in difficulty."""
    folds: dict[int, list[float | None]] = {}
    for trial in cell.trials:
        folds.setdefault(trial.config.seed, []).append(_value(records.get(trial.id), metric))
    done = {seed: [v for v in values if v is not None] for seed, values in folds.items()}
    return {seed: sum(v) / len(v) for seed, v in done.items() if len(v) == len(folds[seed])}


def counted(cell: Cell, records: Mapping[str, Record], metric: str) -> float | None:
    """The one number of all ok records for a counted cost; None where there is none, or they disagree."""
    if metric not in EXACT and not metric.startswith(TRAINABLE):
        return None
    values = {_value(records.get(t.id), metric) for t in cell.trials} - {None}
    return values.pop() if len(values) == 1 else None


def unfinished(cell: Cell, records: Mapping[str, Record], metric: Metric) -> str:
    """Why a row has no value: nothing ran, trials failed, or the metric is not in their records."""
    found = [r for t in cell.trials if (r := records.get(t.id)) is not None]
    failed = [r for r in found if r.status != "ok"]
    trials = f"{len(cell.trials)} trial{'s' if len(cell.trials) > 1 else ''}"
    if any(r.status == "ok" and _value(r, metric.name) is None for r in found):
        return f"The records of '{cell.label}' hold no {metric.name}."
    if failed:
        return f"'{cell.label}' has no seed that ended well: {len(failed)} of {trials} {failed[0].status}" + (
            f" ({failed[0].reason})." if failed[0].reason else "."
        )
    return f"'{cell.label}' has no finished seed yet ({len(found)} of {trials} done)."


def _value(record: Record | None, metric: str) -> float | None:
    if record is None or record.status != "ok":
        return None
    return record.metrics.get(metric, record.cost.get(metric))
