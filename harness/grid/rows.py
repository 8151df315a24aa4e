"""The rows of a study: points resolved, equal ones made one, and what was left out with the reason."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..trial import Cell, Choice, Config, Provenance, Skipped, Trial, Value, digest, to_plain
from . import tree
from .capacity import Control, controlled, why_not, wraps
from .capacity import settings_of as controlled_settings
from .components import Part, Parts
from .controls import control_of, settings_of
from .designs import Axis, Point, distinct, label
from .nodes import Mistakes, Node
from .resolving import Conditions, Resolver

KEY_LENGTH = 80
_SHOWN = 6


@dataclass(slots=True, eq=False)
class Row:
    """One training configuration, and every point of the grid that asks for it."""

    parts: dict[str, Part]
    settings: dict[str, Value]
    points: list[Point] = field(default_factory=list)
    unused: dict[str, None] = field(default_factory=dict)
    twins: list[Row] = field(default_factory=list)  # other settings that are the same training
    base: bool = False
    label: str = ""
    control: str = ""
    of: Row | None = None


class Rows:
    """Filled point by point; then asked for the cells."""

    def __init__(self, root: Node, axes: tuple[Axis, ...], design: str, parts: Parts, mistakes: Mistakes) -> None:
        self._root, self._axes, self._design, self._parts, self._mistakes = root, axes, design, parts, mistakes
        self._points = Resolver(root, axes, design, parts, mistakes)
        self._rows: dict[tuple[str, ...], Row] = {}
        self._excluded: list[tuple[tuple[str, ...], Row]] = []
        self._excludes: list[tuple[Node, Conditions]] = []
        self._keys = tuple(a.key for a in axes)
        self._varying: tuple[str, ...] = ()
        self._refused: list[Skipped] = []

    # ------------------------------------------------------------------------------------------------ filling

    def fill(self, points: Sequence[Point]) -> None:
        """Resolve every point; check what only all of them together can tell."""
        self._read_excludes()
        self._points.check_shadowed()
        matched: set[int] = set()
        for point in points:
            parts, unused = self._points.resolve(point.settings)
            if parts is None:
                continue
            key = tuple(p.digest for p in parts.values())
            row = Row(parts, self._settings(point, unused))
            hits = {i for i, (_, c) in enumerate(self._excludes) if self._points.matches(point.settings, parts, c)}
            matched |= hits
            if hits:
                row.points = [point]
                self._excluded.append((key, row))
                continue
            self._add(self._rows.setdefault(key, row), row, point, unused)
        for axis in self._axes:
            self._points.check_applies(axis)
        self._name()
        for i, (node, _) in enumerate(self._excludes) if not len(self._mistakes) else ():
            if i not in matched:
                self._mistakes.add(node, "matches no row", self._row_list() or "the axes have no such values")
        if self._excluded and not self._rows:
            self._mistakes.add(self._root.entries["exclude"], "leaves no row", "exclude less")

    def _add(self, row: Row, new: Row, point: Point, unused: set[str]) -> None:
        new.points.append(point)
        row.points += [] if new is row else [point]
        row.base |= point.base
        # In one_at_a_time an axis usually lists the value of the base row too; that is no news.
        told = [row.settings, *(twin.settings for twin in row.twins)]
        if self._design != "one_at_a_time" and new.settings not in told:
            row.twins.append(new)
        row.unused.update((k, None) for k in self._keys if k in unused)

    def _settings(self, point: Point, unused: set[str]) -> dict[str, Value]:
        given = dict(point.settings)
        found: dict[str, Value] = {}
        for axis in self._axes:
            if axis.key in unused:
                continue
            if axis.key in given:
                found[axis.key] = tree.display(axis.key, given[axis.key])
            else:
                self._points.stands_at(axis, point.settings, found)
        return found

    # ------------------------------------------------------------------------------------------------ checks

    def _read_excludes(self) -> None:
        node = self._root.entries.get("exclude")
        if node is None:
            return
        if not isinstance(node.value, tuple):
            self._mistakes.add(node, f"{node.shown()}: a list of mappings is meant", "for instance [{attention: se}]")
            return
        for item in node.items:
            found = tree.conditions(item, self._mistakes)
            if found is not None:
                self._points.check(found)
                self._excludes.append((item, found))

    # ------------------------------------------------------------------------------------------------ baseline

    def choose_baseline(self, conditions: Conditions | None) -> None:
        """Mark one row. `conditions` is the grid's `baseline`, None where it has none."""
        node = self._root.entries.get("baseline")
        if self._design == "leave_one_out" and node is not None:
            self._mistakes.add(node, "the baseline of leave_one_out is the row with everything", "leave the key out")
        self._points.check(conditions or ())
        if len(self._mistakes) or not self._rows:
            return
        rows = list(self._rows.values())
        if self._design != "product":
            if not any(r.base for r in rows):
                self._mistakes.add(self._root.entries["exclude"], "leaves out the baseline", "exclude other rows")
            return
        if conditions is None or node is None:
            plain = [r for r in rows if r.parts["attention"].value.name == tree.NONE]
            (plain[0] if len(plain) == 1 else rows[0]).base = True
            return
        found = [r for r in rows if any(self._points.matches(p.settings, r.parts, conditions) for p in r.points)]
        if len(found) == 1:
            found[0].base = True
        elif found:
            shown = "; ".join(r.label for r in found[:_SHOWN]) + ("; …" if len(found) > _SHOWN else "")
            self._mistakes.add(node, f"matches {len(found)} rows, but must match one", f"name more settings: {shown}")
        else:
            self._mistakes.add(node, "matches no row", self._row_list())

    def _row_list(self) -> str:
        labels = [r.label for r in self._rows.values()]
        return f"the rows are: {'; '.join(labels[:_SHOWN])}{'; …' if len(labels) > _SHOWN else ''}" if labels else ""

    def add_control(self) -> None:
        """A row for the model that the baseline's model asks for beside itself, unless the grid has one."""
        rows = list(self._rows.values())
        base = next((r for r in rows if r.base), rows[0] if rows else None)
        if base is None or len(self._mistakes):
            return
        found = control_of(self._parts, base.parts, {r.parts["model"].value.name for r in rows})
        if found is not None:
            row = Row(found, settings_of(base.settings, found), label=f"{found['model'].value.title()} (control)")
            self._rows[tuple(p.digest for p in found.values())] = row

    def add_controls(self, controls: Sequence[Control]) -> None:
        """Behind every row with attention one row a control, unless the grid has it already."""
        if not controls or len(self._mistakes):
            return
        before, self._rows = self._rows, {}
        for key, row in before.items():
            self._rows.setdefault(key, row)
            block: Choice = row.parts["attention"].value
            if block.name == tree.NONE or wraps(block):
                continue
            for control in controls:
                reason = why_not(control, row.parts, self._parts.registry)
                if reason:
                    self._refused.append(Skipped(control.label(row.label), reason))
                    continue
                found = controlled(control, row.parts)
                new = Row(found, controlled_settings(row.settings, found), label=control.label(row.label))
                own = tuple(p.digest for p in found.values())
                made = self._rows.setdefault(own, before.get(own, new))
                made.control, made.of = control.name, row

    # ------------------------------------------------------------------------------------------------ results

    def _name(self) -> None:
        rows = list(self._rows.values())
        seen: dict[str, set[str]] = {k: set() for k in self._keys}
        for row in [*rows, *(r for _, r in self._excluded)]:
            for key in self._keys:
                seen[key].add(digest(to_plain(row.settings[key])) if key in row.settings else "")
        self._varying = tuple(k for k in self._keys if len(seen[k]) > 1)
        labels = [self._label(row, brief=True) for row in rows]
        labels = [self._label(row) if labels.count(t) > 1 else t for row, t in zip(rows, labels, strict=True)]
        for row, text in zip(rows, distinct(labels, lambda t, n: f"{t} ({n})"), strict=True):
            row.label = text

    def _label(self, row: Row, against: Row | None = None, brief: bool = False) -> str:
        """What varies in the study, or between this row and another."""
        point = row.points[0]
        keys = (point.changed,) if point.changed else self._varying
        if against is not None:
            differs = {k for k in self._keys if row.settings.get(k) != against.settings.get(k)}
            keys = tuple(k for k in self._keys if k in keys or k in differs)
        text = point.label or label(row.settings, keys, self._keys, brief)
        return text or str(row.parts["attention"].value.label())

    def cells(self, seeds: tuple[int, ...]) -> tuple[Cell, ...]:
        """One cell a row, with a trial for every seed and fold."""
        rows = list(self._rows.values())
        keys = distinct([_slug(r.label) for r in rows], lambda t, n: f"{t}-{n}")
        folds = [self._folds(r) for r in rows]
        if len(self._mistakes):
            return ()
        named = {id(row): key for key, row in zip(keys, rows, strict=True)}
        return tuple(
            Cell(
                key,
                row.label,
                tuple(row.settings.items()),
                self._trials(row, seeds, fold),
                row.base,
                row.control,
                "" if row.of is None else named[id(row.of)],
            )
            for key, row, fold in zip(keys, rows, folds, strict=True)
        )

    def _trials(self, row: Row, seeds: Sequence[int], folds: Sequence[int]) -> tuple[Trial, ...]:
        values = {head: part.value for head, part in row.parts.items()}
        sources = tuple(sorted({s for part in row.parts.values() for s in part.sources}))
        info = self._parts.info(row.parts["dataset"], self._root)
        fingerprint = "" if info is None else info.fingerprint
        provenance = Provenance(sources, self._parts.context.core, fingerprint)
        return tuple(Trial(Config(**values, seed=s, fold=f), provenance) for s in seeds for f in folds)

    def _folds(self, row: Row) -> Sequence[int]:
        node = self._root.entries.get("folds")
        info = self._parts.info(row.parts["dataset"], self._root)
        if node is None or info is None:
            return (0,)
        if node.value == "all":
            return range(info.folds)
        if not node.items:
            self._mistakes.add(
                node, f"{node.shown()}: all, or a list of folds is meant", "write all, or for instance [0, 1]"
            )
            return ()
        name = row.parts["dataset"].value.name
        return tree.distinct_numbers(node, info.folds - 1, f"fold of '{name}'", self._mistakes)

    def skipped(self) -> tuple[Skipped, ...]:
        """What the grid asked for and does not get, each once."""
        found: dict[Skipped, None] = {}
        for row in self._rows.values():
            for key in row.unused:
                found[Skipped(_owner(key, row.parts), f"{key} does not apply")] = None
            for twin in row.twins:
                found[Skipped(self._label(twin, row), f"the same training as '{row.label}'")] = None
        for parts, row in self._excluded:
            if parts not in self._rows:
                found[Skipped(self._label(row), "excluded by the grid")] = None
        return (*found, *self._refused)


def _owner(key: str, parts: dict[str, Part]) -> str:
    """The name of what an axis does not apply to."""
    head, _, rest = key.partition(".")
    if head == "loss":
        return " + ".join(t.key for t in parts["loss"].value)
    if head == "augment":
        return ", ".join(c.title() for c in parts["augment"].value) or "no augmentation"
    if head == "train":
        chosen = getattr(parts["train"].value.stages[0], rest.partition(".")[0], None)
        return str(getattr(chosen, "name", "train"))
    return str(parts["attention" if head == "placement" else head].value.title())


def _slug(text: str) -> str:
    """Letters, digits and . _ - only; never hidden, never too long for a file system."""
    slug = re.sub(r"[^A-Za-z0-9._]+", "-", text).strip("-.") or "row"
    return slug if len(slug) <= KEY_LENGTH else f"{slug[: KEY_LENGTH - 9]}-{digest(text)[:8]}"
