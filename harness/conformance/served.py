"""What a task makes of data: inputs and outputs, batches, numbers of a prediction, and the prediction that is right."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..augment.pipeline import Pipeline
from ..contracts import IO, Items, Task
from ..data import data_root
from ..errors import HarnessError
from ..evaluation import join
from ..registry import Component, Registry
from .findings import NotChecked
from .made import Form, forms
from .running import told

Tensors = Mapping[str, Tensor]
Predict = Callable[[Tensors], Tensors]


@dataclass(frozen=True, slots=True)
class Served:
    """Data that a task reads, and what it makes of them."""

    form: Form
    task: Task
    io: IO

    def batches(self, size: int) -> Iterator[tuple[list[int], Tensors]]:
        prepare = Pipeline(self.io.inputs, (), 0, channels_last=False)
        for first in range(0, len(self.form.split), size):
            index = list(range(first, min(first + size, len(self.form.split))))
            yield index, prepare(self.form.split.batch(index, 0))

    def measured(self, predict: Predict, size: int | None = None) -> Items:
        """One item at a time where lengths vary, as the engine evaluates."""
        size = size or (1 if self.form.split.lengths is not None else 4)
        found = []
        for index, batch in self.batches(size):
            found.append(self.task.measure(predict(batch), batch, [self.form.split.extras(i) for i in index]))
        return join(found, tuple(self.form.split.ids))

    def numbers(self, predict: Predict, size: int | None = None) -> dict[str, float]:
        return {k: float(v) for k, v in self.task.summarise(self.measured(predict, size)).items()}

    def zeros(self, batch: Tensors) -> dict[str, Tensor]:
        """An output of the declared form for this batch."""
        length = next((v.shape[1] for k, v in batch.items() if k in ("mask", "features", "inputs") and v.ndim > 1), 1)
        count = len(batch["index"])
        return {
            head: torch.zeros((count, *(length if n is None else n for n in spec.shape)))
            for head, spec in self.io.outputs.items()
        }


def served_by(task_of: Callable[[], Task], given: Sequence[Form] | None = None) -> tuple[list[Served], list[str]]:
    """Forms of data (the kit's, if none are given) that a task reads, and why it does not read the others."""
    found, refused = [], []
    for form in forms() if given is None else given:
        task = task_of()
        try:
            found.append(Served(form, task, task.io(form.info)))
        except Exception as error:  # few tasks refuse in words what is not for them
            refused.append(f"{form.name}: {told(error)}")
    return found, refused


def own_data(component: Component, registry: Registry) -> list[Form]:
    """Datasets of the same plugin that can be opened here."""
    found = []
    for other in registry.components("dataset"):
        if other.provider != component.provider or any(o.required for o in other.options()):
            continue
        try:
            target: Any = other.load()
            info = target.describe(data_root(), **other.example)
            split = target(data_root(), **other.example).split("test")
        except (HarnessError, OSError):
            continue
        found.append(Form(f"dataset '{other.name}'", info, split))
    return found


def perfect(served: Served, batch: Tensors) -> dict[str, Tensor]:
    """The output that `pair` finds equal to the target. Raises NotChecked if none of the usual forms is."""
    zeros = served.zeros(batch)
    for head in zeros:
        out, target, _ = served.task.pair(zeros, batch, "logits")
        for guess in _guesses(out, target):
            if guess.numel() != zeros[head].numel():
                continue
            output = {**zeros, head: guess.reshape(zeros[head].shape)}  # axes of 1 may be between
            made, wanted, mask = served.task.pair(output, batch, "unit")
            if _equal(made, wanted, mask):
                return output
    raise NotChecked("no output was found that `pair` makes equal to the target: labels, scores in [0, 1] or values")


def _guesses(out: Tensor, target: Tensor) -> Iterator[Tensor]:
    if target.is_floating_point():
        yield target.float()
        yield target.float().clamp(1e-6, 1 - 1e-6).logit()
        return
    for axis in range(1, out.ndim):
        if out.shape[:axis] + out.shape[axis + 1 :] == target.shape:
            hot = torch.zeros_like(out).scatter_(axis, target.long().unsqueeze(axis), 1.0)
            yield 40.0 * hot - 20.0


def _equal(made: Tensor, wanted: Tensor, mask: Tensor | None) -> bool:
    if not wanted.is_floating_point():
        axes = [a for a in range(1, made.ndim) if made.shape[:a] + made.shape[a + 1 :] == wanted.shape]
        return bool(axes) and bool((made.argmax(axes[0]) == wanted).all())
    if made.shape != wanted.shape:
        return False
    gap = (made - wanted).abs()
    return float((gap if mask is None else gap[mask]).max()) < 1e-3
