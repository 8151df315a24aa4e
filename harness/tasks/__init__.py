"""What is learnt and how it is judged. The tasks that ship register through the same hook as anybody's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..hookspecs import hookimpl

if TYPE_CHECKING:
    from ..registry import Registry


@hookimpl
def harness_register(registry: Registry) -> None:
    registry.add(
        "task",
        "classification",
        "harness.tasks.classification:Classification",
        summary="one label an image: top-1, top-5, cross-entropy, calibration, per-class report",
        source="calibration: Guo et al. 2017, arXiv:1706.04599",
    )
    registry.add(
        "task",
        "keyframes",
        "harness.tasks.keyframes:Keyframes",
        summary="importance of frames: rank correlations with annotators, MSE, precision, F-score of summaries",
        source="rank protocol: Otani et al. 2019, arXiv:1903.11328",
    )
    registry.add(
        "task",
        "video_prediction",
        "harness.tasks.video_prediction:VideoPrediction",
        summary="frames to come, one step ahead or free: PSNR, SSIM, MSE, MAE, sharpness by horizon; leak audit",
        source="protocols: Shi et al. 2015, arXiv:1506.04214; Srivastava et al. 2015, arXiv:1502.04681",
    )
