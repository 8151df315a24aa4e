"""From stored bytes to what a model reads: to float, augment (in training), normalise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..contracts import Augment, Spec
from ..data import uniforms
from ..environment import derive

if TYPE_CHECKING:
    from ..contracts import Batch


class Pipeline:
    """Prepares batches on their device; arrays whose spec is not uint8 pass unchanged."""

    @property
    def augments(self) -> bool:
        """Does an item look different in every epoch?"""
        return bool(self._augments)

    def __init__(
        self, specs: Mapping[str, Spec], augments: Sequence[tuple[str, Augment]], seed: int, channels_last: bool
    ) -> None:
        self._images = {k: s for k, s in specs.items() if s.dtype == "uint8"}
        self._augments = tuple(augments)
        self._seed = seed
        self._channels_last = channels_last
        self._scales: dict[tuple[str, torch.device], tuple[Tensor, Tensor]] = {}

    def __call__(self, batch: Batch, epoch: int | None = None) -> Batch:
        """`epoch` turns augmentation on and is part of its draws."""
        ready = dict(batch)
        for key, spec in self._images.items():
            # A front that was cached leaves no frames behind, and one that scales for itself wants the bytes.
            if key not in ready or not (spec.scaled or (epoch is not None and self._augments)):
                continue
            x = ready[key].float() / 255
            if epoch is not None:
                x = self._augment(x, batch["index"], epoch)
            if spec.mean:
                mean, std = self._scale(key, spec, x.device)
                x = (x - mean) / std
            if self._channels_last and x.dim() == 4:
                x = x.contiguous(memory_format=torch.channels_last)
            ready[key] = x
        return ready

    def _augment(self, x: Tensor, index: Tensor, epoch: int) -> Tensor:
        # All frames of a clip get the same draws: the camera does not jump.
        frames = x.shape[1] if x.dim() == 5 else 1
        images = x.flatten(0, 1) if x.dim() == 5 else x
        for name, op in self._augments:
            key = derive(self._seed, "augment", name, epoch)
            images = op(images, lambda n, key=key: uniforms(index, n, key).repeat_interleave(frames, dim=0))
        return images.reshape(x.shape)

    def _scale(self, key: str, spec: Spec, device: torch.device) -> tuple[Tensor, Tensor]:
        if (key, device) not in self._scales:
            shape = (-1,) + (1,) * (len(spec.axes) - 1 - spec.axes.index("C"))
            tensors = (torch.tensor(v, device=device).view(shape) for v in (spec.mean, spec.std))
            self._scales[key, device] = (next(tensors), next(tensors))
        return self._scales[key, device]
