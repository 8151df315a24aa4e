"""Models: what is declared comes out, with no attention and with any; names for freezing and for places hold."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from .attention import independent
from .findings import Broken
from .made import Form
from .modules import COMPILERS, WEIGHTS, Case, Tensors, finite, moved, same
from .places import attention, sites
from .running import Check, Subject, told
from .served import Served, own_data, served_by
from .shown import Shown, build, case_of, heads, served, trained

ITEMS = 4


def _shown(subject: Subject, more: Sequence[Form] | None = None) -> tuple[list[Shown], list[str]]:
    """All that registered tasks make of the kit's data, or of `more`."""
    found: list[Shown] = []
    left: list[str] = []
    for component in subject.registry.components("task"):
        if any(o.required and o.name not in component.example for o in component.options()):
            continue
        try:
            served, _ = served_by(functools.partial(component.load(), **component.example), more)
            found += [Shown(f"{component.name} on {s.form.name}", s.io, _batch(s)) for s in served]
        except Exception as error:  # another plugin's task is no fault of this model
            left.append(f"{component.name}: {told(error)}")
    return found, left


def _batch(served: Served) -> Tensors:
    _, batch = next(served.batches(ITEMS))
    return dict(served.task.present(batch))


def _builds(subject: Subject) -> str:
    subject.chosen()
    found, left = _shown(subject)
    serves, refused = _served(subject, found)
    if not serves:
        more, also = _shown(subject, own_data(subject.component, subject.registry))
        serves, also_refused = _served(subject, more)
        refused, left = [*refused, *also_refused], [*left, *also]
    if not serves:
        raise Broken("it serves no task that is known here: " + "; ".join([*refused, *left]))
    subject.kept["serves"] = serves
    subject.kept["case"] = case_of(subject, serves[0])
    return ", ".join(s.name for s in serves)


def _served(subject: Subject, found: Sequence[Shown]) -> tuple[list[Shown], list[str]]:
    """Those that the model can be built and run for, and why not for the others."""
    serves, refused = [], []
    for shown in found:
        try:
            model = build(subject, shown.io).eval()
            with torch.no_grad():
                model(shown.batch)
        except Broken:
            raise
        except Exception as error:  # few models refuse in words what is not for them
            refused.append(f"{shown.name}: {told(error)}")
            continue
        serves.append(shown)
    return serves, refused


def _outputs(subject: Subject) -> str:
    seen = []
    for shown in served(subject):
        for training in (False, True):
            output = heads(build(subject, shown.io).train(training)(shown.batch), shown.io)
            for head, spec in shown.io.outputs.items():
                value, length = output[head], next(iter(shown.batch.values())).shape
                wanted = [length[0], *(length[1] if n is None else n for n in spec.shape)]
                dtype = str(value.dtype).removeprefix("torch.")
                if list(value.shape) != wanted or dtype != spec.dtype:
                    raise Broken(
                        f"for {shown.name}, '{head}' is {dtype} {list(value.shape)}, and declared {spec.dtype} {wanted}"
                    )
                seen.append(f"{head} {dtype} {wanted}")
            finite(output, f"the output for {shown.name}")
    return ", ".join(dict.fromkeys(seen))


def _none(subject: Subject) -> str:
    told_of = []
    for shown in served(subject):
        model = build(subject, shown.io).train()
        told_of.append(trained(model, shown, "without attention"))
    return ", ".join(told_of)


def _groups(subject: Subject) -> str:
    names: list[str] = []
    for shown in served(subject):
        model: Any = build(subject, shown.io)
        own = {id(p): n for n, p in model.named_parameters()}
        groups = dict(model.groups())
        if not groups:
            raise Broken("`groups()` names nothing")
        held: dict[str, set[int]] = {}
        for name, module in groups.items():
            if not isinstance(module, nn.Module):
                raise Broken(f"group '{name}' is a {type(module).__name__}, and no torch module")
            held[name] = {id(p) for p in module.parameters()}
            if held[name] - own.keys():
                raise Broken(f"group '{name}' holds weights that the model does not have")
        for name, inside in held.items():
            above = name.rpartition(".")[0]
            if above in held and inside - held[above]:
                raise Broken(f"'{own[min(inside - held[above])]}' is in group '{name}' and not in '{above}'")
        left = own.keys() - set().union(*held.values())
        if left:
            raise Broken(f"no group holds '{own[min(left)]}'")
        names += groups
    return ", ".join(dict.fromkeys(names))


def _prefix(subject: Subject) -> str:
    fronts = []
    for shown in served(subject):
        model: Any = build(subject, shown.io).eval()
        front = model.prefix()
        if front is None:
            continue
        group, key_in, key_out = front
        if group not in model.groups() or key_in not in shown.io.inputs:
            raise Broken(f"it is ({group}, {key_in}, {key_out}), and group or input is not there")
        frames = shown.batch[key_in]
        with torch.no_grad():
            features = model.groups()[group](frames.flatten(0, 1))
            if features.ndim != 2 or len(features) != frames.shape[0] * frames.shape[1]:
                raise Broken(f"'{group}' maps {list(frames.flatten(0, 1).shape)} to {list(features.shape)}, not [N, D]")
            rest = {k: v for k, v in shown.batch.items() if k != key_in}
            cached = model({**rest, key_out: features.unflatten(0, frames.shape[:2])})
            same(heads(model(shown.batch), shown.io), heads(cached, shown.io), "outputs of frames and of features")
        fronts.append(f"({group}, {key_in}, {key_out})")
    return ", ".join(dict.fromkeys(fronts)) or "none"


def _independent(subject: Subject) -> str:
    case: Case = subject.kept["case"]
    return independent(case, moved(case))


MODEL = (
    Check(
        "builds",
        "a model is called as target(io, **options) with what a task reads and writes",
        "build every layer from `io`, and raise harness.errors.ConfigError for inputs that are not for it; a plugin "
        "may bring a task and a dataset for it, which are then used here",
        _builds,
        gate=True,
    ),
    Check(
        "outputs",
        "losses and metrics read the heads that the task declares, in float32",
        "return {'logits': x.float()} with the declared shape, in both modes",
        _outputs,
    ),
    Check("none", "`attention: none` is the row that all others are compared with", "look at the forward pass", _none),
    Check(
        "sites",
        "placements name where attention sits, and equal names start from equal weights in all rows of a seed",
        "call factory(channels, site=NAME) once for each place, keep the blocks under names that end in '.attention', "
        "return the names, and raise ConfigError for an unknown place",
        sites,
    ),
    Check(
        "attention",
        "a study compares many blocks in one model",
        "hand a block what its domain takes: maps [B, C, H, W], or [B, T, C] with the mask",
        attention,
    ),
    Check(
        "groups",
        "stages of training freeze and train groups by name",
        "let each weight be in a group, and in 'a' if it is in 'a.b'",
        _groups,
    ),
    Check(
        "prefix",
        "features of a frozen front are computed once and stand in for its frames",
        "return None, or (group, key in, key out) with groups()[group] mapping frames [N, C, H, W] to features [N, D]",
        _prefix,
    ),
    Check(
        "independent",
        "test numbers would depend on the order and the size of batches",
        "take no mean over the batch in evaluation mode, and none over padding",
        _independent,
    ),
    *WEIGHTS,
    *COMPILERS,
)
