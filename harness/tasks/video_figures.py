"""The pictures of a video prediction, from what was kept of the first few test clips."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ..contracts import Figure, Items

Array = np.ndarray[Any, Any]

PICTURES = 3
"""Clips of which every frame is kept."""
MILLISECONDS = 150
STEP = 5


def figures(items: Items, protocol: str, given: int) -> Sequence[Figure]:
    """Metrics against horizon; strips of frames, of errors and of the last recurrent layer's activation; animations."""
    made = [_horizon(items, protocol, given)]
    truth, predicted = (_clips(items, name, "shape") for name in ("truth", "predicted"))
    if not len(truth):
        return made
    names = np.array(items.ids[: len(truth)])
    frames = shown(truth.shape[1])
    columns = np.array([f"frame {i}" for i in frames])
    what = "predicted from the true frames before it" if protocol == "next_frame" else f"predicted from {given} frames"
    base = {"rows": names, "reference": _colours(truth), "reference_name": np.array(["truth"])}
    strip = {
        **base,
        "columns": columns,
        "images": _colours(predicted)[:, frames],
        "reference": base["reference"][:, frames],
    }
    made.append(Figure("frames", "strip", "Predicted frames", f"Frames of test clips, each {what}", strip))
    error = np.abs(predicted.astype(np.int16) - truth.astype(np.int16)).astype(np.uint8).max(axis=2)
    heat = {"rows": names, "columns": columns, "images": error[:, frames], "colour": np.array(["heat"])}
    made.append(Figure("errors", "strip", "Error maps", "Absolute error of every pixel, 0 to 1", heat))
    moving = {**base, "images": _colours(predicted), "milliseconds": np.array([MILLISECONDS])}
    made.append(Figure("clips", "animation", "Clips in motion", f"Test clips, each frame {what}", moving))
    if "activation" in items.ragged:
        made.append(_activation(_clips(items, "activation", "activation_shape"), names, frames, columns))
    return made


def shown(length: int) -> list[int]:
    """Every fifth frame and the last one: 0, 5, 10, 15, 18 of 19; five spread evenly where that would be too few."""
    if 3 * STEP <= length <= 6 * STEP:
        return sorted({*range(0, length - 1, STEP), length - 1})
    return sorted({round(i * (length - 1) / 4) for i in range(5)})


def _horizon(items: Items, protocol: str, given: int) -> Figure:
    v = items.values
    ratio = v["own_gradient_t"].mean(axis=0) / np.maximum(v["true_gradient_t"].mean(axis=0), 1e-12)
    data = {
        "x": np.arange(v["mse_t"].shape[1]),
        "x_label": np.array(["output frame" if protocol == "next_frame" else f"frame after the {given} given ones"]),
        "psnr (dB)": v["psnr_t"].mean(axis=0),
        "ssim": v["ssim_t"].mean(axis=0),
        "mse": v["mse_t"].mean(axis=0),
        "mae": v["mae_t"].mean(axis=0),
        "sharpness (dB)": v["sharpness_t"].mean(axis=0),
        "gradient ratio (1: as sharp as the truth)": ratio,
    }
    return Figure("horizon", "lines", "Metrics against horizon", "Mean over test clips of every output frame", data)


def _activation(maps: Array, names: Array, frames: Sequence[int], columns: Array) -> Figure:
    top = max(float(maps.max()), 1e-12)
    scaled = (maps[:, frames] / top * 255 + 0.5).astype(np.uint8)
    data = {"rows": names, "columns": columns, "images": scaled, "colour": np.array(["heat"])}
    alt = "Mean absolute activation over the channels of the last recurrent layer, as a share of the row's largest"
    return Figure("activation", "strip", "Activation of the last recurrent layer", alt, data)


def _clips(items: Items, name: str, shape: str) -> Array:
    """[K, T, …] of the clips that were kept."""
    flat, offsets = items.ragged[name]
    kept = [flat[a:b] for a, b in pairwise(offsets) if b > a]
    if not kept:
        return np.zeros((0,), np.uint8)
    return np.stack(kept).reshape(len(kept), *items.values[shape][0])


def _colours(clips: Array) -> Array:
    """[K, T, C, H, W] as [K, T, H, W] or [K, T, H, W, 3]."""
    return clips[:, :, 0] if clips.shape[2] != 3 else np.moveaxis(clips, 2, -1)
