"""What every row costs: weights by part, multiply-accumulates, time and memory of a forward pass."""

from __future__ import annotations

from . import numbers
from .analysis import Analysis, Arm
from .document import Column, Entry, Section, Table, Text
from .escaping import one_line
from .rows import lined

_DASH = Entry(numbers.NONE, tone="muted")


def costs(analysis: Analysis) -> Section | None:
    """One line a row; None before any trial is done. Definitions stand below the table, once."""
    arms = [arm for arm in analysis.arms if arm.ok]
    if not arms:
        return None
    batches = sorted({arm.batched.batch for arm in arms if arm.batched})
    batch = f"batch {batches[0]}" if len(batches) == 1 else "each row's batch"
    columns = [
        Column("row", numeric=False),
        Column("backbone", "parameters"),
        Column("attention", "parameters"),
        Column("head", "parameters"),
        Column("MACs", "an item"),
        Column("latency", "batch 1, ms; quartiles"),
    ]
    if batches:
        columns += [Column("latency", f"{batch}, ms; quartiles"), Column("throughput", "items a second")]
    measured = any(arm.batched and arm.batched.memory is not None for arm in arms)
    if measured:
        columns.append(Column("memory of inference", batch))
    lines = tuple(lined(arm, *_entries(arm, bool(batches), measured)) for arm in arms)
    told = tuple(Text(text, "muted") for text in _told(arms, measured))
    return Section("costs", "Cost", (Table("What a row costs once it is trained.", tuple(columns), lines), *told))


def _entries(arm: Arm, batched: bool, memory: bool) -> list[Entry]:
    found = [Entry(numbers.counted(n)) if n is not None else _DASH for n in breakdown(arm)]
    found += [Entry(numbers.large(arm.macs)), _time(arm, False)]
    if batched:
        found += [_time(arm, True), Entry(_rate(arm.batched.throughput)) if arm.batched else _DASH]
    if memory:
        found.append(Entry(numbers.memory(arm.batched.memory if arm.batched else None)))
    return found


def _time(arm: Arm, batched: bool) -> Entry:
    time = arm.batched if batched else arm.latency
    return _DASH if time is None else Entry(f"{time.median_ms:.3g}", f"{time.low_ms:.3g} to {time.high_ms:.3g}")


def _rate(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def breakdown(arm: Arm) -> tuple[float | None, float | None, float | None]:
    """Weights of (backbone, attention, head), which add up to all: attention counts to neither of the others."""
    first = arm.ok[0]
    whole, attention = first.cost.get("parameters"), first.cost.get("attention_parameters")
    head = first.parts.get("head")
    if whole is None or attention is None or head is None:
        return None, attention, None
    stages = [name.removeprefix("backbone.") for name in first.parts if name.startswith("backbone.")]
    inside = any(site == stage or site.startswith(f"{stage}.") for site in first.sites for stage in stages)
    # A model names its head with or without the attention that sits in it; where it sits, its sites tell.
    if attention and not inside and head >= attention:
        head -= attention
    return whole - attention - head, attention, head


def _told(arms: list[Arm], memory: bool) -> list[str]:
    texts = [
        "Backbone: all weights that are neither attention nor head. MACs: as in the comparison."
        " Lower is better, except for throughput."
    ]
    alone = _definitions(arms, False)
    texts.append(f"Latency at batch 1: {alone}." if alone else "Latency was not measured.")
    batched = _definitions(arms, True)
    if not batched:
        again = "`harness ablate` tries it without training again, up to three times in all"
        return [*texts, f"The training batch was not measured; {again}."]
    texts.append(
        f"Latency at the training batch, the `batch_size` of the row: {batched}."
        " Throughput: items of the training batch divided by its median latency."
    )
    texts.append(
        "Memory of inference: the most that PyTorch's allocator holds in one forward pass of a training batch: weights,"
        " input, and what lies between; other rows' models are not counted."
        if memory
        else "Memory of inference is measured on CUDA alone: on a CPU the system tells the peak of the whole process,"
        " which no single model answers for."
    )
    return texts


def _definitions(arms: list[Arm], batched: bool) -> str:
    times = [t for a in arms if (t := a.batched if batched else a.latency) is not None]
    return "; ".join(
        dict.fromkeys(f"{one_line(t.definition)} ({t.rounds} rounds on {one_line(t.device)})" for t in times)
    )
