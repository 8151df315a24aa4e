"""What the losses on pictures share: pairs of equal shape, one entry a frame, precision under autocast."""

from __future__ import annotations

import torch
from torch import Tensor

from harness.errors import ConfigError
from harness_losses.common import spread


def paired(loss: str, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Both in the type of `output`, which is float32 at least.

    Raises: ConfigError unless the shapes are equal: torch would stretch one to the other and train on without a word.
    """
    if output.shape != target.shape:
        raise ConfigError(
            f"loss '{loss}': target {list(target.shape)} does not fit output {list(output.shape)}",
            hint="it compares values one by one; 'cross_entropy' and 'bce' take class indices",
        )
    if output.dtype not in (torch.float32, torch.float64):
        output = output.float()
    return output, target.to(output.dtype)


def framed(
    loss: str, output: Tensor, target: Tensor, mask: Tensor | None, least: int = 1
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Output, target and mask with one entry a frame; frames that are not real are black in both.

    Shapes: output and target [B, C, H, W] or [B, T, C, H, W], mask [B] or [B, T] -> [N, C, H, W] twice, [N] bool.
    `least`: pixels that a frame must have along each side.
    Raises: ConfigError if the shapes do not fit.
    """
    output, target = paired(loss, output, target)
    if output.ndim not in (4, 5):
        raise ConfigError(
            f"loss '{loss}' compares frames [B, C, H, W] or [B, T, C, H, W], not {list(output.shape)}",
            hint="'mse', 'mae' and 'bce' take any shape",
        )
    if min(output.shape[-2:]) < least:
        height, width = output.shape[-2:]
        raise ConfigError(
            f"loss '{loss}' needs frames of at least {least} x {least} pixels, and these have {height} x {width}"
        )
    real = None
    if mask is not None:
        lead = output[..., 0, 0, 0]
        if mask.ndim > lead.ndim:
            raise ConfigError(
                f"loss '{loss}': mask {list(mask.shape)} is finer than frames {list(lead.shape)}",
                hint="it compares neighbouring pixels, so a frame counts as a whole or not at all",
            )
        keep = spread(loss, mask, lead)
        # Padding may hold anything, and 0 * NaN is NaN, in the gradient too: it is emptied before it is read.
        output = output.masked_fill(~spread(loss, mask, output), 0.0)
        target = target.masked_fill(~spread(loss, mask, target), 0.0)
        real = keep.flatten()
    return output.flatten(0, -4), target.flatten(0, -4), real


def exactly(like: Tensor) -> torch.autocast:
    """A context in which convolutions compute in the type of their input, whatever the trial's precision."""
    return torch.autocast(like.device.type, enabled=False)
