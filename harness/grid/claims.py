"""Published numbers in a grid."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation

from ..registry import suggest
from ..trial import Claim, Value
from . import tree
from .nodes import Mistakes, Node

KEYS = ("metric", "where", "difference", "order", "reported", "unit", "tolerance", "source")
_SHAPES = ("where", "difference", "order")
_Where = tuple[tuple[str, Value], ...]


def read_claims(node: Node | None, mistakes: Mistakes) -> tuple[Claim, ...]:
    if node is None:
        return ()
    if not isinstance(node.value, tuple):
        mistakes.add(node, f"{node.shown()}: a list of claims is meant", "for instance [{metric: top1, where: {…}, …}]")
        return ()
    found = [_claim(item, mistakes) for item in node.value]
    return tuple(c for c in found if c is not None)


def _claim(node: Node, mistakes: Mistakes) -> Claim | None:
    if not isinstance(node.value, Mapping):
        mistakes.add(node, f"{node.shown()}: a mapping is meant", f"its keys are {', '.join(KEYS)}")
        return None
    before = len(mistakes)
    fields = node.value
    for key in (k for k in fields if k not in KEYS):
        mistakes.add(fields[key], f"unknown key '{key}' of a claim", suggest(key, KEYS))
    for key in ("metric", "source"):
        if key not in fields:
            mistakes.add(node, f"the key '{key}' is missing", "a claim says which metric, and who published it")
    shapes = [k for k in _SHAPES if k in fields]
    if len(shapes) != 1:
        what = f"{' and '.join(shapes)} exclude each other" if shapes else "what is claimed is missing"
        mistakes.add(node, what, "a claim has exactly one of where, difference and order")
    _reported(node, shapes, mistakes)
    sides = {k: _sides(k, fields[k], mistakes) for k in shapes}
    claim = Claim(
        metric=_text(fields.get("metric"), mistakes),
        source=_text(fields.get("source"), mistakes),
        reported=_number(fields.get("reported"), mistakes),
        where=sides["where"][0] if sides.get("where") else (),
        difference=sides.get("difference", ()),
        order=sides.get("order", ()),
        unit=_text(fields.get("unit"), mistakes, empty=True),
        tolerance=_number(fields.get("tolerance"), mistakes, least=0),
        last_digit=_last_digit(fields.get("reported")),
        line=node.line,
    )
    return claim if len(mistakes) == before else None


def _reported(node: Node, shapes: list[str], mistakes: Mistakes) -> None:
    if shapes == ["order"] and "reported" in node.entries:
        mistakes.add(node.entries["reported"], "an order has no reported number", "leave it out, or write difference")
    elif shapes and "order" not in shapes and "reported" not in node.entries:
        mistakes.add(node, "the key 'reported' is missing", "write the published number")


def _sides(key: str, node: Node, mistakes: Mistakes) -> tuple[_Where, ...]:
    if key == "where":
        sides: tuple[Node, ...] = (node,)
    elif len(node.items) == 2:
        sides = node.items
    else:
        meaning = "a and b of a - b" if key == "difference" else "the better and the worse"
        mistakes.add(
            node, f"{node.shown()}: a list of two rows is meant", f"{meaning}: [{{attention: se}}, {{attention: none}}]"
        )
        return ()
    found = []
    for side in sides:
        pairs = tree.conditions(side, mistakes)
        found.append(tuple((k, tree.display(k, n)) for k, n in pairs or ()))
    return tuple(found)


def _text(node: Node | None, mistakes: Mistakes, *, empty: bool = False) -> str:
    if node is None:
        return ""
    if isinstance(node.value, str) and (node.value.strip() or empty):
        return node.value
    mistakes.add(node, f"{node.shown()}: text is meant", "put it in quotes" if node.text else None)
    return ""


def _last_digit(node: Node | None) -> int | None:
    """The power of ten of the last digit written: -1 for 94.1, -2 for 94.10, 0 for 94."""
    if node is None:
        return None
    try:
        exponent = Decimal((node.text or repr(node.value)).replace("_", "")).as_tuple().exponent
    except InvalidOperation:
        return None
    return exponent if isinstance(exponent, int) else None


def _number(node: Node | None, mistakes: Mistakes, least: float | None = None) -> float | None:
    if node is None:
        return None
    value = node.value
    if isinstance(value, (int, float)) and not isinstance(value, bool) and (least is None or value >= least):
        return float(value)
    mistakes.add(node, f"{node.shown()}: a number{'' if least is None else f' from {least:g}'} is meant")
    return None
