"""A model beside what a task shows it: built, run, and trained for one step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from ..contracts import IO
from ..data import without_initial_weights
from .findings import Broken
from .modules import Case, Tensors, backward, finite, total
from .running import Subject


@dataclass(frozen=True, slots=True)
class Shown:
    """A model's inputs and outputs, by a task and its data, and a batch as the task shows it."""

    name: str
    io: IO
    batch: Tensors


def build(subject: Subject, io: IO) -> nn.Module:
    # Weights are replaced where they matter; a check needs no download.
    with without_initial_weights():
        model = subject.component.load()(io, **subject.chosen())
    if not isinstance(model, nn.Module):
        raise Broken(f"built, it is a {type(model).__name__}, and no torch.nn.Module")
    return model


def served(subject: Subject) -> list[Shown]:
    found: list[Shown] = subject.kept["serves"]
    return found


def heads(output: Any, io: IO) -> dict[str, Tensor]:
    if not isinstance(output, Mapping):
        raise Broken(f"forward gives a {type(output).__name__}, and no mapping of heads")
    missing = [head for head in io.outputs if head not in output]
    if missing:
        raise Broken(f"forward gives {', '.join(output) or 'nothing'}, and not '{missing[0]}', which the task reads")
    return {head: output[head] for head in io.outputs}


def case_of(subject: Subject, shown: Shown) -> Case:
    return Case(lambda: build(subject, shown.io), shown.batch, lambda m, b: heads(m(b), shown.io), inner=False)


def trained(model: nn.Module, shown: Shown, what: str) -> str:
    output = heads(model(shown.batch), shown.io)
    finite(output, f"the output {what}")
    backward(total(output))
    grads = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    finite(grads, f"a gradient {what}")
    if not any(bool((g != 0).any()) for g in grads.values()):
        raise Broken(f"{what}, no parameter gets a gradient")
    return f"{len(grads)} of {sum(1 for _ in model.parameters())} parameters train"
