"""Losses of classification: cross-entropy over exclusive classes, and binary cross-entropy element by element."""

from __future__ import annotations

from typing import Any

from harness import hookimpl


@hookimpl
def harness_register(registry: Any) -> None:
    registry.add(
        "loss",
        "cross_entropy",
        "harness_losses.cross_entropy:CrossEntropy",
        summary="-log softmax of the true class; label_smoothing",
        source="Szegedy et al. 2016, arXiv:1512.00567, section 7 (label smoothing)",
    )
    registry.add(
        "loss",
        "bce",
        "harness_losses.bce:BinaryCrossEntropy",
        summary="binary cross-entropy of every element; class indices are read as one against the rest",
        source="Wightman et al. 2021, arXiv:2110.00476, section 2.2",
    )
