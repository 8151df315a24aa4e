"""Is it attention, or capacity? Every row with controls against them, seed by seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ..stats import Difference, Verdict, holm, paired_difference, verdict
from ..stats.wording import between, quantity
from ..trial import format_value
from . import numbers
from .analysis import Analysis, Arm
from .document import Block, Bullets, Column, Entry, Item, Line, Section, Table, Text, Tone
from .escaping import one_line
from .pairing import difference
from .rows import NOT_RANKED, group, head

IDENTITY = "identity_gate"
"""It must be equal to the baseline, so nothing is compared with it."""

_SHUFFLED = {
    "better": "it matters that an item is gated by what is in it",
    "worse": "gating by what is in the item does harm here",
    "no clear difference": "nothing shows that gating by what is in the item matters",
}
_TONES: dict[str, Tone] = {"better": "better", "worse": "worse"}
_DASH = Entry(numbers.NONE, tone="muted")


@dataclass(frozen=True, slots=True)
class _Against:
    """A row minus one of its controls, by the primary metric."""

    row: Arm
    control: Arm
    kind: str
    metric: str
    difference: Difference
    verdict: Verdict | None = None


def controlled(analysis: Analysis) -> Section | None:
    """One line a row that has a control, and a sentence a comparison; None where no row has one."""
    by_key = {arm.cell.key: arm for arm in analysis.arms}
    rows: dict[str, dict[str, Arm]] = {}
    for arm in analysis.arms:
        if arm.cell.control and arm.cell.of in by_key:
            rows.setdefault(arm.cell.of, {})[_kind(arm)] = arm
    if not rows:
        return None
    rows = {key: rows[key] for key in by_key if key in rows}
    kinds = list(dict.fromkeys(kind for own in rows.values() for kind in own))
    against = _judged(analysis, rows, by_key)
    lines = tuple(_line(analysis, by_key[key], own, kinds, against) for key, own in rows.items())
    items: list[Item] = []
    for key, own in rows.items():
        items += [_same(analysis, by_key[key], arm) for arm in own.values() if arm.cell.control == IDENTITY]
        items += [_said(analysis, a) for (row, _), a in against.items() if row == key]
    items += _twins({k: a for k, a in by_key.items() if a.cell.control}, analysis.primary.name)
    blocks: list[Block] = [Table(_caption(analysis), _columns(analysis, kinds), lines), Bullets(tuple(items))]
    compared = sum(a.difference.n > 1 for a in against.values())
    if compared:
        blocks.append(Text(_family(compared), "muted"))
    return Section("controlled", "Is it attention, or capacity?", tuple(blocks))


def _kind(arm: Arm) -> str:
    """`matched conv`, with the options of the control where it has any."""
    options = arm.cell.trials[0].config.attention.options if arm.cell.trials else ()
    told = ", ".join(format_value(v) for k, v in options if k != "of")
    name = one_line(arm.cell.control).replace("_", " ")
    return f"{name} ({one_line(told)})" if told else name


def _judged(
    analysis: Analysis, rows: Mapping[str, Mapping[str, Arm]], by_key: Mapping[str, Arm]
) -> dict[tuple[str, str], _Against]:
    """(row's key, control's kind) -> the comparison; Holm's correction counts all of them together."""
    m = analysis.primary
    found = {}
    for key, own in rows.items():
        for kind, control in own.items():
            row = by_key[key]
            if control.cell.control != IDENTITY and row.ranked and control.ranked:
                d = paired_difference(row.values[m.name], control.values[m.name])
                found[key, kind] = _Against(row, control, kind, m.name, d)
    adjusted = holm([a.difference.p for a in found.values()])
    return {
        place: replace(a, verdict=verdict(a.difference, m.better, None, p, m.unit))
        for (place, a), p in zip(found.items(), adjusted, strict=True)
    }


def _columns(analysis: Analysis, kinds: list[str]) -> tuple[Column, ...]:
    unit = numbers.unit_of_difference(analysis.primary.unit)
    shown = f" ({unit})" if unit else ""
    rivals = [k for k in kinds if not k.startswith(IDENTITY.replace("_", " "))]
    return (
        Column("row", numeric=False),
        Column(f"gain{shown}", "row − baseline"),
        *(Column(f"{kind}{shown}", "control − baseline") for kind in kinds),
        *(Column(f"row − {kind}{shown}", "paired, 95 % interval") for kind in rivals),
    )


def _line(
    analysis: Analysis,
    row: Arm,
    own: Mapping[str, Arm],
    kinds: list[str],
    against: Mapping[tuple[str, str], _Against],
) -> Line:
    unit = analysis.primary.unit
    entries = [head(row, "baseline" if row.cell.baseline else ""), _gain(analysis, row)]
    entries += [_gain(analysis, own[kind]) if kind in own else _DASH for kind in kinds]
    for kind in kinds:
        if kind.startswith(IDENTITY.replace("_", " ")):
            continue
        found = against.get((row.cell.key, kind))
        word = found.verdict.word if found is not None and found.verdict is not None else ""
        shown = found is not None and found.difference.n
        entries.append(difference(found.difference, unit, _TONES.get(word, "")) if found and shown else _DASH)
    return Line(tuple(entries), group(row, tint=False))


