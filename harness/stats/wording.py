"""Numbers as a sentence prints them: with their unit, and differences of percentages in percentage points."""

from __future__ import annotations


def quantity(value: float, unit: str = "", *, signed: bool = False, difference: bool = False) -> str:
    """`94.10 %`, `+1.10 pp`, `23,528,522 parameters`, `0.0312`.

    Values of unit "%" are fractions. `difference=True` prints those as percentage points; the unit "relative %" is a
    fraction of the other arm's value and stays per cent.
    """
    sign = "+" if signed else ""
    if unit in ("%", "relative %"):
        value = round(100 * value, 2) + 0.0  # adding zero turns "-0.00" into "0.00"
        return f"{minus(f'{value:{sign}.2f}')} {'pp' if difference and unit == '%' else '%'}"
    value += 0.0
    whole = float(value).is_integer() and (abs(value) >= 1000 or unit == "parameters")
    text = minus(f"{value:{sign},.0f}" if whole else f"{value:{sign}.4g}")
    return f"{text} {unit}" if unit else text


def minus(text: str) -> str:
    """A formatted number with the sign that is as wide as a plus; `1e-05` stays as it can be read back."""
    return text if "e" in text else text.replace("-", "−")


def between(low: float, high: float, unit: str = "", *, signed: bool = False, difference: bool = False) -> str:
    """`93.85 % to 94.15 %`."""
    ends = (quantity(v, unit, signed=signed, difference=difference) for v in (low, high))
    return " to ".join(ends)


def probability(p: float) -> str:
    """`p = 0.012`, or `p < 0.0001`."""
    return "p < 0.0001" if p < 1e-4 else f"p = {p:.2g}"
