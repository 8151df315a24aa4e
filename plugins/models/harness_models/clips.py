"""What a model for clips asks of its inputs, and where attention sits in it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from torch import nn

from harness.contracts import IO, AttentionFactory
from harness.errors import ConfigError
from harness_models.attach import Attached, own_blocks
from harness_models.places import PLACEMENTS


@dataclass(frozen=True, slots=True)
class ClipShape:
    """One frame as the recurrent layers see it, after `patch` pixels a side have become channels."""

    channels: int
    height: int
    width: int


def clip_shape(io: IO, patch: int) -> ClipShape:
    """Raises ConfigError if the inputs are no clips of one frame size, `patch` does not divide it, or no frames are
    asked for."""
    spec = io.inputs.get("inputs")
    if spec is None or spec.axes != "TCHW" or any(n is None for n in spec.shape[1:]):
        what = "there are none" if spec is None else f"axes '{spec.axes}', shape {spec.shape}"
        raise ConfigError(
            f"a frame predictor reads 'inputs' with axes 'TCHW' and a fixed frame size, and here: {what}",
            hint="choose a dataset of clips of one size, or another model",
        )
    logits = io.outputs.get("logits")
    if logits is None or logits.axes != "TCHW":
        raise ConfigError(
            "a frame predictor gives out 'logits' with axes 'TCHW'; asked for: "
            + (", ".join(io.outputs) if logits is None else f"axes '{logits.axes}'"),
            hint="use `task: video_prediction`, or another model",
        )
    channels, height, width = (int(n) for n in spec.shape[1:] if n is not None)
    if patch < 1 or height % patch or width % patch:
        raise ConfigError(
            f"model: patch is {patch}, and frames are {height}x{width}",
            hint="patch is at least 1 and divides height and width",
        )
    return ClipShape(channels * patch * patch, height // patch, width // patch)


def sites_of(known: Sequence[str], placement: str | Sequence[str]) -> list[str]:
    """The sites of `residual` and `block` (all), `stage` (the last one), or of a list of names and patterns.

    Raises ConfigError for a placement that is not there.
    """
    if isinstance(placement, str):
        if placement not in PLACEMENTS:
            near = difflib.get_close_matches(placement, PLACEMENTS, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(PLACEMENTS)}, or a list of sites"
            raise ConfigError(f"unknown placement '{placement}'", hint)
        return list(known[-1:] if placement == "stage" else known)
    if not placement:
        raise ConfigError("placement is an empty list", hint="name at least one site, or use `attention: none`")
    chosen: set[str] = set()
    for pattern in placement:
        matches = [site for site in known if fnmatchcase(site, str(pattern))]
        if not matches:
            near = difflib.get_close_matches(str(pattern), known, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"sites are {', '.join(known)}"
            raise ConfigError(f"placement: this model has no site '{pattern}'", hint)
        chosen.update(matches)
    return [site for site in known if site in chosen]


def insert(
    net: nn.Module, sites: nn.ModuleDict, places: Mapping[str, tuple[str, int]], factory: AttentionFactory
) -> dict[str, str]:
    """Make one block a place and register it in `sites` and behind its module; {key in `sites`: site}.

    `places` says of each site which module's output it takes, and how many channels that has. Nothing is changed if
    any block cannot be made. Raises ConfigError for a temporal block or a site that is taken.
    """
    added = own_blocks(net, sites, {site: channels for site, (_, channels) in places.items()}, factory, "image")
    for key, site in added.items():
        net.get_submodule(places[site][0]).register_forward_hook(Attached(sites.get_submodule(f"{key}.attention")))
    return added
