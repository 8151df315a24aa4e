"""Does what a task shows to the model give the target away, under whatever name?

Looked for are what changes with the target, and what follows it in a straight line, or is one-hot of it. Where the
target is made out of an input, such as the frames to come of a clip, nothing is said here: the leak audit of a trial
holds the model to `IO.sees`.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ..environment import seed_all
from .findings import Broken
from .running import SEED
from .served import Served, Tensors

ITEMS = 64
"""At most, of the data that the task is shown with."""
LINE = 0.9999
"""Correlation beyond which one number is the other but for scale and rounding."""


def hidden(served: Served) -> str:
    """The names of what was shown. Raises Broken where that holds the target."""
    _, batch = next(served.batches(min(ITEMS, len(served.form.split))))
    shown, where = _shown(served, batch), f"of {served.form.name}, `present`"
    missing = [key for key in served.io.inputs if key not in shown]
    if missing:
        raise Broken(f"{where} leaves out '{missing[0]}', which `io` promises the model")
    if "target" in shown:
        raise Broken(f"{where} shows the model the target")
    for answer, changed in _answers(served, batch):
        again = _shown(served, changed)
        moved = [key for key in {**shown, **again} if not _same(shown.get(key), again.get(key))]
        if moved:
            raise Broken(f"{where} shows the model '{moved[0]}', which is another for another '{answer}'")
        for key, value in shown.items():
            if key != "index" and _tells(value, batch[answer], batch.get("mask")):
                raise Broken(f"{where} shows the model '{key}', from which '{answer}' can be read off")
    return ", ".join(key for key in shown if key in served.io.inputs)


def _shown(served: Served, batch: Tensors) -> Tensors:
    seed_all(SEED)  # a task may draw what it shows
    return dict(served.task.present(batch))


def _answers(served: Served, batch: Tensors) -> Iterator[tuple[str, Tensors]]:
    """What decides the target, beside the declared inputs: its name in a batch, and batches with other values of it."""
    zeros = served.zeros(batch)
    wanted = served.task.pair(zeros, batch, "unit")[1]
    for key, value in batch.items():
        if key in served.io.inputs or key == "index":
            continue
        for other in (value.roll(1, 0), _mirrored(value)):
            changed = {**batch, key: other}
            try:
                found = served.task.pair(zeros, changed, "unit")[1]
            except Exception:  # it cannot be anything else, such as the mask
                continue
            if not _same(wanted, found):
                yield key, changed


def _mirrored(value: Tensor) -> Tensor:
    """The largest values become the smallest; one value alone becomes another."""
    if value.dtype == torch.bool:
        return ~value
    other = value.amax() + value.amin() - value
    return value + 1 if torch.equal(other, value) else other


def _same(a: Tensor | None, b: Tensor | None) -> bool:
    return a is not None and b is not None and a.shape == b.shape and torch.equal(a.nan_to_num(), b.nan_to_num())


def _one_hot(shown: Tensor, target: Tensor) -> bool:
    """Two values in all, the larger of which stands once an item: at its class."""
    if shown.select(1, 0).shape != target.shape or not bool((target != target[0]).any()):
        return False
    hot, cold = shown == shown.amax(), shown == shown.amin()
    once = bool((hot | cold).all()) and bool((hot.sum(1) == 1).all())
    return once and torch.equal(hot.long().argmax(1), target.long())


def _tells(shown: Tensor, target: Tensor, mask: Tensor | None) -> bool:
    if shown.ndim == target.ndim + 1 and not target.is_floating_point() and shown.shape[1] > 1:
        return _one_hot(shown.detach().double(), target)
    if shown.numel() != target.numel():
        return False
    x, y = shown.detach().double().reshape(target.shape), target.double()
    if mask is not None and mask.shape == target.shape:
        x, y = x[mask], y[mask]
    x, y = x.flatten() - x.mean(), y.flatten() - y.mean()
    both = x.norm() * y.norm()
    return len(x) > 2 and bool(both > 0) and abs(float(x @ y)) > LINE * float(both)
