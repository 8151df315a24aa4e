"""Per-item results of a split, and the precision of training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from torch import nn

from .assembly import Parts
from .contracts import Items
from .errors import Diverged
from .loading import Loader


def evaluate(parts: Parts, loader: Loader, model: nn.Module | None = None) -> Items:
    """Per-item results of a whole split, in the split's order, under the split's own ids.

    Always in fp32: bf16 has so few digits that two classes often get the same highest logit, and a tie counts as wrong.
    """
    model = parts.model if model is None else model
    model.eval()
    found: list[Items] = []
    done = 0
    with torch.inference_mode():
        for raw in loader.evaluation():
            batch = parts.prepare(raw)
            output = model(parts.task.present(batch))
            count = len(batch["index"])
            extras = [loader.split.extras(i) for i in range(done, done + count)]
            found.append(parts.task.measure(output, batch, extras))
            done += count
    return join(found, tuple(loader.split.ids))


def join(found: Sequence[Items], ids: tuple[str, ...]) -> Items:
    values = {key: np.concatenate([f.values[key] for f in found]) for key in found[0].values}
    ragged = {}
    for key in found[0].ragged:
        lengths = np.concatenate([np.diff(f.ragged[key][1]) for f in found])
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        ragged[key] = (np.concatenate([f.ragged[key][0] for f in found]), offsets)
    return Items(ids, values, ragged)


def autocast(device: str, precision: str) -> AbstractContextManager[Any]:
    return torch.autocast(torch.device(device).type, torch.bfloat16, enabled=precision == "bf16")


def summarised(parts: Parts, items: Items) -> dict[str, float]:
    """The task's numbers as plain floats, whatever kind of number it returned: they go into checkpoints and records.

    Raises Diverged if one is not finite: the weights may be so large that only their outputs are no numbers.
    """
    found = {name: float(value) for name, value in parts.task.summarise(items).items()}
    for name, value in found.items():
        if not math.isfinite(value):
            hint = "lower the learning rate, warm up, or clip gradients"
            raise Diverged(f"diverged: '{name}' is {value} when the model is evaluated", hint)
    return found


def check_finite(model: nn.Module, epoch: int) -> None:
    """Raises Diverged if a weight or statistic is not finite: the last update may break what no loss has seen yet."""
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise Diverged(
                f"diverged in epoch {epoch + 1} at its last update: '{name}' is not finite",
                hint="lower the learning rate, warm up, or clip gradients",
            )
