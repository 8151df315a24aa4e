"""From the sampled frames of one video to a score for each, in memory that does not grow with the video's pictures.

The frames pass through the model's front in blocks; of them only the features stay, and the rest of the model reads
those of the whole video at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ..data import Sampled, frame_descriptors, sampled_frames
from ..data.video import MomentaryError
from ..errors import ConfigError, DataError
from .reading import Reading

if TYPE_CHECKING:
    from torch import Tensor, nn

Array: TypeAlias = "np.ndarray[Any, Any]"

_BLOCK = 4 << 20
"""Bytes of decoded frames that are held at once; larger blocks are no faster."""
_TOGETHER = {"cpu": 8, "mps": 8, "cuda": 64}
"""Frames that go through the front at once."""
_WHOLE = 256 << 20
"""Bytes of frames of the longest video that a model without a front may be shown."""
_LOOK = 64
"""Pixels of a side, about, that are enough to tell what a frame looks like."""


class Frames:
    """The sampled frames of a file, read once; `sampled` is shortened to those that could be decoded.

    Where a file was cut off, its last packet is there in part and cannot be decoded, although all before it can.
    """

    def __init__(self, path: Path, sampled: Sampled, size: tuple[int, int]) -> None:
        self.path, self.sampled, self._size = path, sampled, size
        self.done = 0

    def __iter__(self) -> Iterator[Array]:
        """Blocks uint8 [n, 3, H, W]. Raises DataError for a damaged file."""
        for give_up in (1, 2, 4, None):
            try:
                for block in sampled_frames(self.path, self._rest(), self._size, limit=_BLOCK):
                    self.done += len(block)
                    yield block
                return
            except MomentaryError:
                raise
            except DataError:
                left = len(self.sampled) - (give_up or 0)
                if not self.sampled.info.short or give_up is None or left <= self.done:
                    raise
                self._keep(left)

    def _rest(self) -> Sampled:
        s = self.sampled
        return Sampled(s.picks[self.done :], s.times[self.done :], s.info)

    def _keep(self, count: int) -> None:
        s = self.sampled
        self.sampled = Sampled(s.picks[:count], s.times[:count], s.info)


@dataclass(slots=True)
class Scorer:
    """A model, ready on a device, for one video after the other."""

    model: nn.Module
    reading: Reading
    device: str
    _prepare: Any = field(init=False)
    _front: tuple[nn.Module, str, str] | None = field(init=False)

    def __post_init__(self) -> None:
        from ..augment.pipeline import Pipeline

        self.model.eval().to(self.device)
        self._prepare = Pipeline(self.reading.io.inputs, (), seed=0, channels_last=False)
        made: Any = self.model
        prefix = made.prefix()
        self._front = None if prefix is None else (made.groups()[prefix[0]], prefix[1], prefix[2])

    def __call__(self, frames: Frames, looks: bool, told: Callable[[int], None]) -> tuple[Array, Array | None]:
        """(logits float64 [T], what the frames look like [T, D] if asked for). `told` gets the frames done so far.

        Raises DataError if the file cannot be decoded, or if its scores are no numbers.
        """
        import torch

        seen: list[Array] = []
        kept: list[Tensor] = []
        try:
            with torch.inference_mode():
                for block in _together(frames, _TOGETHER[torch.device(self.device).type]):
                    if looks:
                        seen.append(frame_descriptors([_small(block)]))
                    kept.append(self._fronted(block, frames))
                    told(sum(len(k) for k in kept))
                logits = self._rest(torch.cat(kept), len(frames.sampled))
        except torch.OutOfMemoryError as error:
            raise DataError(
                f"'{frames.path}' needs more memory than '{self.device}' has", hint="try --device cpu"
            ) from error
        if not np.isfinite(logits).all():
            raise DataError(f"the model's scores of '{frames.path}' are no finite numbers", hint="name another trial")
        return logits, np.concatenate(seen) if looks else None

    def _fronted(self, block: Array, frames: Frames) -> Tensor:
        """Features [n, D] of a block, or its bytes where the model has no front; on the CPU."""
        import torch

        pixels = torch.from_numpy(block)
        if self._front is None:
            if len(frames.sampled) * block[0].nbytes > _WHOLE:
                raise DataError(
                    f"'{frames.path}' is too long: {len(frames.sampled):,} frames, which this model must see at once",
                    hint="cut it into parts, or name a trial whose model has a backbone",
                )
            return pixels
        front, key, _ = self._front
        ready = self._prepare({key: pixels[None].to(self.device)})[key][0]
        features: Tensor = front(ready).float().cpu()
        return features

    def _rest(self, kept: Tensor, count: int) -> Array:
        import torch

        whole = kept[None].to(self.device)
        mask = torch.ones((1, count), dtype=torch.bool, device=self.device)
        key = "inputs" if self._front is None else self._front[2]
        batch = {key: whole} if self._front is not None else self._prepare({key: whole})
        logits: Tensor = self.model({**batch, "mask": mask})["logits"]
        if tuple(logits.shape) != (1, count):
            raise ConfigError(
                f"the model answers {list(logits.shape)} to a video of {count} frames", hint="it owes [1, T] logits"
            )
        return np.asarray(logits[0].float().cpu().double().numpy())


def _together(blocks: Iterable[Array], count: int) -> Iterator[Array]:
    """The same frames, `count` at a time, and at the end what is left."""
    held: list[Array] = []
    for block in blocks:
        held.extend(block)
        while len(held) >= count:
            yield np.stack(held[:count])
            del held[:count]
    if held:
        yield np.stack(held)


def _small(block: Array) -> Array:
    step_down, step_across = (max(1, n // _LOOK) for n in block.shape[2:])
    return block[:, :, ::step_down, ::step_across]
