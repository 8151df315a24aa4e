"""Dataclasses from the plain forms that JSON gives back; whatever does not fit is refused with its place."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal, TypeVar, cast

from .errors import StoreError
from .trial import Choice

T = TypeVar("T")


def from_plain(cls: type[T], plain: Any, where: str = "record") -> T:
    """The inverse of `to_plain`. Raises StoreError that names the place if the shape is not that of `cls`."""
    return cast(T, _load(cls, plain, where))


@cache
def _fields(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _load(hint: Any, plain: Any, where: str) -> Any:
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return _load_dataclass(hint, plain, where)
    if hint is Any:
        return plain
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        return _load_tuple(arguments, plain, where)
    if origin in (typing.Union, types.UnionType):
        return _load_union(arguments, plain, where)
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        if not isinstance(plain, dict):
            raise StoreError(f"{where}: expected a mapping, found {type(plain).__name__}")
        return {k: _load(arguments[1], v, f"{where}.{k}") for k, v in plain.items()}
    if origin is Literal:
        if plain not in arguments:
            raise StoreError(f"{where}: {plain!r} is none of {list(arguments)}")
        return plain
    if isinstance(hint, typing.ForwardRef):  # the one inside `Value`, which names itself
        hint = typing.get_args(typing.get_args(_fields(Choice)["options"])[0])[1]
        return _load(hint, plain, where)
    if hint is float and (type(plain) is int or plain in ("nan", "inf", "-inf")):
        return float(plain)
    if isinstance(hint, type) and type(plain) is not hint:
        raise StoreError(f"{where}: expected {hint.__name__}, found {type(plain).__name__}")
    return plain


def _load_dataclass(cls: Any, plain: Any, where: str) -> Any:
    if not isinstance(plain, dict):
        raise StoreError(f"{where}: expected a mapping, found {type(plain).__name__}")
    hints = _fields(cls)
    unknown = sorted(set(plain) - set(hints))
    if unknown:
        raise StoreError(f"{where}: unknown key {unknown[0]!r}", hint="was it written by a newer version?")
    try:
        return cls(**{k: _load(hints[k], v, f"{where}.{k}") for k, v in plain.items()})
    except TypeError as error:
        raise StoreError(f"{where}: {error}") from error


def _load_tuple(arguments: tuple[Any, ...], plain: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(plain, list):
        raise StoreError(f"{where}: expected a list, found {type(plain).__name__}")
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return tuple(_load(arguments[0], v, f"{where}[{i}]") for i, v in enumerate(plain))
    if len(arguments) != len(plain):
        raise StoreError(f"{where}: expected {len(arguments)} values, found {len(plain)}")
    return tuple(_load(a, v, f"{where}[{i}]") for i, (a, v) in enumerate(zip(arguments, plain, strict=True)))


def _load_union(arguments: tuple[Any, ...], plain: Any, where: str) -> Any:
    if plain is None and type(None) in arguments:
        return None
    if isinstance(plain, dict):
        return _load(Choice, plain, where) if Choice in arguments else _first(arguments, plain, where)
    if isinstance(plain, list):
        inner = [a for a in arguments if typing.get_origin(a) is tuple]
        return _load(inner[0], plain, where) if inner else _first(arguments, plain, where)
    if type(plain) in arguments:
        return plain
    return _first(arguments, plain, where)


def _first(arguments: tuple[Any, ...], plain: Any, where: str) -> Any:
    for argument in arguments:
        if argument is not type(None):
            try:
                return _load(argument, plain, where)
            except StoreError:
                continue
    raise StoreError(f"{where}: {plain!r} does not fit")
