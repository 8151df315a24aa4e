"""The attention `triplet` for the ablation harness.

No torch is imported here, so that `harness list` stays fast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness import hookimpl

if TYPE_CHECKING:
    from harness.registry import Registry


@hookimpl
def harness_register(registry: Registry) -> None:
    registry.add(
        "attention",
        "triplet",
        "harness_triplet.block:TripletAttention",
        summary="three gates, over (H, W), (C, W) and (H, C), averaged",
        source="Misra et al. 2021, arXiv:2010.03045, section 3",
    )
