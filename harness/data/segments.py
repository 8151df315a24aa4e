"""Shots of a video: kernel temporal segmentation of a sequence of features, and fixed features of frames for it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np

from ..errors import ConfigError, DataError

Array: TypeAlias = "np.ndarray[Any, Any]"

_GRID = 4
_LEVELS = 8
_PIXELS = 4 << 20
_LONGEST = 4096
"""Rows that are segmented one by one: half an hour of video at two a second, 134 MB of scatters, seconds of work."""
_ROWS = 256
"""End points that are looked at together; bounds the memory beside the matrix of scatters."""


def kernel_segments(features: Array, most: int | None = None, penalty: float = 1.0) -> Array:
    """Cut a sequence into segments of little variance: inclusive ranges int64 [S, 2] that cover it in order.

    features [T, D] are taken as they are, with the linear kernel. Of all ways to place m change points, m = 0 … `most`
    (None: up to T - 1), the one is chosen that minimises

        (squared distances of all rows to the mean of their segment) / T  +  penalty * m / (2 T) * (log(T / m) + 1).

    The second term is in units of the rows' squared length, so they should have one of about 1. Of equal sums the one
    with fewer segments is taken. Exact dynamic programming: O(m T^2) operations, where m ends as soon as the second
    term alone exceeds the best sum, and 8 T^2 bytes. Beyond 4,096 rows, the means of k = ceil(T / 4096) rows each
    (fewer at the end) are segmented in place of the rows, so T above is their number, and all cuts are multiples of k.
    Source: Potapov et al. 2014, doi:10.1007/978-3-319-10599-4_35, with the weight of their code, where `penalty` is
    `vmax`. Differs: the means of long sequences; and the early end, which changes no result.
    Raises: DataError for features that are no matrix or not finite, ConfigError for `most` or `penalty` below 0.
    """
    rows = np.asarray(features)
    stretch = max(1, -(-len(rows) // _LONGEST)) if rows.ndim == 2 else 1
    x = _means(rows, stretch)
    if x.ndim != 2 or not np.isfinite(x).all():
        raise DataError(f"features to be segmented are a matrix of finite numbers; these have the shape {rows.shape}")
    if not penalty >= 0 or (most is not None and most < 0):
        raise ConfigError(f"segments: 'most' is {most} and 'penalty' {penalty:g}", hint="give numbers of 0 or more")
    total = len(x)
    if not total:
        return np.zeros((0, 2), dtype=np.int64)
    ends = _change_points(_scatters(x), total - 1 if most is None else min(most, total - 1), penalty)
    starts = np.r_[0, ends].astype(np.int64) * stretch
    return np.stack([starts, np.r_[starts[1:], len(rows)] - 1], axis=1)


def _means(rows: Array, stretch: int) -> Array:
    """Of every `stretch` neighbouring rows, float64; a loop, as long sequences are not to be copied as float64."""
    if stretch == 1:
        return rows.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        return np.stack([rows[i : i + stretch].mean(axis=0, dtype=np.float64) for i in range(0, len(rows), stretch)])


def _scatters(x: Array) -> Array:
    """float64 [T, T]: at [j, i] that of the rows i … j; infinite for i > j."""
    # Centred, as sums of far-off rows would cancel in the differences below; a shift changes no scatter.
    centred = x - x.mean(axis=0)
    sums = np.cumsum(np.vstack([np.zeros(x.shape[1]), centred]), axis=0)
    squares = np.cumsum(np.r_[0.0, (centred**2).sum(axis=1)])
    norms = (sums**2).sum(axis=1)
    total = len(x)
    out = np.full((total, total), np.inf)
    for low in range(0, total, _ROWS):
        products = sums[low + 1 : low + _ROWS + 1] @ sums.T
        for j in range(low, min(low + _ROWS, total)):
            squared = norms[j + 1] + norms[: j + 1] - 2 * products[j - low, : j + 1]
            out[j, : j + 1] = squares[j + 1] - squares[: j + 1] - squared / np.arange(j + 1, 0, -1)
    np.maximum(out, 0, out=out)
    return out


def _change_points(scatters: Array, most: int, penalty: float) -> Array:
    """The first rows of all segments but the first."""
    total = len(scatters)
    costs = scatters[:, 0].copy()  # of the rows 0 … j in m + 1 segments
    best, chosen = costs[-1] / total, 0
    starts: list[Array] = []
    for m in range(1, most + 1):
        weight = penalty * m / (2 * total) * (np.log(total / m) + 1)
        # It rises with m, and a scatter is never negative.
        if weight >= best:
            break
        costs, start = _one_more(scatters, costs)
        starts.append(start)
        if costs[-1] / total + weight < best:
            best, chosen = costs[-1] / total + weight, m
    found: list[int] = []
    end = total - 1
    for start in reversed(starts[:chosen]):
        found.append(int(start[end]))
        end = found[-1] - 1
    return np.array(found[::-1], dtype=np.int64)


def _one_more(scatters: Array, costs: Array) -> tuple[Array, Array]:
    """(least costs of the rows 0 … j with one segment more, first rows of the last segment there)."""
    total = len(costs)
    least, first = np.full(total, np.inf), np.zeros(total, dtype=np.int32)
    for low in range(1, total, _ROWS):
        high = min(low + _ROWS, total)
        sums = scatters[low:high, 1:high] + costs[: high - 1]
        at = sums.argmin(axis=1)
        first[low:high] = at + 1
        least[low:high] = sums[np.arange(high - low), at]
    return least, first


def shots(segments: Array, picks: Array, n_frames: int) -> Array:
    """Segments of samples as inclusive ranges of frames, int64 [S, 2], that cover 0 … n_frames - 1.

    picks int64 [T] are the samples' frames; a shot begins at the first sample of its segment, the first one at 0.
    Raises: DataError if picks do not increase within 0 … n_frames - 1, or if segments do not cover them.
    """
    pairs, places = np.asarray(segments, dtype=np.int64).reshape(-1, 2), np.asarray(picks, dtype=np.int64)
    if not len(places) or places[0] < 0 or places[-1] >= n_frames or (np.diff(places) <= 0).any():
        raise DataError(f"the places of sampled frames do not increase within a video of {n_frames:,} frames")
    joined = len(pairs) and pairs[0, 0] == 0 and pairs[-1, 1] == len(places) - 1
    if not joined or (pairs[1:, 0] != pairs[:-1, 1] + 1).any() or (pairs[:, 0] > pairs[:, 1]).any():
        raise DataError(f"the segments do not cover {len(places):,} sampled frames without a gap")
    begins = np.r_[0, places[pairs[1:, 0]]]
    return np.stack([begins, np.r_[begins[1:], n_frames] - 1], axis=1)


def frame_descriptors(blocks: Iterable[Array]) -> Array:
    """What frames look like, for finding shots: blocks uint8 [n, 3, h, w] (RGB) -> float32 [T, 560].

    48 mean colours in [0, 1] of a 4x4 grid, divided by sqrt(48), beside the square roots of the shares of 8x8x8
    colours, whose dot product is the Bhattacharyya coefficient; each half is divided by sqrt(2), so that no row is
    longer than 1. Nothing here is trained, so shots are the same whatever a model reads. Source: original.
    """
    rows = [np.zeros((0, 3 * _GRID**2 + _LEVELS**3), dtype=np.float32)]
    for block in blocks:
        step = max(1, _PIXELS // max(1, block[0].size)) if len(block) else 1
        for few in (block[i : i + step] for i in range(0, len(block), step)):
            halves = np.hstack([_mean_colours(few), np.sqrt(_histograms(few))])
            rows.append((halves / np.sqrt(2)).astype(np.float32))
    return np.concatenate(rows)


def _mean_colours(frames: Array) -> Array:
    """Of a 4x4 grid, float64 [n, 48] of length 1 at most."""
    means = frames.astype(np.float64) / 255
    for axis in (2, 3):
        edges = np.arange(_GRID) * frames.shape[axis] // _GRID
        # Of less than 4 pixels some are taken more than once.
        counts = np.maximum(np.diff(np.r_[edges, frames.shape[axis]]), 1)
        means = np.add.reduceat(means, edges, axis=axis) / counts.reshape([-1 if a == axis else 1 for a in range(4)])
    scaled: Array = means.reshape(len(frames), -1) / np.sqrt(3 * _GRID**2)
    return scaled


def _histograms(frames: Array) -> Array:
    """Shares of the 8x8x8 colours, float64 [n, 512]."""
    n, _, height, width = frames.shape
    r, g, b = (frames[:, c].astype(np.int64) * _LEVELS // 256 for c in range(3))
    colour = (r * _LEVELS + g) * _LEVELS + b
    bins = _LEVELS**3
    rows = np.arange(n)[:, None, None] * bins
    counts = np.bincount((colour + rows).ravel(), minlength=n * bins).reshape(n, bins)
    shares: Array = counts / (height * width)
    return shares
