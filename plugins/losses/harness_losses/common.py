"""What the losses share: masks, and the check of label smoothing."""

from __future__ import annotations

from torch import Tensor

from harness.errors import ConfigError


def require_smoothing(loss: str, value: float) -> None:
    """Raises ConfigError outside [0, 1); the comparison is also false for NaN."""
    if not 0.0 <= value < 1.0:
        raise ConfigError(f"loss '{loss}': label_smoothing is {value:g}", hint="it lies in [0, 1); 0.1 is usual")


def spread(loss: str, mask: Tensor, like: Tensor) -> Tensor:
    """The mask as bool, given trailing axes and expanded to the shape of `like`.

    Shapes: mask [B, ...], whose axes are the first ones of `like`.
    Raises: ConfigError if they are not.
    """
    if tuple(mask.shape) != tuple(like.shape[: mask.ndim]):
        raise ConfigError(
            f"loss '{loss}': mask {list(mask.shape)} does not fit values {list(like.shape)}",
            hint="the axes of the mask are the first axes of the values",
        )
    return mask.bool().reshape(*mask.shape, *(1 for _ in range(like.ndim - mask.ndim))).expand_as(like)


def masked_mean(values: Tensor, mask: Tensor | None) -> Tensor:
    """Mean over the elements where the mask is True, over all without one; 0 where no element is left.

    Shapes: values [...], mask bool of the same shape -> scalar. Values under False must be finite.
    """
    if mask is None:
        return values.mean()
    weight = mask.to(values.dtype)
    return (values * weight).sum() / weight.sum().clamp(min=1.0)
