"""Values that know where they were written, and the mistakes found in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from ..errors import ConfigError, GridError

BOOLEANS = "YAML reads on, off, yes, no, true and false as booleans; put the word in quotes if it is a name"

Scalar: TypeAlias = bool | int | float | str | None


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """A value, the dotted path under which it was written, and the place: a file's line, or a `--set` (line 0).

    `text` is a scalar as it was written, because `off` and `false` are the same value.
    """

    value: Scalar | tuple[Node, ...] | Mapping[str, Node]
    path: str = ""
    line: int = 0
    origin: str = "grid"
    text: str = ""
    column: int = 0

    @property
    def where(self) -> str:
        place = f"{self.origin}:{self.line}" if self.line else self.origin
        return f"{place}: {self.path}" if self.path else place

    @property
    def entries(self) -> Mapping[str, Node]:
        return self.value if isinstance(self.value, Mapping) else {}

    @property
    def items(self) -> tuple[Node, ...]:
        return self.value if isinstance(self.value, tuple) else ()

    def shown(self) -> str:
        """The value as an error quotes it."""
        if isinstance(self.value, Mapping):
            return "a mapping"
        if isinstance(self.value, tuple):
            return "a list"
        return f"'{self.text or self.value}'" if self.value is not None else "empty (null)"


class Mistakes:
    """Collects every mistake; `check` raises them together in the order of the file."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], tuple[tuple[bool, int, int, int], ConfigError]] = {}
        self._places: set[str] = set()
        self._unreadable: set[str] = set()

    def __len__(self) -> int:
        return len(self._found)

    def unreadable(self, node: Node, what: str, hint: str | None = None) -> None:
        """A value that could not be read: whatever else is said about that place would only follow from it."""
        self.add(node, what, hint)
        self._unreadable.add(node.where)

    def add(self, node: Node, what: str, hint: str | None = None, *, once: bool = False) -> None:
        """`once`: leave it out if something at that place is already known to be wrong."""
        where = node.where
        if (where, what) in self._found or where in self._unreadable or (once and where in self._places):
            return
        order = (node.origin.startswith("--set"), node.line, node.column, len(self._found))
        self._places.add(where)
        self._found[where, what] = (order, ConfigError(f"{where}: {what}", hint))

    def check(self) -> None:
        if self._found:
            ordered = sorted(self._found.values(), key=lambda pair: pair[0])
            raise GridError([error for _, error in ordered])


def plain(node: Node) -> Any:
    """The node as plain Python values."""
    if isinstance(node.value, Mapping):
        return {key: plain(child) for key, child in node.value.items()}
    return [plain(child) for child in node.value] if isinstance(node.value, tuple) else node.value
