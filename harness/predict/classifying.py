"""From pixels of images to probabilities of classes, a bounded number of images at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ..errors import ConfigError, DataError
from .explaining import Explained, explain
from .reading import ImageReading

if TYPE_CHECKING:
    from torch import Tensor, nn

Array: TypeAlias = "np.ndarray[Any, Any]"

_TOGETHER = {"cpu": 64, "mps": 64, "cuda": 256}
_BYTES = 32 << 20
"""Bytes of uint8 pixels that go through the model at once, at most."""
_EXPLAINED = 16
"""Images a batch where they are explained, which takes the memory of a gradient."""


@dataclass(slots=True)
class Classifier:
    """A model, ready on a device. `channels_last`: the layout that it was tested in.

    `explains`: batches are small enough to be explained whole. There are models whose output for an image depends on
    the others of its batch, and in another batch something else would be explained than was predicted.
    """

    model: nn.Module
    reading: ImageReading
    device: str
    channels_last: bool
    explains: bool = False
    _prepare: Any = field(init=False)

    def __post_init__(self) -> None:
        from ..augment.pipeline import Pipeline

        self.model.eval().to(self.device)
        self._prepare = Pipeline(self.reading.io.inputs, (), seed=0, channels_last=self.channels_last)

    @property
    def together(self) -> int:
        """Images a batch."""
        most = _EXPLAINED if self.explains else _TOGETHER.get(self.device.partition(":")[0], 64)
        return max(1, min(most, _BYTES // int(np.prod(self.reading.shape))))

    def __call__(self, pixels: Array) -> Array:
        """Probabilities float64 [B, K] of uint8 [B, C, H, W]; rows may hold no finite numbers.

        Raises DataError where the device has too little memory, ConfigError if the model answers in another shape.
        """
        import torch

        with torch.inference_mode(), _Memory(self.device):
            logits: Tensor = self.model(self._ready(pixels))["logits"].float()
        expected = (len(pixels), len(self.reading.classes))
        if tuple(logits.shape) != expected:
            raise ConfigError(
                f"the model answers {list(logits.shape)} to {len(pixels)} images", hint=f"it owes {list(expected)}"
            )
        return np.asarray(logits.log_softmax(dim=1).exp().cpu().double().numpy())

    def explained(self, pixels: Array, target: Array, sites: Sequence[str], kept: Sequence[int]) -> list[Explained]:
        """Where it looked for the classes `target` int64 [B], for the places `kept` of the batch that was classified.

        Raises ConfigError for a model without feature map.
        """
        import torch

        labels = [self.reading.classes[c] for c in target]
        with _Memory(self.device):
            classes = torch.from_numpy(target).to(self.device)
            return explain(self.model, self._ready(pixels), classes, sites, pixels, labels, kept)

    def _ready(self, pixels: Array) -> Mapping[str, Tensor]:
        import torch

        batch = {
            "inputs": torch.from_numpy(pixels).to(self.device),
            "index": torch.arange(len(pixels), device=self.device),
        }
        ready: Mapping[str, Tensor] = self._prepare(batch)
        return ready


class _Memory:
    """Says what to do where a device has too little memory."""

    def __init__(self, device: str) -> None:
        self._device = device

    def __enter__(self) -> None: ...

    def __exit__(self, kind: Any, error: BaseException | None, _: Any) -> None:
        import torch

        if isinstance(error, torch.OutOfMemoryError):
            raise DataError(
                f"a batch of images needs more memory than '{self._device}' has", hint="try --device cpu"
            ) from error
