"""`--set key=value`, applied to the file before anything is checked."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from ..registry import suggest
from . import tree
from .nodes import Mistakes, Node
from .reading import read_text

_ONE_KEY = ("axes", "baseline")  # below these, all that follows is one dotted key


def override(root: Node, overrides: Sequence[str], mistakes: Mistakes) -> Node:
    """The root with every `KEY=VALUE` applied, in order; values are YAML."""
    for text in overrides:
        key, equals, written = text.partition("=")
        key = key.strip()
        origin = f"--set {text if len(text) <= 80 else text[:77] + '…'}"
        place = Node(None, key, 0, origin)
        if not equals or not key:
            mistakes.add(
                dataclasses.replace(place, path=""), "this is no KEY=VALUE", "for instance --set train.epochs=1"
            )
            continue
        value = read_text(written, origin, mistakes, key, lines=False)
        if value is not None:
            root = _apply(root, key, value, mistakes)
    return root


def _apply(root: Node, key: str, value: Node, mistakes: Mistakes) -> Node:
    head, _, rest = key.partition(".")
    known = (*tree.CONFIG, *tree.STUDY)
    if head not in known:
        mistakes.add(value, f"unknown key '{head}'", suggest(head, known))
        return root
    new: Node | None = value
    if head in _ONE_KEY and rest:
        here = root.entries.get(head) or dataclasses.replace(value, value={}, path=head)
        kept = here.value if isinstance(here.value, Mapping) else {}
        new = dataclasses.replace(here, value={**kept, rest: value})
    elif rest:
        keys = rest.split(".")
        base = tree.configuration(root).get(head)
        if head in tree.STUDY or base is None or (head == "placement"):
            new = None
        else:
            base = base if head in root.entries else _moved(base, value)
            new = tree.put(head, base, keys, value)
    if new is None:
        mistakes.add(value, f"'{key}' leads nowhere", f"is there such a part in '{head}' of the file?")
        return root
    return dataclasses.replace(root, value={**root.entries, head: new})


def _moved(node: Node, to: Node) -> Node:
    """A default that a `--set` brought into being: mistakes about it cite the `--set`."""
    return tree.made(_bare(node), dataclasses.replace(to, path=node.path))


def _bare(node: Node) -> object:
    if isinstance(node.value, Mapping):
        return {k: _bare(n) for k, n in node.value.items()}
    return node.value
