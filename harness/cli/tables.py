"""Tables and durations for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..api import StudyResult


def plain_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; names that come from outside are never read as markup."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for header in headers:
        table.add_column(header, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)


def duration(seconds: float) -> str:
    """`45 s`, `3 min 20 s`, `2 h 05 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def summary(result: StudyResult) -> None:
    """The primary metric of every row, with its interval, and its difference to the baseline."""
    from ..report.summary import terminal_rows

    headers, rows = terminal_rows(result.evidence)
    plain_table(headers, rows)
