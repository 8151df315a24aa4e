"""Claims about latency: what was measured here stands beside them, and no verdict follows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..contracts import Metric
from ..stats import quantity
from ..trial import Cell
from .numbers import Reported

LATENCY = Metric("latency", "ms", "lower", "median of one forward pass at batch 1, all rows measured in turn")


@dataclass(frozen=True, slots=True)
class Timing:
    """Median milliseconds of one forward pass of `batch` items on `device`."""

    median_ms: float
    batch: int
    device: str


def timed(cells: Sequence[Cell], timings: Mapping[str, Timing], number: Reported | None) -> str:
    """The sentence on one row, or on two of which the first is set against the second.

    A latency belongs to a machine, a precision and a batch, so that none contradicts another that was measured
    elsewhere. Their ratio travels further, and is what two rows are given.
    """
    missing = [c.label for c in cells if c.key not in timings]
    lead = f"Reported {number.text}. " if number is not None else ""
    if missing:
        return f"{lead}The latency of '{missing[0]}' was not measured here."
    found = [timings[c.key] for c in cells]
    told = " against ".join(quantity(t.median_ms, "ms") for t in found)
    where = f"batch {found[0].batch} on {found[0].device}"
    if len(found) == 2:
        ratio = found[0].median_ms / found[1].median_ms - 1
        told = f"{told} ({where}), that is {quantity(ratio, 'relative %', signed=True, difference=True)}"
    else:
        told = f"{told} ({where})"
    return f"{lead}Measured here: {told}. A latency belongs to its machine, precision and batch: no verdict."
