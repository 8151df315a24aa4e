"""Videos whose sampled frames have scores: the splits that make batches of whole videos or of windows of them."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

from harness.contracts import Spec, Split, SplitName
from harness.data import StoredArrays, cache_root, filled_arrays, uniforms
from harness.errors import ConfigError, DataError

from ._opened import SPLITS

if TYPE_CHECKING:
    from torch import Tensor

    from harness.contracts import Batch

Array: TypeAlias = "np.ndarray[Any, Any]"

_BLOCK = 64 << 20
_OPEN = 128
"""Videos whose stored frames are kept mapped; each holds a file handle."""


class FrameSource(Protocol):
    """The sampled frames of one video; picklable.

    `key` hashes all that the frames follow from (content of the file, picks, size); `size` is (height, width).
    """

    @property
    def key(self) -> str: ...

    @property
    def size(self) -> tuple[int, int]: ...

    def frames(self) -> Iterator[Array]:
        """Blocks uint8 [n, 3, height, width] that together are the sequence in order. Raises DataError."""
        ...


@dataclass(frozen=True, slots=True)
class ScoredVideo:
    """A video of T sampled frames: target float32 [T] in [0, 1], what evaluation alone sees, and one of two forms.

    `features` is float32 [T, D] (form "features"), `source` gives the frames (form "frames").
    """

    id: str
    target: Array
    extras: Callable[[], Mapping[str, Array]]
    features: Array | None = None
    source: FrameSource | None = None


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Frames start to start + count of a video."""

    video: ScoredVideo
    start: int
    count: int

    def of(self, array: Array) -> Array:
        return array[self.start : self.start + self.count]


