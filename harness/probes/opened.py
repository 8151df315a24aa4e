"""A stored trial with its data, opened again: the model as it was tested, and chosen items of the test split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from ..assembly import Parts, open_data, stored_model
from ..augment.pipeline import Pipeline
from ..contracts import Dataset, DatasetInfo, Split, Task
from ..front import Feeder
from ..loading import Loader
from ..registry import Registry
from ..store import Store
from ..trial import Choice, Record

if TYPE_CHECKING:
    from ..contracts import Arrays, Batch


AT_MOST = 128
"""Items in one forward pass: of what was trained on many GPUs, a batch may not fit here."""


@dataclass(slots=True)
class Opened:
    """What a probe works with. `loader` reads the whole test split; `record` is the trial's."""

    record: Record
    parts: Parts
    loader: Loader
    device: str

    @property
    def model(self) -> nn.Module:
        return self.parts.model

    def some(self, chosen: Sequence[int]) -> Loader:
        """Only the items of these places in the test split, in this order."""
        split = self.loader.split
        if list(chosen) == list(range(len(split))):
            return self.loader
        return Loader(Some(split, chosen), self.device, self.loader.batch_size, self.record.trial.config.seed)

    def shown(self, chosen: Sequence[int]) -> tuple[Batch, Batch]:
        """(stored batch, what the model is shown of it) of these items, on the device."""
        raw = {k: v.to(self.device) for k, v in self.loader.split.batch(list(chosen), 0).items()}
        return raw, self.parts.task.present(self.parts.prepare(raw))


class Some:
    """Chosen items of a split."""

    def __init__(self, split: Split, chosen: Sequence[int]) -> None:
        self._split, self._chosen = split, list(chosen)
        self.ids: Sequence[str] = [split.ids[i] for i in self._chosen]
        lengths = None if split.lengths is None else [split.lengths[i] for i in self._chosen]
        self.lengths: Sequence[int] | None = lengths

    def __len__(self) -> int:
        return len(self._chosen)

    def batch(self, index: Sequence[int], draw: int) -> Batch:
        return self._split.batch([self._chosen[i] for i in index], draw)

    def resident(self) -> Arrays | None:
        return None

    def extras(self, i: int) -> Arrays:
        return self._split.extras(self._chosen[i])


@dataclass(slots=True)
class Opener:
    """Opens trials of a study one after the other; a dataset is opened once for all that share it."""

    store: Store
    registry: Registry
    data_root: Path
    device: str
    _data: dict[Choice, tuple[DatasetInfo, Dataset]] = field(default_factory=dict)
    _splits: dict[tuple[Choice, int], Split] = field(default_factory=dict)

    def open(self, record: Record) -> Opened:
        """Raises HarnessError for what is missing: weights, data, a plugin."""
        config = record.trial.config
        if config.dataset not in self._data:
            self._data[config.dataset] = open_data(config.dataset, self.registry, self.data_root)
        info, dataset = self._data[config.dataset]
        task: Task = self.registry.build("task", config.task.name, **config.task.keywords())
        task.io(info)  # a task learns here what its data is
        model, sites, io = stored_model(record, self.store, self.registry)
        prepare = Pipeline(io.inputs, (), config.seed, config.train.channels_last)
        parts = Parts(info, dataset, task, io, model, sites, (), prepare, ())
        parts.to(self.device)
        key = (config.dataset, config.fold)
        if key not in self._splits:
            self._splits[key] = dataset.split("test", config.fold)
        whole = Loader(self._splits[key], self.device, min(config.train.batch_size, AT_MOST), config.seed)
        fed = Feeder(parts, {"test": whole}).loaders(config.train.stages, ["test"])["test"]
        return Opened(record, parts, fed, self.device)


def spread(total: int, most: int) -> list[int]:
    """At most `most` places of `total`, evenly from the first on; the same for everybody who asks."""
    if total <= most:
        return list(range(total))
    return [i * total // most for i in range(most)]
