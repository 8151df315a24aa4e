"""Models: what is declared comes out, with no attention and with any; names for freezing and for places hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..contracts import IO
from ..data import without_initial_weights
from ..errors import ConfigError
from .attention import Gate, Maker, independent, make_block
from .findings import Broken, NotChecked
from .made import Form
from .modules import COMPILERS, WEIGHTS, Case, Tensors, finite, moved, same, tensors_of, total
from .running import Check, Subject, told
from .tasks import Served, own_data, served_by

ITEMS = 4
PLACEMENTS = ("residual", "block", "stage")


class TemporalGate(nn.Module):
    """The kit's own block for sequences: y = x * sigmoid(W x + b), 0 under padding."""

    domain = "temporal"

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, channels)
        self.gate = nn.Sigmoid()

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        y: Tensor = x * self.gate(self.linear(x))
        return y if mask is None else y.masked_fill(~mask[..., None], 0)


GATES: Mapping[str, type[nn.Module]] = {"image": Gate, "temporal": TemporalGate}


@dataclass(frozen=True, slots=True)
class Shown:
    """A model's inputs and outputs, by a task and its data, and a batch as the task shows it."""

    name: str
    io: IO
    batch: Tensors


def _shown(subject: Subject, more: Sequence[Form] | None = None) -> tuple[list[Shown], list[str]]:
    """All that registered tasks make of the kit's data, or of `more`."""
    found: list[Shown] = []
    left: list[str] = []
    for component in subject.registry.components("task"):
        if any(o.required and o.name not in component.example for o in component.options()):
            continue
        try:
            served, _ = served_by(lambda c=component: c.load()(**c.example), more)
            found += [Shown(f"{component.name} on {s.form.name}", s.io, _batch(s)) for s in served]
        except Exception as error:  # another plugin's task is no fault of this model
            left.append(f"{component.name}: {told(error)}")
    return found, left


def _batch(served: Served) -> Tensors:
    _, batch = next(served.batches(ITEMS))
    return dict(served.task.present(batch))


def _build(subject: Subject, io: IO) -> nn.Module:
    # Weights are replaced where they matter; a check needs no download.
    with without_initial_weights():
        model = subject.component.load()(io, **subject.chosen())
    if not isinstance(model, nn.Module):
        raise Broken(f"built, it is a {type(model).__name__}, and no torch.nn.Module")
    return model


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
    subject.kept["case"] = _case_of(subject, serves[0])
    return ", ".join(s.name for s in serves)


def _served(subject: Subject, found: Sequence[Shown]) -> tuple[list[Shown], list[str]]:
    """Those that the model can be built and run for, and why not for the others."""
    serves, refused = [], []
    for shown in found:
        try:
            model = _build(subject, shown.io).eval()
            with torch.no_grad():
                model(shown.batch)
        except Broken:
            raise
        except Exception as error:  # few models refuse in words what is not for them
            refused.append(f"{shown.name}: {told(error)}")
            continue
        serves.append(shown)
    return serves, refused


def _serves(subject: Subject) -> list[Shown]:
    found: list[Shown] = subject.kept["serves"]
    return found


def _heads(output: Any, io: IO) -> dict[str, Tensor]:
    if not isinstance(output, Mapping):
        raise Broken(f"forward gives a {type(output).__name__}, and no mapping of heads")
    missing = [head for head in io.outputs if head not in output]
    if missing:
        raise Broken(f"forward gives {', '.join(output) or 'nothing'}, and not '{missing[0]}', which the task reads")
    return {head: output[head] for head in io.outputs}


def _outputs(subject: Subject) -> str:
    seen = []
    for shown in _serves(subject):
        for training in (False, True):
            output = _heads(_build(subject, shown.io).train(training)(shown.batch), shown.io)
            for head, spec in shown.io.outputs.items():
                value, length = output[head], next(iter(shown.batch.values())).shape
                wanted = [length[0], *(length[1] if n is None else n for n in spec.shape)]
                dtype = str(value.dtype).removeprefix("torch.")
                if list(value.shape) != wanted or dtype != spec.dtype:
                    raise Broken(
                        f"for {shown.name}, '{head}' is {dtype} {list(value.shape)}, and declared is {spec.dtype} {wanted}"
                    )
                seen.append(f"{head} {dtype} {wanted}")
            finite(output, f"the output for {shown.name}")
    return ", ".join(dict.fromkeys(seen))


def _none(subject: Subject) -> str:
    told_of = []
    for shown in _serves(subject):
        model = _build(subject, shown.io).train()
        told_of.append(_trained(model, shown, "without attention"))
    return ", ".join(told_of)


def _trained(model: nn.Module, shown: Shown, what: str) -> str:
    output = _heads(model(shown.batch), shown.io)
    finite(output, f"the output {what}")
    total(output).backward()
    grads = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    finite(grads, f"a gradient {what}")
    if not any(bool((g != 0).any()) for g in grads.values()):
        raise Broken(f"{what}, no parameter gets a gradient")
    return f"{len(grads)} of {sum(1 for _ in model.parameters())} parameters train"


def _groups(subject: Subject) -> str:
    names: list[str] = []
    for shown in _serves(subject):
        model: Any = _build(subject, shown.io)
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


