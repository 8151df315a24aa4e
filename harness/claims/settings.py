"""Dotted keys of a configuration, and the row of a study that a claim speaks of."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Final, TypeAlias

from ..trial import Cell, Choice, Config, Recipe, Stage, Study, Term, Value, format_value

Defaults: TypeAlias = Callable[[str, str], Mapping[str, Value]]
"""(kind, name) -> the options of that component with their defaults."""
Where: TypeAlias = tuple[tuple[str, Value], ...]


class Missing(Enum):
    """The type of `MISSING`: the configuration has no such setting (None is a value)."""

    MISSING = "not set"


MISSING: Final = Missing.MISSING
_STAGE = {f.name for f in dataclasses.fields(Stage)}
_RECIPE = {f.name for f in dataclasses.fields(Recipe)} - {"stages"}


def setting(config: Config, key: str, defaults: Defaults | None = None) -> Value | Missing:
    """The value of a dotted key as a grid spells it; MISSING where the configuration has none.

    `attention` is the component's name, `attention.reduction` its option (or the default, where `defaults` is given).
    `loss` and `augment` are a name, or a tuple of names where there are several; `loss.gdl` is the coefficient,
    `loss.gdl.order` and `augment.erasing.p` options, `augment.crop` whether it is used. `train.epochs` is the total of
    all stages; what stages set (`train.optimizer.lr`) is one value where they agree, else one a stage.
    """
    head, _, rest = key.partition(".")
    if head in ("task", "dataset", "model", "attention"):
        return _of_choice(head, getattr(config, head), rest, defaults)
    if head == "loss":
        return _of_loss(config.loss, rest, defaults)
    if head == "augment":
        return _of_augment(config.augment, rest, defaults)
    if head == "train":
        return _of_train(config.train, rest, defaults)
    if head in ("placement", "seed", "fold") and not rest:
        found: Value = getattr(config, head)
        return found
    return MISSING


def _of_choice(kind: str, choice: Choice, rest: str, defaults: Defaults | None) -> Value | Missing:
    option, _, deeper = rest.partition(".")
    if not rest or rest == "name":
        return choice.name
    found: Value | Missing = choice.as_dict().get(option, MISSING)
    if found is MISSING and defaults is not None:
        found = defaults(kind, choice.name).get(option, MISSING)
    if deeper:
        return _of_choice("", found, deeper, None) if isinstance(found, Choice) else MISSING
    return found


def _of_loss(terms: Sequence[Term], rest: str, defaults: Defaults | None) -> Value | Missing:
    if not rest:
        names = tuple(t.loss.name for t in terms)
        return names[0] if len(names) == 1 else names
    head, _, deeper = rest.partition(".")
    term = next((t for t in terms if head in (t.key, t.loss.short)), None)
    if term is not None:
        coefficient = deeper in ("", "coefficient")
        return term.coefficient if coefficient else _of_choice("loss", term.loss, deeper, defaults)
    return _of_choice("loss", terms[0].loss, rest, defaults) if len(terms) == 1 else MISSING


def _of_augment(augments: Sequence[Choice], rest: str, defaults: Defaults | None) -> Value | Missing:
    if not rest:
        return tuple(a.name for a in augments)
    name, _, deeper = rest.partition(".")
    found = next((a for a in augments if a.short == name), None)
    if not deeper:
        return found is not None
    return MISSING if found is None else _of_choice("augment", found, deeper, defaults)


def _of_train(recipe: Recipe, rest: str, defaults: Defaults | None) -> Value | Missing:
    head, _, deeper = rest.partition(".")
    if head in ("optimizer", "schedule"):
        values = [_of_choice(head, getattr(s, head), deeper, defaults) for s in recipe.stages]
        return _agreed(values)
    if deeper:
        return MISSING
    if head == "epochs":
        return recipe.epochs
    if head in _RECIPE:
        found: Value = getattr(recipe, head)
        return found
    return _agreed([getattr(s, head) for s in recipe.stages]) if head in _STAGE else MISSING


def _agreed(values: Sequence[Value | Missing]) -> Value | Missing:
    if not values or MISSING in values:
        return MISSING
    if all(v == values[0] for v in values):
        return values[0]
    return tuple(v for v in values if not isinstance(v, Missing))


def same(claimed: Value | Missing, actual: Value | Missing) -> bool:
    """Loose on types of numbers (16 == 16.0) and on a list of one (crop == [crop]); True is no 1."""
    if isinstance(claimed, bool) or isinstance(actual, bool):
        return claimed is actual
    if isinstance(claimed, (int, float)) and isinstance(actual, (int, float)):
        return math.isclose(claimed, actual, rel_tol=1e-12)
    if isinstance(claimed, tuple) != isinstance(actual, tuple):
        claimed = claimed if isinstance(claimed, tuple) else (claimed,)  # type: ignore[assignment]
        actual = actual if isinstance(actual, tuple) else (actual,)  # type: ignore[assignment]
    if isinstance(claimed, tuple) and isinstance(actual, tuple):
        return len(claimed) == len(actual) and all(same(c, a) for c, a in zip(claimed, actual, strict=True))
    return claimed == actual


def flatten(where: Where) -> Where:
    """Components with options as one dotted key an option, sorted: what `setting` can look up."""
    return tuple(sorted((pair for key, value in where for pair in _flat(key, value)), key=lambda p: p[0]))


def _flat(key: str, value: Value) -> Iterator[tuple[str, Value]]:
    if isinstance(value, Choice):
        yield key, value.name
        for option, inner in value.options:
            yield from _flat(f"{key}.{option}", inner)
    elif isinstance(value, tuple) and any(isinstance(v, Choice) for v in value):
        yield key, tuple(v.name if isinstance(v, Choice) else v for v in value)
        for part in value:
            if isinstance(part, Choice):
                yield from (pair for pair in _flat(f"{key}.{part.short}", part) if pair[0] != f"{key}.{part.short}")
    else:
        yield key, value


def shown(value: Value | Missing) -> str:
    """A value as sentences print it: names in quotes."""
    if isinstance(value, Missing):
        return value.value
    return f"'{value}'" if isinstance(value, str) else format_value(value)


def describe(where: Where) -> str:
    """`attention 'se', attention.reduction 8`."""
    return ", ".join(f"{k} {shown(v)}" for k, v in flatten(where)) or "any row"


def find_cell(study: Study, where: Where, defaults: Defaults | None) -> Cell | str:
    """The one row with these settings, or the sentence that says why there is none."""
    wanted = flatten(where)
    rows = [(c, _differences(c.trials[0].config, wanted, defaults)) for c in study.cells if c.trials]
    matches = [cell for cell, wrong in rows if not wrong]
    if len(matches) == 1:
        return matches[0]
    if matches:
        names = ", ".join(f"'{c.label}'" for c in matches)
        return f"{describe(where)} matches {len(matches)} rows: {names}; name more settings."
    if not rows:
        return "The study has no rows."
    absent = [key for key, _ in wanted if all(key in wrong for _, wrong in rows)]
    if absent:
        return f"The study has other settings: {'; '.join(_absent(k, dict(wanted)[k], rows) for k in absent)}."
    cell, wrong = min(rows, key=lambda row: len(row[1]))
    parts = "; ".join(f"{k}: claimed {shown(dict(wanted)[k])}, there {shown(v)}" for k, v in wrong.items())
    return f"No row has all of {describe(where)}; the nearest is '{cell.label}' ({parts})."


def _differences(config: Config, wanted: Where, defaults: Defaults | None) -> dict[str, Value | Missing]:
    found = {key: setting(config, key, defaults) for key, _ in wanted}
    return {key: found[key] for key, value in wanted if not same(value, found[key])}


def _absent(key: str, claimed: Value, rows: Sequence[tuple[Cell, Mapping[str, Value | Missing]]]) -> str:
    here = list(dict.fromkeys(shown(wrong[key]) for _, wrong in rows))
    return f"{key}: claimed {shown(claimed)}, here {' or '.join(here)}"
