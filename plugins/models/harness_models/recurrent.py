"""Recurrent convolutions over a whole clip: the input's convolution of all steps at once, then step by step.

Time is the first axis here, so that one step is one block of memory and any layer for images takes all frames as a
batch [T·B, C, H, W].
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from harness_models.sequence import GATES, GatedSequence, wide

Activation = Literal["tanh", "relu"]


@dataclass(frozen=True, slots=True)
class State:
    """What a layer carries from one step to the next: h, and c where there are gates; both [B, C, H, W]."""

    h: Tensor
    c: Tensor | None = None


class RecurrentConv(nn.Module):
    """One recurrent layer: convolutional LSTM, or, without gates, h_t = act(W_x * x_t + W_h * h_{t-1} + b).

    i = σ(W_xi * x + W_hi * h + W_ci ∘ c + b_i), f likewise, c' = f ∘ c + i ∘ act(W_xc * x + W_hc * h + b_c),
    o = σ(W_xo * x + W_ho * h + W_co ∘ c' + b_o), h' = o ∘ act(c'); the W_c are there with `peephole`.

    Shapes: x [T, B, Cin, H, W] -> h of all steps [T, B, C, H, W], state after the last one. Under autocast c stays
    float32. A layer with `channels_in` 0 reads nothing (x is None) and runs on from a state.
    Starts as PyTorch's convolutions do, forget gates' bias at 1 (Jozefowicz et al. 2015), peepholes at 0.
    Source: Shi et al. 2015, arXiv:1506.04214, eq. 3. Differs: peepholes are optional, and the bias is in one place.
    """

    def __init__(
        self,
        channels_in: int,
        channels: int,
        kernel: int,
        *,
        gating: bool = True,
        peephole: tuple[int, int] | None = None,
        activation: Activation = "tanh",
    ) -> None:
        """`peephole` is the (H, W) of the maps, since every pixel has peephole weights of its own."""
        super().__init__()
        rows = GATES * channels if gating else channels
        self.input: nn.Conv2d | None = None
        if channels_in:
            self.input = nn.Conv2d(channels_in, rows, kernel, padding=kernel // 2)
        self.hidden = nn.Conv2d(channels, rows, kernel, padding=kernel // 2, bias=False)
        self.bias: nn.Parameter | None = None
        if not channels_in:
            bound = 1 / math.sqrt(channels * kernel * kernel)
            self.bias = nn.Parameter(torch.empty(rows).uniform_(-bound, bound))
        self.peephole: nn.Parameter | None = None
        if peephole is not None:
            self.peephole = nn.Parameter(torch.zeros(3, channels, *peephole))
        self.gating, self.channels, self.activation = gating, channels, activation
        bias = self.bias if self.input is None else self.input.bias
        if gating and bias is not None:
            with torch.no_grad():
                bias[channels : 2 * channels] = 1.0

    def forward(self, x: Tensor | None, state: State | None, steps: int) -> tuple[Tensor, State]:
        """Run `steps` steps from `state` (None: zeros)."""
        if self.gating and self.peephole is None and self.activation == "tanh" and not torch.compiler.is_compiling():
            return self._as_one(x, state, steps)
        h, c = (None, None) if state is None else (state.h, state.c)
        outputs = []
        for row in self._rows(x, state, steps).unbind(0):
            gates = row if h is None else row + self.hidden(h)
            if self.gating:
                h, c = gated_step(gates, c, self.peephole, self.activation)
            else:
                h = _act(gates, self.activation)
            outputs.append(h)
        return torch.stack(outputs), State(outputs[-1], c)

    def _as_one(self, x: Tensor | None, state: State | None, steps: int) -> tuple[Tensor, State]:
        scale = self.hidden.weight.new_ones(GATES, self.channels)
        scale[-1] = 2
        scale = scale.view(-1)
        weights = [self.hidden.weight if self.input is None else self.input.weight, self.hidden.weight]
        dtype, (weight_x, weight_h) = _working(weights[0]), (w * scale.view(-1, 1, 1, 1) for w in weights)
        hidden, cell = GatedSequence.apply(
            None if x is None else x.to(dtype),
            None if self.input is None else weight_x.to(dtype),
            (self._bias() * scale).to(dtype),
            weight_h.to(dtype),
            None if state is None else state.h,
            None if state is None else state.c,
            steps,
        )
        return hidden, State(hidden[-1], cell)

    def _bias(self) -> Tensor:
        bias = self.bias if self.input is None else self.input.bias
        if bias is None:
            raise ValueError("a recurrent layer has a bias")
        return bias

    def _rows(self, x: Tensor | None, state: State | None, steps: int) -> Tensor:
        """What input and bias give to the sums of all steps: [T, B, rows, H, W]."""
        if x is not None and self.input is not None:
            mapped: Tensor = self.input(x.flatten(0, 1))
            return mapped.view(*x.shape[:2], *mapped.shape[1:])
        if state is None:
            raise ValueError("a layer without input runs on from a state")
        h = state.h
        return self._bias().to(h.dtype).view(-1, 1, 1).expand(steps, h.shape[0], -1, *h.shape[-2:])


def _working(weight: Tensor) -> torch.dtype:
    """What autocast would compute a convolution in."""
    kind = weight.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype


def gated_step(
    gates: Tensor, c: Tensor | None, peephole: Tensor | None, activation: Activation
) -> tuple[Tensor, Tensor]:
    """(h, c) after one step, from the sum of the convolutions [B, 4·C, H, W]."""
    i, f, o, g = gates.chunk(GATES, dim=1)
    if peephole is not None and c is not None:
        i, f = i + peephole[0] * c, f + peephole[1] * c
    new = torch.sigmoid(i) * _act(g, activation)
    new = new.to(wide(new.dtype)) if c is None else torch.sigmoid(f) * c + new
    if peephole is not None:
        o = o + peephole[2] * new
    return (torch.sigmoid(o) * _act(new, activation)).to(gates.dtype), new


def _act(x: Tensor, activation: Activation) -> Tensor:
    return torch.tanh(x) if activation == "tanh" else torch.relu(x)
