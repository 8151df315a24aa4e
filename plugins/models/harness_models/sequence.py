"""A convolutional LSTM layer over a whole clip, as one operation of autograd."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

GATES = 4
"""Parts of a gated layer's convolutions: input gate i, forget gate f, output gate o, candidate g, in this order."""

BLOCK_BYTES = 8 * 2**20
"""On a CPU the input's convolution takes blocks of steps of about this size, which stay in its cache."""


def wide(dtype: torch.dtype) -> torch.dtype:
    """The type of gates and cell state, which sums over all steps: at least float32."""
    return torch.promote_types(dtype, torch.float32)


class GatedSequence(torch.autograd.Function):
    """What autograd makes of the single steps of a layer without peepholes, with less work and less memory.

    The candidate's weights and biases arrive doubled, so that tanh(x) = 2 σ(2x) - 1 is part of one sigmoid over all
    rows: PyTorch's tanh takes six times as long as its sigmoid on a CPU. Gates are computed in the memory of the
    input's convolution, and going back, a weight's gradient is one convolution over a block of steps. A block is the
    whole clip but on a CPU, where memory that leaves the cache, or is new to the process, costs more than arithmetic.
    Forward-mode derivatives and `torch.func` do not work through it: they need the plain loop of `RecurrentConv`.

    Shapes: x [T, B, Cin, H, W] (None: `steps` steps without input), weight_x [4·C, Cin, k, k] or None, bias [4·C],
    weight_h [4·C, C, k, k], h and c [B, C, H, W] before the first step, or None for zeros -> h of all steps
    [T, B, C, H, W] in weight_h's type, c after the last one.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor | None,
        weight_x: Tensor | None,
        bias: Tensor,
        weight_h: Tensor,
        h: Tensor | None,
        c: Tensor | None,
        steps: int,
    ) -> tuple[Tensor, Tensor]:
        blocks: list[Tensor] = []
        cells: list[Tensor] = []
        before, cell = h, c
        while len(cells) < steps:
            rows = _rows(x, weight_x, bias, h, len(cells), steps)
            if not blocks:
                hidden = _empty(rows[0], steps, weight_h.shape[1], weight_h.dtype)
            blocks.append(rows)
            for gates in rows.unbind(0):
                if before is not None:
                    _add_hidden(gates, before, weight_h)
                i, f, o, s = gates.sigmoid_().chunk(GATES, dim=1)
                # c' = f c + i (2 s - 1)
                cell = torch.mul(i, s).mul_(2) if cell is None else torch.mul(f, cell).addcmul_(i, s, value=2)
                before = torch.mul(o, _tanh(cell.sub_(i)), out=hidden[len(cells)])
                cells.append(cell)
        ctx.steps = steps
        ctx.save_for_backward(x, weight_x, bias, weight_h, h, c, hidden, *cells, *blocks)
        return hidden, cells[-1].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_hidden: Tensor, grad_cell: Tensor) -> tuple[Tensor | None, ...]:
        x, weight_x, bias, weight_h, h, c, hidden, *rest = ctx.saved_tensors
        cells, blocks = rest[: ctx.steps], rest[ctx.steps :]
        sums = _Sums(ctx.needs_input_grad[:4], x, weight_x, bias, weight_h)
        dh: Tensor | None = None
        dc, end = grad_cell, ctx.steps
        for rows in reversed(blocks):
            start = end - len(rows)
            grad_rows = torch.empty_like(rows, dtype=weight_h.dtype)
            for t in reversed(range(start, end)):
                dh = grad_hidden[t] if dh is None else dh.add_(grad_hidden[t])
                dc = _step_back(rows[t - start], grad_rows[t - start], cells[t], cells[t - 1] if t else c, dh, dc)
                if t or h is not None:
                    dh = _grad_of_hidden(grad_rows[t - start], hidden[t - 1] if t else h, weight_h)
            sums.add(grad_rows, start, h, hidden)
            end = start
        first = (dh if h is not None else None, dc if c is not None else None)
        return *sums.gradients(), *first, None


class _Sums:
    """Gradients of input, weights and bias, block by block from the last one."""

    def __init__(
        self, needed: Sequence[bool], x: Tensor | None, weight_x: Tensor | None, bias: Tensor, weight_h: Tensor
    ) -> None:
        self._x, self._weight_x, self._weight_h = x, weight_x, weight_h
        self._needed = needed
        self._grad_x = torch.empty_like(x) if x is not None and needed[0] else None
        self._grad_weight_x = torch.zeros_like(weight_x, dtype=wide(bias.dtype)) if weight_x is not None else None
        self._grad_bias = torch.zeros_like(bias, dtype=wide(bias.dtype))
        self._grad_weight_h = torch.zeros_like(weight_h, dtype=wide(bias.dtype))

    def add(self, grad_rows: Tensor, start: int, h: Tensor | None, hidden: Tensor) -> None:
        """`grad_rows` are the gradients of the rows of the steps from `start` on."""
        end = start + len(grad_rows)
        if self._needed[3]:
            if start == 0 and h is not None:
                self._grad_weight_h += _conv_back(grad_rows[0], h, self._weight_h, (False, True, False))[1]
            skip = 1 if start == 0 else 0
            if end > start + skip:
                later, before = grad_rows[skip:].flatten(0, 1), hidden[start + skip - 1 : end - 1].flatten(0, 1)
                self._grad_weight_h += _conv_back(later, before, self._weight_h, (False, True, False))[1]
        if self._x is None or self._weight_x is None or self._grad_weight_x is None:
            self._grad_bias += grad_rows.sum((0, 1, 3, 4))
            return
        wanted = (self._needed[0], self._needed[1], self._needed[2])
        found = _conv_back(grad_rows.flatten(0, 1), self._x[start:end].flatten(0, 1), self._weight_x, wanted)
        if self._grad_x is not None:
            self._grad_x[start:end].copy_(found[0].view_as(self._x[start:end]))
        if wanted[1]:
            self._grad_weight_x += found[1]
        if wanted[2]:
            self._grad_bias += found[2]

    def gradients(self) -> tuple[Tensor | None, ...]:
        all_four = (self._grad_x, self._grad_weight_x, self._grad_bias, self._grad_weight_h)
        return tuple(g if needed else None for g, needed in zip(all_four, self._needed, strict=True))


def _rows(x: Tensor | None, weight_x: Tensor | None, bias: Tensor, h: Tensor | None, start: int, steps: int) -> Tensor:
    """What input and bias give to a block of steps from `start` on: [t, B, 4·C, H, W], free to be overwritten."""
    like = h if x is None else x[0]
    if like is None:
        raise ValueError("a layer without input runs on from a state")
    many = steps - start
    if bias.device.type == "cpu":
        many = min(many, max(1, BLOCK_BYTES // max(1, 4 * len(bias) * like[:, 0].numel())))
    if x is None or weight_x is None:
        return _empty(like, many, len(bias), wide(bias.dtype)).copy_(bias.view(-1, 1, 1))
    flat = F.conv2d(x[start : start + many].flatten(0, 1), weight_x, bias, padding=weight_x.shape[-1] // 2)
    return flat.to(wide(flat.dtype)).view(many, len(like), *flat.shape[1:])


def _empty(like: Tensor, steps: int, channels: int, dtype: torch.dtype) -> Tensor:
    """Room for [steps, B, channels, H, W], laid out in memory as `like` [B, any, H, W] is."""
    count, _, *size = like.shape
    last = like.is_contiguous(memory_format=torch.channels_last) and not like.is_contiguous()
    layout = torch.channels_last if last else torch.contiguous_format
    flat = torch.empty((steps * count, channels, *size), dtype=dtype, device=like.device, memory_format=layout)
    return flat.view(steps, count, channels, *size)


def _add_hidden(rows: Tensor, h: Tensor, weight: Tensor) -> None:
    if _is_matrix(rows, weight):
        _pixels(rows).addmm_(_pixels(h), weight.flatten(1).t())
    else:
        rows.add_(F.conv2d(h, weight, padding=weight.shape[-1] // 2))


def _grad_of_hidden(grad_rows: Tensor, h: Tensor, weight: Tensor) -> Tensor:
    if _is_matrix(grad_rows, weight):
        flat = torch.mm(_pixels(grad_rows), weight.flatten(1))
        return flat.view(*grad_rows.shape[:1], *grad_rows.shape[2:], flat.shape[1]).permute(0, 3, 1, 2)
    return _conv_back(grad_rows, h, weight, (True, False, False))[0]


def _is_matrix(rows: Tensor, weight: Tensor) -> bool:
    """Is the convolution a product of matrices as it stands? PyTorch takes a slow way for it on one CPU thread."""
    last = rows.is_contiguous(memory_format=torch.channels_last)
    return weight.shape[-1] == 1 and last and rows.dtype == weight.dtype


def _pixels(x: Tensor) -> Tensor:
    """[B, C, H, W], channels last in memory -> [B·H·W, C], the same memory."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])


