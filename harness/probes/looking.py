"""What attention blocks get and give, and where an image classifier looks.

Grad-CAM: Selvaraju et al. 2017, arXiv:1610.02391, eq. 1 and 2, computed by captum's LayerGradCam.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import ConfigError
from ..pixels import enlarged

Array = np.ndarray[Any, Any]
TINY = 1e-12
OPACITY = 0.6
"""Of the colour where the heat is 1."""


def block_of(model: nn.Module, site: str) -> nn.Module:
    """The attention block of a site: the module `<site>.attention`, dots of the site kept or written as underscores.

    Raises ConfigError if there is none, or more than one.
    """
    names = (f"{site}.attention", f"{site.replace('.', '_')}.attention")
    found = [m for path, m in model.named_modules() if any(path == n or path.endswith(f".{n}") for n in names)]
    if len(found) != 1:
        what = "no module" if not found else f"{len(found)} modules"
        raise ConfigError(
            f"{what} of {type(model).__name__} can be the attention of site '{site}'",
            hint="a model registers the block of a site under `<site>.attention`, dots as underscores",
        )
    block: nn.Module = found[0]
    return block


@contextmanager
def observe(model: nn.Module, sites: Sequence[str]) -> Iterator[dict[str, tuple[Tensor, Tensor]]]:
    """Site -> (what its block got, what it gave) in the last forward pass; copies without gradients.

    A block that runs several times in a pass leaves its last run. Raises ConfigError for a site without a block.
    """
    seen: dict[str, tuple[Tensor, Tensor]] = {}
    got: dict[str, Tensor] = {}
    with ExitStack() as stack:
        for site in sites:
            block = block_of(model, site)

            # Copies: networks add the shortcut in place, and a block may change its input.
            def before(_: nn.Module, args: tuple[Any, ...], site: str = site) -> None:
                got[site] = args[0].detach().clone()

            def after(_: nn.Module, __: Any, output: Tensor, site: str = site) -> None:
                seen[site] = (got.pop(site), output.detach().clone())

            stack.callback(block.register_forward_pre_hook(before).remove)
            stack.callback(block.register_forward_hook(after).remove)
        yield seen


def channel_gain(x: Tensor, y: Tensor) -> Tensor:
    """[B, C]: the factor that gives y [B, C, H, W] best from x, channel by channel (least squares); 0 where x is 0."""
    return _ratio((x * y).sum(dim=(2, 3)), (x * x).sum(dim=(2, 3)))


def place_gain(x: Tensor, y: Tensor) -> Tensor:
    """[B, H, W]: the same place by place, over channels."""
    return _ratio((x * y).sum(dim=1), (x * x).sum(dim=1))


def _ratio(above: Tensor, below: Tensor) -> Tensor:
    return torch.where(below > TINY, above / below.clamp(min=TINY), torch.zeros_like(above))


def cam_layer(model: nn.Module, inputs: Mapping[str, Tensor]) -> nn.Module:
    """The last module that gives out a feature map [B, C, H, W] with more than one place: what the classifier reads.

    `inputs` are one prepared batch. Raises ConfigError if there is none (a transformer of tokens, channels last).
    """
    ran: list[tuple[nn.Module, tuple[int, ...]]] = []
    handles = [m.register_forward_hook(lambda m, _, y: ran.append((m, _shape(y)))) for m in model.modules()]
    try:
        with torch.no_grad():
            model(inputs)
    finally:
        for handle in handles:
            handle.remove()
    maps = [i for i, (_, shape) in enumerate(ran) if len(shape) == 4 and shape[2] * shape[3] > 1]
    if not maps:
        raise ConfigError(f"{type(model).__name__} has no feature map [B, C, H, W] that a classifier could read")
    last = maps[-1]
    layer, shape = ran[last]
    later = ran[last + 1 :]
    tokens = any(len(s) == 3 for _, s in later)
    reads = next((m.in_features for m, _ in later if isinstance(m, nn.Linear)), 0)
    if tokens or (reads == shape[3] and reads != shape[1]):
        raise ConfigError(
            f"{type(model).__name__} has no feature map [B, C, H, W] before its classifier",
            hint="it works on tokens, or keeps its channels last",
        )
    return layer


def _shape(output: Any) -> tuple[int, ...]:
    return tuple(output.shape) if isinstance(output, Tensor) else ()


def grad_cam(model: nn.Module, batch: Mapping[str, Tensor], target: Tensor) -> Tensor:
    """Where the logits of `target` [B] come from: [B, H, W] in [0, 1] at the size of batch["inputs"] [B, C, H, W].

    At the last feature map; what speaks against the class counts as 0; bilinear upsampling; every image is divided by
    its largest value (0 everywhere where nothing speaks for the class). The model is in evaluation mode afterwards.
    Raises ConfigError as `cam_layer` does.
    """
    from captum.attr import LayerGradCam

    model.eval()
    with torch.inference_mode(False), torch.enable_grad():
        # A copy: what inference mode made takes no gradient. With one, frozen weights do not matter.
        inputs = batch["inputs"].detach().clone().requires_grad_()
        rest = {key: value.clone() for key, value in batch.items() if key != "inputs"}
        layer = cam_layer(model, {**rest, "inputs": inputs.detach()})

        def logits(x: Tensor) -> Tensor:
            found: Tensor = model({**rest, "inputs": x})["logits"]
            return found

        found = LayerGradCam(logits, layer).attribute(inputs, target.clone(), relu_attributions=True)
        heat = F.interpolate(found.detach().float(), inputs.shape[2:], mode="bilinear", align_corners=False)[:, 0]
    return heat / heat.amax(dim=(1, 2), keepdim=True).clamp(min=TINY)


def overlay(image: Array, heat: Array, side: int = 96) -> Array:
    """uint8 [h, w, 3]: `heat` [H, W] in [0, 1] as colour over `image` uint8 [H, W, 3].

    Pixels are repeated until no side is shorter than `side`; the hotter a place, the more colour covers it.
    """
    import matplotlib as mpl

    shown = enlarged(image, side).astype(np.float32)
    large = F.interpolate(
        torch.from_numpy(np.ascontiguousarray(heat, np.float32))[None, None],
        shown.shape[:2],
        mode="bilinear",
        align_corners=False,
    )[0, 0].numpy()
    colour = np.asarray(mpl.colormaps["inferno"](large))[..., :3].astype(np.float32) * 255
    share = OPACITY * large[..., None]
    return np.asarray((shown * (1 - share) + colour * share).round().clip(0, 255).astype(np.uint8))
