"""What the parts of the program promise each other: plain dataclasses and protocols.

Images with labels, videos with ranked frames (variable length, masks, several annotators, stages) and predicted
video (sums of losses, rollouts) go through the same engine, so nothing here names one of them.
Importing this module imports neither torch nor NumPy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

    Batch: TypeAlias = Mapping[str, Tensor]
    """inputs | features, target, mask [B, T] (True = real), index [B]; the batch axis comes first."""
    Output: TypeAlias = Mapping[str, Tensor]
    """Named heads; float32 where a loss reads them."""
    Arrays: TypeAlias = Mapping[str, np.ndarray[Any, Any]]

SplitName: TypeAlias = Literal["train", "val", "test"]


@dataclass(frozen=True, slots=True)
class Spec:
    """One array of a batch, without its batch axis.

    `axes` has one letter an axis (C, H, W, T, K); None in `shape` varies from item to item (padded and masked).
    `mean` and `std` (one number a channel, in units of [0, 1]) say how a uint8 image is normalised before the model
    sees it; empty means that the array goes in as it is. `scaled` False: a model gets the bytes themselves (or floats
    in [0, 1] where they were augmented) and normalises them, as whole videos would be too large as floats. `rate`:
    entries of axis T a second, 0 where that means nothing.
    """

    axes: str
    shape: tuple[int | None, ...]
    dtype: str
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    scaled: bool = True
    rate: float = 0.0


@dataclass(frozen=True, slots=True)
class DatasetInfo:
    """What a dataset says of itself without torch and without decoding anything: `describe(root, **options)`.

    `fingerprint` changes when the data or the split changes. `notes` are sentences that every report prints,
    for instance that a copy's hashes are not the official ones.
    """

    fingerprint: str
    specs: Mapping[str, Spec]
    sizes: Mapping[str, int]
    classes: tuple[str, ...] = ()
    folds: int = 1
    notes: tuple[str, ...] = ()


class Split(Protocol):
    """One part of a dataset.

    A split whose items are made up, not stored, has a method `generate` beside (see `Generates`).
    """

    ids: Sequence[str]
    """Names of the items; the same name in two folds is the same item."""
    lengths: Sequence[int] | None
    """Length of every item where it varies, else None."""

    def __len__(self) -> int: ...

    def batch(self, index: Sequence[int], draw: int) -> Batch:
        """Collate the items of `index`; pure in (index, draw), so the same draw gives the same batch."""
        ...

    def resident(self) -> Arrays | None:
        """Fixed-size arrays of all items (memory-mapped), to be held on the device; None where items are drawn.

        For a split that has `generate`: the arrays that it makes batches of, whatever their length.
        """
        ...

    def extras(self, i: int) -> Arrays:
        """What evaluation alone may see of item i (annotators [A, T], change points)."""
        ...


@runtime_checkable
class Generates(Protocol):
    """A split that makes its batches on the device, out of the arrays that `resident()` gives."""

    def generate(self, arrays: Mapping[str, Tensor], index: Tensor, draw: int) -> Batch:
        """The items of `index` [B], on the device of the arrays; pure in (index, draw), whatever the device."""
        ...


@runtime_checkable
class Frames(Protocol):
    """A split whose items lie in sequences of frames, of which a frozen front makes features once and for all."""

    def keys(self) -> Sequence[str]:
        """Of every item: a hash of all that the frames of its sequence follow from. Items may share a sequence."""
        ...

    def frames(self, i: int) -> Iterator[np.ndarray[Any, Any]]:
        """Blocks uint8 [n, C, H, W] that together are the whole sequence of item i, in order."""
        ...

    def lean(self, index: Sequence[int], draw: int) -> Batch:
        """`batch` without the frames; its `position` int64 [B, T] are the frames' places in their sequence."""
        ...


class Dataset(Protocol):
    """Opened data. A split that the dataset does not have is an empty one."""

    def split(self, name: SplitName, fold: int = 0) -> Split: ...


@dataclass(frozen=True, slots=True)
class IO:
    """What a model reads and writes; kept in the record, so that a stored model needs no dataset.

    `horizon` > 0: the model runs free for so many steps behind its input. `sees`: input's name -> n, where output t may
    depend on entries of that input up to t + n of its axis T; None: on all. The engine audits it (`audits`).
    """

    inputs: Mapping[str, Spec]
    outputs: Mapping[str, Spec]
    horizon: int = 0
    sees: Mapping[str, int] | None = None


@runtime_checkable
class AttentionFactory(Protocol):
    """Makes one block for a place with so many channels."""

    domain: Literal["image", "temporal"]

    def __call__(self, channels: int, /, *, site: str = "") -> nn.Module: ...


class Model(Protocol):
    """A torch module, built plain from `IO`; attention is attached to it afterwards.

    The target is called as `target(io, **options)`. It may have an attribute `control`: the name of another model that
    every study of this one trains beside it, with the options that both have, since without that row nothing can be
    said about this model's part in a result.
    """

    def forward(self, batch: Batch) -> Output: ...

    def groups(self) -> Mapping[str, nn.Module]:
        """Names for freezing: backbone, backbone.layer4, head."""
        ...

    def attach(self, factory: AttentionFactory, placement: str | Sequence[str]) -> Sequence[str]:
        """Insert one block a site under names that end in `.attention`; no other name or weight changes.

        Returns the sites. Raises ConfigError if the model has no such place.
        """
        ...

    def prefix(self) -> tuple[str, str, str] | None:
        """The front whose output may be cached while it is frozen: (group, key in, key out).

        `groups()[group]` is then one module that maps frames [N, C, H, W] to features [N, D], each by itself, and
        `forward` takes a batch that has `key out` [B, T, D] in place of `key in`.
        """
        ...


