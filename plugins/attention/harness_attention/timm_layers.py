"""timm's own attention layers, as they are: y = layer(x), with timm's names, options and defaults.

Source: Wightman 2019, PyTorch Image Models, doi:10.5281/zenodo.4414861, timm.layers.create_attn; each layer's paper
stands in its module there. Differs: nothing is changed in a layer. Left out are options that change the shape
(`stride`, `dim_out`, …), that hold for one size of map (`feat_size`), and that are classes and cannot be written in a
grid (`act_layer`, `norm_layer`).
"""

from __future__ import annotations

import difflib
import functools
import inspect
import types
import typing
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import timm
from timm.layers import GlobalContext, get_attn
from torch import Tensor, nn

from harness.errors import ConfigError

LAYERS = (
    "se",
    "ese",
    "eca",
    "ecam",
    "ceca",
    "ge",
    "gc",
    "gca",
    "cbam",
    "lcbam",
    "coord",
    "scoord",
    "ela",
    "strip",
    "nl",
    "bat",
    "lambda",
    "halo",
)
"""What keeps [B, C, H, W]: gates; `gca`, which adds; and looks of places at places (nl, bat, lambda, halo)."""

REFUSED = {
    "sk": "it is a convolution that chooses between kernels, and stands in a network in place of one",
    "splat": "it is a convolution that weighs groups of its output, and stands in a network in place of one",
    "bottleneck": "its weights hold for one size of map, and the places of a network have several",
}
"""Layers of timm that are no block to put behind another: a gain of them would be that of a further convolution."""

_CHANGES = ("stride", "dim_out", "out_channels", "feat_size", "avg_down", "device", "dtype")
_BASIC = (bool, int, float, str, type(None))


class TimmAttention(nn.Module):
    """An attention layer of timm by its name there.

    `layer`: se, ese, eca, ecam, ceca, ge, gc, gca, cbam, lcbam, coord, scoord, ela, strip gate a map or add to it; nl,
    bat, lambda, halo let places look at places. Further options are the layer's own (`rd_ratio`, `rd_channels`,
    `kernel_size`, `gate_layer`, …), with timm's defaults. `bat` and `halo` cut maps into squares of `block_size` and
    take only maps that these fill. `sk` and `splat` are convolutions and not blocks; `bottleneck` holds for one size of
    map; all three are refused.

    Shapes: x [B, C, H, W] float -> same shape.
    Cost: the layer's.
    Source: timm.layers.create_attn.
    Raises: ConfigError for an unknown or refused layer, options that it cannot be built with, or a map that it does not
    take.
    """

    domain: ClassVar[Literal["image"]] = "image"

    def __init__(self, channels: int, layer: str, **options: Any) -> None:
        super().__init__()
        self.name = layer
        known = {p.name for p in self.takes(layer)}
        for option in options:
            if option not in known:
                near = difflib.get_close_matches(option, known, n=1)
                hint = f"did you mean '{near[0]}'?" if near else f"it takes {', '.join(sorted(known))}"
                raise ConfigError(f"attention 'timm': layer '{layer}' has no option '{option}'", hint)
        try:
            self.layer: nn.Module = get_attn(layer)(channels, **options)
        except Exception as error:  # timm's layers have no errors of their own
            shown = "".join(f", {key}={value}" for key, value in options.items())
            what = f"{type(error).__name__}: {error}".removesuffix(": ")
            raise ConfigError(
                f"attention 'timm': layer '{layer}' cannot be built for {channels} channels{shown}: {what}",
                hint=_hint(layer),
            ) from error
        # `bat` keeps its number one level down, `halo` in itself.
        self.square: int = getattr(getattr(self.layer, "ba", self.layer), "block_size", 0)
        self.gates = _gates(self.layer)

    @staticmethod
    def takes(layer: str) -> Sequence[inspect.Parameter]:
        """The options of a layer that a grid can set, from its signature. Raises ConfigError for an unknown layer."""
        if layer in REFUSED:
            raise ConfigError(
                f"attention 'timm': layer '{layer}' is no block to put behind others: {REFUSED[layer]}",
                hint=f"use one of {', '.join(LAYERS)}; or a model of timm that has it of its own",
            )
        if layer not in LAYERS:
            near = difflib.get_close_matches(layer, LAYERS, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(LAYERS)}"
            raise ConfigError(f"attention 'timm': unknown layer '{layer}'", hint)
        try:
            made: Any = get_attn(layer)
        except AssertionError as error:
            what = f"attention 'timm': timm {timm.__version__} has no layer '{layer}'"
            raise ConfigError(what, hint="install a newer timm") from error
        target, preset = (made.func, made.keywords) if isinstance(made, functools.partial) else (made, {})
        hints = _hints(target)
        found = []
        for parameter in list(inspect.signature(target).parameters.values())[1:]:
            named = parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
            if not named or parameter.name in (*_CHANGES, *preset):
                continue
            annotation = _writable(hints.get(parameter.name, _type_of(parameter.default)))
            if annotation is not None:
                kind = parameter.KEYWORD_ONLY
                found.append(parameter.replace(annotation=annotation, kind=kind))
        return tuple(found)

    def forward(self, x: Tensor) -> Tensor:
        if self.square and (x.shape[-2] % self.square or x.shape[-1] % self.square):
            raise ConfigError(
                f"attention 'timm': layer '{self.name}' cuts maps into squares of {self.square}, and this one is "
                f"{x.shape[-2]}x{x.shape[-1]}",
                hint="set `block_size` to a number that divides every map's height and width",
            )
        y: Tensor = self.layer(x)
        return y


def _hint(layer: str) -> str:
    if layer == "ge":
        return f"timm {timm.__version__} cannot build the MLP and the `extra_params` of `ge`: write use_mlp: false"
    return "set options that fit this number of channels"


def _gates(layer: nn.Module) -> tuple[str, ...]:
    """Paths of the modules whose output is the gate, for controls that exchange gates: timm calls them all `gate`."""
    found = []
    for path, module in layer.named_modules():
        idle = isinstance(module, GlobalContext) and module.mlp_scale is None  # `gca` has a gate and does not use it
        if isinstance(getattr(module, "gate", None), nn.Module) and not idle:
            found.append(f"layer.{path}.gate" if path else "layer.gate")
    return tuple(found)


def _hints(target: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(target.__init__)
    except Exception:  # an annotation that cannot be evaluated here: types are then read from the defaults
        return {}


def _type_of(default: Any) -> Any:
    """The type of an option without annotation, from its default."""
    return type(default) if type(default) in (bool, int, float, str) else int | None if default is None else Any


def _writable(annotation: Any) -> Any:
    """The part of an annotation that a grid can write: a class beside a name is left out; None: nothing remains."""
    if annotation in _BASIC:
        return annotation
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        parts = [_writable(part) for part in typing.get_args(annotation)]
        kept = [part for part in parts if part is not None]
        if not [part for part in kept if part is not type(None)]:
            return None
        return functools.reduce(lambda a, b: a | b, kept)
    return None