def _gain(analysis: Analysis, arm: Arm) -> Entry:
    if not arm.ranked:
        return Entry(NOT_RANKED, tone="muted")
    d = arm.differences.get(analysis.primary.name)
    if d is None or d.mean is None:
        return _DASH
    return difference(d, analysis.primary.unit, "")


def _same(analysis: Analysis, row: Arm, control: Arm) -> Item:
    """The identity must equal the baseline to the last bit; anything else is a fault of the pairing."""
    name = analysis.primary.name
    reference = {} if analysis.baseline is None else analysis.baseline.values[name]
    own = control.values[name]
    both = [s for s in own if s in reference]
    equal = sum(own[s] == reference[s] for s in both)
    if not both:
        return Item("no seed of it and of the baseline is there to compare.", control.label)
    text = f"equal to the baseline in {equal} of {numbers.plural(len(both), 'seed')}"
    if equal == len(both):
        return Item(
            f"{text}, as it must be: the weights of '{row.label}' change nothing by being there.", control.label
        )
    if _rounds(row) or _rounds(control):
        rest = "; without `deterministic: true`, trainings on a GPU differ by rounding, which hides whether it is"
        return Item(f"{text}{rest}.", control.label, tone="muted")
    rest = "; rows with such a block differ from the baseline by more than what the block does"
    return Item(f"{text}{rest}.", control.label, tone="bad")


def _rounds(arm: Arm) -> bool:
    """Do two trainings of one and the same network differ here?"""
    return any(
        r.environment.get("device", "").startswith("cuda") and not r.trial.config.train.deterministic for r in arm.ok
    )


def _said(analysis: Analysis, a: _Against) -> Item:
    rival = _rival(a)
    if a.verdict is None or a.difference.mean is None:
        return Item(f"no seed of it and of {rival} is there to compare.", a.row.label)
    unit, d, word = analysis.primary.unit, a.difference, a.verdict.word
    size = "" if d.mean is None else quantity(d.mean, unit, signed=True, difference=True)
    if d.low is not None and d.high is not None:
        size += f", 95 % t-interval {between(d.low, d.high, unit, signed=True, difference=True)}"
    numbers_of = f"({analysis.primary.name} {size}, {numbers.plural(d.n, 'seed')})"
    if word == "one seed":
        return Item(f"against {rival} {numbers_of}: one seed allows no verdict.", a.row.label)
    verb = "indistinguishable from" if word == "no clear difference" else f"{word} than"
    follows = _follows(a, word)
    return Item(
        f"{verb} {rival} {numbers_of}{f': {follows}' if follows else ''}.", a.row.label, word, _TONES.get(word, "")
    )


def _rival(a: _Against) -> str:
    if a.control.cell.control == "shuffled_gate":
        return "itself with the gates of other items"
    if a.control.cell.control != "matched_conv":
        return f"its control, {a.kind}"
    options = a.control.cell.trials[0].config.attention.as_dict() if a.control.cell.trials else {}
    return f"a plain convolution of the same {'number of MACs' if options.get('match') == 'macs' else 'size'}"


def _follows(a: _Against, word: str) -> str:
    """What a comparison says beyond itself; about a gain only where the row has one over the baseline."""
    if a.control.cell.control == "shuffled_gate":
        return _SHUFFLED.get(word, "")
    if a.control.cell.control != "matched_conv":
        return ""
    gained = a.row.verdict is not None and a.row.verdict.word == "better"
    harmed = a.control.verdict is not None and a.control.verdict.word == "worse"
    if word == "better":
        if harmed:
            return "but the convolution is worse than nothing in its place, so this is no measure of capacity"
        return "its gain is more than capacity" if gained else "it is the better use of what it costs"
    if word == "worse":
        return "the convolution is the better use of what it costs"
    if not gained:
        return "there is no clear gain for capacity to explain"
    gain = a.row.differences[a.metric].mean
    low, high = a.difference.low, a.difference.high
    if gain is None or low is None or high is None or low <= gain <= high:
        return "these seeds do not tell whether capacity explains its gain"
    return "capacity may explain its gain"


def _twins(controls: Mapping[str, Arm], metric: str) -> list[Item]:
    """Convolutions in place of blocks of one size are the same network, trained under two names."""
    found: dict[tuple[object, ...], list[Arm]] = {}
    for arm in controls.values():
        values = arm.values[metric]
        if values and arm.cell.control == "matched_conv":
            found.setdefault((arm.attention_parameters, *sorted(values.items())), []).append(arm)
    return [
        Item(
            f"the same networks as those of '{arms[0].label}', since the blocks that they stand for have one size.",
            twin.label,
        )
        for arms in found.values()
        for twin in arms[1:]
    ]


def _caption(analysis: Analysis) -> str:
    m = analysis.primary
    return (
        f"{m.name} on the test split ({m.definition}; {numbers.direction(m)}): what every row gains over the baseline,"
        " what its controls gain, and how far it is from them, paired by seed, with 95 % t-intervals."
    )


def _family(size: int) -> str:
    return (
        f"{numbers.plural(size, 'comparison')} of a row with its control{'s' if size > 1 else ''} form"
        f"{'s' * (size == 1)} one family: an interval that leaves 0 out counts only if its paired t-test still holds"
        " after Holm's correction. Indistinguishable is not equal: few seeds see large differences only."
    )
