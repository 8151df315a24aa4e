"""Predicted video with recurrent convolutions: a stack of layers, and a head that makes frames of its states.

Paper: Shi et al. 2015, "Convolutional LSTM Network: A Machine Learning Approach for Precipitation Nowcasting",
arXiv:1506.04214, section 3.
Differs: batch normalisation behind every layer and a Conv3d as head, as in the widely used example of Keras
(keras-io, examples/vision/conv_lstm.py); peepholes are an option; predictions can be fed back instead of a forecaster.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.contracts import IO, AttentionFactory
from harness.errors import ConfigError
from harness_models.clips import clip_shape, insert, sites_of
from harness_models.heads import FrameHead, TemporalHead, TemporalPadding
from harness_models.recurrent import Activation, RecurrentConv, State

if TYPE_CHECKING:
    from harness.contracts import Batch, Output

Head = Literal["conv3d", "conv2d"]


class FrameNorm(nn.BatchNorm2d):
    """Batch normalisation with one scale and shift, and running statistics of their own for frames fed back."""

    def __init__(self, channels: int, feeds_back: bool) -> None:
        super().__init__(channels)
        self.register_buffer("fed_mean", torch.zeros(channels) if feeds_back else None)
        self.register_buffer("fed_var", torch.ones(channels) if feeds_back else None)

    def forward(self, x: Tensor, fed_back: bool = False) -> Tensor:
        if not fed_back:
            return super().forward(x)
        momentum = 0.1 if self.momentum is None else self.momentum
        statistics = self.get_buffer("fed_mean"), self.get_buffer("fed_var")
        return F.batch_norm(x, *statistics, self.weight, self.bias, self.training, momentum, self.eps)


class Layer(nn.Module):
    """A recurrent layer and what follows it frame by frame: the norm, and attention as a hook behind the norm."""

    def __init__(self, recurrent: RecurrentConv, norm: nn.Module) -> None:
        super().__init__()
        self.recurrent = recurrent
        self.norm = norm

    def forward(
        self, x: Tensor | None, state: State | None, steps: int, fed_back: bool = False
    ) -> tuple[Tensor, Tensor, State]:
        """(what the next layer reads, hidden states, state after the last step); x [T, B, Cin, H, W] or None.

        `fed_back`: the norm keeps the statistics of these steps apart from those of the frames given.
        """
        hidden, state = self.recurrent(x, state, steps)
        flat = hidden.flatten(0, 1)
        passed: Tensor = self.norm(flat, fed_back) if isinstance(self.norm, FrameNorm) else self.norm(flat)
        return passed.view(hidden.shape), hidden, state


class FramePredictor(nn.Module):
    """Frames predicted by a stack of recurrent convolutions; attention is attached to it after construction.

    Shapes: batch["inputs"] [B, T, C, H, W] float in [0, 1] -> {"logits": [B, T_out, C, H, W] float32}, before the
    sigmoid. With `io.horizon` 0, T_out = T and output t is the prediction of frame t + 1. With a horizon n, T_out = n:
    the first output follows from the last frame given, and every further one from the prediction before it, which is
    fed back after a sigmoid. In evaluation mode also "activation" [B, T_out, h, w] float32: the mean over channels of
    |h| of the last recurrent layer at the step that made the frame, where h = H / patch and w = W / patch.

    With a forecaster (Shi et al. 2015, section 3.3) a second stack starts from the states of the first and runs for the
    whole horizon without reading a frame.

    Placements: `residual` and `block` are behind every recurrent layer and its norm, `stage` behind the last; a list
    names `layers.0`, `layers.1`, … (and `forecaster.0`, …) or patterns such as `layers.*`. Attention sees all frames of
    a call as images [T·B, C, h, w]. In a rollout it also acts in every step that is fed back.

    Batch normalisation takes its statistics in training over all frames given at once, and over each frame fed back by
    itself. Running statistics of given frames and of frames fed back are kept apart, since those of predictions are
    others: in one, every frame fed back would count as much as all given ones, and in evaluation neither would fit.
    """

    def __init__(
        self,
        io: IO,
        channels: Sequence[int],
        kernels: Sequence[int],
        normed: Sequence[bool],
        *,
        gating: bool = True,
        peephole: bool = False,
        activation: Activation = "tanh",
        patch: int = 1,
        head: Head = "conv3d",
        head_kernel: int = 3,
        temporal_padding: TemporalPadding = "causal",
        forecaster: bool = False,
        notes: Sequence[str] = (),
    ) -> None:
        super().__init__()
        clip = clip_shape(io, patch)
        _check_mode(io.horizon, forecaster, head, head_kernel, temporal_padding)
        self.notes = tuple(notes)
        self.placement_note = ""
        self._horizon, self._patch = io.horizon, patch

        feeds_back = io.horizon > 1 and not forecaster

        def stack(channels_in: int, normed: Sequence[bool]) -> nn.ModuleList:
            size = (clip.height, clip.width) if peephole else None
            layers = nn.ModuleList()
            for (before, after), kernel, norm in zip(pairwise((channels_in, *channels)), kernels, normed, strict=True):
                cell = RecurrentConv(before, after, kernel, gating=gating, peephole=size, activation=activation)
                layers.append(Layer(cell, FrameNorm(after, feeds_back) if norm else nn.Identity()))
            return layers

        # The last layer of an encoder hands on its state alone, so a norm behind it would never learn.
        self.layers = stack(clip.channels, (*normed[:-1], False) if forecaster else normed)
        self.forecaster = stack(0, normed) if forecaster else None
        self.head: FrameHead | TemporalHead
        if head == "conv3d":
            self.head = TemporalHead(channels[-1], clip.channels, head_kernel, temporal_padding)
        else:
            self.head = FrameHead(channels[-1], clip.channels, head_kernel)
        self.sites = nn.ModuleDict()
        self._channels = dict(self._places(channels))
        self._site_of: dict[str, str] = {}

    def _places(self, channels: Sequence[int]) -> Iterator[tuple[str, int]]:
        last = len(channels) - 1
        for i, n in enumerate(channels):
            if self.forecaster is None or i < last:
                yield f"layers.{i}", n
        if self.forecaster is not None:
            yield from ((f"forecaster.{i}", n) for i, n in enumerate(channels))

    def forward(self, batch: Batch) -> Output:
        x = batch["inputs"].transpose(0, 1)
        if self._patch > 1:
            x = F.pixel_unshuffle(x, self._patch)
        if self._horizon == 0:
            passed, hidden, _ = _run(self.layers, x, [None] * len(self.layers), len(x))
            logits, _ = self.head.run(passed, None)
        elif self.forecaster is not None:
            _, _, states = _run(self.layers, x, [None] * len(self.layers), len(x))
            passed, hidden, _ = _run(self.forecaster, None, states, self._horizon)
            logits, _ = self.head.run(passed, None)
        else:
            logits, hidden = self._rollout(x)
        logits = logits.float()
        if self._patch > 1:
            logits = F.pixel_shuffle(logits, self._patch)
        output = {"logits": logits.transpose(0, 1)}
        if not self.training:
            output["activation"] = hidden.float().abs().mean(dim=2).transpose(0, 1)
        return output

    def _rollout(self, x: Tensor) -> tuple[Tensor, Tensor]:
        passed, hidden, states = _run(self.layers, x, [None] * len(self.layers), len(x))
        values, carried = self.head.run(passed, None)
        frames, shown = [values[-1:]], [hidden[-1:]]
        for _ in range(self._horizon - 1):
            passed, hidden, states = _run(self.layers, torch.sigmoid(frames[-1]), states, 1, fed_back=True)
            value, carried = self.head.run(passed, carried)
            frames.append(value)
            shown.append(hidden)
        return torch.cat(frames), torch.cat(shown)

    def attach(self, factory: AttentionFactory, placement: str | Sequence[str]) -> Sequence[str]:
        """Insert one block a site, in the order in which the sites are run; returns the sites.

        Raises ConfigError if there is no such place or the block is no image attention; nothing is changed.
        """
        sites = sites_of(list(self._channels), placement)
        added = insert(self, self.sites, {site: (f"{site}.norm", self._channels[site]) for site in sites}, factory)
        self._site_of.update(added)
        self.placement_note = (
            f"attention acts on the hidden states of {', '.join(added.values())}, behind the norm, frame by frame"
        )
        self.notes = (*self.notes, self.placement_note)
        return tuple(added.values())

    def groups(self) -> Mapping[str, nn.Module]:
        """`backbone` (all recurrent layers), `backbone.layers.0`, …, `head`, and `attention` once there is any.

        Attention belongs to the backbone and to the layer that it follows, and to `attention` as well.
        """
        attention = {site: self.sites[key] for key, site in self._site_of.items()}
        stacks = (
            {"layers": self.layers}
            if self.forecaster is None
            else {"layers": self.layers, "forecaster": self.forecaster}
        )
        found: dict[str, nn.Module] = {"backbone": nn.ModuleList([*stacks.values(), *attention.values()])}
        for name, layers in stacks.items():
            for i, layer in enumerate(layers):
                site = f"{name}.{i}"
                found[f"backbone.{site}"] = nn.ModuleList([layer, *(m for s, m in attention.items() if s == site)])
        found["head"] = self.head
        if attention:
            found["attention"] = nn.ModuleList(attention.values())
        return found

    def prefix(self) -> tuple[str, str, str] | None:
        """None: there is no front whose output could be kept."""
        return None


def _run(
    layers: nn.ModuleList, x: Tensor | None, states: Sequence[State | None], steps: int, fed_back: bool = False
) -> tuple[Tensor, Tensor, list[State]]:
    """Layer by layer over all steps; (what the head reads, hidden states of the last layer, state of every layer)."""
    after = []
    hidden = torch.empty(0)
    for layer, before in zip(layers, states, strict=True):
        x, hidden, state = layer(x, before, steps, fed_back)
        after.append(state)
    if x is None:
        raise ValueError("a stack has at least one layer")
    return x, hidden, after


def _check_mode(horizon: int, forecaster: bool, head: Head, kernel: int, padding: TemporalPadding) -> None:
    if forecaster and horizon == 0:
        raise ConfigError(
            "model: forecaster is true, and the task asks for the next frame only",
            hint="a forecaster predicts several frames: use `protocol: rollout`, or forecaster: false",
        )
    if horizon and not forecaster and head == "conv3d" and padding == "same" and kernel > 1:
        raise ConfigError(
            "model: temporal_padding is 'same', and the task feeds predictions back: the head would read a frame "
            "that has not been made",
            hint="use temporal_padding: causal, or forecaster: true",
        )
