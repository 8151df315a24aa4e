"""The frozen front of a model: its features are computed once and take the frames' place in training and evaluation.

A model names its front (`prefix`), a split its sequences of frames (`contracts.Frames`). While a stage leaves the front
as it was built, what it makes of a frame never changes, so a trial reads features from `data.features` and pays for
the rest of the model alone. Trials share features whose front (weights, structure, code), frames, versions of torch
and timm and device are the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
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

_LIBRARIES = ("torch", "timm", "torchvision")
AT_ONCE = 32
"""Frames in one forward pass, whatever the blocks in which they come: the split into passes decides the last bits."""


def hold(model: nn.Module) -> None:
    """Put a front whose weights are all frozen into evaluation mode, so that its norms and dropout stand still.

    Without this a frozen front would differ from batch to batch, and from its cached features.
    """
    front = _front(model)
    if front is not None and not any(p.requires_grad for p in front.parameters()):
        front.eval()


class Feeder:
    """The loaders of a trial, with features in place of frames wherever the front still is as it was built.

    `sketch`: zeros stand in for the features, for whoever measures time alone.
    """

    def __init__(
        self, parts: Parts, loaders: Mapping[str, Loader], folder: Path | None = None, sketch: bool = False
    ) -> None:
        self._parts, self._loaders, self._folder, self._sketch = parts, loaders, folder, sketch
        self._front = _front(parts.model)
        # A hook may run what is trained elsewhere in the model.
        if self._front is not None and any(m._forward_hooks or m._forward_pre_hooks for m in self._front.modules()):
            self._front = None
        self._mark = ""
        self._made: dict[str, Loader] = {}

    def loaders(self, stages: Sequence[Stage], names: Iterable[str] | None = None) -> Mapping[str, Loader]:
        """Those of `names` (all, if None) for the last of `stages`; with features if none of them trains the front.

        Frames that are augmented differ every time, so training on them is fed with frames.
        """
        wanted = self._loaders if names is None else {name: self._loaders[name] for name in names}
        front = self._front
        if front is None or any(self._trains(front, stage) for stage in stages):
            return wanted
        return {name: self._fed(name, loader, front) for name, loader in wanted.items()}

    def _trains(self, front: nn.Module, stage: Stage) -> bool:
        own = {id(p) for p in front.parameters()}
        return any(id(p) in own for p in trained(self._parts.model, self._parts.contract.groups(), stage))

    def _fed(self, name: str, loader: Loader, front: nn.Module) -> Loader:
        split = loader.split
        if not isinstance(split, Frames) or not len(split) or (name == "train" and self._parts.prepare.augments):
            return loader
        if name not in self._made:
            prefix = cast(Model, self._parts.model).prefix()
            key, device = prefix[2] if prefix else "", str(loader.device)
            if self._sketch:
                self._made[name] = loader.of(Sketched(split, front, key, device))
            else:
                self._mark = self._mark or identity(front, device)
                self._made[name] = loader.of(Fronted(split, front, key, device, self._mark, self._folder))
        return self._made[name]


def _front(model: nn.Module) -> nn.Module | None:
    prefix = cast(Model, model).prefix()
    return None if prefix is None else cast(Model, model).groups()[prefix[0]]


def identity(front: nn.Module, device: str) -> str:
    """A hash of all that a front makes of a frame: weights, statistics, structure, options, code, libraries, device."""
    kind = torch.device(device)
    known = versions()
    told = [kind.type, torch.cuda.get_device_name(kind) if kind.type == "cuda" else ""]
    told += [f"{name} {known.get(name, '')}" for name in _LIBRARIES]
    code = {type(module).__module__ for module in front.modules()}
    # Libraries are known by their version; reading all of torch would take half a minute.
    told += [f"{name} {digest_of(name)}" for name in sorted(code) if name.partition(".")[0] not in _LIBRARIES]
    for name, module in front.named_modules():
        told.append(f"{name} {type(module).__module__}.{type(module).__qualname__} {module.extra_repr()}")
        plain = {k: v for k, v in vars(module).items() if isinstance(v, (bool, int, float, str, tuple)) and k[0] != "_"}
        told.append(repr(sorted((k, v) for k, v in plain.items() if k not in ("training", "chunk"))))
    seen = hashlib.sha256("\n".join(told).encode())
    for name, tensor in (*front.named_parameters(), *front.named_buffers()):
        layout = tensor.is_contiguous(memory_format=torch.channels_last) if tensor.dim() == 4 else ""
        seen.update(f"{name} {tensor.dtype} {list(tensor.shape)} {layout}".encode())
        seen.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return seen.hexdigest()[:32]


class FramedSplit(Split, Frames, Protocol):
    """A split whose items are frames in order."""


class Fronted:
    """A split of frames, with their features in the frames' place; the features of all its sequences are there.

    Batches are made on the device out of one array of all features; which frames an item has is asked of the split.
    Raises ConfigError for a front that does not give one row of features a frame.
    """

    def __init__(
        self, split: Any, front: nn.Module, key: str, device: str, mark: str, folder: Path | None = None
    ) -> None:
        self._split: FramedSplit = split
        self._key = key
        self.ids, self.lengths = split.ids, split.lengths
        sequences = self._split.keys()
        rows: dict[str, int] = {}
        blocks: list[np.ndarray[Any, Any]] = []
        total = 0
        for i, sequence in enumerate(sequences):
            if sequence not in rows:
                found = stored_features(mark, sequence, lambda i=i: _features(front, self._split, i, device), folder)  # type: ignore[misc]
                rows[sequence] = total
                total += len(found)
                blocks.append(np.array(found))  # a copy: every map would hold a file open
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


class Sketched(Fronted):
    """As `Fronted`, with zeros for features: one frame is looked at, and nothing is stored."""

    def __init__(self, split: Any, front: nn.Module, key: str, device: str) -> None:
        self._split: FramedSplit = split
        self._key = key
        self.ids, self.lengths = split.ids, split.lengths
        frame = next(self._split.frames(0))[:1]
        self._features = np.zeros_like(_made(front, [frame], device))

    def generate(self, arrays: Mapping[str, Tensor], index: Tensor, draw: int) -> Batch:
        row = arrays[self._key]
        batch = {k: v.to(row.device, non_blocking=True) for k, v in self._split.lean(index.tolist(), draw).items()}
        return {**batch, self._key: row.expand(*batch["position"].shape, -1).clone()}


def _features(front: nn.Module, split: Frames, i: int, device: str) -> np.ndarray[Any, Any]:
    """float32 [T, D] of one sequence."""
    return _made(front, split.frames(i), device)


def _made(front: nn.Module, blocks: Iterable[np.ndarray[Any, Any]], device: str) -> np.ndarray[Any, Any]:
    """Float32 [T, D] in fp32 and evaluation mode, with deterministic kernels; the front's mode is put back."""
    training = front.training
    front.eval()
    waiting = torch.empty(0, dtype=torch.uint8)
    found: list[Tensor] = []
    kernels = torch.backends.cudnn
    with (
        torch.inference_mode(),
        kernels.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=kernels.allow_tf32),
    ):
        for block in blocks:
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
