"""What the losses on the order of scores share: one sequence of single values an item."""

from __future__ import annotations

import torch
from torch import Tensor

from harness.errors import ConfigError
from harness_losses.common import spread
from harness_losses.frames import paired


def sequences(loss: str, output: Tensor, target: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Output and target in the output's type, float32 at least, 0 where not real; and which entries are real.

    Shapes: output [B, T], target [B, T], mask [B, T] (True = real) or None -> [B, T], [B, T], [B, T] bool.
    Raises: ConfigError if the shapes do not fit.
    """
    output, target = paired(loss, output, target)
    if output.ndim != 2 or output.shape[1] == 0:
        raise ConfigError(
            f"loss '{loss}' ranks the entries of sequences [B, T], not {list(output.shape)}",
            hint="'mse' and 'bce' take any shape",
        )
    if mask is None:
        return output, target, torch.ones_like(output, dtype=torch.bool)
    real = spread(loss, mask, output)
    # Padding may hold anything, and 0 * NaN is NaN, in the gradient too: it is emptied before it is read.
    return output.masked_fill(~real, 0.0), target.masked_fill(~real, 0.0), real
