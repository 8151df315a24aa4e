"""Numbers of predicted video that are claimed together: which cannot all be true, and which only in a telling way."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from .frames import CEILING

SLACK = 1.5
"""dB by which an MSE and a PSNR may miss each other: published ones are rounded, to one digit at worst."""

_LEAK = "; so does a model score that sees one frame of the future, and has none to see for its last output"


def identities(numbers: Mapping[str, float]) -> Sequence[str]:
    """Peak 1: pooled PSNR is -10 log10 MSE; a mean of frames' PSNR is at least that; MAE^2 <= MSE <= MAE.

    All with room for rounding: 1.5 dB, and a factor of 1.4.
    """
    found = []
    mse, mae = numbers.get("mse"), numbers.get("mae")
    pooled, mean = numbers.get("psnr_pooled"), numbers.get("psnr")
    if mse is not None and mse > 0:
        implied = min(CEILING, -10 * math.log10(mse))  # a frame without error has the ceiling, and no infinity
        if pooled is not None and abs(pooled - implied) > SLACK:
            other = 10 ** (-pooled / 10)
            found.append(
                f"at peak 1.0, MSE {mse:.4g} is a pooled PSNR of {implied:.2f} dB, and {pooled:.2f} dB is MSE"
                f" {other:.3g}, {max(mse, other) / min(mse, other):.1f} times apart: they cannot both hold"
            )
        if mean is not None and mean < implied - SLACK:
            found.append(
                f"the mean of frames' PSNR is at least the pooled one, and MSE {mse:.4g} is {implied:.2f} dB, above"
                f" {mean:.2f} dB"
            )
        if mae is not None and (mae * mae > 1.4 * mse or mse > 1.4 * mae):
            found.append(f"MSE {mse:.4g} and MAE {mae:.4g}: with values in [0, 1], MAE^2 <= MSE <= MAE")
    for name in ("ssim", "mse", "mae"):
        if name in numbers and not (-1 if name == "ssim" else 0) <= numbers[name] <= 1:
            found.append(f"{name} of {numbers[name]:.4g} is outside its range")
    return found


def remarks(numbers: Mapping[str, float], frames: int, teacher_forced: bool) -> Sequence[str]:
    """A mean over so many frames' PSNR far above the pooled one: possible, if frames differ widely.

    A normal spread of s dB lifts the mean by s^2 ln(10) / 20.
    """
    mse, mean = numbers.get("mse"), numbers.get("psnr")
    if mse is None or mean is None or not 0 < mse < 1:
        return ()
    pooled = -10 * math.log10(mse)
    gap = mean - pooled
    if gap <= SLACK or frames < 2:
        return ()
    spread = math.sqrt(20 * gap / math.log(10))
    told = (
        f"MSE {mse:.4g} is {pooled:.2f} dB when pooled, and {mean:.2f} dB is a mean over frames only if they differ: by"
        f" a normal spread of {spread:.1f} dB"
    )
    pair = two_levels(mse, mean, frames)
    if pair is not None:
        told += f", say, or with {frames - 1} of {frames} frames at {pair[0]:.1f} dB and one at {pair[1]:.1f} dB"
        told += _LEAK if teacher_forced and gap > 6 else ""
    return (told,)


def two_levels(mse: float, mean: float, frames: int) -> tuple[float, float] | None:
    """(PSNR of all frames but one, PSNR of that one) with this pooled MSE and this mean of PSNRs; None without one."""

    def pooled(worst: float) -> float:
        rest = (frames * mean - worst) / (frames - 1)
        return ((frames - 1) * 10 ** (-rest / 10) + 10 ** (-worst / 10)) / frames

    low, high = 0.0, mean
    if not pooled(high) <= mse <= pooled(low):
        return None
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if pooled(middle) > mse else (low, middle)
    return (frames * mean - low) / (frames - 1), low
