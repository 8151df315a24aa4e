"""Claims that cannot all be true, whatever was measured.

Only claims of one publication are held against each other: two laboratories that report 92.1 and 92.4 for the same
row differ, and both may be right. The publication is the part of `source` before the first comma, semicolon or bracket.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ..contracts import Metric
from ..stats.wording import between
from ..trial import Claim
from .numbers import Reported, read
from .settings import Where, describe, flatten

Identities = Callable[[Mapping[str, float]], Sequence[str]]
Row = Callable[[Where], str]
"""A name that two descriptions of the same row share."""


@dataclass(frozen=True, slots=True)
class Bound:
    """What some claims say of a - b: it lies between low and high."""

    low: float
    high: float
    owners: tuple[int, ...]
    text: str


@dataclass(slots=True)
class Clashes:
    """Claim's index -> sentences. `impossible` ones cannot hold; `noted` ones are what another claim clashes with."""

    impossible: dict[int, list[str]] = field(default_factory=dict)
    noted: dict[int, list[str]] = field(default_factory=dict)


def find_clashes(
    claims: Sequence[Claim],
    metrics: Mapping[str, Metric],
    identities: Identities,
    row: Row,
    remarks: Identities | None = None,
) -> Clashes:
    """All contradictions among claims of one publication, and what their numbers tell together."""
    clashes = Clashes()
    for publication in dict.fromkeys(_publication(c) for c in claims):
        own = {i: c for i, c in enumerate(claims) if _publication(c) == publication and c.metric in metrics}
        absolute = _absolute(own, metrics, row)
        _same_row(absolute, own, metrics, clashes)
        _pairs(absolute, own, metrics, row, clashes)
        _identities(absolute, identities, clashes.impossible, "The numbers claimed for this row cannot all be true: ")
        if remarks is not None:
            _identities(absolute, remarks, clashes.noted, "Of the numbers claimed for this row: ")
    return clashes


def _publication(claim: Claim) -> str:
    return re.split(r"[,;(]", claim.source, maxsplit=1)[0].strip().casefold()


def place(claim: Claim) -> str:
    """How a sentence names another claim."""
    return f"the claim of line {claim.line}" if claim.line else f"the claim about {describe(claim.where)}"


Absolute = dict[tuple[str, str], list[tuple[int, Reported]]]


def _absolute(own: Mapping[int, Claim], metrics: Mapping[str, Metric], row: Row) -> Absolute:
    """(metric, row) -> the numbers claimed for it."""
    found: Absolute = {}
    for i, claim in own.items():
        number = None if claim.difference or claim.order else read(claim, metrics[claim.metric])
        if isinstance(number, Reported):
            found.setdefault((claim.metric, row(claim.where)), []).append((i, number))
    return found


def _same_row(absolute: Absolute, own: Mapping[int, Claim], metrics: Mapping[str, Metric], clashes: Clashes) -> None:
    for numbers in absolute.values():
        for i, mine in numbers:
            for j, other in numbers:
                if i != j and (mine.low > other.high or mine.high < other.low):
                    clashes.impossible.setdefault(i, []).append(
                        f"It excludes {place(own[j])}, which gives {other.text} for the same row and metric."
                    )


def _pairs(
    absolute: Absolute, own: Mapping[int, Claim], metrics: Mapping[str, Metric], row: Row, clashes: Clashes
) -> None:
    """A claimed difference or order against everything else that is claimed of the same two rows."""
    derived = {i: c for i, c in own.items() if len(c.difference or c.order) == 2}
    for i, claim in derived.items():
        mine = _bound(i, claim, metrics[claim.metric])
        if mine is None:
            continue
        relative = _relative(claim, metrics[claim.metric])
        for other in _others(i, claim, relative, absolute, derived, metrics, row):
            if mine.low > other.high or mine.high < other.low:
                clashes.impossible.setdefault(i, []).append(f"It excludes {other.text}.")
                for owner in other.owners:
                    if owner not in derived:
                        clashes.noted.setdefault(owner, []).append(f"It cannot hold together with {place(claim)}.")


