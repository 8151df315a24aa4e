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
        "coord",
        "harness_attention.coord:CoordinateAttention",
        summary="gates every channel along its rows and along its columns, from means over the other axis",
        source="Hou et al. 2021, arXiv:2103.02907, eq. 4-9",
        departs={"idle_weights": "a bias before a batch norm, kept as in the authors' code"},
    )
    registry.add(
        "attention",
        "simam",
        "harness_attention.simam:SimpleAttention",
        summary="gates every value by its distance from the mean of its map; no parameters",
        source="Yang et al. 2021, SimAM, ICML, PMLR 139, section 3",
    )
    registry.add(
        "attention",
        "gc",
        "harness_attention.gc:GlobalContext",
        summary="an MLP over a learnt weighted mean of all places gates the channels, or is added to them",
        source="Cao et al. 2019, arXiv:1904.11492, section 3",
        departs={"idle_weights": "a bias before a softmax, kept as in the authors' code"},
    )
    registry.add(
        "attention",
        "scse",
        "harness_attention.scse:ConcurrentSqueezeExcitation",
        summary="gates channels and places side by side, and adds both results or takes the larger",
        source="Roy et al. 2018, arXiv:1803.02579, section 2",
    )
    registry.add(
        "attention",
        "bam",
        "harness_attention.bam:BottleneckAttention",
        summary="adds to the input what a channel branch and a branch of dilated convolutions let through",
        source="Park et al. 2018, arXiv:1807.06514, eq. 1-4",
        departs={"idle_weights": "biases before batch norms, kept as in the authors' code"},
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
    registry.add(
        "attention",
        "identity_gate",
        "harness_attention.controls:IdentityGate",
        summary="control: wraps a block `of` and does nothing; the block's weights are there, and y = x",
        source="original",
        departs={"gradient": "the block's weights are there and do nothing"},
    )
    registry.add(
        "attention",
        "shuffled_gate",
        "harness_attention.controls:ShuffledGate",
        summary="control: wraps a block `of` and gives every item the gates of another item of its batch",
        source="original",
        departs={"independent": "every item gets the gates of another item of its batch"},
    )
    registry.add(
        "attention",
        "matched_conv",
        "harness_attention.controls:MatchedConv",
        summary="control: a plain convolution, added to its input, as large as the block `of` that it stands in for",
        source="original",
    )
