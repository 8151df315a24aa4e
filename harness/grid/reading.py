"""Grid text and Python mappings, read into nodes that know where they were written.

PyYAML's constructors are not used: nodes are turned into plain values here, so that no tag can call anything, every
value keeps its line, and aliases, depth and size are bounded.
"""

from __future__ import annotations

import dataclasses
import math
import numbers
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from .nodes import BOOLEANS, Mistakes, Node, Scalar

MAX_BYTES = 1_000_000
MAX_DEPTH = 20
MAX_NODES = 50_000
MAX_INTEGER = 2**63 - 1
_PREFIX = "tag:yaml.org,2002:"
_CORE = {_PREFIX + name for name in ("str", "int", "float", "bool", "null", "map", "seq")}


def read_file(path: Path, mistakes: Mistakes) -> tuple[Node | None, str]:
    """The root node and the text of a file; no node where it cannot be read at all."""
    origin = Node("", origin=str(path))
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        mistakes.add(origin, f"cannot be read: {error.strerror}", "give the path of a grid file")
        return None, ""
    if len(raw) > MAX_BYTES:
        mistakes.add(origin, f"is larger than {MAX_BYTES:,} bytes", "is this a grid file?")
        return None, ""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        mistakes.add(Node("", "", line, str(path)), "is not UTF-8 text", "save the file as UTF-8; is this a grid file?")
        return None, ""
    return read_text(text, str(path), mistakes), text


def read_text(text: str, origin: str, mistakes: Mistakes, path: str = "", *, lines: bool = True) -> Node | None:
    """Parse one YAML document. `lines=False`: the text has no lines of its own (a `--set`)."""

    def fail(line: int, what: str, hint: str | None) -> None:
        mistakes.add(Node("", path, line if lines else 0, origin), what, hint)

    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        if root is None:
            return Node(None, path, 1 if lines else 0, origin)
        return _Converter(origin, mistakes, lines).node(root, path, root.start_mark, 0)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = str(error.problem or error.context)
        fail(mark.line + 1 if mark else 1, f"not valid YAML: {what}", _parse_hint(f"{error.context}: {what}"))
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        fail(line, f"not valid YAML: character {error.character!r} is not allowed", "is this a text file?")
    except yaml.YAMLError as error:
        fail(1, f"not valid YAML: {error}", None)
    return None


def from_python(value: Any, mistakes: Mistakes) -> Node | None:
    """A mapping given from Python; there are no lines."""
    try:
        return _Python(mistakes).node(value, "", 0)
    except yaml.MarkedYAMLError as error:
        mistakes.add(Node(""), str(error.problem))
        return None


def _parse_hint(what: str) -> str | None:
    if "'\\t'" in what:
        return "indent with spaces, not with tabs"
    if "cannot start any token" in what:
        return "put a value that starts with such a character in quotes"
    if "mapping values are not allowed" in what or "could not find expected ':'" in what:
        return "look for a missing space after a colon, or wrong indentation, here or just above"
    if "expected a single document" in what or "<document start>" in what:
        return "a grid file holds one study; look for a line '---' or text that is not indented alike"
    if "but found" in what or "but got" in what or "did not find" in what:
        return "look for a missing bracket, comma or quote, or wrong indentation, here or just above"
    return None


