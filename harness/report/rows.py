"""How a row of the study is named in a table, with the marks that no table may leave out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from .analysis import Arm
from .document import Entry, Group, Line, Tone

T = TypeVar("T")
NOT_RANKED = "not ranked"


def head(arm: Arm, sub: str = "", tone: Tone = "") -> Entry:
    """The first entry of the row's line."""
    return Entry(arm.label, sub, tone, arm.marks)


def lined(arm: Arm, *entries: Entry, tint: bool = False) -> Line:
    """A line that starts with the row's name; `tint`: the baseline stands out."""
    return Line((head(arm), *entries), group(arm, tint))


def group(arm: Arm, tint: bool = True) -> Group:
    if not arm.ranked:
        return "unranked"
    return "baseline" if tint and arm.cell.baseline else "row"


def foremost(arms: Sequence[T], limit: int, arm: Callable[[T], Arm]) -> list[T]:
    """So many, in order: rows that failed an audit are among them, since their pictures are the warning."""
    warned = [a for a in arms if not arm(a).ranked][: max(1, limit // 2)]
    rest = [a for a in arms if arm(a).ranked][: limit - len(warned)]
    return [*rest, *warned]


def quoted(arms: list[Arm] | tuple[Arm, ...]) -> str:
    """`'a', 'b' and 3 more rows`."""
    names = [f"'{a.short()}'" for a in arms[:5]]
    if len(arms) > 5:
        return f"{', '.join(names)} and {len(arms) - 5} more rows"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
