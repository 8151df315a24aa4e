"""Image classifiers (any timm architecture, the CIFAR ResNets of He et al. 2016), predictors of video (ConvLSTM), and
scores of the frames of a video."""

from __future__ import annotations

from typing import Any

from harness import hookimpl

_DEPTHS = (20, 32, 44, 56, 110)


@hookimpl
def harness_register(registry: Any) -> None:
    registry.add(
        "model",
        "timm",
        "harness_models.timm_models:timm_classifier",
        summary="any timm architecture, e.g. arch: resnet50, stem: cifar",
        source="Wightman 2019, doi:10.5281/zenodo.4414861",
        files=("weights",),
        example={"arch": "test_resnet"},
    )
    for depth in _DEPTHS:
        registry.add(
            "model",
            f"resnet{depth}",
            f"harness_models.cifar:resnet{depth}",
            summary=f"the {depth}-layer ResNet for 32-pixel images: three stages of 16, 32 and 64 channels",
            source="He et al. 2016, arXiv:1512.03385, section 4.2",
            files=("weights",),
        )
    registry.add(
        "model",
        "convlstm",
        "harness_models.convlstm:convlstm",
        summary="predicted video: a stack of convolutional LSTM layers and a Conv3d",
        source="Shi et al. 2015, arXiv:1506.04214",
        example={"hidden": (16, 16, 16)},
    )
    registry.add(
        "model",
        "convlstm_baseline",
        "harness_models.convlstm:convlstm_baseline",
        summary="predicted video: the plain stack of three relu layers that is usually compared with",
        source="keras-io, examples/vision/conv_lstm.py",
        example={"hidden": 16},
    )
    registry.add(
        "model",
        "keyframe_transformer",
        "harness_models.keyframes:KeyframeTransformer",
        summary="importance of frames: a backbone, a transformer encoder over time, temporal attention, a score",
        source="Vaswani et al. 2017, arXiv:1706.03762; Fajtl et al. 2018, arXiv:1812.01969",
        files=("weights",),
        example={"backbone": "test_resnet", "dim": 64, "layers": 2, "hidden": 128, "dropout": 0.0},
    )
    registry.add(
        "model",
        "frame_mlp",
        "harness_models.frame_mlp:FrameMlp",
        summary="importance of frames, each judged alone: what a model of time is compared with",
        source="original",
        files=("weights",),
        departs={"sites": "it judges each frame alone, so there is no place for attention over time"},
        example={"backbone": "test_resnet", "dim": 64, "hidden": 64, "dropout": 0.0},
    )
