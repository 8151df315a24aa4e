"""What the nodes of a grid name: registered components, and classes that are no plugins."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .. import foreign
from ..errors import ConfigError, UnknownName
from ..registry import Component, Option, Registry
from ..sources import digest_of, foreign_digest, hidden_imports
from ..trial import Value
from . import tree
from .nodes import Node

Defaults = tuple[tuple[str, str, tuple[tuple[str, Value], ...]], ...]


class Naming:
    """Looks components up, each once. `folder`: where the grid file lies, and modules beside it; None: nowhere."""

    def __init__(self, registry: Registry, folder: Path | None) -> None:
        self._registry, self._folder = registry, folder
        self._reached: set[str] = set()
        self._options: dict[tuple[str, str], dict[str, Option]] = {}
        self._digests: dict[tuple[str, bool], str] = {}

    def component(self, kind: str, node: Node) -> Component:
        """What a node names. A class is imported here, as its options are asked for. Raises ConfigError."""
        name = tree.name_of(node)
        if not tree.targeted(node):
            if foreign.is_target(name):
                raise UnknownName(f"unknown {kind} '{name}'", f'a class is named in a mapping: {{target: "{name}"}}')
            return self._registry.get(kind, name)
        module = foreign.checked(name).partition(":")[0]
        if module not in self._reached:
            foreign.reach(module, self._folder)
            self._reached.add(module)
        component = self._registry.get(kind, name)
        component.load()
        return component

    def options(self, kind: str, name: str, given: Mapping[str, Any] | None = None) -> dict[str, Option]:
        """The options of a component by name, with those that the `given` ones bring. Raises ConfigError."""
        if (kind, name) not in self._options:
            self._options[kind, name] = {o.name: o for o in self._registry.get(kind, name).options()}
        own = self._options[kind, name]
        if given is None or all(k in own for k in given):
            return own
        try:
            return {o.name: o for o in self._registry.get(kind, name).options(given)}
        except ConfigError:  # `Component.mistakes` says the same, with the option's place
            return own

    def source(self, component: Component) -> str:
        """The digest of a component's code. Raises ConfigError."""
        key = (component.module, foreign.is_target(component.name))
        if key not in self._digests:
            self._digests[key] = foreign_digest(component.module) if key[1] else digest_of(component.module)
            places = hidden_imports(component.module) if key[1] else ()
            if places:
                what = f"{', '.join(places)}: an import whose name is made as it runs; a change of what it imports"
                warnings.warn(f"{what} makes no row stale; write the name out", RuntimeWarning, stacklevel=2)
        return self._digests[key]

    def defaults(self, used: Iterable[tuple[str, str]]) -> Defaults:
        """(kind, name, options with their defaults): what a report says where the component is gone, or has others."""
        return tuple(
            (kind, name, tuple((o.name, o.default) for o in self._known(kind, name) if _writable(o.default)))
            for kind, name in sorted(set(used))
        )

    def _known(self, kind: str, name: str) -> list[Option]:
        return [o for o in self.options(kind, name).values() if not o.required]


def _writable(value: Any) -> bool:
    """Can a grid hold this value?"""
    if isinstance(value, tuple):
        return all(_writable(v) for v in value)
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or type(value) in (bool, int, str)
