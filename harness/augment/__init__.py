"""Augmentation on the device: every sample by itself, as a pure function of (seed, epoch, item)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..hookspecs import hookimpl

if TYPE_CHECKING:
    from ..registry import Registry


@hookimpl
def harness_register(registry: Registry) -> None:
    def add(name: str, target: str, summary: str, source: str) -> None:
        registry.add("augment", name, f"harness.augment.ops:{target}", summary=summary, source=source)

    add(
        "crop",
        "Crop",
        "reflect the borders, then cut out a random window of the old size",
        "He et al. 2016, who pad with zeros",
    )
    add("flip", "Flip", "mirror left and right", "He et al. 2016, arXiv:1512.03385, 4.2")
    add("color_jitter", "ColorJitter", "random brightness, contrast and saturation", "torchvision's ColorJitter")
    add("erasing", "Erasing", "fill a random rectangle", "Zhong et al. 2017, arXiv:1708.04896")
