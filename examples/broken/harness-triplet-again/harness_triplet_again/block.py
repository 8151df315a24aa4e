"""A block that does nothing, so that there is something to register."""

from torch import Tensor, nn


class Nothing(nn.Module):
    """x [B, C, H, W] -> x."""

    domain = "image"

    def __init__(self, channels: int) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        return x
