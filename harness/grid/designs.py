"""Which rows a study asks for: axes, and the designs that combine them."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..registry import suggest
from ..trial import Choice, Value, format_value
from . import tree
from .nodes import Mistakes, Node

MAX_POINTS = 20_000
VALUE_ONLY = (*tree.COMPONENTS, "loss")  # axes whose value alone says what it is


@dataclass(frozen=True, slots=True, eq=False)
class Axis:
    """`node` is the whole value as written; leave_one_out has it as its only value."""

    key: str
    node: Node
    values: tuple[Node, ...]

    @property
    def head(self) -> str:
        return self.key.partition(".")[0]

    @property
    def rest(self) -> tuple[str, ...]:
        return tuple(self.key.split(".")[1:])


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """A row as asked for: what is set on which axis. An axis left out stands at what the file says."""

    settings: tuple[tuple[str, Node], ...] = ()
    label: str = ""
    changed: str = ""  # the one axis that differs from the base row, in one_at_a_time
    base: bool = False


def read_axes(root: Node, design: str, mistakes: Mistakes) -> tuple[Axis, ...]:
    node = root.entries.get("axes")
    if node is None:
        if design != "product":
            mistakes.add(root, f"design '{design}' needs axes", "write axes: {KEY: [VALUE, …]}")
        return ()
    if not isinstance(node.value, Mapping):
        mistakes.add(
            node, f"{node.shown()}: a mapping of keys to lists is meant", "for instance {attention: [none, se]}"
        )
        return ()
    found = []
    for key, child in node.value.items():
        if tree.configurable(key, child, mistakes):
            values = _values(key, child, design, mistakes)
            found += [Axis(key, child, values)] if values else []
    return tuple(found)


def _values(key: str, node: Node, design: str, mistakes: Mistakes) -> tuple[Node, ...]:
    """The sound values of an axis, so that what is wrong with the others can be said as well."""
    if design == "leave_one_out":
        return (node,) if _removable(key, node, mistakes) else ()
    if not isinstance(node.value, tuple):
        mistakes.add(node, f"{node.shown()}: a list of values is meant", f"write [{node.text or '…'}]")
        return ()
    if not node.value:
        mistakes.add(node, "the list is empty", "an axis needs a value at least")
    good = []
    for i, value in enumerate(node.value):
        if key in tree.COMPONENTS and not tree.named(value, key, mistakes):
            continue
        first = next((j for j in range(min(i, 200)) if tree.alike(node.value[j], value)), None)
        if first is not None:
            mistakes.add(value, f"the same value as {node.path}[{first}]", "leave one out")
        else:
            good.append(value)
    return tuple(good)


def _removable(key: str, node: Node, mistakes: Mistakes) -> bool:
    hint = "for instance augment: [crop, flip]"
    if key in tree.COMPONENTS:
        mistakes.add(node, f"leave_one_out leaves out parts of a list, and '{key}' is none", hint)
        return False
    parts = len(node.items) or (len(node.entries) if key == "loss" else 0)
    least = 1 if key == "augment" else 2
    if parts < least:
        what = "a list of all parts is meant" if parts == 0 else f"leaving out the only one would leave no {key}"
        mistakes.add(node, f"{node.shown()}: {what}" if parts == 0 else what, hint)
        return False
    return True


def points(
    design: str, axes: tuple[Axis, ...], baseline: tuple[tuple[str, Node], ...] | None, root: Node, mistakes: Mistakes
) -> list[Point]:
    if design == "leave_one_out":
        return _leave_one_out(axes)
    if design == "one_at_a_time":
        return _one_at_a_time(axes, dict(baseline or ()), root, mistakes)
    asked = math.prod(len(a.values) for a in axes)
    if asked > MAX_POINTS:
        place = root.entries.get("axes", root)
        mistakes.add(place, f"the axes ask for {asked:,} rows; at most {MAX_POINTS:,}", "try design: one_at_a_time")
        return []
    keys = [a.key for a in axes]
    return [Point(tuple(zip(keys, values, strict=True))) for values in itertools.product(*(a.values for a in axes))]


def _one_at_a_time(axes: tuple[Axis, ...], baseline: Mapping[str, Node], root: Node, mistakes: Mistakes) -> list[Point]:
    known = [a.key for a in axes]
    for key, node in baseline.items():
        if key not in known:
            mistakes.add(node, f"'{key}' is no axis", suggest(key, known, "write it at the top of the file instead"))
    base: dict[str, Node] = {}
    for axis in axes:
        if axis.key in baseline:
            base[axis.key] = baseline[axis.key]
        elif not _stands(axis, root):
            base[axis.key] = axis.values[0]
    found = [Point(tuple(base.items()), base=True)]
    for axis in axes:
        found += [Point(tuple((base | {axis.key: v}).items()), changed=axis.key) for v in axis.values]
    return found


def _stands(axis: Axis, root: Node) -> bool:
    """Does the file, or a default, give this axis a value of its own?"""
    train = root.entries.get("train")
    if axis.key in ("train.epochs", "train.stages"):
        return train is not None and ("epochs" in train.entries or "stages" in train.entries)
    return axis.key in root.entries or axis.key not in ("dataset", "model", "train")


def _leave_one_out(axes: tuple[Axis, ...]) -> list[Point]:
    whole = {a.key: a.node for a in axes}
    found = [Point(tuple(whole.items()), label="all", base=True)]
    for axis in axes:
        parts = tree.as_terms(axis.node) if axis.key == "loss" else axis.node
        names = tree.numbered([_part_name(n) for n in parts.items])
        for i, name in enumerate(names):
            rest = dataclasses.replace(parts, value=(*parts.items[:i], *parts.items[i + 1 :]))
            found.append(Point(tuple((whole | {axis.key: rest}).items()), label=f"without {name}"))
    return found


def _part_name(node: Node) -> str:
    return Choice(tree.name_of(node)).title() if tree.name_of(node) else format_value(tree.display("", node))


def label(settings: Mapping[str, Value], keys: tuple[str, ...], all_keys: tuple[str, ...], brief: bool = False) -> str:
    """`se, reduction=8`: the settings of `keys`, shortened where that stays clear among all axes.

    `brief`: losses without their options, which rows that differ in the terms alone do not need.
    """
    return ", ".join(_said(k, settings[k], all_keys, brief) for k in keys if k in settings)


def _said(key: str, value: Value, all_keys: tuple[str, ...], brief: bool) -> str:
    if key in VALUE_ONLY:
        return loss_text(value, brief) if key == "loss" else format_value(value)
    short = key.rpartition(".")[2]
    if [k.rpartition(".")[2] for k in all_keys].count(short) > 1 or key.startswith("loss."):
        short = key
    return f"{short}={format_value(value)}"


def loss_text(value: Value, brief: bool = False) -> str:
    """`bce + 0.5 gdl`."""
    if not isinstance(value, tuple):
        return format_value(value)
    parts = []
    for term in value:
        if isinstance(term, Choice):
            rest = () if brief else tuple((k, v) for k, v in term.options if k != "coefficient")
            coefficient = term.as_dict().get("coefficient", 1)
            text = Choice(term.name, rest).label()
            parts.append(text if coefficient == 1 else f"{format_value(coefficient)} {text}")
        else:
            parts.append(format_value(term))
    return " + ".join(parts)


def distinct(texts: list[str], form: Callable[[str, int], str]) -> list[str]:
    """Number what occurs twice, blind to case: file systems may be."""
    taken: set[str] = set()
    found = []
    for text in texts:
        count, new = 1, text
        while new.casefold() in taken:
            count += 1
            new = form(text, count)
        taken.add(new.casefold())
        found.append(new)
    return found
