"""Pictures of where a model looks: Grad-CAM of chosen images, the gains of places, the gains of channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch.nn import functional as F

from ..contracts import Evaluation, Figure, Items
from ..errors import ConfigError
from ..pixels import enlarged, picture
from .gates import AT_ONCE, ITEMS, looked
from .looking import Array, channel_gain, grad_cam, overlay, place_gain
from .opened import Opened, spread

NAME = "maps"
VERSION = 1
IMAGES, PLACES = 10, 4
SIDE = 96
PERCENTILES = tuple(range(0, 101, 10))


def choose(items: Items, classes: Sequence[str]) -> list[int]:
    """Places in the test split: of at most IMAGES classes, evenly spread, the first item. Predictions play no part."""
    targets = items.values["target"]
    wanted = [c for c in spread(len(classes), IMAGES) if bool((targets == c).any())]
    return [int(np.argmax(targets == c)) for c in wanted]


def signature(chosen: Sequence[int], total: int, device: str) -> Mapping[str, object]:
    return {"version": VERSION, "chosen": list(chosen), "of": total, "device": device.partition(":")[0]}


def measure_maps(opened: Opened, chosen: Sequence[int]) -> Evaluation:
    """The figures `gradcam` (unless no feature map is there), and with attention `places` and `channels`."""
    total = len(opened.loader.split)
    figures: list[Figure] = []
    notes = [f"the images are the first test image of each of {len(chosen)} classes, whatever was predicted"]
    try:
        figures.append(_grad_cam(opened, chosen))
    except ConfigError as error:
        notes.append(f"no Grad-CAM: {error.message}")
    if opened.parts.sites:
        figures += _gains(opened, chosen)
    return Evaluation(NAME, signature(chosen, total, opened.device), figures=tuple(figures), notes=tuple(notes))


def _grad_cam(opened: Opened, chosen: Sequence[int]) -> Figure:
    raw, shown = opened.shown(chosen)
    heat = grad_cam(opened.model, shown, raw["target"]).cpu().numpy()
    pictures = [picture(image) for image in raw["inputs"].cpu().numpy()]
    drawn = [overlay(p, h, SIDE) for p, h in zip(pictures, heat, strict=True)]
    return Figure(
        "gradcam",
        "strip",
        "Grad-CAM of the true class",
        "Where the evidence for the true class of each image comes from, at the last feature map (Grad-CAM)",
        {
            "images": np.stack(drawn)[None],
            "reference": np.stack([enlarged(p, SIDE) for p in pictures])[None],
            "reference_name": np.array(["image"]),
            "rows": np.array(["Grad-CAM of the true class"]),
            "columns": np.array(_names(opened, chosen, raw["target"].tolist())),
        },
    )


def _names(opened: Opened, chosen: Sequence[int], targets: Sequence[int]) -> list[str]:
    classes = opened.parts.info.classes
    return [f"{classes[t]} #{i}" for i, t in zip(chosen, targets, strict=True)]


def _gains(opened: Opened, chosen: Sequence[int]) -> list[Figure]:
    shown_places = [chosen[i] for i in spread(len(chosen), PLACES)]
    raw, shown = opened.shown(shown_places)
    seen = {
        site: (x, y)
        for site, (x, y) in looked(opened.model, opened.parts.sites, shown).items()
        if x.dim() == 4 and x.shape == y.shape
    }
    if not seen:
        return []
    gains = {site: place_gain(x, y).cpu() for site, (x, y) in seen.items()}
    names = _names(opened, shown_places, raw["target"].tolist())
    height, width = (max(n, 32) for n in raw["inputs"].shape[-2:])
    low, high = 0.0, 1.0
    least, most = (f(float(getattr(g, n)()) for g in gains.values()) for f, n in ((min, "min"), (max, "max")))
    if least < 0 or most > 1:
        low, high = least, most
    columns = [_bytes(F.interpolate(g[:, None], (height, width))[:, 0].numpy(), low, high) for g in gains.values()]
    span = f"dark: {low:.3g}, bright: {high:.3g}"
    places = Figure(
        "places",
        "strip",
        f"Gain of every place ({span})",
        f"How much each attention block passes on of every place of the image ({span})",
        {
            "images": np.stack(columns, axis=1),
            "rows": np.array(names),
            "columns": np.array(list(gains)),
            "colour": np.array(["heat"]),
        },
    )
    return [places, _channels(opened)]


def _bytes(values: Array, low: float, high: float) -> Array:
    scaled = (values - low) / max(high - low, 1e-12)
    return np.asarray((scaled.clip(0, 1) * 255).round().astype(np.uint8))


def _channels(opened: Opened) -> Figure:
    """Percentiles over channels of the mean gain over the images that the gates are read on."""
    chosen = spread(len(opened.loader.split), ITEMS)
    sums: dict[str, torch.Tensor] = {}
    for start in range(0, len(chosen), AT_ONCE):
        _, shown = opened.shown(chosen[start : start + AT_ONCE])
        for site, (x, y) in looked(opened.model, opened.parts.sites, shown).items():
            if x.dim() == 4 and x.shape == y.shape:
                found = channel_gain(x, y).cpu().double().sum(dim=0)
                sums[site] = sums[site] + found if site in sums else found
    values = np.stack([np.percentile((s / len(chosen)).numpy(), PERCENTILES) for s in sums.values()])
    return Figure(
        "channels",
        "heatmap",
        "Gain of channels",
        "Percentiles, over the channels of each attention block, of a channel's mean gain over test images",
        {
            "values": values,
            "rows": np.array(list(sums)),
            "columns": np.array([f"{p} %" for p in PERCENTILES]),
        },
    )
