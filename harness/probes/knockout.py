"""What a trained model loses if attention is taken out of one layer, or of all, without training anew."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn

from ..contracts import Evaluation
from ..evaluation import evaluate, summarised
from ..trial import Record
from .looking import block_of
from .opened import Opened, spread

NAME = "knockout"
VERSION = 1
STEPS = (2_000, 1_000, 500, 200, 100)
"""On a CPU so many items at most, the fewer the dearer the study's dearest row is: all rows see the same items."""
BUDGET = 1e12
"""Multiply-accumulates that the dearest row may take on a CPU, about half a minute."""
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


def item_count(records: Sequence[Record], device: str) -> int:
    """How many test items of every trial of a study are looked at; 0 for all."""
    if device.startswith("cuda"):
        return 0
    dearest = max((r.cost.get("macs", 0.0) * (len(r.sites) + 2) for r in records if r.sites), default=0.0)
    return next((n for n in STEPS if n * dearest <= BUDGET), STEPS[-1])


def signature(total: int, most: int, device: str) -> Mapping[str, object]:
    items = min(total, most) if most else total
    return {"version": VERSION, "items": items, "of": total, "device": device.partition(":")[0]}


def measure_knockout(opened: Opened, most: int) -> Evaluation:
    """Every metric of the task as trained, without all attention, and without that of each site, on the same items.

    Raises Diverged if a number is not finite.
    """
    total = len(opened.loader.split)
    chosen = spread(total, most or total)
    loader = opened.some(chosen)
    arms: dict[str, Sequence[str]] = {WHOLE: (), ALL: opened.parts.sites}
    arms |= {site: (site,) for site in opened.parts.sites}
    rows: dict[str, Mapping[str, float]] = {}
    for name, sites in arms.items():
        if name not in (WHOLE, ALL) and len(opened.parts.sites) == 1:
            rows[name] = rows[ALL]
            continue
        with knocked_out(opened.model, sites):
            rows[name] = summarised(opened.parts, evaluate(opened.parts, loader))
    definitions = {m.name: m.definition for m in opened.parts.task.metrics}
    note = f"without attention, on {len(chosen):,} of {total:,} test items, evenly spread; nothing was trained anew"
    return Evaluation(NAME, signature(total, most, opened.device), rows, definitions, notes=(note,))
