"""Times and counts as people read them, times in names of files, and the marks of an axis of time."""

from __future__ import annotations

_STEPS = (0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 18000, 36000, 86400)


def clock(seconds: float, digits: int = 1) -> str:
    """`0:12.5`, `12:05.0`, `1:02:12.5`."""
    hours, minutes, rest = _parts(seconds, digits)
    width = 3 + digits if digits else 2
    return (f"{hours}:{minutes:02d}" if hours else f"{minutes}") + f":{rest:0{width}.{digits}f}"


def stamp(seconds: float) -> str:
    """For names of files: `00m12.5s`, `01h02m12.5s`; the order of names is that of times."""
    hours, minutes, rest = _parts(seconds, 1)
    return (f"{hours:02d}h" if hours else "") + f"{minutes:02d}m{rest:04.1f}s"


def length(seconds: float) -> str:
    """A duration in words: `12.5 s`, `3 min 20 s`, `1 h 02 min`."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def counted(count: float, noun: str) -> str:
    """`1 frame`, `1,252 frames`, `29.97 frames`."""
    number = f"{count:,}" if isinstance(count, int) else f"{count:.4g}"
    return f"{number} {noun}" if number == "1" else f"{number} {noun}s"


def marks(end: float, most: int) -> list[float]:
    """Round times from 0 to `end` seconds, at most `most` of them."""
    step = next((s for s in _STEPS if end / s < most), None) or end / max(1, most - 1)
    return [k * step for k in range(int(end / step + 1e-9) + 1)]


def _parts(seconds: float, digits: int) -> tuple[int, int, float]:
    # Rounded first: 59.96 seconds are 1:00.0 and not 0:60.0.
    ticks = round(seconds * 10**digits)
    whole, part = divmod(ticks, 10**digits)
    return whole // 3600, whole % 3600 // 60, whole % 60 + part / 10**digits
