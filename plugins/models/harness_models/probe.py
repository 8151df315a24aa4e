"""What a module really gives out: measured with one small forward pass instead of guessed from class names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from harness.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Seen:
    """One module in one forward pass: `order` of its last return, number of `calls`, `shape` if it gave one tensor."""

    order: int
    calls: int
    shape: tuple[int, ...] | None


def channels_of(net: nn.Module, sites: Sequence[str], shape: tuple[int, int, int]) -> dict[str, int]:
    """Channels of the feature map [B, C, H', W'] that each named module gives out, in the order of execution.

    `shape` is the (C, H, W) of one input. Parameters, buffers, training modes, hooks and random streams are left as
    they were. Raises ConfigError for a module that is not run exactly once, or gives out anything but one such map.
    """
    seen = _run(net, sites, shape)
    taller: list[Mapping[str, Seen]] = []

    def second_look() -> Mapping[str, Seen]:
        if not taller:
            taller.append(_try_taller(net, sites, shape))
        return taller[0]

    found = {}
    for site in sorted(seen, key=lambda s: seen[s].order):
        _check(net, site, seen[site], shape, second_look)
        size = seen[site].shape
        if size is not None:
            found[site] = size[1]
    return found


def feature_size(net: nn.Module, shape: tuple[int, int, int]) -> int:
    """D of a network that turns one input of `shape` (C, H, W) into features [N, D]; leaves it as `channels_of` does.

    Raises ConfigError if it gives out anything else.
    """
    seen = _run(net, [""], shape)[""].shape
    if seen is None or len(seen) != 2:
        raise ConfigError(
            f"{type(net).__name__} gives out {'no single tensor' if seen is None else _sizes(seen)}, not features "
            "[N, D]",
            hint="choose an architecture that pools its feature map",
        )
    return seen[1]


def _check(
    net: nn.Module, site: str, seen: Seen, shape: tuple[int, int, int], second_look: Callable[[], Mapping[str, Seen]]
) -> None:
    name = type(net).__name__
    if seen.calls != 1:
        raise ConfigError(
            f"'{site}' of {name} is run {seen.calls} times in a forward pass, so no attention can be attached to it",
            hint="name a module that is run exactly once, such as a block or a stage",
        )
    if seen.shape is None or len(seen.shape) != 4:
        what = "no single tensor" if seen.shape is None else _sizes(seen.shape)
        raise ConfigError(
            f"'{site}' of {name} gives out {what}, not a feature map [B, C, H, W]",
            hint="image attention needs a convolutional architecture (resnet18, convnext_atto, …); "
            "use `attention: none` with this one",
        )
    layout = _layout(site, seen.shape, shape, second_look)
    if layout is None and getattr(net, "output_fmt", None) is not None:
        layout = str(getattr(net.output_fmt, "value", net.output_fmt)).upper()
    if layout != "NCHW":
        what = "a map with channels last" if layout == "NHWC" else "a map whose channel axis cannot be told"
        raise ConfigError(
            f"'{site}' of {name} gives out {what} ({_sizes(seen.shape)}), not [B, C, H, W]",
            hint="choose another site or a convolutional architecture, or use `attention: none`",
        )


def _layout(
    site: str, size: tuple[int, ...], shape: tuple[int, int, int], second_look: Callable[[], Mapping[str, Seen]]
) -> str | None:
    """NCHW, NHWC or None (cannot be told). Square inputs make square maps, which mostly settles it."""
    _, a, b, c = size
    if shape[1] == shape[2] and (b == c) != (a == b):
        return "NCHW" if b == c else "NHWC"
    # The axis that grows with the height of the input is the height.
    other = second_look().get(site)
    if other is None or other.shape is None or len(other.shape) != 4:
        return None
    grown = [i for i in (1, 2) if other.shape[i] > size[i]]
    if len(grown) != 1:
        return None
    return "NHWC" if grown == [1] else "NCHW"


def _try_taller(net: nn.Module, sites: Sequence[str], shape: tuple[int, int, int]) -> Mapping[str, Seen]:
    try:
        return _run(net, sites, (shape[0], 2 * shape[1], shape[2]))
    except ConfigError:  # made for one input size: nothing to be learnt this way
        return {}


def _run(net: nn.Module, sites: Sequence[str], shape: tuple[int, int, int]) -> dict[str, Seen]:
    seen = {site: Seen(-1, 0, None) for site in sites}
    count = 0

    def watch(site: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(_module: nn.Module, _args: Any, output: Any) -> None:
            nonlocal count
            size = tuple(output.shape) if isinstance(output, Tensor) else None
            seen[site] = Seen(count, seen[site].calls + 1, size)
            count += 1

        return hook

    example = next((p for p in net.parameters() if p.is_floating_point()), torch.empty(0))
    handles = [net.get_submodule(site).register_forward_hook(watch(site)) for site in sites]
    devices = [example.device] if example.device.type == "cuda" else []
    try:
        with _evaluating(net), torch.no_grad(), torch.random.fork_rng(devices=devices):
            net(torch.zeros((1, *shape), dtype=example.dtype, device=example.device))
    except (RuntimeError, ValueError, AssertionError) as error:
        raise ConfigError(
            f"{type(net).__name__} cannot read one input of shape {_sizes(shape)}: {error}",
            hint="choose an architecture for this input size, or resize the images",
        ) from error
    finally:
        for handle in handles:
            handle.remove()
    return seen


@contextmanager
def _evaluating(net: nn.Module) -> Iterator[None]:
    # Module by module: a frozen batch norm may be in evaluation mode inside a network in training mode.
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def _sizes(shape: Sequence[int]) -> str:
    return "x".join(str(n) for n in shape)
