"""Dataclasses as JSON-ready values, and the hash that makes ids of them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any


def to_plain(value: Any) -> Any:
    """Dataclasses, tuples and mappings as JSON-ready values; pairs of names and values become mappings."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): to_plain(v) for k, v in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [to_plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no word for it; "nan", "inf" and "-inf" are read back as floats
    return value


def dotted(plain: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Dotted keys as a grid writes them, as far as it can: a component's name stands at the component's own key."""
    if isinstance(plain, dict) and set(plain) == {"name", "options"}:
        yield key, str(plain["name"])
        for name, value in plain["options"]:
            yield from dotted(value, f"{key}.{name}")
    elif isinstance(plain, dict):
        for name, value in plain.items():
            yield from dotted(value, f"{key}.{name}" if key else name)
    elif isinstance(plain, (list, tuple)) and plain:
        for i, value in enumerate(plain):
            yield from dotted(value, f"{key}[{i}]")
    else:
        yield key, "none" if plain in (None, [], ()) else str(plain)


def digest(plain: Any) -> str:
    """SHA-256 of canonical JSON (sorted keys, no spaces; an integral float equals its integer)."""
    text = json.dumps(_numbers(plain), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _numbers(plain: Any) -> Any:
    # `lr: 1` and `lr: 1.0` are the same training; without this they would be trained twice.
    if isinstance(plain, float) and plain.is_integer():
        return int(plain)
    if isinstance(plain, dict):
        return {k: _numbers(v) for k, v in plain.items()}
    return [_numbers(v) for v in plain] if isinstance(plain, list) else plain
