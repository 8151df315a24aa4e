"""Points of the grid, resolved part by part, and what only the parts together can tell."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from ..registry import suggest
from ..trial import Value
from . import tree
from .components import Part, Parts
from .designs import Axis
from .nodes import Mistakes, Node

Settings: TypeAlias = Sequence[tuple[str, Node]]
Conditions: TypeAlias = tuple[tuple[str, Node], ...]


class Resolver:
    """Puts the settings of a point on top of what the file says."""

    def __init__(self, root: Node, axes: tuple[Axis, ...], design: str, parts: Parts, mistakes: Mistakes) -> None:
        self._root, self._axes, self._design, self._parts, self._mistakes = root, axes, design, parts, mistakes
        self._base = tree.configuration(root)
        self._plain_placement = tree.made(tree.PLACEMENT, Node(None))

    def resolve(self, settings: Settings) -> tuple[dict[str, Part] | None, set[str]]:
        """Every part (None after a mistake), and the axes that do not apply."""
        found: dict[str, Part] = {}
        unused: set[str] = set()
        complete = True
        for head in tree.CONFIG:
            part = self.part(head, settings)
            if part is None:
                complete = False
                continue
            found[head] = part
            unused.update(part.unused)
        if not complete:
            return None, unused
        if found["attention"].value.name == tree.NONE:
            # Nothing is placed: all placements are one training.
            plain = self._parts.resolve("placement", self._plain_placement, ())
            found |= {} if plain is None else {"placement": plain}
            unused.add("placement")
        return found, unused

    def part(self, head: str, settings: Settings) -> Part | None:
        """One part, with the settings that belong to it."""
        own = tuple(s for s in settings if s[0].partition(".")[0] == head)
        whole = dict(own).get(head)
        node = self._base.get(head) or whole
        part = None if node is None else self._parts.resolve(head, node, own)
        if part is not None and head == "dataset" and self._parts.info(part, whole or node or self._root) is None:
            return None
        return part

    def check(self, conditions: Conditions) -> None:
        """Report components that `baseline` or `exclude` names and nobody registered."""
        for key, node in conditions:
            if key in tree.CONFIG and key != "train":
                self.part(key, ((key, node),))

    def stands_at(self, axis: Axis, settings: Settings, found: dict[str, Value]) -> None:
        """The value of an axis that a point leaves alone: what is written, else the default."""
        own = sorted((s for s in settings if s[0].partition(".")[0] == axis.head), key=lambda s: s[0].count("."))
        node = self._base.get(axis.head) or dict(own).get(axis.head)
        for key, value in own:
            node = node and (tree.put(axis.head, node, key.split(".")[1:], value) or node)
        if node is None:
            return
        here = tree.at(axis.head, node, axis.rest)
        if here is not None:
            found[axis.key] = tree.display(axis.key, here)
            return
        parent = tree.at(axis.head, node, axis.rest[:-1])
        kind = axis.rest[0] if axis.head == "train" and len(axis.rest) > 1 else axis.head
        name, last = tree.name_of(parent) if parent is not None else "", axis.rest[-1]
        if kind == "train":
            part = self._parts.resolve("train", self._base["train"], [s for s in own if s[0] != axis.key])
            for owner in (part.value, part.value.stages[0]) if part is not None else ():
                if hasattr(owner, last):
                    found[axis.key] = getattr(owner, last)
        elif kind == "loss" and last == "coefficient":
            found[axis.key] = 1
        elif name in self._parts.registry.names(kind) or (parent is not None and tree.targeted(parent)):
            option = self._parts.options(kind, name).get(last)
            if option is not None and isinstance(option.default, (bool, int, float, str, tuple, type(None))):
                found[axis.key] = option.default

    def check_shadowed(self) -> None:
        """What stands at the top, but is replaced in every row by an axis, is checked all the same."""
        for axis in self._axes:
            if not axis.rest and axis.key in self._root.entries and axis.key != "train":
                self._parts.resolve(axis.key, self._base[axis.key], ())

    def check_applies(self, axis: Axis) -> None:
        """A dotted axis that none of the components on offer knows is a slip of the pen."""
        if not axis.rest:
            return
        value = axis.values[0]
        known: dict[str, None] = {}
        choices, certain = self._above(axis)
        for chosen in itertools.product(*choices):
            settings = (*itertools.chain(*chosen), (axis.key, value))
            part = self.part(axis.head, settings)
            if part is None:
                certain = False
            elif axis.key not in part.unused:
                return
            else:
                known.update((k, None) for k in part.unused[axis.key])
        hint = suggest(axis.key, known, f"known: {', '.join(sorted(known))}" if known else "nothing there has options")
        # Something misspelt above might have this option; then only a near miss is worth a word.
        if certain or hint.startswith("did you mean"):
            self._mistakes.add(axis.node, f"'{axis.key}' applies to nothing in this grid", hint)

    def _above(self, axis: Axis) -> tuple[list[list[Settings]], bool]:
        """What every axis above this one can be set to, the file's own value included; is that all that was written?"""
        baseline, written = self._root.entries.get("baseline"), self._root.entries.get("axes")
        found: list[list[Settings]] = []
        complete = True
        for key, node in (written.entries if written is not None else {}).items():
            if axis.key.startswith(key + "."):
                values = [v for a in self._axes if a.key == key for v in a.values]
                complete &= len(values) >= len(node.items)
                values += [baseline.entries[key]] if baseline is not None and key in baseline.entries else []
                own: list[Settings] = [()] if axis.head in self._base else []
                found.append([*own, *(((key, v),) for v in values)])
        return found, complete

    def matches(self, settings: Settings, parts: dict[str, Part], conditions: Conditions) -> bool:
        """Do these settings, put on top of the point's own, leave its training as it is?"""
        own = dict(settings)
        for head in dict.fromkeys(k.partition(".")[0] for k, _ in conditions):
            merged = {k: n for k, n in own.items() if k.partition(".")[0] == head}
            group = [(k, n) for k, n in conditions if k.partition(".")[0] == head]
            merged.update((k, n) for k, n in group if not self._names_it(k, n, own))
            part = self.part(head, tuple(merged.items()))
            if part is None:
                return False
            idle = {k for k, _ in group if k in part.unused}
            if head == "placement" and parts["attention"].value.name == tree.NONE:
                idle = {"placement"}
            elif part.digest != parts[head].digest:
                return False
            # What does not apply to this row still tells its points apart, as the grid asked for them.
            if not all(k in own and tree.alike(own[k], n) for k, n in group if k in idle):
                return False
        return True

    def _names_it(self, key: str, node: Node, own: dict[str, Node]) -> bool:
        """A bare name speaks of a component whatever its options are."""
        head, *rest = key.split(".")
        name = tree.bare_name(node)
        if not name or (head == "loss" and not rest) or head == "augment":
            return False
        here = own.get(key) or (tree.at(head, self._base[head], rest) if head in self._base else None)
        return here is not None and isinstance(here.value, Mapping) and tree.name_of(here) == name
