"""The frozen front of a model: its features are computed once and take the frames' place in training and evaluation.

A model names its front (`prefix`), a split its sequences of frames (`contracts.Frames`). While a stage leaves the front
as it was built, what it makes of a frame never changes, so a trial reads features from `data.features` and pays for
the rest of the model alone. Trials share features whose front (weights, structure, code), frames, versions of torch
and timm and kind of device are the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
import torch
from torch import Tensor, nn

from .assembly import Parts, trained
from .contracts import Frames, Model, Split
from .data import stored_features
from .environment import versions
from .errors import ConfigError
from .loading import Loader
from .sources import digest_of
from .trial import Stage

if TYPE_CHECKING:
    from .contracts import Arrays, Batch

_LIBRARIES = ("torch", "timm")
AT_ONCE = 32
"""Frames in one forward pass, whatever the blocks in which they come: the split into passes decides the last bits."""


def hold(model: nn.Module) -> None:
    """Put a front whose weights are all frozen into evaluation mode, so that its norms and dropout stand still.

    Without this a frozen front would differ from batch to batch, and from its cached features.
    """
    front = _front(model)
    if front is not None and not any(p.requires_grad for p in front.parameters()):
        front.eval()


def feeds(
    parts: Parts,
    loaders: Mapping[str, Loader],
    stages: Sequence[Stage],
    folder: Path | None = None,
    sketch: bool = False,
) -> Mapping[str, Loader]:
    """The loaders with features in place of frames, wherever the last of `stages` and all before leave the front alone.

    Frames that are augmented differ every time, so training on them is fed with frames. `sketch`: zeros stand in for
    the features, for whoever measures time alone.
    """
    front = _front(parts.model)
    if front is None or any(_trains(parts, front, stage) for stage in stages):
        return loaders
    prefix = cast(Model, parts.model).prefix()
    made = dict(loaders)
    for name, loader in loaders.items():
        if isinstance(loader.split, Frames) and len(loader.split) and not (name == "train" and parts.prepare.augments):
            key = prefix[2] if prefix else ""
            split: Split = (
                Sketched(loader.split, front, key, str(loader.device))
                if sketch
                else Fronted(loader.split, front, key, str(loader.device), folder)
            )
            made[name] = loader.of(split)
    return made


def _front(model: nn.Module) -> nn.Module | None:
    prefix = cast(Model, model).prefix()
    return None if prefix is None else cast(Model, model).groups()[prefix[0]]


def _trains(parts: Parts, front: nn.Module, stage: Stage) -> bool:
    own = {id(p) for p in front.parameters()}
    return bool(own & {id(p) for p in trained(parts.model, parts.contract.groups(), stage)})


def identity(front: nn.Module, device: str) -> str:
    """A hash of all that a front makes of a frame: weights, statistics, structure, code, libraries, kind of device."""
    seen = hashlib.sha256()
    known = versions()
    told = [type(front).__module__, digest_of(type(front).__module__), repr(front), torch.device(device).type]
    told += [f"{name} {known.get(name, '')}" for name in _LIBRARIES]
    seen.update("\n".join(told).encode())
    for name, tensor in (*front.named_parameters(), *front.named_buffers()):
        seen.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        seen.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return seen.hexdigest()[:32]


class FramedSplit(Split, Frames, Protocol):
    """A split whose items are frames in order."""


class Fronted:
    """A split of frames, with their features in the frames' place; the features of all its sequences are there.

    Batches are made on the device out of one array of all features; which frames an item has is asked of the split.
    Raises ConfigError for a front that does not give one row of features a frame.
    """

    def __init__(self, split: Any, front: nn.Module, key: str, device: str, folder: Path | None = None) -> None:
        self._split: FramedSplit = split
        self._key = key
        self.ids, self.lengths = split.ids, split.lengths
        mark = identity(front, device)
        sequences = self._split.keys()
        rows: dict[str, int] = {}
        blocks: list[np.ndarray[Any, Any]] = []
        total = 0
        for i, sequence in enumerate(sequences):
            if sequence not in rows:
                found = stored_features(mark, sequence, lambda i=i: _features(front, self._split, i, device), folder)  # type: ignore[misc]
                rows[sequence] = total
                total += len(found)
                blocks.append(found)
        self._features = np.concatenate(blocks)
        self._starts = torch.tensor([rows[sequence] for sequence in sequences])

    def __len__(self) -> int:
        return len(self._split)

    def batch(self, index: Sequence[int], draw: int) -> Batch:
        return self.generate({self._key: torch.from_numpy(self._features)}, torch.as_tensor(list(index)), draw)

    def resident(self) -> Arrays:
        return {self._key: self._features}

    def generate(self, arrays: Mapping[str, Tensor], index: Tensor, draw: int) -> Batch:
        """The items of `index` out of the array of all features; pure in (index, draw)."""
        features = arrays[self._key]
        chosen = index.tolist()
        batch = {k: v.to(features.device, non_blocking=True) for k, v in self._split.lean(chosen, draw).items()}
        starts = self._starts[chosen].to(features.device)
        found = features[starts[:, None] + batch["position"]]
        if "mask" in batch:
            found = found.masked_fill(~batch["mask"][..., None], 0)
        return {**batch, self._key: found}

    def extras(self, i: int) -> Arrays:
        return self._split.extras(i)


class Sketched:
    """As `Fronted`, with zeros for features: nothing is decoded or stored."""

    def __init__(self, split: Any, front: nn.Module, key: str, device: str) -> None:
        self._split: FramedSplit = split
        self._key = key
        self.ids, self.lengths = split.ids, split.lengths
        frame = next(self._split.frames(0))[:1]
        self._width = _run(front.eval(), torch.from_numpy(np.ascontiguousarray(frame)), device).shape[1]

    def __len__(self) -> int:
        return len(self._split)

    def batch(self, index: Sequence[int], draw: int) -> Batch:
        lean = self._split.lean(index, draw)
        return {**lean, self._key: torch.zeros(*lean["position"].shape, self._width)}

    def resident(self) -> None:
        return None

    def extras(self, i: int) -> Arrays:
        return self._split.extras(i)


def _features(front: nn.Module, split: Frames, i: int, device: str) -> np.ndarray[Any, Any]:
    """float32 [T, D] of one sequence, in fp32 and evaluation mode; the front's mode is put back."""
    training = front.training
    front.eval()
    waiting = torch.empty(0, dtype=torch.uint8)
    found: list[Tensor] = []
    with torch.inference_mode():
        for block in split.frames(i):
            frames = torch.from_numpy(np.ascontiguousarray(block))
            waiting = torch.cat([waiting, frames]) if waiting.numel() else frames
            while len(waiting) >= AT_ONCE:
                found.append(_run(front, waiting[:AT_ONCE], device))
                waiting = waiting[AT_ONCE:]
        if len(waiting):
            found.append(_run(front, waiting, device))
    front.train(training)
    return torch.cat(found).numpy()


def _run(front: nn.Module, frames: Tensor, device: str) -> Tensor:
    features: Tensor = front(frames.to(device))
    if features.shape[:1] != frames.shape[:1] or features.ndim != 2:
        raise ConfigError(
            f"the model's front gives {list(features.shape)} for {len(frames)} frames",
            hint="a front maps frames [N, C, H, W] to features [N, D]; a model without one returns None from `prefix`",
        )
    return features.float().cpu()
