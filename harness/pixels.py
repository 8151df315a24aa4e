"""Stored images as pixels to look at."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def picture(image: Array) -> Array:
    """uint8 [H, W, 3] of an image [C, H, W]; the mean over channels in grey, unless there are three.

    Bytes and floats in [0, 1] are taken as they are. Other floats are stretched over the image's least and greatest
    value, since a split does not say how it normalised them.
    """
    values = image.astype(np.float64)
    if image.dtype == np.uint8:
        values /= 255
    elif values.min() < 0 or values.max() > 1:
        values = (values - values.min()) / max(float(np.ptp(values)), 1e-12)
    if len(values) != 3:
        values = values.mean(axis=0, keepdims=True).repeat(3, axis=0)
    return np.ascontiguousarray(np.rint(255 * values).astype(np.uint8).transpose(1, 2, 0))


def enlarged(image: Array, side: int) -> Array:
    """`image` [H, W, ...] with every pixel repeated as often as it takes to have no side shorter than `side`."""
    times = max(1, math.ceil(side / max(1, min(image.shape[:2]))))
    return np.asarray(image.repeat(times, axis=0).repeat(times, axis=1))


def thinned(image: Array, side: int) -> Array:
    """`image` [H, W, ...] with every n-th row and column left, so that no side is longer than `side`."""
    step = max(1, math.ceil(max(image.shape[:2]) / side))
    return image[::step, ::step]
