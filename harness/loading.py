"""Batches of a split: from the device where the whole split fits there, else from worker processes.

The order of an epoch is a function of (seed, epoch) alone, so a resumed trial needs no state of it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from .contracts import Generates, Split
from .environment import derive

if TYPE_CHECKING:
    from .contracts import Batch

RESIDENT_SHARE = 0.4
"""At most this share of a GPU's free memory holds data; the rest is the model's."""


class Loader:
    """Iterates over a split in batches on a device.

    The draw of data that is made up anew is derived from (seed, epoch) in training; it is 0 in evaluation.
    """

    def __init__(self, split: Split, device: str, batch_size: int, seed: int, processes: int = 0) -> None:
        self.split, self.device, self.batch_size = split, torch.device(device), batch_size
        self._seed, self._processes = seed, processes
        self._varies = split.lengths is not None
        self._generate = split.generate if isinstance(split, Generates) else None
        self._resident = _resident(split, self.device)
        self.steps = len(self._cut(list(range(len(split))), training=True))
        """Updates of one training epoch."""

    def of(self, split: Split) -> Loader:
        """The same order and draws, over another split with as many items."""
        return Loader(split, str(self.device), self.batch_size, self._seed, self._processes)

    def training(self, epoch: int) -> Iterator[Batch]:
        """A shuffled epoch. A last batch of one item is left out, since batch norm cannot be trained on it.

        With a batch size of 1 every item is trained on.
        """
        generator = torch.Generator().manual_seed(derive(self._seed, "order", epoch))
        order = torch.randperm(len(self.split), generator=generator).tolist()
        return self._batches(self._cut(order, training=True), derive(self._seed, "draw", epoch))

    def evaluation(self) -> Iterator[Batch]:
        """Every item once, in the split's order; one at a time where lengths vary, so that no padding is evaluated."""
        return self._batches(self._cut(list(range(len(self.split))), training=False), 0)

    def _cut(self, order: list[int], training: bool) -> list[list[int]]:
        size = 1 if self._varies and not training else self.batch_size
        cut = [order[i : i + size] for i in range(0, len(order), size)]
        return cut[:-1] if training and size > 1 and len(cut) > 1 and len(cut[-1]) == 1 else cut

    def _batches(self, cut: Sequence[list[int]], draw: int) -> Iterator[Batch]:
        if self._resident is not None:
            # One copy of the order to the device an epoch; one a batch would make a GPU wait for each.
            order = torch.tensor([i for rows in cut for i in rows], device=self.device)
            for index in torch.split(order, [len(rows) for rows in cut]):
                yield {**self._rows(self._resident, index, draw), "index": index}
            return
        loader = DataLoader(
            _Rows(self.split, cut, draw),
            batch_size=None,
            num_workers=self._processes,
            pin_memory=self.device.type == "cuda",
            # Its own: a loader draws a number when it starts, and dropout would differ from that of resident data.
            generator=torch.Generator(),
        )
        for batch in loader:
            yield {k: v.to(self.device, non_blocking=True) for k, v in batch.items()}

    def _rows(self, arrays: Mapping[str, Tensor], index: Tensor, draw: int) -> Batch:
        if self._generate is not None:
            return self._generate(arrays, index, draw)
        return {key: array[index] for key, array in arrays.items()}


class _Rows(TorchDataset[Any]):
    """A torch dataset whose item i is the whole i-th batch, collated by the split itself."""

    def __init__(self, split: Split, cut: Sequence[list[int]], draw: int) -> None:
        self._split, self._cut, self._draw = split, cut, draw

    def __len__(self) -> int:
        return len(self._cut)

    def __getitem__(self, i: int) -> Any:
        return dict(self._split.batch(self._cut[i], self._draw))


def _resident(split: Split, device: torch.device) -> dict[str, Tensor] | None:
    arrays = split.resident()
    if arrays is None:
        return None
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        if sum(a.nbytes for a in arrays.values()) > RESIDENT_SHARE * free:
            return None
    with warnings.catch_warnings():
        # The arrays are read-only memory maps, shared by all worker processes; on the CPU they are used as they are.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return {k: torch.from_numpy(a).to(device) for k, a in arrays.items()}