class ScoredSplit(ABC):
    """A split of scored videos; an item is a whole video, or with `window` a stretch of one that is drawn anew.

    With `window`, a video of T frames gives ceil(T / window) items an epoch, "<id>#<k>", each min(window, T) frames
    long, whose start is uniform over all places and a pure function of (item, draw).
    Batches are padded to the longest item: mask bool [B, T] (True = real), target float32 [B, T] and position int64
    [B, T] (the frame's place in its video's sampled sequence), both 0 where padded, and index int64 [B].
    """

    def __init__(self, videos: Sequence[ScoredVideo], window: int | None = None) -> None:
        self._videos = tuple(videos)
        self._window = window
        parts = [1 if window is None else -(-len(v.target) // window) for v in videos]
        self._owner = [i for i, n in enumerate(parts) for _ in range(n)]
        names = [(v.id, k) for v, n in zip(videos, parts, strict=True) for k in range(n)]
        self.ids: Sequence[str] = [name if window is None else f"{name}#{k}" for name, k in names]
        counts = [len(videos[i].target) for i in self._owner]
        self.lengths: Sequence[int] | None = counts if window is None else [min(window, n) for n in counts]

    def __len__(self) -> int:
        return len(self.ids)

    def batch(self, index: Sequence[int], draw: int) -> Batch:
        """The items of `index` as they go into a model; pure in (index, draw). Raises IndexError."""
        items = self._stretches(index, draw)
        return {**_common(items, index), **self._content(items)}

    @abstractmethod
    def _content(self, items: Sequence[_Stretch]) -> Batch:
        """What the model reads, padded with zeros."""

    def resident(self) -> None:
        return None

    def extras(self, i: int) -> Mapping[str, Array]:
        """Of a whole video (see the data set); a window has none, as it is not evaluated."""
        return self._videos[self._owner[i]].extras() if self._window is None else {}

    def _stretches(self, index: Sequence[int], draw: int) -> list[_Stretch]:
        import torch

        chosen = [int(i) for i in index]
        if any(not 0 <= i < len(self) for i in chosen):
            raise IndexError(f"an item of {chosen} is not in 0..{len(self) - 1}")
        drawn = uniforms(torch.as_tensor(chosen, dtype=torch.int64), 1, draw)[:, 0].tolist()
        stretches = []
        for i, u in zip(chosen, drawn, strict=True):
            video = self._videos[self._owner[i]]
            total = len(video.target)
            count = total if self._window is None else min(self._window, total)
            stretches.append(_Stretch(video, int(u * (total - count + 1)), count))
        return stretches


class FeatureSplit(ScoredSplit):
    """Videos in the form "features": a batch also has features float32 [B, T, D]."""

    def _content(self, items: Sequence[_Stretch]) -> Batch:
        rows = [s.of(s.video.features) for s in items if s.video.features is not None]
        width = rows[0].shape[1] if rows else 0
        return {"features": _padded(rows, (width,), "float32")}


class FrameSplit(ScoredSplit):
    """Videos in the form "frames": a batch also has inputs uint8 [B, T, 3, H, W]; and `contracts.Frames`.

    A video that `batch` needs is decoded once, whole, into an array in the cache folder that all processes share, so
    that a window is a slice. `frames` reads that array where it is there, and else decodes without storing anything,
    since a front whose features are kept needs the frames only once.
    """

    def __init__(self, videos: Sequence[ScoredVideo], window: int | None = None) -> None:
        super().__init__(videos, window)
        self._mapped: dict[str, StoredArrays] = {}

    def keys(self) -> Sequence[str]:
        return [_source(self._videos[i]).key for i in self._owner]

    def frames(self, i: int) -> Iterator[Array]:
        """Blocks uint8 [n, 3, H, W], the whole sampled sequence of item i's video. Raises DataError."""
        video = self._videos[self._owner[i]]
        stored = self._stored(video)
        if stored is None:
            yield from _source(video).frames()
            return
        step = max(1, _BLOCK // max(1, stored[0].nbytes))
        for start in range(0, len(stored), step):
            yield np.array(stored[start : start + step])

    def lean(self, index: Sequence[int], draw: int) -> Batch:
        """`batch` without its inputs; nothing is decoded."""
        return _common(self._stretches(index, draw), index)

    def _content(self, items: Sequence[_Stretch]) -> Batch:
        rows = [s.of(self._decoded(s.video)) for s in items]
        height, width = _source(self._videos[0]).size if self._videos else (1, 1)
        return {"inputs": _padded(rows, (3, height, width), "uint8")}

    def _decoded(self, video: ScoredVideo) -> Array:
        stored = self._stored(video)
        if stored is not None:
            return stored
        source, count = _source(video), len(video.target)

        def fill(out: Mapping[str, Array]) -> None:
            _fill(out["frames"], video.id, source)

        shapes = {"frames": ((count, 3, *source.size), "|u1")}
        return self._keep(source.key, filled_arrays(_name(source), shapes, fill))

    def _stored(self, video: ScoredVideo) -> Array | None:
        source = _source(video)
        if source.key in self._mapped:
            return self._mapped[source.key]["frames"]
        try:
            return self._keep(source.key, StoredArrays(cache_root() / "arrays" / _name(source)))
        except DataError:
            return None  # absent or damaged

    def _keep(self, key: str, arrays: StoredArrays) -> Array:
        if len(self._mapped) >= _OPEN:
            self._mapped.clear()
        self._mapped[key] = arrays
        return arrays["frames"]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_mapped": {}}


class ScoredDataset:
    """Opened splits by fold. Raises ConfigError for a split or fold that there is not."""

    def __init__(self, name: str, folds: Sequence[Mapping[SplitName, Split]]) -> None:
        self.name = name
        self._folds = tuple(folds)

    def split(self, name: SplitName, fold: int = 0) -> Split:
        if not 0 <= fold < len(self._folds):
            had = f"it has folds 0 to {len(self._folds) - 1}" if len(self._folds) > 1 else "it has no folds"
            raise ConfigError(f"{self.name} has no fold {fold}", hint=had)
        if name not in self._folds[fold]:
            raise ConfigError(f"{self.name} has no split '{name}'", hint=f"it has {', '.join(SPLITS)}")
        return self._folds[fold][name]


def specs(frames: tuple[int, int] | None, features: int | None, rate: float) -> dict[str, Spec]:
    """Specs of a batch: frames of (height, width), or features of so many numbers; `rate` of them a second."""
    found: dict[str, Spec] = {}
    if frames is not None:
        found["inputs"] = Spec("TCHW", (None, 3, *frames), "uint8", scaled=False, rate=rate)
    if features is not None:
        found["features"] = Spec("TK", (None, features), "float32", rate=rate)
    return {**found, "mask": Spec("T", (None,), "bool"), "target": Spec("T", (None,), "float32")}


def _source(video: ScoredVideo) -> FrameSource:
    if video.source is None:
        raise ConfigError(f"video '{video.id}' has features alone, and no frames")
    return video.source


def _name(source: FrameSource) -> str:
    return f"frames-2-{source.key}"


def _fill(out: Array, name: str, source: FrameSource) -> None:
    # The array lies in a file with holes, and a disk that is full would end the process, not the writing.
    if shutil.disk_usage(cache_root()).free < out.nbytes:
        raise DataError(
            f"video '{name}': there is no room for {out.nbytes:,} bytes of decoded frames in '{cache_root()}'",
            hint="ask for smaller frames, or set HARNESS_CACHE to a folder with room",
        )
    row = 0
    for block in source.frames():
        if row + len(block) > len(out) or block.shape[1:] != out.shape[1:]:
            raise DataError(f"video '{name}' changed while it was read: it has other frames than {out.shape}")
        out[row : row + len(block)] = block
        row += len(block)
    if row < len(out):
        raise DataError(f"video '{name}' changed while it was read: it has {row:,} frames, not {len(out):,}")


def _common(items: Sequence[_Stretch], index: Sequence[int]) -> dict[str, Tensor]:
    import torch

    places = [np.arange(s.start, s.start + s.count) for s in items]
    return {
        "mask": _padded([np.ones(s.count, dtype=bool) for s in items], (), "bool"),
        "target": _padded([s.of(s.video.target) for s in items], (), "float32"),
        "position": _padded(places, (), "int64"),
        "index": torch.as_tensor([int(i) for i in index], dtype=torch.int64),
    }


def _padded(rows: Sequence[Array], rest: tuple[int, ...], dtype: str) -> Tensor:
    """[B, longest T, *rest], zeros behind the end of a row."""
    import torch

    out = np.zeros((len(rows), max(map(len, rows), default=0), *rest), dtype=dtype)
    for i, row in enumerate(rows):
        out[i, : len(row)] = row
    return torch.from_numpy(out)