class _Loader(yaml.SafeLoader):
    """Bounds what is composed, and reads `1e-4` as a number, `010` as ten and a date as text."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012  PyYAML's own attribute
    depth = 0
    nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self.depth += 1
        self.nodes += 1
        if self.depth > MAX_DEPTH:
            raise yaml.MarkedYAMLError(problem=_TOO_DEEP, problem_mark=self._here())
        if self.nodes > MAX_NODES:
            raise yaml.MarkedYAMLError(problem=_TOO_MANY, problem_mark=self._here())
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def _here(self) -> Any:
        event: yaml.Event = self.peek_event()  # type: ignore[no-untyped-call]
        return event.start_mark


_TOO_DEEP = f"nested more than {MAX_DEPTH} levels deep"
_TOO_MANY = f"more than {MAX_NODES:,} values, aliases written out"
_INT = r"[-+]?(?:0x[0-9a-fA-F]+|0o[0-7]+|[0-9][0-9_]*)$"
_FLOAT = r"[-+]?(?:(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[0-9][0-9_]*[eE][-+]?[0-9]+|\.inf|\.nan)$"
for _tag, _pattern, _first in (
    ("bool", r"(?:yes|no|true|false|on|off)$", "yYnNtTfFoO"),
    ("null", r"(?:~|null|)$", ["~", "n", "N", ""]),
    ("int", _INT, "-+0123456789"),
    ("float", _FLOAT, "-+.0123456789"),
    ("merge", r"<<$", "<"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern, re.IGNORECASE), list(_first))


class _Converter:
    def __init__(self, origin: str, mistakes: Mistakes, lines: bool) -> None:
        self._origin, self._mistakes, self._lines = origin, mistakes, lines
        self._count = 0

    def node(self, node: yaml.Node, path: str, mark: Any, depth: int) -> Node:
        # Counted here as well as while composing: an alias is composed once, however often it is written out.
        self._count += 1
        if self._count > MAX_NODES or depth > MAX_DEPTH:
            problem = _TOO_DEEP if depth > MAX_DEPTH else _TOO_MANY
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
        made = self._made(path, mark)
        if node.tag not in _CORE:
            tag = "!!" + node.tag.removeprefix(_PREFIX) if node.tag.startswith(_PREFIX) else node.tag
            what, hint = f"the tag '{tag}' is not allowed", "a grid holds text, numbers, booleans, lists and mappings"
            if tag == "!!merge":
                what, hint = "the key '<<' is not supported", "write the keys out, or use an alias for a whole value"
            self._mistakes.unreadable(made, what, hint)
            return made
        if isinstance(node, yaml.MappingNode):
            return _with(made, self._mapping(node, path, depth))
        if isinstance(node, yaml.SequenceNode):
            items = [self.node(n, f"{path}[{i}]", n.start_mark, depth + 1) for i, n in enumerate(node.value)]
            return _with(made, tuple(items))
        return _with(made, self._scalar(node, made), str(node.value))

    def _made(self, path: str, mark: Any) -> Node:
        return Node(None, path, mark.line + 1 if self._lines else 0, self._origin, column=mark.column)

    def _mapping(self, node: yaml.MappingNode, path: str, depth: int) -> dict[str, Node]:
        found: dict[str, Node] = {}
        for key_node, value_node in node.value:
            text = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else "(not text)"
            inner = f"{path}.{text}" if path else text
            here = self._made(inner, key_node.start_mark)
            if key_node.tag == "tag:yaml.org,2002:merge":
                self._mistakes.unreadable(
                    here, "the key '<<' is not supported", "write the keys out, or use an alias for a whole value"
                )
            elif key_node.tag == "tag:yaml.org,2002:bool":
                self._mistakes.unreadable(here, f"the key '{text}' is a boolean, but a key is a name", BOOLEANS)
            elif key_node.tag != "tag:yaml.org,2002:str":
                self._mistakes.unreadable(here, "a key must be text", "put it in quotes if it is meant as a name")
            elif text in found:
                first = f"it stands first on line {found[text].line}" if self._lines else None
                self._mistakes.unreadable(here, f"the key '{text}' is written twice", first)
            else:
                found[text] = self.node(value_node, inner, key_node.start_mark, depth + 1)
        return found

    def _scalar(self, node: yaml.Node, made: Node) -> Scalar:
        kind, text = node.tag.rpartition(":")[2], str(node.value)
        if kind == "null":
            return None
        if kind == "bool":
            return text.lower() in ("yes", "true", "on")
        if kind == "str":
            return text
        try:
            clean = text.replace("_", "")
            if kind == "int":
                digits = clean.lstrip("+-").lower()
                base = {"0x": 16, "0o": 8}.get(digits[:2], 10)
                return _number(int(clean, base), made, self._mistakes)
            special = {".inf": math.inf, ".nan": math.nan}.get(clean.lstrip("+-").lower())
            return _number(float(clean) if special is None else special, made, self._mistakes)
        except ValueError:
            self._mistakes.unreadable(made, f"'{text[:40]}' is no {'whole ' if kind == 'int' else ''}number")
            return None


class _Python:
    def __init__(self, mistakes: Mistakes) -> None:
        self._mistakes, self._count = mistakes, 0

    def node(self, value: Any, path: str, depth: int) -> Node:
        self._count += 1
        if self._count > MAX_NODES or depth > MAX_DEPTH:
            raise yaml.MarkedYAMLError(problem=_TOO_DEEP if depth > MAX_DEPTH else _TOO_MANY)
        made = Node(None, path)
        if isinstance(value, Mapping):
            return _with(made, dict(self._entries(value, path, depth)))
        if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
            return _with(made, tuple(self.node(v, f"{path}[{i}]", depth + 1) for i, v in enumerate(value)))
        if value is None or isinstance(value, (bool, str)):
            return _with(made, value, str(value))
        if isinstance(value, numbers.Integral):
            return _with(made, _number(int(value), made, self._mistakes), str(value))
        if isinstance(value, numbers.Real):
            return _with(made, _number(float(value), made, self._mistakes), str(value))
        hint = "a grid holds text, numbers, booleans, lists and mappings"
        self._mistakes.unreadable(made, f"a value of type '{type(value).__name__}' cannot stand in a grid", hint)
        return made

    def _entries(self, value: Mapping[Any, Any], path: str, depth: int) -> Iterator[tuple[str, Node]]:
        for key, child in value.items():
            inner = f"{path}.{key}" if path else str(key)
            if isinstance(key, str):
                yield key, self.node(child, inner, depth + 1)
            else:
                self._mistakes.unreadable(Node(None, inner), "a key must be text")


def _with(node: Node, value: Any, text: str = "") -> Node:
    return dataclasses.replace(node, value=value, text=text)


def _number(value: float, node: Node, mistakes: Mistakes) -> Scalar:
    if not math.isfinite(value):
        mistakes.unreadable(node, "the number is not finite")
        return None
    if isinstance(value, int) and abs(value) > MAX_INTEGER:
        mistakes.unreadable(node, f"the number is too large: whole numbers go up to {MAX_INTEGER}")
        return None
    return value
