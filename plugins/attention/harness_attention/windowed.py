"""Attention within a window, in blocks along the band, so that its cost grows with T and not with T^2.

Source: Beltagy et al. 2020, "Longformer", arXiv:2004.05150, section 3.1 and appendix A ("chunk").
Differs: a block sees exactly the frames that one of its queries may see, block + 2 * window of them.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

SMALLEST_BLOCK = 32
"""Queries of a block at least: with a narrow window, smaller ones are many small products."""


def banded_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, window: int, dropout: float = 0.0) -> Tensor:
    """softmax(q k^T / sqrt(d)) v over the real frames at most `window` away.

    Shapes: q, k, v [B, T, heads, d], mask bool [B, T] (True = real) or None -> [B, T, heads, d]; under padding any
    finite number, if what stands there is finite. Memory: O(B * T * (window + d * heads)).
    """
    items, frames = q.shape[:2]
    window = min(window, frames - 1)
    size = min(max(window, SMALLEST_BLOCK), frames)
    seen = size + 2 * window
    real = torch.ones(1, frames, dtype=torch.bool, device=q.device) if mask is None else mask
    real = functional.pad(real, (window, window + size - 1), value=False).unfold(1, seen, size)
    # A query under padding, or behind the end, sees itself: a softmax over nothing is no number.
    itself = band(size, seen, 0, window, q.device)
    visible = (real[:, :, None] & band(size, seen, window, window, q.device)) | itself
    attended = functional.scaled_dot_product_attention(
        _stretches(q, 0, size),
        _stretches(k, window, size),
        _stretches(v, window, size),
        visible.expand(items, -1, -1, -1).flatten(0, 1)[:, None],
        dropout,
    )
    return attended.transpose(1, 2).reshape(items, -1, *q.shape[2:])[:, :frames]


def band(rows: int, columns: int, window: int, shift: int, device: torch.device) -> Tensor:
    """Bool [rows, columns]: whether column j - shift is at most `window` away from row i."""
    away = torch.arange(columns, device=device) - torch.arange(rows, device=device)[:, None] - shift
    return away.abs() <= window


def _stretches(x: Tensor, window: int, size: int) -> Tensor:
    """Blocks of `size` frames of x [B, T, heads, d], and `window` frames to either side of each, zero outside x.

    [B * ceil(T / size), heads, size + 2 * window, d]
    """
    x = functional.pad(x, (0, 0, 0, 0, window, window + size - 1))
    return x.unfold(1, size + 2 * window, size).transpose(-1, -2).flatten(0, 1)
