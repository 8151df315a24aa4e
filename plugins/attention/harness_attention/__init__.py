"""Attention: gates for feature maps [B, C, H, W], over channels, places, and both; and looks over time, [B, T, C]."""

from __future__ import annotations

from typing import Any

from harness import hookimpl


@hookimpl
def harness_register(registry: Any) -> None:
    registry.add(
        "attention",
        "none",
        "harness_attention.none:NoAttention",
        summary="nothing; the arm that the others are compared with",
        source="original",
    )
    registry.add(
        "attention",
        "se",
        "harness_attention.se:SqueezeExcitation",
        summary="gates channels with a small MLP over their means",
        source="Hu et al. 2018, arXiv:1709.01507, eq. 2-4",
    )
    registry.add(
        "attention",
        "eca",
        "harness_attention.eca:EfficientChannel",
        summary="gates channels with a 1-d convolution over their means",
        source="Wang et al. 2020, arXiv:1910.03151, eq. 9 and 12",
    )
    registry.add(
        "attention",
        "channel",
        "harness_attention.channel:ChannelAttention",
        summary="gates channels with one MLP over their means and their maxima (channel half of CBAM)",
        source="Woo et al. 2018, arXiv:1807.06521, eq. 2",
    )
    registry.add(
        "attention",
        "spatial",
        "harness_attention.spatial:SpatialAttention",
        summary="gates places with a convolution over the mean and the maximum of the channels (spatial half of CBAM)",
        source="Woo et al. 2018, arXiv:1807.06521, eq. 3",
    )
    registry.add(
        "attention",
        "hybrid_sequential",
        "harness_attention.hybrid:HybridSequential",
        summary="channel attention, then spatial attention on its result (CBAM); or the other order",
        source="Woo et al. 2018, arXiv:1807.06521, eq. 1",
    )
    registry.add(
        "attention",
        "hybrid_parallel",
        "harness_attention.hybrid:HybridParallel",
        summary="channel and spatial gates, both read from the raw input, added, multiplied or the larger of both",
        source="Park et al. 2018, arXiv:1807.06514, eq. 2; Woo et al. 2018, arXiv:1807.06521, section 4.1",
    )
    registry.add(
        "attention",
        "global",
        "harness_attention.temporal:GlobalAttention",
        summary="over time: every frame of a video looks at all frames",
        source="Vaswani et al. 2017, arXiv:1706.03762, section 3.2.2",
    )
    registry.add(
        "attention",
        "local",
        "harness_attention.temporal:LocalAttention",
        summary="over time: every frame of a video looks at the frames within a window",
        source="Beltagy et al. 2020, arXiv:2004.05150, section 3.1",
    )
    registry.add(
        "attention",
        "dual",
        "harness_attention.temporal:DualAttention",
        summary="over time: local and global attention side by side, concatenated, gated or added",
        source="Apostolidis et al. 2021, PGL-SUM, IEEE ISM",
    )
