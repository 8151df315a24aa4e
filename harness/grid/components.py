"""Parts of a configuration, checked against the registry: names, options and their types."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..contracts import DatasetInfo
from ..data import digest as hash_file
from ..data import find_file
from ..errors import ConfigError, HarnessError, UnknownName
from ..registry import Option, Registry, suggest
from ..trial import Choice, Term, Value, digest, to_plain
from . import recipe, tree
from .naming import Naming
from .nodes import Mistakes, Node

PLACEMENTS = ("residual", "block", "stage")
WRAPPED = "of"
"""The option of a block of attention that names another block, which it wraps."""


@dataclass(frozen=True, slots=True)
class Context:
    """What the planner needs beside the file.

    `precision` is what `precision: auto` means on the chosen device, `core` the core's results version.
    """

    data_root: Path
    precision: Literal["fp32", "bf16"]
    core: int


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the configuration, resolved.

    `unused` are the axes that do not apply to it, each with the dotted keys that would.
    """

    value: Any
    sources: tuple[tuple[str, str], ...]
    digest: str
    unused: Mapping[str, tuple[str, ...]]


class Parts:
    """Resolves parts, each distinct one once: a grid of thousands of rows has a few dozen."""

    def __init__(self, registry: Registry, context: Context, mistakes: Mistakes, folder: Path | None = None) -> None:
        """`folder`: where the grid file lies; classes that are no plugins are looked for there too."""
        self.registry, self.context, self.mistakes = registry, context, mistakes
        self.naming = Naming(registry, folder)
        self._memo: dict[tuple[Any, ...], Part | None] = {}
        self._infos: dict[str, DatasetInfo | None] = {}
        self._kept: list[Node] = []
        self._from_axis: dict[int, str] = {}
        self._unused: dict[str, tuple[str, ...]] = {}
        self._sources: dict[str, str] = {}

    def resolve(self, head: str, node: Node, settings: Sequence[tuple[str, Node]]) -> Part | None:
        """The part `head` written as `node`, with settings of dotted keys applied; None after a mistake."""
        key = (head, id(node), *((k, id(n)) for k, n in settings))
        if key not in self._memo:
            self._kept += [node, *(n for _, n in settings)]  # an id is only good while its node lives
            self._memo[key] = self._resolve(head, node, settings)
        return self._memo[key]

    def _resolve(self, head: str, node: Node, settings: Sequence[tuple[str, Node]]) -> Part | None:
        self._from_axis, self._unused, self._sources = {}, {}, {}
        for key, value in sorted(settings, key=lambda s: s[0].count(".")):
            keys = key.split(".")[1:]
            if keys:
                self._from_axis[id(value)] = key
            new = tree.put(head, node, keys, value)
            if new is None:
                parent = tree.as_terms(node) if head == "loss" else node
                names = [*tree.item_keys(parent), *parent.entries]
                self._unused[key] = tuple(f"{head}.{n}" for n in names if n)
            else:
                node = new
        value = self._check(head, node)
        if value is None:
            return None
        return Part(value, tuple(self._sources.items()), digest(to_plain(value)), dict(self._unused))

    def _check(self, head: str, node: Node) -> Any:
        if head == "loss":
            return self._terms(tree.as_terms(node))
        if head == "augment":
            return self._augments(node)
        if head == "placement":
            return self._placement(node)
        return recipe.check(node, self) if head == "train" else self.component(head, node)

    def unused_option(self, node: Node, keys: Sequence[str]) -> bool:
        """Note an option that only an axis asks for, and that this component does not have."""
        axis = self._from_axis.get(id(node))
        if axis is None:
            return False
        stem = axis.rpartition(".")[0]
        self._unused[axis] = tuple(f"{stem}.{k}" for k in keys)
        return True

    def component(self, kind: str, node: Node) -> Choice | None:
        """A bare name, or a mapping with `name` or `target`, and options. Those equal to their default are left out."""
        if not tree.named(node, kind, self.mistakes):
            return None
        name, written = tree.name_of(node), tree.options_of(node)
        if kind == "attention" and name == tree.NONE and not tree.targeted(node):
            return self._both(name, written) if tree.TARGET in written else self._nothing(written)
        place = node.entries.get(tree.TARGET if tree.targeted(node) else "name", node)
        try:
            component = self.naming.component(kind, node)
            known = self.naming.options(kind, name, {k: n.value for k, n in written.items()})
            source = self.naming.source(component)
        except UnknownName as error:
            self.mistakes.add(place, error.message, error.hint)
            return None
        except ConfigError as error:
            self.mistakes.add(place if tree.targeted(node) else node, error.message, error.hint)
            return None
        if tree.TARGET in written and tree.TARGET not in known:
            return self._both(name, written)
        good, values = True, dict[str, Value]()
        for key, child in written.items():
            if key in known or not self.unused_option(child, list(known)):
                wraps = kind == "attention" and key == WRAPPED and key in known
                fine, values[key] = self._wrapped(name, child) if wraps else self._value(child)
                good &= fine
        for key, wrong in component.mistakes(values) if good else ():
            place = written.get(key, node)
            self.mistakes.add(place, wrong.message, wrong.hint, once=id(place) in self._from_axis)
            good = False
        if not good:
            return None
        self._sources[f"{kind} {name}"] = source
        for option in component.files:
            if values.get(option) is not None and not self._file(f"{kind} {name} {option}", written[option]):
                return None
        return Choice.of(
            name, **{k: v for k, v in values.items() if known[k].required or not same(v, known[k].default)}
        )

    def _wrapped(self, name: str, node: Node) -> tuple[bool, Value]:
        """The block that another one wraps, checked like any other."""
        choice = self.component("attention", node)
        if choice is not None and choice.name == tree.NONE:
            self.mistakes.add(node, f"attention '{name}' wraps a block, and '{tree.NONE}' is none", "name a block")
            choice = None
        return choice is not None, choice

    def _file(self, what: str, node: Node) -> bool:
        """The content of a file that an option names is part of the id: another file is another training."""
        try:
            path = find_file(str(node.value), what, self.context.data_root)
            self._sources[what] = hash_file(path)[:16]
        except HarnessError as error:
            self.mistakes.add(node, error.message, error.hint)
            return False
        return True

    def _both(self, name: str, written: Mapping[str, Node]) -> Choice | None:
        what = f"'name' and 'target' are both given: '{name}' is registered, and 'target' names a class"
        self.mistakes.add(written[tree.TARGET], what, "leave one of them out")
        return None

    def _nothing(self, written: Mapping[str, Node]) -> Choice | None:
        hard = [(k, n) for k, n in written.items() if not self.unused_option(n, ())]
        for key, child in hard:
            self.mistakes.add(child, f"attention '{tree.NONE}' has no option '{key}'", "it inserts nothing")
        return None if hard else Choice(tree.NONE)

    def options(self, kind: str, name: str) -> dict[str, Option]:
        """The options of a component by name. Raises ConfigError."""
        return self.naming.options(kind, name)

    def _value(self, node: Node) -> tuple[bool, Value]:
        if isinstance(node.value, tuple):
            pairs = [self._value(n) for n in node.value]
            return all(good for good, _ in pairs), tuple(v for _, v in pairs)
        if not isinstance(node.value, Mapping):
            return True, node.value
        if not tree.name_of(node):
            self.mistakes.add(node, "an option cannot be a mapping, unless it is a component with 'name'")
            return False, None
        inner = {k: self._value(n) for k, n in node.value.items() if k != "name"}
        choice = Choice.of(tree.name_of(node), **{k: v for k, (_, v) in inner.items()})
        return all(good for good, _ in inner.values()), choice

    def _terms(self, node: Node) -> tuple[Term, ...] | None:
        if not node.items:
            self.mistakes.add(node, "there is no loss", "write a name, or names with coefficients")
            return None
        terms: list[Term] = []
        for item, key in zip(node.items, tree.item_keys(node), strict=True):
            coefficient = item.entries.get("coefficient")
            rest = {k: n for k, n in item.entries.items() if k != "coefficient"}
            loss = self.component("loss", dataclasses.replace(item, value=rest) if rest else item)
            number = 1.0 if coefficient is None else self.number(coefficient, above=0)
            if coefficient is not None and isinstance(coefficient.value, Mapping):
                self.mistakes.add(coefficient, "a coefficient is a number", f"for options write [{{name: {key}, …}}]")
            elif loss is not None and number is not None:
                terms.append(Term(loss, number, key))
        # A sum has no order, so neither has its id.
        return tuple(sorted(terms, key=lambda t: t.key)) if len(terms) == len(node.items) else None

    def _augments(self, node: Node) -> tuple[Choice, ...] | None:
        if not isinstance(node.value, tuple):
            hint = "write [] for none" if node.value in (None, False, tree.NONE) else "for instance [crop, flip]"
            self.mistakes.add(node, f"{node.shown()}: a list of augmentations is meant", hint)
            return None
        found = [self.component("augment", item) for item in node.value]
        return None if None in found else tuple(c for c in found if c is not None)

    def _placement(self, node: Node) -> str | tuple[str, ...] | None:
        if isinstance(node.value, tuple):
            return self.names(node, empty=False)
        if node.value in PLACEMENTS and isinstance(node.value, str):
            return node.value
        hint = suggest(str(node.value), PLACEMENTS, f"write {', '.join(PLACEMENTS)} or a list of sites")
        self.mistakes.add(node, f"unknown placement {node.shown()}", hint)
        return None

    def names(self, node: Node, *, empty: bool = True) -> tuple[str, ...] | None:
        """A list of distinct texts."""
        values = [n.value for n in node.items]
        for item in node.items:
            if not isinstance(item.value, str):
                self.mistakes.add(item, f"{item.shown()} is no name")
                return None
        if not isinstance(node.value, tuple):
            self.mistakes.add(node, f"{node.shown()}: a list of names is meant", f"write [{node.text or '…'}]")
        elif not values and not empty:
            self.mistakes.add(node, "the list is empty")
        elif len(set(values)) < len(values):
            self.mistakes.add(node, "a name stands twice in the list")
        else:
            return tuple(str(v) for v in values)
        return None

    def number(self, node: Node, *, above: float, below: float = math.inf, name: str = "a number") -> float | None:
        """A number strictly between two bounds."""
        if isinstance(node.value, (int, float)) and not isinstance(node.value, bool) and above < node.value < below:
            return float(node.value)
        if not isinstance(node.value, Mapping):
            bounds = f"above {above:g}" if below == math.inf else f"between {above:g} and {below:g}"
            self.mistakes.add(node, f"{node.shown()}: {name} {bounds} is meant")
        return None

    def info(self, part: Part, node: Node) -> DatasetInfo | None:
        """What a dataset says of itself; asked once for each choice of options."""
        if part.digest not in self._infos:
            self._infos[part.digest] = self._describe(part.value, node)
        return self._infos[part.digest]

    def _describe(self, choice: Choice, node: Node) -> DatasetInfo | None:
        describe = getattr(self.registry.get("dataset", choice.name).load(), "describe", None)
        if describe is None:
            hint = "its plugin must be mended: describe(root, **options) -> DatasetInfo, without torch"
            self.mistakes.add(node, f"dataset '{choice.name}' has no `describe`", hint)
            return None
        try:
            found: DatasetInfo = describe(self.context.data_root, **choice.as_dict())
        except HarnessError as error:
            self.mistakes.add(node, error.message, error.hint)
            return None
        return found


def same(value: Value, default: Any) -> bool:
    """Is an option set to its default? An int equals a float, a list a tuple; True is no 1."""
    if isinstance(value, bool) or isinstance(default, bool):
        return value is default
    if isinstance(value, tuple):
        fits = isinstance(default, (tuple, list)) and len(default) == len(value)
        return fits and all(same(v, d) for v, d in zip(value, default, strict=True))
    if isinstance(value, (int, float)):
        return isinstance(default, (int, float)) and value == default
    return value is default or (type(value) is type(default) and value == default)
