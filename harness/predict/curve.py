"""The curve of scores over time: what of it is drawn, by hand for the page and by matplotlib as a JPEG."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from .clock import clock, marks
from .selection import Keyframe

Array: TypeAlias = "np.ndarray[Any, Any]"

_POINTS = 2000
_LEAST = 0.02
"""Height of the axis, in units of the score, below which differences are too small to be worth a whole picture."""


@dataclass(frozen=True, slots=True)
class Curve:
    """Scores [T] in [0, 1] at times [T] of a video of `end` seconds, and the keyframes among them."""

    times: Array
    scores: Array
    end: float
    keyframes: Sequence[Keyframe]

    def range(self) -> tuple[float, float]:
        """Of the axis of scores: what the curve needs, within [0, 1]."""
        low, high = float(self.scores.min()), float(self.scores.max())
        room = max(0.08 * (high - low), (_LEAST - (high - low)) / 2)
        low, high = low - room, high + room
        # Moved and not cut, so that a flat curve at 0 or 1 has an axis too.
        shift = max(0.0, -low) - max(0.0, high - 1)
        return max(0.0, low + shift), min(1.0, high + shift)

    def thinned(self) -> tuple[Array, Array]:
        """Times and scores that draw the same line: of many neighbours the lowest and the highest."""
        if len(self.times) <= 2 * _POINTS:
            return self.times, self.scores
        parts = np.array_split(np.arange(len(self.times)), _POINTS)
        kept = {0, len(self.times) - 1}
        kept |= {int(p[k]) for p in parts for k in (self.scores[p].argmin(), self.scores[p].argmax())}
        places = np.array(sorted(kept))
        return self.times[places], self.scores[places]

    def ticks(self) -> list[float]:
        """Round scores on the axis."""
        from matplotlib.ticker import MaxNLocator

        low, high = self.range()
        return [float(v) for v in MaxNLocator(4).tick_values(low, high) if low <= v <= high]


def written(scores: Sequence[float]) -> list[str]:
    """Ticks with as many digits as they need to differ."""
    digits = next((d for d in range(1, 6) if len({f"{s:.{d}f}" for s in scores}) == len(scores)), 6)
    if any(abs(s - round(s, digits)) > 1e-9 for s in scores):
        digits += 1
    return [f"{s:.{digits}f}" for s in scores]


def curve_jpeg(curve: Curve, title: str, note: str) -> bytes:
    """The curve as a JPEG of 1800 x 640 pixels: the keyframes are marked, `note` stands above at the right."""
    from ..report.style import COLOURS, MUTED, canvas, styled

    with styled():
        figure, axes = canvas(12, 4.27)
        low, high = curve.range()
        times, scores = curve.thinned()
        axes.set_xlim(0, curve.end)
        axes.set_ylim(low, high)
        marked = [(k.seconds, k.score) for k in curve.keyframes]
        x, y = [m[0] for m in marked], [m[1] for m in marked]
        few = len(x) <= 100
        axes.vlines(x, low, y, colors=COLOURS[1], linewidth=0.8 if few else 0.4, alpha=0.45 if few else 0.2)
        axes.plot(times, scores, color=COLOURS[0], linewidth=1.7 if len(times) < 1000 else 1.0)
        if len(times) == 1:
            axes.hlines(scores, 0, curve.end, colors=COLOURS[0], linewidth=1.7)
        size = 34 if len(x) < 60 else 14 if len(x) < 300 else 5
        axes.scatter(x, y, s=size, color=COLOURS[1], zorder=3, linewidths=0, clip_on=False)
        ticks = marks(curve.end, 12)
        axes.set_xticks(ticks, [clock(t, 0 if all(t == int(t) for t in ticks) else 1) for t in ticks])
        axes.set_xlabel("time")
        axes.set_ylabel("score")
        axes.set_title(title, loc="left", fontsize=11)
        axes.set_title(note, loc="right", fontsize=9, color=MUTED)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="jpeg", dpi=150, pil_kwargs={"quality": 92})
    return buffer.getvalue()
