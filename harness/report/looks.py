"""Where trained networks look: maps of evidence and of the gates on the same images, joined over rows."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from ..contracts import Figure
from . import clips
from .analysis import Analysis, Arm
from .document import Block, Fold, Gallery, Section, Text
from .escaping import one_line, sentence
from .joined import ARMS, Stored, collect, drawn, names_of
from .numbers import plural
from .probed import evaluation
from .rows import quoted

GROUPS = ARMS
OPEN = 3
"""Rows of the study; pictures of more, one or several a row, are folded away."""


def looks(analysis: Analysis) -> Section | None:
    """None where no maps were made."""
    arms, omitted = analysis.shown(ARMS)
    unread: list[str] = []

    def maps(trial_id: str) -> Sequence[Figure]:
        found = evaluation(analysis, trial_id, "maps")
        if isinstance(found, str):
            unread.append(found)
        return () if found is None or isinstance(found, str) else found.figures

    found = collect(arms, maps)
    if not found and not unread:
        return None
    blocks: list[Block] = []
    if omitted:
        few = f"the {len(arms)} rows that differ most from the baseline, and it"
        blocks.append(Text(f"Shown are {few}; {plural(omitted, 'row')} left out.", "muted"))
    if unread:
        blocks.append(Text(f"Not shown: {'; '.join(dict.fromkeys(unread))}.", "muted"))
    for stored in found:
        title = one_line(stored.first.title) or one_line(stored.first.key)
        own = _blocks(analysis, stored)
        if not _titled(own, title):
            blocks.append(Text(f"{title.rstrip('.')}."))
        blocks.extend(own)
    definitions = _notes(analysis, arms)
    blocks.extend(Text(note, "muted") for note in definitions)
    return Section("looks", "Where it looks", tuple(blocks))


def _titled(blocks: Sequence[Block], title: str) -> bool:
    """Does a picture or a fold say it already?"""
    captions = {p.caption for b in blocks if isinstance(b, Gallery) for p in b.pictures}
    return title in captions or any(isinstance(b, Fold) and b.summary == f"{title}: all rows" for b in blocks)


def _blocks(analysis: Analysis, stored: Stored) -> list[Block]:
    """Rows that show the same things side by side; those that show others apart, and told."""
    groups = _alike(stored)
    blocks: list[Block] = list(drawn(analysis, groups[0]))
    apart: list[Block] = []
    for group in groups[1:GROUPS]:
        who = quoted([arm for arm, _ in group.arms])
        apart.append(Text(f"Of other images, sites or scale than those above, and so apart: {who}.", "muted"))
        apart.extend(drawn(analysis, group))
    # Where every row has a scale of its own, one open example says what the others look like.
    blocks.extend(apart if len(groups) < 3 else [Fold("Rows of other images, sites or scales", tuple(apart))])
    lost = [arm for group in groups[GROUPS:] for arm, _ in group.arms]
    if lost:
        blocks.append(Text(f"Left out, as they show other images, sites or scales: {quoted(lost)}.", "muted"))
    many = len(groups) > 1 or sum(len(b.pictures) for b in blocks if isinstance(b, Gallery)) > OPEN
    if stored.first.kind != "strip" and many:
        return [Fold(f"{one_line(stored.first.title)}: all rows", tuple(blocks))]
    return blocks


def _alike(stored: Stored) -> list[Stored]:
    """One group for what may stand side by side; each gets a key of its own, which names its files."""
    groups: list[list[tuple[Arm, tuple[tuple[int, Figure], ...]]]] = []
    for arm, figures in stored.arms:
        home = next((g for g in groups if _comparable(g[0][1][0][1], figures[0][1])), None)
        if home is None:
            groups.append([(arm, figures)])
        else:
            home.append((arm, figures))
    return [_named(group, i) for i, group in enumerate(groups)]


def _named(group: Sequence[tuple[Arm, tuple[tuple[int, Figure], ...]]], index: int) -> Stored:
    first = group[0][1][0][1]
    key = f"looks-{first.key}" + (f"-{index + 1}" if index else "")
    return Stored(dataclasses.replace(first, key=key), tuple(group))


def _comparable(a: Figure, b: Figure) -> bool:
    """The same images or sites on the same scale, which the title tells. What cannot be read joins anything: a note
    then names it."""
    if (a.kind, one_line(a.title)) != (b.kind, one_line(b.title)):
        return False
    if a.kind != "strip":
        return names_of(a.data) == names_of(b.data)
    one, other = clips.read(a), clips.read(b)
    return isinstance(one, str) or isinstance(other, str) or clips.same(one, other)


def _notes(analysis: Analysis, arms: Sequence[Arm]) -> tuple[str, ...]:
    """What the evaluations say of their maps, each sentence once."""
    found: dict[str, None] = {}
    for arm in arms:
        for record in arm.ok:
            maps = evaluation(analysis, record.id, "maps")
            if maps is not None and not isinstance(maps, str):
                told = [f"{one_line(k)}: {one_line(v)}" for k, v in maps.definitions.items()]
                found |= dict.fromkeys([*told, *(sentence(one_line(n)) for n in maps.notes)])
    return tuple(found)[:12]
