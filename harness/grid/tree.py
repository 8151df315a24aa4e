"""The part of a grid that describes a training, as a tree that dotted keys reach into."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..registry import suggest
from ..trial import Choice, Value, digest, short_name
from .nodes import BOOLEANS, Mistakes, Node, plain

COMPONENTS = ("task", "dataset", "model", "attention")
CONFIG = (*COMPONENTS, "placement", "loss", "augment", "train")
_STUDY = ("study", "title", "seeds", "folds", "baseline", "design", "axes", "exclude", "claims", "reach")
STUDY = (*_STUDY, "controls", "evaluate")
NONE = "none"
TARGET = "target"
"""The key of a mapping that names a class which is no plugin."""
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
PLACEMENT = "residual"

_DEFAULTS: Mapping[str, Any] = {
    "task": "classification",
    "attention": NONE,
    "placement": PLACEMENT,
    "loss": "cross_entropy",
    "augment": (),
    "train": {},
}
_TRAIN: Mapping[str, Any] = {"optimizer": {"name": "sgd", "lr": 0.1}, "schedule": "cosine"}


def configuration(root: Node) -> dict[str, Node]:
    """Every part of the configuration: what is written, else the default. Left out: what has none."""
    found = {}
    for head in CONFIG:
        if head in root.entries:
            found[head] = root.entries[head]
        elif head in _DEFAULTS:
            found[head] = made(_DEFAULTS[head], dataclasses.replace(root, path=head))
    train = found["train"]
    if isinstance(train.value, Mapping):
        missing = {k: made(v, _below(train, k)) for k, v in _TRAIN.items() if k not in train.value}
        found["train"] = dataclasses.replace(train, value={**train.value, **missing})
    return found


def made(value: Any, place: Node) -> Node:
    """A default, with the place at which a mistake about it is reported."""
    if isinstance(value, Mapping):
        value = {k: made(v, _below(place, k)) for k, v in value.items()}
    return dataclasses.replace(place, value=value, text="" if value is None else str(value))


def _below(place: Node, key: str) -> Node:
    return dataclasses.replace(place, path=f"{place.path}.{key}")


def assign(node: Node, keys: Sequence[str], value: Node) -> Node | None:
    """The tree with `value` at the dotted keys; None if they lead nowhere. Items of a list go by their names."""
    if not keys:
        return value
    first, rest = keys[0], keys[1:]
    if isinstance(node.value, str):
        node = dataclasses.replace(node, value={"name": node})
    if isinstance(node.value, Mapping):
        child = node.value.get(first)
        new = assign(child, rest, value) if child is not None else (None if rest else value)
        return None if new is None else dataclasses.replace(node, value={**node.value, first: new})
    names = item_keys(node)
    if first not in names:
        return None
    place = names.index(first)
    new = assign(node.items[place], rest, value)
    if new is None:
        return None
    return dataclasses.replace(node, value=(*node.items[:place], new, *node.items[place + 1 :]))


def put(head: str, node: Node, keys: Sequence[str], value: Node) -> Node | None:
    """`assign` in one part of the configuration, where `loss.gdl` means the coefficient of the term gdl."""
    if head == "loss" and keys:
        node = as_terms(node)
        keys = (*keys, "coefficient") if len(keys) == 1 else keys
    return assign(node, keys, value)


def at(head: str, node: Node, keys: Sequence[str]) -> Node | None:
    """What is written at dotted keys, read as `put` writes."""
    if head == "loss" and keys:
        node = as_terms(node)
        keys = (*keys, "coefficient") if len(keys) == 1 else keys
    for key in keys:
        names = item_keys(node)
        found = node.items[names.index(key)] if key in names else node.entries.get(key)
        if found is None:
            return None
        node = found
    return node


def as_terms(node: Node) -> Node:
    """Any spelling of losses as a list of mappings with `name`, `coefficient` and options."""
    value = node.value
    if isinstance(value, Mapping) and "name" not in value and not targeted(node):
        items = []
        for name, coefficient in value.items():
            place = dataclasses.replace(coefficient, value=name, text=name)
            items.append(dataclasses.replace(place, value={"name": place, "coefficient": coefficient}, text=""))
        return dataclasses.replace(node, value=tuple(items))
    return node if isinstance(value, tuple) else dataclasses.replace(node, value=(node,))


def targeted(node: Node) -> bool:
    """Does a mapping name a class instead of a registered component? `{target: 0.5}` is a loss with its coefficient."""
    return "name" not in node.entries and TARGET in node.entries and isinstance(node.entries[TARGET].value, str)


def name_of(node: Node) -> str:
    """The name of a component, written bare or in a mapping, or a class's; empty where there is none."""
    named = node.entries[TARGET] if targeted(node) else node.entries.get("name", node)
    return named.value if isinstance(named.value, str) else ""


def options_of(node: Node) -> dict[str, Node]:
    """What is written beside the name."""
    return {k: n for k, n in node.entries.items() if k != (TARGET if targeted(node) else "name")}


def bare_name(node: Node) -> str:
    """The name where nothing else is written: a bare one, or a class without options; else empty."""
    alone = isinstance(node.value, str) or (targeted(node) and len(node.entries) == 1)
    return name_of(node) if alone else ""


def item_keys(node: Node) -> list[str]:
    """The names of a list's components; the second of a name is `name_2`. A class goes by its own name."""
    return numbered([short_name(name_of(item)) for item in node.items])


