"""Attention put behind modules of a finished network, without changing a name or a weight of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from harness.contracts import AttentionFactory
from harness.errors import ConfigError
from harness_models.places import Place
from harness_models.probe import channels_of


class Attached:
    """A forward hook that passes a module's output through attention.

    An object and not a closure: `copy.deepcopy` copies it together with the model, so that the copy (an average of
    the weights, for instance) runs its own attention instead of the original's.
    """

    def __init__(self, attention: nn.Module) -> None:
        self.attention = attention

    def __call__(self, module: nn.Module, args: Any, output: Tensor) -> Tensor:
        attended: Tensor = self.attention(output)
        return attended


class Site(nn.Module):
    """Owns one attention block under the name `.attention`; the network's own modules get no new child.

    Many networks run whatever children they have, so a block registered inside one would be run twice.
    """

    def __init__(self, attention: nn.Module) -> None:
        super().__init__()
        self.attention = attention


def attach_all(
    net: nn.Module,
    sites: nn.ModuleDict,
    places: Sequence[Place],
    factory: AttentionFactory,
    shape: tuple[int, int, int],
) -> dict[str, str]:
    """Make one block a place and register it in `sites` and behind its module; {key in `sites`: site}, in model order.

    `shape` is the (C, H, W) of one input. Blocks are made in the order in which the network runs them. Nothing is
    changed if any of them cannot be made. Raises ConfigError for a temporal block or a place without feature map.
    """
    require_domain(net, factory, "image")
    by_module = {place.module: place for place in places}
    found = channels_of(net, list(by_module), shape)
    added = own_blocks(net, sites, {by_module[module].site: n for module, n in found.items()}, factory, "image")
    for module in found:
        block = sites.get_submodule(f"{key_of(by_module[module].site)}.attention")
        net.get_submodule(module).register_forward_hook(Attached(block))
    return added


def own_blocks(
    net: nn.Module,
    sites: nn.ModuleDict,
    channels: Mapping[str, int],
    factory: AttentionFactory,
    domain: Literal["image", "temporal"],
) -> dict[str, str]:
    """Make one block a site and register it in `sites`, in the order of `channels`; {key in `sites`: site}.

    Nothing is changed if any of them cannot be made. Raises ConfigError for a block of another domain or a site that
    is taken.
    """
    require_domain(net, factory, domain)
    made: dict[str, nn.Module] = {}
    for site, n in channels.items():
        key = key_of(site)
        if key in sites or key in made:
            raise ConfigError(
                f"placement: the site '{site}' is taken",
                hint="attach one block a site; a block of your own may combine several",
            )
        made[key] = _like(net, factory(n, site=site))
    for key, block in made.items():
        sites[key] = Site(block).train(net.training)
    return dict(zip(made, channels, strict=True))


def key_of(site: str) -> str:
    """The name of a site among modules, where a dot cannot stand."""
    return site.replace(".", "_")


def require_domain(net: nn.Module, factory: AttentionFactory, domain: Literal["image", "temporal"]) -> None:
    """Raises ConfigError for a block that keeps another shape than `net` gives it."""
    if factory.domain != domain:
        shape = "[B, C, H, W]" if domain == "image" else "[B, T, C] and reads a mask"
        raise ConfigError(
            f"{type(net).__name__} takes {domain} attention, and this block is for domain '{factory.domain}'",
            hint=f"choose an attention block that keeps {shape}",
        )


def _like(net: nn.Module, attention: nn.Module) -> nn.Module:
    example = next((p for p in net.parameters() if p.is_floating_point()), torch.empty(0))
    return attention.to(device=example.device, dtype=example.dtype)
