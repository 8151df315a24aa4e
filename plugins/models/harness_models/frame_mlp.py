"""Importance of every frame from that frame alone: what a model of time has to be compared with.

Source: original. On the usual benchmark, shuffling the frames of a video barely changes what temporal models score
(arXiv:2410.03323), so a gain over position and chance does not show that anything was learnt about time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import nn

from harness.contracts import IO, AttentionFactory
from harness.errors import ConfigError
from harness_models.scorer import FrameScorer, check_options, padded
from harness_models.weights import WeightsBy

if TYPE_CHECKING:
    from harness.contracts import Batch, Output


class FrameMlp(FrameScorer):
    """The backbone of `keyframe_transformer`, then an MLP frame by frame: D -> dim -> hidden -> 1, GELU and dropout.

    Shapes: batch["inputs"] [B, T, 3, H, W] uint8, or float in [0, 1], or batch["features"] [B, T, D] in its place;
    batch["mask"] bool [B, T], True = real, may be absent -> {"logits": [B, T] float32}, before the sigmoid, zero
    under padding. In evaluation mode a frame's logit depends on that frame alone. Options of the backbone are those
    of `keyframe_transformer`.

    With dim and hidden 512, and 2048 features: 1,312,257 parameters behind the backbone.

    Raises: ConfigError for options that do not fit, DataError for weights that cannot be had.
    """

    def __init__(
        self,
        io: IO,
        *,
        backbone: str = "resnet50",
        pretrained: bool = True,
        weights: str | None = None,
        weights_by: WeightsBy = "name",
        dim: int = 512,
        hidden: int = 512,
        dropout: float = 0.1,
        chunk: int = 64,
    ) -> None:
        check_options(dropout, dim=dim, hidden=hidden, chunk=chunk)
        super().__init__(io, backbone, pretrained, weights, weights_by, chunk)
        self.project = nn.Linear(self.features, dim)
        self.score = nn.Sequential(
            nn.GELU(), nn.Dropout(dropout), nn.Linear(dim, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, 1)
        )

    def forward(self, batch: Batch) -> Output:
        x, mask = self.featured(batch)
        return {"logits": padded(self.score(self.project(x.to(self.project.weight.dtype))), mask)}

    def attach(self, factory: AttentionFactory, placement: str | Sequence[str]) -> Sequence[str]:
        """Raises ConfigError: what looks at one frame alone has no place for attention over time."""
        raise ConfigError(
            "FrameMlp scores every frame by itself, so it has no place for temporal attention",
            hint="use `attention: none` with `model: frame_mlp`, or `model: keyframe_transformer`",
        )