def numbered(names: Sequence[str]) -> list[str]:
    found: dict[str, None] = {}
    counts: dict[str, int] = {}
    for name in names:
        counts[name] = counts.get(name, 0) + 1
        key = name if counts[name] == 1 else f"{name}_{counts[name]}"
        while key in found:  # a component may really be called `gdl_2`
            key += "_"
        found[key] = None
    return list(found)


def alike(a: Node, b: Node) -> bool:
    """Equal as written: 4 and 4.0 are alike, so are `se` and `{name: se}`."""
    return digest(_bare(plain(a))) == digest(_bare(plain(b)))


def _bare(value: Any) -> Any:
    if isinstance(value, dict):
        return value["name"] if set(value) == {"name"} else {k: _bare(v) for k, v in value.items()}
    return [_bare(v) for v in value] if isinstance(value, list) else value


def display(head: str, node: Node) -> Value:
    """A setting as studies and claims carry it: a bare name as text, a component with options and a class as a Choice.

    A loss with several terms or a coefficient is a tuple of Choices with the option `coefficient`.
    """
    if head == "loss" and not isinstance(node.value, str):
        node = as_terms(node)
        node = dataclasses.replace(node, value=tuple(sorted(node.items, key=name_of)))  # as the terms are
        if len(node.items) == 1 and set(node.items[0].entries) <= {"name"}:
            return name_of(node.items[0])
        if len(node.items) == 1 and bare_name(node.items[0]):
            return display("", node.items[0])
    if isinstance(node.value, Mapping):
        options = {k: display("", n) for k, n in options_of(node).items()}
        return Choice.of(name_of(node), **options) if options or targeted(node) else name_of(node)
    return tuple(display("", n) for n in node.value) if isinstance(node.value, tuple) else node.value


def named(node: Node, kind: str, mistakes: Mistakes) -> bool:
    """Is this a name, or a mapping with one, or with a class? If not, say why."""
    if isinstance(node.value, Mapping) and "name" in node.value:
        node = node.value["name"]
    elif TARGET in node.entries:
        target = node.entries[TARGET]
        if not isinstance(target.value, str):
            mistakes.add(target, f"{target.shown()} is no class", 'for instance target: "my_module:MyBlock"')
            return False
        return True
    if isinstance(node.value, str):
        return True
    other = f", or write `{NONE}`" if kind == "attention" else ""
    if isinstance(node.value, bool):
        mistakes.add(
            node, f"{node.shown()} is a boolean, but the name of a component is meant: {kind}", BOOLEANS + other
        )
    elif node.value is None:
        hint = f"write `{NONE}`" if kind in ("attention", "augment") else f"name a {kind}, or leave the key out"
        mistakes.add(node, f"empty (null), but the name of a component is meant: {kind}", hint)
    elif isinstance(node.value, Mapping):
        mistakes.add(
            node, "a mapping needs the key 'name'", f"for instance {{name: {NONE if other else '…'}}}, or target"
        )
    else:
        mistakes.add(node, f"{node.shown()} is no name of a component: {kind}", "write a name, or {name: …, option: …}")
    return False


def conditions(node: Node, mistakes: Mistakes) -> tuple[tuple[str, Node], ...] | None:
    """A mapping of dotted keys of the configuration to values, as baseline, exclude and claims have it."""
    if not isinstance(node.value, Mapping) or not node.value:
        mistakes.add(node, f"{node.shown()}: settings are meant", "for instance {attention: none}")
        return None
    good = True
    for key, value in node.value.items():
        good &= configurable(key, value, mistakes)
        if key in COMPONENTS and not named(value, key, mistakes):
            good = False
    return tuple((k, _whole(n)) for k, n in node.value.items()) if good else None


def _whole(node: Node) -> Node:
    """56.0 as 56: conditions compare numbers, whatever type an option wants."""
    if isinstance(node.value, float) and node.value.is_integer():
        return dataclasses.replace(node, value=int(node.value))
    if isinstance(node.value, Mapping):
        return dataclasses.replace(node, value={k: _whole(n) for k, n in node.value.items()})
    return dataclasses.replace(node, value=tuple(map(_whole, node.value))) if isinstance(node.value, tuple) else node


def configurable(key: str, node: Node, mistakes: Mistakes) -> bool:
    """Is a dotted key one of the configuration?"""
    head, _, rest = key.partition(".")
    if head in ("seeds", "folds", "seed", "fold"):
        mistakes.add(node, f"'{head}' is no setting of a training", "every row is trained with all seeds and folds")
    elif head not in CONFIG:
        mistakes.add(node, f"unknown key '{key}'", suggest(head, CONFIG))
    elif (head == "placement" and rest) or key.endswith(".") or ".." in key:
        mistakes.add(node, f"'{key}' leads nowhere", "write placement" if head == "placement" else None)
    else:
        return True
    return False


def distinct_numbers(node: Node, most: int, what: str, mistakes: Mistakes) -> list[int]:
    """A list of distinct whole numbers from 0."""
    found: dict[int, None] = {}
    for item in node.items:
        value = item.value
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
            mistakes.add(item, f"{item.shown()} is no {what}", f"a {what} is a whole number from 0 to {most}")
        elif value in found:
            mistakes.add(item, f"{what} {value} stands twice in the list", "leave one out")
        else:
            found[value] = None
    return list(found)