def _step_back(
    gates: Tensor, grad_gates: Tensor, cell: Tensor, before: Tensor | None, dh: Tensor, dc: Tensor
) -> Tensor:
    """Write the gradients of one step's rows; the gradient of the cell state before it."""
    i, f, o, s = gates.chunk(GATES, dim=1)
    grad = grad_gates if grad_gates.dtype == gates.dtype else torch.empty_like(gates)
    di, df, do, ds = grad.chunk(GATES, dim=1)
    shown = _tanh(cell)
    torch.mul(dh, shown, out=do)
    dc = torch.ops.aten.tanh_backward(torch.mul(dh, o), shown).add_(dc)
    if before is None:
        df.zero_()
    else:
        torch.mul(dc, before, out=df)
    twice = dc * 2
    torch.mul(twice, i, out=ds)
    torch.mul(twice, s, out=di).sub_(dc)
    torch.ops.aten.sigmoid_backward.grad_input(grad, gates, grad_input=grad)
    if grad is not grad_gates:
        grad_gates.copy_(grad)
    return dc.mul_(f)


def _tanh(x: Tensor) -> Tensor:
    return torch.mul(x, 2).sigmoid_().mul_(2).sub_(1)


def _conv_back(grad: Tensor, x: Tensor, weight: Tensor, wanted: tuple[bool, bool, bool]) -> list[Tensor]:
    """Gradients of a convolution's input, weight and bias."""
    padding, bias = [weight.shape[-1] // 2] * 2, [weight.shape[0]]
    back = torch.ops.aten.convolution_backward
    return list(back(grad, x, weight, bias, [1, 1], padding, [1, 1], False, [0, 0], 1, list(wanted)))
