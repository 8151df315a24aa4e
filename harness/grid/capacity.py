"""The grid key `controls`: rows that stand beside every row with attention, and tell its gain from capacity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import ConfigError, HarnessError
from ..registry import Component, Registry, suggest
from ..trial import Choice, Recipe, Value, digest, to_plain
from . import tree
from .components import WRAPPED, Part, Parts, same
from .nodes import Mistakes, Node, plain

KIND = "attention"
PROBE = 64
"""Channels of the block that is built to ask a control whether it can be one of it."""


@dataclass(frozen=True, slots=True)
class Control:
    """A block that wraps others, with the options that are not at their default; `source`: the digest of its code."""

    name: str
    options: tuple[tuple[str, Value], ...]
    source: str

    def label(self, of: str) -> str:
        """`se: matched conv`."""
        told = ", ".join(str(v) for _, v in self.options)
        name = self.name.replace("_", " ") if ":" not in self.name else Choice(self.name).title()
        return f"{of}: {name}{f' ({told})' if told else ''}"


def read_controls(node: Node | None, parts: Parts, mistakes: Mistakes) -> tuple[Control, ...]:
    """What the key asks for; mistakes are added to the others."""
    if node is None:
        return ()
    if not isinstance(node.value, tuple):
        known = ", ".join(_wrappers(parts.registry))
        mistakes.add(node, f"{node.shown()}: a list of controls is meant", f"for instance [{known}]")
        return ()
    found: list[Control] = []
    for item in node.items:
        control = _control(item, parts, mistakes) if tree.named(item, "control", mistakes) else None
        if control is not None and control in found:
            mistakes.add(item, f"control '{control.name}' stands twice in the list", "leave one out")
        elif control is not None:
            found.append(control)
    return tuple(found)


def _control(node: Node, parts: Parts, mistakes: Mistakes) -> Control | None:
    name = tree.name_of(node)
    place = node.entries.get(tree.TARGET if tree.targeted(node) else "name", node)
    if name not in parts.registry.names(KIND) and not tree.targeted(node):
        mistakes.add(place, f"unknown control '{name}'", suggest(name, _wrappers(parts.registry)))
        return None
    try:
        component = parts.naming.component(KIND, node)
        known = parts.options(KIND, name)
        source = parts.naming.source(component)
    except ConfigError as error:
        mistakes.add(place, error.message, error.hint)
        return None
    if WRAPPED not in known:
        mistakes.add(
            place, f"{KIND} '{name}' is no control: it wraps no block", suggest(name, _wrappers(parts.registry))
        )
        return None
    written = tree.options_of(node)
    values = _values(component, written, node, mistakes)
    if values is None:
        return None
    options = {k: v for k, v in values.items() if known[k].required or not same(v, known[k].default)}
    return Control(name, Choice.of(name, **options).options, source)


def _values(
    component: Component, written: Mapping[str, Node], node: Node, mistakes: Mistakes
) -> dict[str, Value] | None:
    """The options of a control as written, but for the block that it wraps."""
    if WRAPPED in written:
        mistakes.add(written[WRAPPED], f"a control of a study has no '{WRAPPED}'", "it wraps the block of every row")
        return None
    values = {k: plain(n) for k, n in written.items()}
    wrong = list(component.mistakes({**values, WRAPPED: None}))
    for key, error in wrong:
        mistakes.add(written.get(key, node), error.message, error.hint)
    return None if wrong else {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}


def _wrappers(registry: Registry) -> list[str]:
    found = []
    for component in registry.components(KIND):
        try:
            if any(o.name == WRAPPED for o in component.options()):
                found.append(component.name)
        except HarnessError:  # a plugin that cannot be loaded is reported where it is named
            continue
    return found


def controlled(control: Control, row: Mapping[str, Part]) -> dict[str, Part]:
    """The parts of the control's row: those of the row, with its block wrapped."""
    block = row[KIND]
    choice = Choice.of(control.name, **dict(control.options), **{WRAPPED: block.value})
    sources = tuple(dict.fromkeys((*block.sources, (f"{KIND} {control.name}", control.source))))
    return {**row, KIND: Part(choice, sources, digest(to_plain(choice)), {})}


def wraps(choice: Choice) -> bool:
    """Is this block a control already?"""
    return isinstance(choice.as_dict().get(WRAPPED), Choice)


def why_not(control: Control, row: Mapping[str, Part], registry: Registry) -> str:
    """The reason for which a row cannot have this control, as far as it can be known without a model; else empty.

    A control's target may have `refuses(block)`, which says why it can be none of a block, and
    `inert`: it never trains.
    """
    recipe: Recipe = row["train"].value
    choice: Choice = row[KIND].value
    try:
        target = registry.get(KIND, control.name).load()
        if getattr(target, "inert", False) and any(s.train_only == (KIND,) for s in recipe.stages):
            return "a stage trains attention alone, and a block that does nothing cannot be trained"
        refuses = getattr(target, "refuses", None)
        if refuses is None:
            return ""
        return str(refuses(registry.build(KIND, choice.name, PROBE, **choice.keywords())))
    except Exception:  # a block that does not go with so many channels is judged when the model is built
        return ""


def settings_of(settings: Mapping[str, Value], row: Mapping[str, Part]) -> dict[str, Value]:
    """What the control's row stands at on the axes: options of the block are those of what is wrapped."""
    found = {k: v for k, v in settings.items() if not k.startswith(f"{KIND}.")}
    return {**found, KIND: row[KIND].value} if KIND in found else found
