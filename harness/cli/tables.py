"""Tables and durations for a terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from .terminal import console

if TYPE_CHECKING:
    from ..api import StudyResult


def plain_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; names that come from outside are never read as markup."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for header in headers:
        table.add_column(header, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console().print(table)


def duration(seconds: float) -> str:
    """`45 s`, `3 min 20 s`, `2 h 05 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def summary(result: StudyResult) -> None:
    """The primary metric of every row with its interval over seeds, its difference to the baseline, and the verdict."""
    from ..stats import minus

    metric = next(m for m in result.evidence.metrics if m.name == result.evidence.select)
    scale, unit, points = (100, " %", " pp") if metric.unit == "%" else (1, f" {metric.unit}", f" {metric.unit}")

    def shown(row: Mapping[Any, Any], key: str, unit: str, sign: str = "") -> str:
        middle, low, high = (scale * row[f"{metric.name}_{k}"] for k in (key, *_ENDS[key]))
        if not math.isfinite(middle):
            return "–"
        half = f" ± {(high - low) / 2:.2f}" if math.isfinite(high - low) else ""
        return f"{minus(f'{middle:{sign}.2f}')}{half}{unit}"

    records = result.table().to_dict("records")
    rows = [
        (
            f"{row['row']} [{row['marks']}]" if row["marks"] else row["row"],
            str(row["n"]),
            shown(row, "mean", unit),
            "baseline" if row["baseline"] else shown(row, "difference", points, "+"),
            row["verdict"],
        )
        for row in records
    ]
    plain_table(("row", "seeds", metric.name, "difference", "verdict"), rows)
    several = any(row["n"] > 1 for row in records)
    shown_as = "; ± half a 95 % interval" if several else "; one seed a row, so there is no interval and no verdict"
    click.echo(f"{metric.name}: {metric.definition}; {metric.better} is better; on test{shown_as}")
    if any("LEAKS" in row["marks"] for row in records):
        click.echo(
            "LEAKS: the model reads frames that it is asked to predict, so its row is not compared with the others"
        )


def unfinished(result: StudyResult) -> None:
    """On standard error: how many trials failed, how many have not run, and what can be done."""
    total, failed = len(result.study.trials()), len(result.failed)
    missing = total - len(result.records)
    if failed:
        click.echo(f"{failed} of {total} trials failed; see the report, or run again with --retry-failed", err=True)
    if missing:
        click.echo(f"{missing} of {total} trials have not run; `harness ablate` runs them", err=True)


_ENDS = {"mean": ("low", "high"), "difference": ("difference_low", "difference_high")}
