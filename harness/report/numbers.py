"""Numbers as tables and pictures print them; sentences use `stats.quantity`."""

from __future__ import annotations

from ..contracts import Metric
from ..stats import Interval, minus

NONE = "–"


def scale(unit: str) -> float:
    """Values of unit "%" are stored as fractions."""
    return 100.0 if unit == "%" else 1.0


def value(number: float | None, unit: str, signed: bool = False) -> str:
    """Without its unit, which the column's head carries: 2 decimals of per cent, else 4 significant digits."""
    if number is None:
        return NONE
    sign = "+" if signed else ""
    if unit == "%":
        text = f"{round(100 * number, 2) + 0.0:{sign}.2f}"
    elif float(number).is_integer() and abs(number) >= 1000:
        text = f"{number:{sign},.0f}"
    else:
        text = f"{number + 0.0:{sign}.4g}"
    return minus(text)


def span(low: float | None, high: float | None, unit: str, signed: bool = False) -> str:
    """`91.02 to 91.34`; a dash where there is no interval."""
    if low is None or high is None:
        return NONE
    return f"{value(low, unit, signed)} to {value(high, unit, signed)}"


def spread(sd: float | None, unit: str) -> str:
    """A standard deviation: 2 significant digits, since few seeds know no more of it."""
    if sd is None or unit == "%":
        return value(sd, unit)
    return f"{sd:.2g}"


def mean_sd(interval: Interval, unit: str) -> str:
    if interval.sd is None:
        return value(interval.mean, unit)
    return f"{value(interval.mean, unit)} ± {spread(interval.sd, unit)}"


def unit_of_difference(unit: str) -> str:
    return "pp" if unit == "%" else unit


def head(metric: Metric) -> str:
    """`top1 (%)`."""
    return f"{metric.name} ({metric.unit})" if metric.unit else metric.name


def direction(metric: Metric) -> str:
    return f"{metric.better} is better"


def counted(number: float | None) -> str:
    """Parameters: to the last one."""
    return NONE if number is None else f"{number:,.0f}"


def large(number: float | None) -> str:
    """Multiply-accumulates: `40.81 M`."""
    if number is None:
        return NONE
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.4g} {letter}"
    return f"{number:.4g}"


def duration(seconds: float | None) -> str:
    """`8.4 s`, `83.1 s`, `3 min 12 s`, `2 h 05 min`."""
    if seconds is None:
        return NONE
    if seconds < 99.5:
        return f"{seconds:.1f} s" if seconds >= 10 else f"{seconds:.2g} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60:,} h {minutes % 60:02d} min"


def memory(size: float | None) -> str:
    if size is None:
        return NONE
    return f"{size / 2**30:.2f} GiB" if size >= 2**30 else f"{size / 2**20:.4g} MiB"


def plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