def _relative(claim: Claim, metric: Metric) -> bool | None:
    """Does the claim speak of a fraction of b? None for an order, which holds in both senses."""
    if claim.order:
        return None
    number = read(claim, metric)
    return number.relative if isinstance(number, Reported) else False


def _bound(i: int, claim: Claim, metric: Metric) -> Bound | None:
    if claim.order:
        text = f"{place(claim)}, which orders them the other way round"
        least = math.ulp(0.0)  # to beat is to differ, so two opposite orders must not meet at 0
        low, high = (least, math.inf) if metric.better == "higher" else (-math.inf, -least)
        return Bound(low, high, (i,), text)
    number = read(claim, metric)
    if not isinstance(number, Reported):
        return None
    return Bound(number.low, number.high, (i,), f"{place(claim)}, which gives {number.text} for the same two rows")


def _others(
    i: int,
    claim: Claim,
    relative: bool | None,
    absolute: Absolute,
    derived: Mapping[int, Claim],
    metrics: Mapping[str, Metric],
    row: Row,
) -> Iterator[Bound]:
    metric = metrics[claim.metric]
    a, b = (row(w) for w in claim.difference or claim.order)
    for m, first in absolute.get((claim.metric, a), []):
        for n, second in absolute.get((claim.metric, b), []):
            bound = _from_absolutes((m, first), (n, second), bool(relative))
            if bound is not None:
                yield bound
    for j, other in derived.items():
        if j == i or other.metric != claim.metric:
            continue
        sense = _relative(other, metric)
        bound = _bound(j, other, metric)
        if bound is None or (sense is not None and relative is not None and sense != relative):
            continue
        rows = tuple(row(w) for w in other.difference or other.order)
        if rows == (a, b):
            yield bound
        elif rows == (b, a) and not (sense or relative):
            yield Bound(-bound.high, -bound.low, bound.owners, bound.text)


def _from_absolutes(first: tuple[int, Reported], second: tuple[int, Reported], relative: bool) -> Bound | None:
    """What two absolute numbers leave for their difference, each at the edge of its tolerance."""
    (m, a), (n, b) = first, second
    low, high = a.low - b.high, a.high - b.low
    if relative:
        if b.low <= 0 or a.low < 0:
            return None
        low, high = a.low / b.high - 1, a.high / b.low - 1
    unit = "relative %" if relative else a.unit
    span = between(low, high, unit, signed=True, difference=True)
    return Bound(low, high, (m, n), f"the numbers claimed for the two rows, {a.text} and {b.text}: they leave {span}")


def _identities(absolute: Absolute, rule: Identities, found: dict[int, list[str]], lead: str) -> None:
    """The task's sentences over all numbers that are claimed for one row, for each claim that they are about."""
    for row in dict.fromkeys(key[1] for key in absolute):
        numbers = {metric: claimed[0] for (metric, r), claimed in absolute.items() if r == row}
        values = {metric: number.value for metric, (_, number) in numbers.items()}
        for sentence in rule(values):
            # A sentence names no metric; those without which it is not said are the ones that it is about.
            without = {m: rule({k: v for k, v in values.items() if k != m}) for m in values}
            guilty = [m for m in values if sentence not in without[m]] or list(values)
            for metric in guilty:
                found.setdefault(numbers[metric][0], []).append(f"{lead}{sentence.rstrip('.')}.")


def row_name(where: Where) -> str:
    """The same for `reduction: 16` and `reduction: 16.0`, in any order of keys."""
    return "; ".join(f"{k}={_canonical(v)}" for k, v in flatten(where))


def _canonical(value: object) -> str:
    return repr(float(value)) if isinstance(value, (int, float)) and not isinstance(value, bool) else repr(value)
