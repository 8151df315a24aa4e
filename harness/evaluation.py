"""Per-item results of a split, and the precision that training and evaluation share."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from torch import nn

from .assembly import Parts
from .contracts import Items
from .loading import Loader


def evaluate(parts: Parts, loader: Loader, precision: str, model: nn.Module | None = None) -> Items:
    """Per-item results of a whole split, in the split's order, under the split's own ids."""
    model = parts.model if model is None else model
    model.eval()
    found: list[Items] = []
    done = 0
    with torch.inference_mode():
        for raw in loader.evaluation():
            batch = parts.prepare(raw)
            with autocast(loader.device.type, precision):
                output = model(batch)
            count = len(batch["index"])
            extras = [loader.split.extras(i) for i in range(done, done + count)]
            found.append(parts.task.measure(output, batch, extras))
            done += count
    return _join(found, tuple(loader.split.ids))


def _join(found: Sequence[Items], ids: tuple[str, ...]) -> Items:
    values = {key: np.concatenate([f.values[key] for f in found]) for key in found[0].values}
    ragged = {}
    for key in found[0].ragged:
        lengths = np.concatenate([np.diff(f.ragged[key][1]) for f in found])
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        ragged[key] = (np.concatenate([f.ragged[key][0] for f in found]), offsets)
    return Items(ids, values, ragged)


def autocast(device: str, precision: str) -> AbstractContextManager[Any]:
    return torch.autocast(torch.device(device).type, torch.bfloat16, enabled=precision == "bf16")