class Loss(Protocol):
    """`expects` says what the task hands over: raw logits, or values in [0, 1].

    Optional attributes: `notes`, sentences that every report prints; `marks`, words that every table shows beside the
    row (for instance that weights are random). A loss that is an `nn.Module` is moved to the trial's device.
    """

    expects: Literal["logits", "unit"]

    def __call__(self, output: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor: ...


class Augment(Protocol):
    """Changes a batch of images on its device, per sample, as a pure function of the generator's draws.

    `x` is float [B, C, H, W] in [0, 1]; `uniform(n)` gives [B, n] numbers in [0, 1) that depend on
    (seed, epoch, item) alone, so that every arm of a seed sees the same pictures.
    """

    def __call__(self, x: Tensor, uniform: Any) -> Tensor: ...


@dataclass(frozen=True, slots=True)
class Metric:
    """A number's name, unit, direction and definition; none is shown without them."""

    name: str
    unit: str
    better: Literal["higher", "lower"]
    definition: str


@dataclass(frozen=True, slots=True)
class Items:
    """What was measured per test item: `values[k]` has one row an item.

    Ragged row i is flat[offsets[i] : offsets[i + 1]].
    """

    ids: tuple[str, ...]
    values: Arrays
    ragged: Mapping[str, tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]] = field(default_factory=dict)


FigureKind: TypeAlias = Literal["table", "lines", "bars", "heatmap", "strip", "overlay", "animation"]


@dataclass(frozen=True, slots=True)
class Figure:
    """Everything that a picture needs, stored by the trial; the report joins equal keys over arms.

    - table, heatmap: data = {values [R, C], rows [R] str, columns [C] str}; a table's rows may be others in every fold.
      With `weights` [R], the items behind each row, rows of several trials are means over items.
    - lines, bars: data = {x [N] (numbers or str), one array [N] a series}; `x_label` str [1] names the axis. A series
      may be NaN in part. lines: `reference/<series>` [N] is drawn once, in grey behind that series of all rows of a
      study, and `reference_name` str [1] names it.
    - strip: data = {images uint8 [K, F, H, W] or [K, F, H, W, 3], rows [K] str (items), columns [F] str}; with
      `reference` of the same shape, drawn once above all rows of a study, and `reference_name` str [1]; `colour` str
      [1] is "grey" (the default) or "heat" (uint8 as 0 to 1 on a colour map).
    - animation: data = {images uint8 [K, T, H, W] or [K, T, H, W, 3], rows [K] str, milliseconds int [1] a frame},
      with `reference` and `reference_name` as above.

    `compare` asks the report for the difference to the baseline as well.
    """

    key: str
    kind: FigureKind
    title: str
    alt: str
    data: Arrays
    compare: bool = False


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What was measured of stored trials after training; it asks for no retraining.

    `signature`: all that decides the numbers; an evaluation with another one is stale and is made again. `rows`: what
    (a site of attention, a class) -> measure -> value. `definitions`: measure -> a sentence with its unit.
    """

    name: str
    signature: Mapping[str, Any]
    rows: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    definitions: Mapping[str, str] = field(default_factory=dict)
    figures: tuple[Figure, ...] = ()
    notes: tuple[str, ...] = ()


class Task(Protocol):
    """What is learnt and how it is judged."""

    metrics: tuple[Metric, ...]
    select: str
    """The metric that chooses a checkpoint."""
    resample: Literal["item", "item+seed"]

    def io(self, info: DatasetInfo) -> IO: ...

    def present(self, batch: Batch) -> Batch:
        """What of a prepared batch the model is shown: never a target."""
        ...

    def pair(self, output: Output, batch: Batch, expects: str) -> tuple[Tensor, Tensor, Tensor | None]:
        """(output, target, mask) in the form that a loss with this `expects` reads."""
        ...

    def measure(self, output: Output, batch: Batch, extras: Sequence[Arrays]) -> Items:
        """Results an item. `values[name]` of a metric's name, if there is one, has that metric's mean as its mean."""
        ...

    def summarise(self, items: Items) -> Mapping[str, float]: ...

    def floors(self, split: Split) -> Mapping[str, Items]:
        """Predictors that need no training: random, constant, human, copy_last.

        An optional attribute `ceilings` names those among them that know answers (human, oracle): a row is not
        expected to beat them.
        """
        ...

    def figures(self, items: Items) -> Sequence[Figure]: ...

    def identities(self, numbers: Mapping[str, float]) -> Sequence[str]:
        """Sentences about numbers of one row that cannot all be true."""
        ...

    def remarks(self, numbers: Mapping[str, float]) -> Sequence[str]:
        """Sentences about numbers of one row that can all be true, but only in a way that a reader should know."""
        ...


class Sink(Protocol):
    """The store's side of one trial, handed to the engine."""

    def resume(self) -> Mapping[str, Any] | None:
        """The state that `checkpoint` kept last, or None."""
        ...

    def best(self) -> Mapping[str, Any] | None: ...

    def checkpoint(self, state: Mapping[str, Any], best: Mapping[str, Any] | None = None) -> None: ...

    def epoch(self, epoch: int, values: Mapping[str, float]) -> None:
        """An epoch (counted from 1) ended with these values."""
        ...

    def progress(self, done: int, total: int, loss: float) -> None:
        """`done` of `total` updates are made; for people who watch, and called a few times a second at most."""
        ...

    def finish(self, items: Items, figures: Sequence[Figure]) -> None: ...
