"""The key `evaluate`: what is measured of trained rows, without training them again."""

from __future__ import annotations

from ..registry import suggest
from .nodes import Mistakes, Node

IMAGES = "classification"
"""The task whose rows have a class an image."""
KNOWN = ("gates", "knockout", "maps", "gallery")
OF_IMAGES = ("maps", "gallery")


def read_evaluate(node: Node | None, task: str, mistakes: Mistakes) -> tuple[str, ...]:
    """What is asked for, in the order in which it is made; by default all for classification, else nothing.

    `task` is the rows' task, empty where it is not known.
    """
    if node is None:
        return KNOWN if task == IMAGES else ()
    if not isinstance(node.value, tuple):
        hint = f"for instance [{KNOWN[0]}, {KNOWN[1]}]; [] for nothing; known: {', '.join(KNOWN)}"
        mistakes.add(node, f"{node.shown()}: a list is meant", hint)
        return ()
    asked: dict[str, None] = {}
    for item in node.items:
        name = item.value
        if not isinstance(name, str) or name not in KNOWN:
            mistakes.add(item, f"unknown evaluation {item.shown()}", suggest(str(name), KNOWN))
        elif name in asked:
            mistakes.add(item, f"'{name}' stands twice in the list", "leave one out")
        elif name in OF_IMAGES and task and task != IMAGES:
            what = f"'{name}' is for task '{IMAGES}', and this is '{task}'"
            mistakes.add(item, what, "other tasks have gates and knockout")
        else:
            asked[name] = None
    return tuple(name for name in KNOWN if name in asked)
