"""The row that a model asks for beside itself: another model, without which nothing can be said about its own part."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ..errors import HarnessError
from ..trial import Choice, Recipe, Value, digest, to_plain
from . import tree
from .components import Part, Parts, same

KIND = "model"
GROUP = "attention"
"""The group of weights that a model without attention does not have."""


def control_of(parts: Parts, base: Mapping[str, Part], taken: set[str]) -> dict[str, Part] | None:
    """The parts of the control's row, made from those of the base row; None where no control is asked for.

    A model's target names its control in an attribute `control`. The control has the options that both have and no
    attention. `taken`: the models that already have a row.
    """
    model = base[KIND]
    try:
        name = getattr(parts.registry.get(KIND, model.value.name).load(), "control", "")
        if not isinstance(name, str) or not name or name in taken or name not in parts.registry.names(KIND):
            return None
        known = parts.options(KIND, name)
    except HarnessError:  # a plugin that cannot be loaded is reported where it is named
        return None
    shared = {k: v for k, v in model.value.options if k in known and not same(v, known[k].default)}
    sources = ((f"{KIND} {name}", parts.naming.source(parts.registry.get(KIND, name))), *_files(model, name, shared))
    chosen = Part(Choice.of(name, **shared), sources, digest(to_plain(Choice.of(name, **shared))), {})
    nothing, plain = Choice(tree.NONE), tree.PLACEMENT
    recipe = _without_attention(base["train"].value)
    if recipe is None:
        return None
    train = dataclasses.replace(base["train"], value=recipe, digest=digest(to_plain(recipe)))
    row = {**base, "train": train, KIND: chosen, "attention": Part(nothing, (), digest(to_plain(nothing)), {})}
    return {**row, "placement": Part(plain, (), digest(to_plain(plain)), {})}


def settings_of(settings: Mapping[str, Value], row: Mapping[str, Part]) -> dict[str, Value]:
    """What the control's row stands at on the axes of the study."""
    found: dict[str, Value] = {}
    for key, value in settings.items():
        head, _, rest = key.partition(".")
        if key == KIND:
            found[key] = row[KIND].value if row[KIND].value.options else row[KIND].value.name
        elif key == "attention":
            found[key] = tree.NONE
        elif head == KIND:
            if rest in row[KIND].value.as_dict():
                found[key] = value
        elif head not in ("attention", "placement"):
            found[key] = value
    return found


def _without_attention(recipe: Recipe) -> Recipe | None:
    """The recipe of a row that has no attention to freeze or train; None if a stage trained nothing else."""
    stages = []
    for stage in recipe.stages:
        freeze, only = (tuple(n for n in names if n != GROUP) for names in (stage.freeze, stage.train_only))
        if stage.train_only and not only:
            return None
        stages.append(dataclasses.replace(stage, freeze=freeze, train_only=only))
    return dataclasses.replace(recipe, stages=tuple(stages))


def _files(model: Part, name: str, shared: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Hashes of files that an option names are part of the id, under the control's own name."""
    before = f"{KIND} {model.value.name} "
    found = ((what.removeprefix(before), content) for what, content in model.sources if what.startswith(before))
    return tuple((f"{KIND} {name} {option}", content) for option, content in found if option in shared)
