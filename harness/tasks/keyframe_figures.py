"""The pictures of ranked videos: curves, tables by video and by category, attention over time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..contracts import Figure, Items

Array = np.ndarray[Any, Any]

PICTURES = 3
"""Videos of which attention maps are kept."""
BINS = 64
CURVES = 4
POINTS = 600
_LEFT_OUT = ("spearman_mean", "kendall_mean", "undefined")


def figures(items: Items, metrics: Sequence[str], categories: Sequence[str]) -> Sequence[Figure]:
    """`categories`: names that `category` counts into."""
    if not items.ids:
        return ()
    shown = [m for m in metrics if m not in _LEFT_OUT and np.isfinite(items.values[m]).any()]
    made = [_curves(items), _videos(items, shown)]
    if categories and (items.values["category"] >= 0).any():
        made.append(_categories(items, shown, categories))
    return (*made, *_maps(items))


def _curves(items: Items) -> Figure:
    """All videos on one axis, which ends with the longest; a shorter one has no numbers behind its end."""
    rows = range(min(CURVES, len(items.ids)))
    times = [_row(items, "times", i) for i in rows]
    x = np.linspace(0, max(t[-1] for t in times), min(POINTS, max(map(len, times))))
    timed = bool(items.values["timed"][: len(rows)].all())
    unit = np.array(["seconds" if timed else "sampled frame"])
    data: dict[str, Array] = {"x": x, "x_label": unit, "reference_name": np.array(["true score"])}
    for i, t in zip(rows, times, strict=True):
        name = f"score of {items.ids[i]}"
        data[name] = _held(t, _row(items, "predicted", i), x)
        data[f"reference/{name}"] = _held(t, _row(items, "truth", i), x)
    alt = f"Predicted scores of the first {len(rows)} test videos over time, and the true ones"
    return Figure("curves", "lines", "Predicted and true importance", alt, data)


def _held(times: Array, values: Array, x: Array) -> Array:
    """The value of the last sample at or before each x; NaN behind the last sample's own stretch."""
    at = np.searchsorted(times, x + 1e-9, side="right") - 1
    step = (times[-1] - times[0]) / max(1, len(times) - 1)
    return np.where(x <= times[-1] + step, values[np.clip(at, 0, None)], np.nan)


def _videos(items: Items, metrics: Sequence[str]) -> Figure:
    columns = [*metrics, "frames"]
    values = np.stack([items.values[name].astype(np.float64) for name in columns], axis=1)
    data = {"values": values, "rows": np.array(items.ids), "columns": np.array(columns)}
    return Figure("videos", "table", "Per-video report", "Metrics of every test video", data)


def _categories(items: Items, metrics: Sequence[str], categories: Sequence[str]) -> Figure:
    """A row for every category that has a test video, weighted by how many."""
    own = items.values["category"]
    present = [i for i in range(len(categories)) if (own == i).any()]
    values = np.full((len(present), len(metrics)), np.nan)
    for row, i in enumerate(present):
        for j, name in enumerate(metrics):
            found = items.values[name][own == i]
            found = found[np.isfinite(found)]
            values[row, j] = found.mean() if len(found) else np.nan
    data = {
        "values": values,
        "rows": np.array([categories[i] for i in present]),
        "columns": np.array(metrics),
        "weights": np.array([(own == i).sum() for i in present]),
    }
    alt = "Means over the test videos of every category"
    return Figure("categories", "table", "Per-category report", alt, data, compare=True)


def _maps(items: Items) -> Iterator[Figure]:
    """One heat map a name and video, times of queries down, of keys across."""
    for i in range(len(items.ids)):
        names = str(items.values["map_names"][i]).split()
        if not names:
            continue
        maps = _row(items, "maps", i)
        side = math.isqrt(len(maps) // len(names))
        times = _row(items, "times", i)
        starts = np.arange(side) * len(times) // side
        unit = " s" if items.values["timed"][i] else ""
        labels = np.array([f"{times[s]:.1f}{unit}" if unit else f"{times[s]:.0f}" for s in starts])
        for name, values in zip(names, maps.reshape(len(names), side, side), strict=True):
            kind = name.removeprefix("map_")
            title = f"Attention over time: {kind}, {items.ids[i]}"
            alt = (
                f"Weights of '{kind}' attention in test video {items.ids[i]}: from the frames of each row to those of"
                " each column, rows sum to 1"
            )
            data = {"values": values, "rows": labels, "columns": labels}
            yield Figure(f"{name}-{i}", "heatmap", title, alt, data)


def _row(items: Items, name: str, i: int) -> Array:
    flat, offsets = items.ragged[name]
    return flat[offsets[i] : offsets[i + 1]]
