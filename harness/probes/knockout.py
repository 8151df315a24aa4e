"""What a trained model loses if attention is taken out of one layer, or of all, without training anew."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn

from ..contracts import Evaluation
from ..errors import Diverged
from ..evaluation import evaluate, summarised
from ..trial import Record
from .looking import block_of
from .opened import Opened, spread

NAME = "knockout"
VERSION = 1
STEPS = (2_000, 1_000, 500, 200, 100)
"""On a CPU so many items at most, the fewer the dearer the trial is. Each trial is compared with itself alone."""
BUDGET = 1e12
"""Multiply-accumulates that a trial may take on a CPU, about half a minute."""
WHOLE, ALL = "none", "all"


@contextmanager
def knocked_out(model: nn.Module, sites: Sequence[str]) -> Iterator[None]:
    """The attention of these sites gives out what it gets, until the block ends."""
    with ExitStack() as stack:
        for site in sites:
            block = block_of(model, site)
            got: list[Tensor] = []

            # A copy, since a block may change its input in place before the hook hands it on.
            def before(_: nn.Module, args: tuple[Any, ...], got: list[Tensor] = got) -> None:
                got[:] = [args[0].clone()]

            def after(_: nn.Module, __: Any, ___: Any, got: list[Tensor] = got) -> Tensor:
                return got.pop()

            stack.callback(block.register_forward_pre_hook(before).remove)
            stack.callback(block.register_forward_hook(after).remove)
        yield


def item_count(record: Record, device: str) -> int:
    """How many test items of a trial are looked at; 0 for all. Studies share trials, so none has a say in it."""
    if device.startswith("cuda"):
        return 0
    cost = record.cost.get("macs", 0.0) * (len(record.sites) + 2)
    return next((n for n in STEPS if n * cost <= BUDGET), STEPS[-1])


def signature(total: int, most: int, device: str) -> Mapping[str, object]:
    items = min(total, most) if most else total
    return {"version": VERSION, "items": items, "of": total, "device": device.partition(":")[0]}


def measure_knockout(opened: Opened, most: int) -> Evaluation:
    """Every metric of the task as trained, without all attention, and without that of each site, on the same items.

    What gives no finite number without its attention is left out, and a note says so. Raises Diverged if the trained
    model gives none.
    """
    total = len(opened.loader.split)
    chosen = spread(total, most or total)
    loader = opened.some(chosen)
    arms: dict[str, Sequence[str]] = {WHOLE: (), ALL: opened.parts.sites}
    arms |= {site: (site,) for site in opened.parts.sites}
    rows: dict[str, Mapping[str, float]] = {}
    notes = [f"without attention, on {len(chosen):,} of {total:,} test items, evenly spread; nothing was trained anew"]
    for name, sites in arms.items():
        if name not in (WHOLE, ALL) and len(opened.parts.sites) == 1:
            if ALL in rows:
                rows[name] = rows[ALL]
            continue
        try:
            with knocked_out(opened.model, sites):
                rows[name] = summarised(opened.parts, evaluate(opened.parts, loader))
        except Diverged as error:
            if name == WHOLE:
                raise
            notes.append(f"no number without the attention of {name}: {error.message}")
    definitions = {m.name: m.definition for m in opened.parts.task.metrics}
    return Evaluation(NAME, signature(total, most, opened.device), rows, definitions, notes=tuple(notes))
