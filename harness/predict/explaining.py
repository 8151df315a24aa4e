"""Where the model looked: Grad-CAM of the class that it predicted, and what its last attention blocks let through."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ..report.style import INK, PAPER
from .grid import cut, font
from .stills import fitted

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor, nn

Array: TypeAlias = "np.ndarray[Any, Any]"

BLOCKS = 3
"""Attention blocks, the last ones, whose gains are shown."""
SIDE = 192
"""Pixels of a panel's shorter side, at least."""
_MOST = 384
_GAP, _TEXT, _LINES = 12, 14, 3
_FLAT = 5e-4


@dataclass(frozen=True, slots=True)
class Panel:
    picture: Image
    caption: str


@dataclass(frozen=True, slots=True)
class Explained:
    """The panels of one image, and a sentence a block about its channels."""

    panels: tuple[Panel, ...]
    channels: tuple[str, ...]


def explain(
    model: nn.Module,
    batch: Mapping[str, Tensor],
    target: Tensor,
    sites: Sequence[str],
    pixels: Array,
    labels: list[str],
    kept: Sequence[int],
) -> list[Explained]:
    """For the images `kept` of a prepared batch, whose stored form is `pixels` uint8 [B, C, H, W].

    `target` int64 [B] are the predicted classes and `labels` their names. Raises ConfigError for a model without a
    feature map.
    """
    import torch

    from ..probes.looking import channel_gain, grad_cam, observe, overlay, place_gain

    heat = grad_cam(model, batch, target).cpu().numpy()
    with torch.inference_mode(), observe(model, sites[-BLOCKS:]) as seen:
        model(batch)
    # A block over time has no places; only those that keep [B, C, H, W] do.
    blocks = {site: pair for site, pair in seen.items() if pair[0].dim() == 4}
    places = {site: place_gain(*pair).float().cpu().numpy() for site, pair in blocks.items()}
    channels = {site: channel_gain(*pair).float().cpu().numpy() for site, pair in blocks.items()}
    found = []
    for k in kept:
        stored = pixels[k]
        image = np.repeat(stored, 3, axis=0) if len(stored) == 1 else stored
        image = np.ascontiguousarray(image.transpose(1, 2, 0))
        panels = [
            _panel(overlay(image, np.zeros(image.shape[:2], np.float32), SIDE), "what the model saw"),
            _panel(overlay(image, heat[k], SIDE), f"Grad-CAM of {labels[k]}"),
        ]
        panels += [_gains(gain[k], site, image.shape[:2]) for site, gain in places.items()]
        found.append(Explained(tuple(panels), tuple(_channels(site, w[k]) for site, w in channels.items())))
    return found


def _gains(gain: Array, site: str, size: tuple[int, ...]) -> Panel:
    """A map [h, w] of a block's gains, stretched over their own range, its places drawn as squares."""
    import matplotlib as mpl
    from PIL import Image

    low, high = float(gain.min()), float(gain.max())
    if high - low < _FLAT:
        level, told = np.full_like(gain, 0.5), f"the same gain everywhere: {low:.3f}"
    else:
        level, told = (gain - low) / (high - low), f"gain by place, {low:.2f} (dark) to {high:.2f}"
    colour = (np.asarray(mpl.colormaps["viridis"](level))[..., :3] * 255).round().astype(np.uint8)
    times = max(1, math.ceil(SIDE / min(size)))
    picture = Image.fromarray(colour).resize((size[1] * times, size[0] * times), Image.Resampling.NEAREST)
    return Panel(fitted(picture, _MOST, _MOST), f"{site}: {told}")


def _panel(image: Array, caption: str) -> Panel:
    from PIL import Image

    return Panel(fitted(Image.fromarray(image), _MOST, _MOST), caption)


def _channels(site: str, gain: Array) -> str:
    low, middle, high = np.percentile(gain, (10, 50, 90))
    most = ", ".join(f"{c} ({gain[c]:.2f})" for c in np.argsort(-gain, kind="stable")[:3])
    return (
        f"{site}: gain of its {len(gain)} channels {low:.2f}, {middle:.2f}, {high:.2f} at the 10th, 50th and 90th "
        f"percentile; highest in channels {most}"
    )


def composed(explained: Explained, title: str) -> Image:
    """One picture: the panels in a row, each with its caption below, and the sentences about channels at the end."""
    from PIL import Image, ImageDraw

    wide = max(p.picture.width for p in explained.panels)
    high = max(p.picture.height for p in explained.panels)
    face, small = font(_TEXT + 4), font(_TEXT)
    across = len(explained.panels) * (wide + _GAP) + _GAP
    head = 2 * _GAP + _TEXT + 4
    below = _GAP + _LINES * (_TEXT + 4)
    lines = [line for text in explained.channels for line in _wrapped(text, small, across - 2 * _GAP, 4)]
    sheet = Image.new("RGB", (across, head + high + below + len(lines) * (_TEXT + 5) + _GAP), PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((_GAP, _GAP), cut(title, face, across - 2 * _GAP), fill=INK, font=face)
    for k, panel in enumerate(explained.panels):
        left = _GAP + k * (wide + _GAP)
        sheet.paste(panel.picture, (left, head))
        for n, line in enumerate(_wrapped(panel.caption, small, wide, _LINES)):
            draw.text((left, head + high + 4 + n * (_TEXT + 4)), line, fill=INK, font=small)
    for n, line in enumerate(lines):
        draw.text((_GAP, head + high + below + n * (_TEXT + 5)), line, fill=INK, font=small)
    return sheet


def _wrapped(text: str, face: Any, width: float, most: int) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if face.getlength(longer) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    if len(lines) > most:
        lines = [*lines[: most - 1], " ".join(lines[most - 1 :])]
    return [cut(line, face, width) for line in lines]