def _attach(subject: Subject, shown: Shown, placement: str | Sequence[str]) -> tuple[Any, Maker, list[str]]:
    """A model with the kit's gate of the domain that it takes; remembered by what it serves."""
    refused = []
    for domain in (subject.kept.get(f"domain/{shown.name}"), *GATES):
        if domain is None:
            continue
        model: Any = _build(subject, shown.io)
        maker = Maker(domain, GATES[domain])
        try:
            sites = list(model.attach(maker, placement))
        except ConfigError as error:
            refused.append(f"{domain}: {error.message}")
            continue
        subject.kept[f"domain/{shown.name}"] = domain
        return model, maker, sites
    raise Broken(f"it takes no attention at '{placement}': " + "; ".join(dict.fromkeys(refused)))


def _sites(subject: Subject) -> str:
    told_of = []
    for shown in _serves(subject):
        for placement in PLACEMENTS:
            plain = tensors_of(_case_of(subject, shown).build())
            model, maker, sites = _attach(subject, shown, placement)
            _named(sites, placement)
            after = tensors_of(model)
            kept = set(plain) - set(after)
            if kept:
                raise Broken(f"with attention, '{min(kept)}' has another name")
            blocks = {n: m for n, m in model.named_modules() if n.endswith(".attention")}
            lost = [m for m in maker.made if not any(m is block for block in blocks.values())]
            if lost or len(maker.made) != len(sites):
                raise Broken(f"{len(maker.made)} blocks were made for {len(sites)} sites; names end in '.attention'")
            _each_runs(model, shown, maker.made)
            told_of.append(f"{placement} {len(sites)}")
        _refuses(subject, shown)
    return ", ".join(dict.fromkeys(told_of))


def _case_of(subject: Subject, shown: Shown) -> Case:
    return Case(lambda: _build(subject, shown.io), shown.batch, lambda m, b: _heads(m(b), shown.io), inner=False)


def _named(sites: Sequence[Any], placement: str) -> None:
    if not sites or not all(isinstance(s, str) and s for s in sites):
        raise Broken(f"attached at '{placement}', it names no sites: {sites!r}")
    if len(set(sites)) != len(sites):
        raise Broken(f"attached at '{placement}', two sites have one name: {', '.join(sites)}")


def _each_runs(model: nn.Module, shown: Shown, blocks: Sequence[nn.Module]) -> None:
    seen: set[int] = set()
    handles = [b.register_forward_hook(lambda m, a, o: seen.add(id(m))) for b in blocks]
    with torch.no_grad():
        model.eval()(shown.batch)
    for handle in handles:
        handle.remove()
    if len(seen) != len(blocks):
        raise Broken(f"forward runs {len(seen)} of {len(blocks)} blocks")


def _refuses(subject: Subject, shown: Shown) -> None:
    domain = subject.kept[f"domain/{shown.name}"]
    model: Any = _build(subject, shown.io)
    try:
        model.attach(Maker(domain, GATES[domain]), ["no such place"])
    except ConfigError:
        return
    except Exception as error:
        raise Broken(f"a place that is not there is no ConfigError, but {told(error)}") from error
    raise Broken("it attaches at a place that is not there")


def _attention(subject: Subject) -> str:
    from ..discovery import load

    shipped = load(third_party=False).registry
    tried = []
    shown = _serves(subject)[0]
    try:
        _attach(subject, shown, "stage")
    except Broken as broken:
        raise NotChecked(str(broken)) from broken
    domain = subject.kept[f"domain/{shown.name}"]
    for component in shipped.components("attention"):
        wraps = any(o.name == "of" for o in component.options())
        own = getattr(component.load(), "domain", "image")
        if own != domain and not (own == "any" and domain == "image"):
            continue
        make = lambda channels, n=component.name: make_block(shipped, n, channels, {})  # noqa: E731
        model: Any = _build(subject, shown.io)
        model.attach(Maker(domain, make), "stage")
        what = f"with '{component.name}'{' around the gate of the kit' if wraps else ''}"
        _trained(model.train(), shown, what)
        tried.append(component.name)
    return f"{len(tried)} blocks: {', '.join(tried)}"


def _prefix(subject: Subject) -> str:
    fronts = []
    for shown in _serves(subject):
        model: Any = _build(subject, shown.io).eval()
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
            same(_heads(model(shown.batch), shown.io), _heads(cached, shown.io), "outputs of frames and of features")
        fronts.append(f"({group}, {key_in}, {key_out})")
    return ", ".join(dict.fromkeys(fronts)) or "none"


def _independent(subject: Subject) -> str:
    case: Case = subject.kept["case"]
    return independent(case, moved(case))


MODEL = (
    Check(
        "builds",
        "a model is called as target(io, **options) with what a task reads and writes",
        "build every layer from `io`, and raise harness.errors.ConfigError for inputs that are not for it; a plugin may "
        "bring a task and a dataset for it, which are then used here",
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
        _sites,
    ),
    Check(
        "attention",
        "a study compares many blocks in one model",
        "hand a block what its domain takes: maps [B, C, H, W], or [B, T, C] with the mask",
        _attention,
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
