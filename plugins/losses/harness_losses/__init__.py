"""Losses: of classes, of single values, of their order, and of frames (edges, structure, features)."""

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
    registry.add(
        "loss",
        "mse",
        "harness_losses.pixel:MeanSquaredError",
        summary="mean squared error of every element, in [0, 1]",
        source="the usual definition",
    )
    registry.add(
        "loss",
        "mae",
        "harness_losses.pixel:MeanAbsoluteError",
        summary="mean absolute error of every element, in [0, 1]",
        source="the usual definition",
    )
    registry.add(
        "loss",
        "gdl",
        "harness_losses.gdl:GradientDifference",
        summary="gradient difference: edges of frames, where mse alone gives blur; alpha",
        source="Mathieu et al. 2016, arXiv:1511.05440, eq. 6",
    )
    registry.add(
        "loss",
        "ssim",
        "harness_losses.ssim:Ssim",
        summary="1 - structural similarity of frames, data range 1",
        source="Wang et al. 2004, IEEE Transactions on Image Processing 13(4), eq. 13",
    )
    registry.add(
        "loss",
        "perceptual",
        "harness_losses.perceptual:Perceptual",
        summary="squared distance of frames in the features of a frozen VGG; any layer, any weights",
        source="Johnson et al. 2016, arXiv:1603.08155, eq. 2",
        files=("file",),
        example={"weights": "random", "layer": "block1_conv2"},
    )
    registry.add(
        "loss",
        "spearman",
        "harness_losses.spearman:Spearman",
        summary="1 - rank correlation along time, by soft ranks; temperature",
        source="soft ranks: Qin et al. 2010, Information Retrieval 13(4); made into a correlation here",
    )
    registry.add(
        "loss",
        "pairwise_ranking",
        "harness_losses.pairwise:PairwiseRanking",
        summary="order of every pair with unequal targets; logistic (RankNet) or hinge",
        source="Burges et al. 2005, Learning to rank using gradient descent, ICML",
    )
