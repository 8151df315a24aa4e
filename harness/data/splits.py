"""Held-out parts of labelled data, and a split over arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ..errors import ConfigError
from .arrays import filled_arrays

if TYPE_CHECKING:
    from ..contracts import Batch

Array: TypeAlias = "np.ndarray[Any, Any]"
_ROWS_AT_ONCE = 4096


def stratified_holdout(labels: Sequence[int] | Array, part: int | float, seed: int) -> tuple[Array, Array]:
    """(rows that stay, rows held out), both sorted int64; every class gives its share to within one item.

    `part` is a count (int) or a fraction in [0, 1) (float). Shares are rounded by largest remainder, ties go to the
    lower class. Only the raw output of PCG64 is drawn, which NumPy keeps the same over versions (it does not promise
    that of Generator's methods). Raises ConfigError if nothing would stay.
    """
    y = np.asarray(labels, dtype=np.int64)
    count = round(part * len(y)) if isinstance(part, float) and 0 <= part < 1 else part
    if isinstance(part, bool) or not isinstance(count, int) or not (count == 0 or 0 < count < len(y)):
        raise ConfigError(
            f"cannot hold out {part} of {len(y):,} items",
            hint="give a count below the number of items, or a fraction from 0 up to but not including 1",
        )
    if seed < 0:
        raise ConfigError(f"a split's seed is {seed}", hint="give an integer of 0 or more")
    # Sorting the classes' rows by one random key each is a shuffle that needs no more than raw 64-bit draws.
    keys = np.asarray(np.random.PCG64(seed).random_raw(len(y)), dtype=np.uint64)
    out = np.zeros(len(y), dtype=bool)
    for value, quota in _quotas(y, count).items():
        rows = np.flatnonzero(y == value)
        out[rows[np.argsort(keys[rows], kind="stable")[:quota]]] = True
    return np.flatnonzero(~out).astype(np.int64), np.flatnonzero(out).astype(np.int64)


def _quotas(y: Array, count: int) -> dict[int, int]:
    values, sizes = np.unique(y, return_counts=True)
    # In integers, so that no rounding of floats decides who gets the last item.
    shares = [(int(v), *divmod(count * int(n), len(y))) for v, n in zip(values, sizes, strict=True)]
    quotas = {value: floor for value, floor, _ in shares}
    left = count - sum(quotas.values())
    for value, _, _ in sorted(shares, key=lambda s: (-s[2], s[0]))[:left]:
        quotas[value] += 1
    return quotas


class ArraySplit:
    """A split whose items are rows of stored arrays: images uint8 [N, C, H, W] and labels int64 [N].

    `rows` (sorted int64, None = all) are the split's items, `ids` their names, `key` names the cache of a split that
    is not the whole array. Batches are copies; nothing random is drawn here, so `draw` changes nothing.
    """

    lengths: Sequence[int] | None = None

    def __init__(
        self, arrays: Mapping[str, Array], inputs: str, target: str, rows: Array | None, ids: Sequence[str], key: str
    ) -> None:
        self.ids = ids
        self._arrays = arrays
        self._inputs, self._target = inputs, target
        self._rows = rows
        self._key = key
        self._resident: Mapping[str, Array] | None = None

    def __len__(self) -> int:
        return len(self._arrays[self._target]) if self._rows is None else len(self._rows)

    def batch(self, index: Sequence[int], draw: int) -> Batch:
        """{"inputs": uint8 [B, C, H, W], "target": int64 [B], "index": int64 [B]}. Raises IndexError."""
        import torch

        chosen = np.asarray(index, dtype=np.int64).reshape(-1)
        if len(chosen) and (chosen.min() < 0 or chosen.max() >= len(self)):
            raise IndexError(f"an item of {chosen.tolist()} is not in 0..{len(self) - 1}")
        rows = chosen if self._rows is None else self._rows[chosen]
        return {
            "inputs": torch.from_numpy(np.asarray(self._arrays[self._inputs][rows])),
            "target": torch.from_numpy(np.asarray(self._arrays[self._target][rows], dtype=np.int64)),
            "index": torch.from_numpy(chosen.copy()),
        }

    def resident(self) -> Mapping[str, Array]:
        """{"inputs": uint8 [N, C, H, W], "target": int64 [N]} of this split alone, contiguous and memory-mapped.

        A part of an array is written to the cache once, so that worker processes share its pages as well.
        """
        inputs, target = self._arrays[self._inputs], self._arrays[self._target]
        if self._rows is None:
            return {"inputs": inputs, "target": target}
        if self._resident is None:
            rows = self._rows
            shapes = {
                "inputs": ((len(rows), *inputs.shape[1:]), inputs.dtype.str),
                "target": ((len(rows),), target.dtype.str),
            }
            self._resident = filled_arrays(self._key, shapes, _taker(inputs, target, rows))
        return self._resident

    def extras(self, i: int) -> Mapping[str, Array]:
        return {}


def _taker(inputs: Array, target: Array, rows: Array) -> Callable[[Mapping[str, Array]], None]:
    def fill(out: Mapping[str, Array]) -> None:
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            some = slice(start, start + _ROWS_AT_ONCE)
            out["inputs"][some] = inputs[rows[some]]
            out["target"][some] = target[rows[some]]

    return fill
