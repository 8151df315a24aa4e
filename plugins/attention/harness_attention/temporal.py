"""Attention over the frames of a video: all of them, those near by, or both.

Per head with width d, frames t and s, and q, k, v linear in x:
global:  a_t = sum_s softmax_s(q_t . k_s / sqrt(d)) v_s             over all real frames s
local:   the same over the real frames s with |t - s| <= window
y = x + W_o [a of all heads] + b_o;  dual: y = x + fusion of the two.

Source: Vaswani et al. 2017, "Attention Is All You Need", arXiv:1706.03762, eq. 1 and section 3.2.2; the band is
Beltagy et al. 2020, "Longformer", arXiv:2004.05150, section 3.1; both side by side for scores of frames is Apostolidis
et al. 2021, "PGL-SUM", IEEE ISM.
Differs: of Longformer, no dilation and no global tokens; of PGL-SUM, whose local attentions see one of
four segments each and whose results are added at unit length, a window that slides, one set of weights for all of it,
and a choice of fusions without that length.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from harness_attention.common import require_heads, require_one_of, require_positive, require_probability
from harness_attention.windowed import band, banded_attention

Fusion = Literal["concat", "gate", "sum"]


class FrameAttention(nn.Module):
    """Multi-head self-attention without a residual; what the blocks below are made of.

    Shapes: x [B, T, C], zero under padding, mask bool [B, T] (True = real) or None -> [B, T, C], any finite number
    under padding. Weights start as those of torch.nn.MultiheadAttention; dropout is on the attention weights, as there.
    Cost: 4 C^2 + 4 C parameters.
    """

    def __init__(self, channels: int, heads: int, dropout: float, window: int | None = None) -> None:
        super().__init__()
        self.heads, self.dropout, self.window = heads, dropout, window
        self.qkv = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)
        nn.init.xavier_uniform_(self.qkv.weight)
        nn.init.zeros_(self.qkv.bias)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        q, k, v = self._projected(x)
        dropout = self.dropout if self.training else 0.0
        if self.window is not None:
            attended = banded_attention(q, k, v, mask, self.window, dropout)
        else:
            keys = None if mask is None else _keys(mask)[:, None, None]
            attended = functional.scaled_dot_product_attention(
                q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), keys, dropout
            ).transpose(1, 2)
        out: Tensor = self.out(attended.flatten(2))
        return out

    def weights(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Float32 [B, T, T]: how much frame t (row) takes from frame s, the mean over heads; without dropout.

        A row sums to 1 over real frames, and is zero under padding.
        """
        q, k, _ = self._projected(x)
        hidden = torch.zeros(1, 1, x.shape[1], dtype=torch.bool, device=x.device)
        if mask is not None:
            hidden = ~_keys(mask)[:, None]
        if self.window is not None:
            near = band(x.shape[1], x.shape[1], self.window, 0, x.device)
            # A padded frame may have no real one near it: it looks at itself, and its row is cleared below.
            hidden = (hidden & ~torch.eye(x.shape[1], dtype=torch.bool, device=x.device)) | ~near
        mean = torch.zeros(x.shape[0], x.shape[1], x.shape[1], device=x.device)
        for head in range(self.heads):
            # One head at a time: all of them at once are T x T x heads.
            scores = (q[:, :, head] @ k[:, :, head].mT).float() * q.shape[-1] ** -0.5
            mean = mean + scores.masked_fill(hidden, -torch.inf).softmax(dim=-1) / self.heads
        return mean if mask is None else mean.masked_fill(~mask[..., None] | ~mask[:, None], 0)

    def _projected(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, each [B, T, heads, d]."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).unbind(2)
        return q, k, v


class GlobalAttention(nn.Module):
    """Every frame looks at all frames; the result is added to it.

    Shapes: x [B, T, C] float, mask bool [B, T] (True = real) or None -> [B, T, C], zero under padding. Nothing under
    padding, be it NaN, reaches a real frame or a gradient.
    Cost: 4 C^2 + 4 C parameters, 1,050,624 for C = 512. No norm of its own: the encoder before it ends in one, or has
    one behind it. Without padding no T x T scores are kept, except on a CPU in training with dropout.
    Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.2.2. Differs: nothing.
    Raises: ConfigError if channels or heads < 1, heads does not divide channels, or dropout is not in [0, 1).
    """

    domain: ClassVar[Literal["temporal"]] = "temporal"

    def __init__(self, channels: int, *, heads: int = 8, dropout: float = 0.0) -> None:
        super().__init__()
        _check("global", channels, heads, dropout)
        self.attend = FrameAttention(channels, heads, dropout)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x, mask = _cleared(x, mask, self.training)
        return _padded(x + self.attend(x, mask), mask)

    def maps(self, x: Tensor, mask: Tensor | None = None) -> Mapping[str, Tensor]:
        """{"global": [B, T, T] float32}, see `FrameAttention.weights`."""
        return {"global": self.attend.weights(*_cleared(x, mask, self.training))}


class LocalAttention(nn.Module):
    """Every frame looks at the frames at most `window` before or behind it, and itself; the result is added to it.

    Shapes: as GlobalAttention.
    Cost: 4 C^2 + 4 C parameters, 1,050,624 for C = 512; memory and time O(T * window), in blocks along the band.
    Source: Beltagy et al. 2020, arXiv:2004.05150, section 3.1. Differs: no dilation, no global tokens.
    Raises: ConfigError as GlobalAttention, and if window < 1.
    """

    domain: ClassVar[Literal["temporal"]] = "temporal"

    def __init__(self, channels: int, *, window: int = 8, heads: int = 8, dropout: float = 0.0) -> None:
        super().__init__()
        _check("local", channels, heads, dropout)
        require_positive("local", "window", window)
        self.attend = FrameAttention(channels, heads, dropout, window)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x, mask = _cleared(x, mask, self.training)
        return _padded(x + self.attend(x, mask), mask)

    def maps(self, x: Tensor, mask: Tensor | None = None) -> Mapping[str, Tensor]:
        """{"local": [B, T, T] float32}, zero outside the band, see `FrameAttention.weights`."""
        return {"local": self.attend.weights(*_cleared(x, mask, self.training))}


class DualAttention(nn.Module):
    """Local and global attention read the same input; their results l and g are fused and added to it.

    fusion concat: W [l; g] + b. gate: z * l + (1 - z) * g with z = sigmoid(W [l; g] + b). sum: l + g.
    Shapes: as GlobalAttention.
    Cost: twice 4 C^2 + 4 C parameters, and 2 C^2 + C for concat and gate: 2,626,048 for C = 512; 2,101,248 with sum.
    Source: Apostolidis et al. 2021, PGL-SUM, IEEE ISM. Differs: a sliding window; see the module.
    Raises: ConfigError as LocalAttention, and for an unknown fusion.
    """

    domain: ClassVar[Literal["temporal"]] = "temporal"

    def __init__(
        self, channels: int, *, window: int = 8, heads: int = 8, dropout: float = 0.0, fusion: Fusion = "concat"
    ) -> None:
        super().__init__()
        _check("dual", channels, heads, dropout)
        require_positive("dual", "window", window)
        require_one_of("dual", "fusion", fusion, ("concat", "gate", "sum"))
        self.fusion = fusion
        self.near = FrameAttention(channels, heads, dropout, window)
        self.far = FrameAttention(channels, heads, dropout)
        self.fuse = nn.Identity() if fusion == "sum" else nn.Linear(2 * channels, channels)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x, mask = _cleared(x, mask, self.training)
        return _padded(x + self._fused(self.near(x, mask), self.far(x, mask)), mask)

    def _fused(self, near: Tensor, far: Tensor) -> Tensor:
        if self.fusion == "sum":
            return near + far
        mixed: Tensor = self.fuse(torch.cat([near, far], dim=-1))
        return mixed if self.fusion == "concat" else torch.lerp(far, near, mixed.sigmoid())

    def maps(self, x: Tensor, mask: Tensor | None = None) -> Mapping[str, Tensor]:
        """{"local": [B, T, T], "global": [B, T, T]} float32, see `FrameAttention.weights`."""
        x, mask = _cleared(x, mask, self.training)
        return {"local": self.near.weights(x, mask), "global": self.far.weights(x, mask)}


def _cleared(x: Tensor, mask: Tensor | None, training: bool) -> tuple[Tensor, Tensor | None]:
    """x, zero under padding, and the mask; in evaluation None where every frame is real.

    Without a mask the fast kernels run; training keeps it, because the question would wait for the device.
    """
    if mask is None or (not (training or torch.compiler.is_compiling()) and bool(mask.all())):
        return x, None
    return _padded(x, mask), mask


def _padded(x: Tensor, mask: Tensor | None) -> Tensor:
    return x if mask is None else x.masked_fill(~mask[..., None], 0)


def _keys(mask: Tensor) -> Tensor:
    """The frames that are looked at. Of an item that is all padding, all: a softmax over nothing is no number."""
    return mask | ~mask.any(dim=1, keepdim=True)


def _check(block: str, channels: int, heads: int, dropout: float) -> None:
    require_positive(block, "channels", channels)
    require_heads(block, channels, heads)
    require_probability(block, "dropout", dropout)
