"""Attention in a model: named sites, blocks that run, any block of its domain."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from ..errors import ConfigError
from .blocks import GATES, Maker, make_block
from .findings import Broken, NotChecked
from .modules import tensors_of
from .running import Subject, told
from .shown import Shown, build, case_of, served, trained

PLACEMENTS = ("residual", "block", "stage")


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
            _each_runs(model, shown, maker.made)
            told_of.append(f"{placement} {len(sites)}")
        _refuses(subject, shown)
    return ", ".join(dict.fromkeys(told_of))


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
        model.attach(Maker(domain, functools.partial(make_block, shipped, component.name, options={})), "stage")
        what = f"with '{component.name}'{' around the gate of the kit' if wraps else ''}"
        trained(model.train(), shown, what)
        tried.append(component.name)
    return f"{len(tried)} blocks: {', '.join(tried)}"
