"""Attention put behind modules of a finished network, without changing a name or a weight of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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
    if factory.domain != "image":
        raise ConfigError(
            f"{type(net).__name__} takes image attention, and this block is for domain '{factory.domain}'",
            hint="choose an attention block that keeps [B, C, H, W]",
        )
    by_module = {place.module: place for place in places}
    made: dict[str, tuple[Place, nn.Module]] = {}
    for module, channels in channels_of(net, list(by_module), shape).items():
        place = by_module[module]
        key = place.site.replace(".", "_")
        if key in sites or key in made:
            raise ConfigError(
                f"placement: the site '{place.site}' is taken",
                hint="attach one block a site; a block of your own may combine several",
            )
        made[key] = (place, _like(net, factory(channels, site=place.site)))
    for key, (place, attention) in made.items():
        sites[key] = Site(attention).train(net.training)
        net.get_submodule(place.module).register_forward_hook(Attached(attention))
    return {key: place.site for key, (place, _) in made.items()}


def _like(net: nn.Module, attention: nn.Module) -> nn.Module:
    example = next((p for p in net.parameters() if p.is_floating_point()), torch.empty(0))
    return attention.to(device=example.device, dtype=example.dtype)
