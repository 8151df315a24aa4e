"""Attention in a model: named sites, blocks that run and count, any block of its domain."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import ConfigError
from .blocks import GATES, Maker, make_block
from .findings import Broken, NotChecked
from .modules import backward, tensors_of
from .running import Subject, told
from .shown import Shown, build, case_of, heads, served, trained

PLACEMENTS = ("residual", "block", "stage")
PASSES = 4
"""In training, so that dropout and stochastic depth do not hide a block."""


def _attach(subject: Subject, shown: Shown, placement: str | Sequence[str]) -> tuple[Any, Maker, list[str]]:
    """A model with the kit's gate of the domain that it takes; remembered by what it serves."""
    refused = []
    for domain in (subject.kept.get(f"domain/{shown.name}"), *GATES):
        if domain is None:
            continue
        model: Any = build(subject, shown.io)
        maker = Maker(domain, GATES[domain])
        try:
            sites = list(model.attach(maker, placement))
        except ConfigError as error:
            refused.append(f"{domain}: {error.message}")
            continue
        subject.kept[f"domain/{shown.name}"] = domain
        return model, maker, sites
    raise Broken(f"it takes no attention at '{placement}': " + "; ".join(dict.fromkeys(refused)))


def sites(subject: Subject) -> str:
    told_of = []
    for shown in served(subject):
        for placement in PLACEMENTS:
            plain = tensors_of(case_of(subject, shown).build())
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
            _each_counts(model, shown, maker.made)
            told_of.append(f"{placement} {len(sites)}")
        _refuses(subject, shown)
    return ", ".join(dict.fromkeys(told_of))


def _named(sites: Sequence[Any], placement: str) -> None:
    if not sites or not all(isinstance(s, str) and s for s in sites):
        raise Broken(f"attached at '{placement}', it names no sites: {sites!r}")
    if len(set(sites)) != len(sites):
        raise Broken(f"attached at '{placement}', two sites have one name: {', '.join(sites)}")


def _each_counts(model: nn.Module, shown: Shown, blocks: Sequence[nn.Module]) -> None:
    """Every block runs, and the outputs hang on its result, in both modes.

    That is seen by the gradient of a zero which is added to each result: a result that is thrown away, multiplied by
    zero or detached has none. Weights of zero, such as those of the last norm of a branch, are made noise first, as
    they hide what lies before them. In training, where dropout may hide a block, one of a few passes is enough.
    """
    with torch.no_grad():
        for parameter in (p for p in model.parameters() if not bool(p.any())):
            parameter.normal_(std=0.1)
    for training in (False, True):
        ran: set[int] = set()
        counted: set[int] = set()
        for _ in range(PASSES if training else 1):
            added = _added(model.train(training), shown, blocks)
            ran |= added.keys()
            counted |= {key for key, gradients in added.items() if any(bool(g.any()) for g in gradients)}
            if len(counted) == len(blocks):
                break
        mode = "training" if training else "evaluation"
        if len(ran) != len(blocks):
            raise Broken(f"in {mode} mode, forward runs {len(ran)} of {len(blocks)} blocks")
        if len(counted) != len(blocks):
            lost = len(blocks) - len(counted)
            raise Broken(f"in {mode} mode, forward runs {len(blocks)} blocks, and no output hangs on {lost} of them")


def _added(model: nn.Module, shown: Shown, blocks: Sequence[nn.Module]) -> dict[int, list[Tensor]]:
    """For each block that runs, the gradient of a random sum of the outputs towards each result that it gives."""
    zeros: list[tuple[int, Tensor]] = []

    def add(block: nn.Module, inputs: Any, result: Tensor) -> Tensor:
        zeros.append((id(block), torch.zeros_like(result, requires_grad=True)))
        return result + zeros[-1][1]

    handles = [block.register_forward_hook(add) for block in blocks]
    try:
        output = heads(model(shown.batch), shown.io)
    finally:
        for handle in handles:
            handle.remove()
    total = torch.stack([(v * torch.randn_like(v)).sum() for v in output.values() if v.is_floating_point()]).sum()
    if total.requires_grad:
        backward(total)
    found: dict[int, list[Tensor]] = {}
    for block, zero in zeros:
        found.setdefault(block, []).append(torch.zeros_like(zero) if zero.grad is None else zero.grad)
    return found


def _refuses(subject: Subject, shown: Shown) -> None:
    domain = subject.kept[f"domain/{shown.name}"]
    model: Any = build(subject, shown.io)
    try:
        model.attach(Maker(domain, GATES[domain]), ["no such place"])
    except ConfigError:
        return
    except Exception as error:
        raise Broken(f"a place that is not there is no ConfigError, but {told(error)}") from error
    raise Broken("it attaches at a place that is not there")


def attention(subject: Subject) -> str:
    from ..discovery import load

    shipped = load(third_party=False).registry
    tried = []
    shown = served(subject)[0]
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
        model: Any = build(subject, shown.io)
        model.attach(
            Maker(domain, functools.partial(make_block, shipped, component.name, options=component.example)), "stage"
        )
        what = f"with '{component.name}'{' around the gate of the kit' if wraps else ''}"
        trained(model.train(), shown, what)
        tried.append(component.name)
    return f"{len(tried)} blocks: {', '.join(tried)}"
