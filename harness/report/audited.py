"""What was checked on the models themselves: who failed, who could not be judged, and that the others passed."""

from __future__ import annotations

from ..trial import Audit
from . import numbers
from .analysis import Analysis, Arm, disowned_because
from .document import Block, Column, Entry, Fold, Line, Section, Table, Text, Tone
from .escaping import one_line
from .rows import lined

_TONES: dict[str, Tone] = {"passed": "good", "failed": "bad", "unproven": "muted"}
_ORDER = ("failed", "unproven", "passed")


def audits(analysis: Analysis) -> Section | None:
    """Row by audit, with the sentence and the numbers; folded where all passed."""
    lines = [
        _line(arm, name, tuple(a for a in arm.audits if a.name == name))
        for arm in analysis.arms
        for name in dict.fromkeys(a.name for a in arm.audits)
    ]
    if not lines:
        return None
    columns = (
        Column("row", numeric=False),
        Column("audit", numeric=False),
        Column("trials"),
        Column("outcome", numeric=False),
        Column("what was found", numeric=False),
        Column("numbers", numeric=False),
    )
    caption = (
        "Checks of the models themselves. A row of which one trial failed is not ranked with the others; unproven: the"
        " check could neither convict nor acquit, so the row is ranked, and the reader warned."
    )
    table = Table(caption, columns, tuple(lines))
    quiet = all(a.outcome == "passed" for arm in analysis.arms for a in arm.audits)
    blocks: tuple[Block, ...] = (Fold("All passed: what was checked", (table,)),) if quiet else (table,)
    return Section("audits", "Audits", (*(Text(s, "muted") for s in all_passed(analysis)), *blocks))


def _line(arm: Arm, name: str, found: tuple[Audit, ...]) -> Line:
    worst = next(o for o in _ORDER if any(a.outcome == o for a in found))
    same = [a for a in found if a.outcome == worst]
    count = f"{len(same)} of {len(found)}" if len(same) < len(found) else f"{len(found)}"
    sentences = list(dict.fromkeys(one_line(a.sentence) for a in same))
    more = " (of the first trial; numbers: of all)" if len(sentences) > 1 else ""
    return lined(
        arm,
        Entry(one_line(name) or numbers.NONE),
        Entry(count),
        Entry(worst, tone=_TONES[worst]),
        Entry(sentences[0] + more),
        Entry(_numbers(same)),
    )


def _numbers(found: list[Audit]) -> str:
    """`reach 1; largest_change 0.29 to 0.33`, over trials."""
    seen: dict[str, list[float]] = {}
    for audit in found:
        for key, value in audit.numbers.items():
            seen.setdefault(one_line(key), []).append(value)
    parts = []
    for key, values in seen.items():
        low, high = (numbers.value(v, "") for v in (min(values), max(values)))
        parts.append(f"{key.replace('_', ' ')} {low if low == high else f'{low} to {high}'}")
    return "; ".join(parts) or numbers.NONE


def all_passed(analysis: Analysis) -> tuple[str, ...]:
    """One sentence an audit that no trial failed."""
    found = []
    outcomes: dict[str, list[str]] = {}
    for record in analysis.ok:
        for audit in record.audits:
            outcomes.setdefault(audit.name, []).append(audit.outcome)
    for name, seen in outcomes.items():
        if set(seen) != {"passed"}:
            continue
        whole = len(analysis.ok)
        trials = f"all {numbers.plural(whole, 'trial')}" if len(seen) == whole else f"{len(seen)} of {whole} trials"
        if name == "leaks":
            found.append(f"Leak audit: no output changed when later frames were changed, in {trials}.")
        else:
            found.append(f"Audit '{one_line(name)}': passed in {trials}.")
    return tuple(found)


def cautions(analysis: Analysis) -> tuple[str, ...]:
    """A line for every row that failed or could not be judged."""
    found = []
    for arm in analysis.arms:
        for outcome in ("failed", "unproven"):
            audits = [a for a in arm.audits if a.outcome == outcome]
            sentences = list(dict.fromkeys(one_line(a.sentence).rstrip(".") for a in audits))
            if not sentences:
                continue
            if outcome == "failed":
                found.append(f"{disowned_because(arm)}, so it is not ranked with the others. Found: {sentences[0]}.")
            else:
                names = ", ".join(dict.fromkeys(one_line(a.name) for a in audits))
                found.append(f"'{arm.label}' was not acquitted by the audit '{names}': {sentences[0]}.")
    return tuple(found)
