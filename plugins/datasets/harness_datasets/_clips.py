"""What all data sets of clips here share: specs, the splits that make or cut clips, the opened data set."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from harness.contracts import Spec
from harness.data import StoredArrays
from harness.errors import ConfigError

from ._opened import SPLITS as SPLITS
from ._opened import OpenedDataset

if TYPE_CHECKING:
    from torch import Tensor

    from harness.contracts import Batch

Array: TypeAlias = "np.ndarray[Any, Any]"


class Part(Mapping[str, Array]):
    """Some of the stored arrays under other names, beside small ones of its own; a worker maps the same pages."""

    def __init__(self, stored: StoredArrays, names: Mapping[str, str], own: Mapping[str, Array] | None = None) -> None:
        self._stored, self._names, self._own = stored, dict(names), dict(own or {})

    def __getitem__(self, name: str) -> Array:
        return self._own[name] if name in self._own else self._stored[self._names[name]]

    def __iter__(self) -> Iterator[str]:
        yield from self._names
        yield from self._own

    def __len__(self) -> int:
        return len(self._names) + len(self._own)


class ClipSplit(ABC):
    """A split whose clips `generate` makes of resident arrays, on whatever device these lie.

    A batch is {"inputs": uint8 [B, T, C, H, W], "index": int64 [B]}; it has no target, as the task cuts the clip.
    """

    lengths: Sequence[int] | None = None

    def __init__(self, ids: Sequence[str], arrays: Mapping[str, Array]) -> None:
        self.ids = ids
        self._arrays = arrays

    def __len__(self) -> int:
        return len(self.ids)

    @abstractmethod
    def generate(self, arrays: Mapping[str, Tensor], index: Tensor, draw: int) -> Batch:
        """The clips of `index` [B] out of `arrays`, which are those of `resident`; pure in (index, draw)."""

    def batch(self, index: Sequence[int], draw: int) -> Batch:
        """`generate` over the memory-mapped arrays. Raises IndexError."""
        import torch

        chosen = torch.as_tensor(index, dtype=torch.int64).reshape(-1)
        if len(chosen) and not (int(chosen.min()) >= 0 and int(chosen.max()) < len(self)):
            raise IndexError(f"an item of {chosen.tolist()} is not in 0..{len(self) - 1}")
        with warnings.catch_warnings():
            # The arrays are read-only memory maps, and nothing here writes to them.
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
            tensors = {k: torch.from_numpy(np.asarray(a)) for k, a in self._arrays.items()}
        return self.generate(tensors, chosen, draw)

    def resident(self) -> Mapping[str, Array]:
        return self._arrays

    def extras(self, i: int) -> Mapping[str, Array]:
        return {}


class StoredClips(ClipSplit):
    """Clips cut out of stored frames: clip i is `count` frames from starts[i] on, `step` apart.

    arrays: {"frames": uint8 [F, C, H, W], "starts": int64 [N]}. `channels` 3 repeats grey frames. Nothing random is
    drawn here, so `draw` changes nothing.
    """

    def __init__(self, ids: Sequence[str], arrays: Mapping[str, Array], count: int, step: int, channels: int) -> None:
        super().__init__(ids, arrays)
        self._count, self._step, self._channels = count, step, channels

    def generate(self, arrays: Mapping[str, Tensor], index: Tensor, draw: int) -> Batch:
        import torch

        frames, starts = arrays["frames"], arrays["starts"]
        later = torch.arange(self._count, device=starts.device) * self._step
        clips = frames[starts[index][:, None] + later]
        return {"inputs": coloured(clips, self._channels), "index": index}


def coloured(clips: Tensor, channels: int) -> Tensor:
    """[B, T, 1, H, W] with its grey repeated to so many channels, contiguous."""
    return clips if clips.shape[2] == channels else clips.expand(-1, -1, channels, -1, -1).contiguous()


class ClipDataset(OpenedDataset):
    """Opened clips."""


def specs(frames: int, channels: int, height: int, width: int) -> dict[str, Spec]:
    """The spec of "inputs"; values are only ever scaled to [0, 1], so there is no mean."""
    return {"inputs": Spec("TCHW", (frames, channels, height, width), "uint8")}


def between(dataset: str, option: str, value: float, low: float, high: float) -> None:
    """Raise ConfigError unless low <= value <= high."""
    if not low <= value <= high:
        raise ConfigError(f"{dataset}: option '{option}' is {value}", hint=f"give a number from {low:,} to {high:,}")
