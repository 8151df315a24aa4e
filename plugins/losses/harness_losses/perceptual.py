"""Perceptual loss: do the frames look alike to a network that was trained to recognise objects?

Feature reconstruction: ||f(P) - f(Y)||² / (C H W), f the features of one layer of VGG, C x H x W their shape.

Source: Johnson et al. 2016, arXiv:1603.08155, eq. 2. Differs: see `Perceptual`.
"""

from __future__ import annotations

import hashlib
from typing import Literal

import torch
from torch import Tensor, nn

from harness.data import digest, find_file
from harness.errors import ConfigError
from harness_losses.common import masked_mean
from harness_losses.frames import exactly, framed
from harness_losses.vgg import TITLES, Features, Net, loaded_features, random_features, up_to
from harness_losses.vgg_files import imagenet_file, read_state


class Perceptual(nn.Module):
    """Mean squared difference of the features that a frozen VGG makes of both frames, as a mean over frames.

    Shapes: output [B, C, H, W] or [B, T, C, H, W] in [0, 1], C 3 (RGB) or 1 (repeated to 3), target of the same shape,
    mask [B] or [B, T] (True = real) -> scalar. Frames have at least 2**b pixels a side for a layer of block b.
    `layer` is `block{b}_conv{c}` as in Keras, after the ReLU: block2_conv2 is torchvision's `features[:9]`.
    `weights`: `imagenet` is torchvision's file, normalised by ImageNet's mean and deviation; it is looked for in
    torch.hub's folder and in `weights/` of the data folder, else downloaded (530 MB). `random` compares random
    features, which every table says; they are the same in every row and for every seed.
    `file` takes the weights from a file instead (as it stands, below the data folder, or in its `weights/`): a state
    dict of torchvision's VGG (.pth or .safetensors), of which the first layers up to `layer` are enough; or the
    activation-normalised VGG-19 (keys 0, 2, 5, 9, 12, 16), with the preprocessing and the edges that it was made with.
    `frames` compares so many frames of every clip, drawn anew at each call: an unbiased estimate of the mean over all,
    for a share of the cost. The choice follows from torch's seed and the number of calls since it was set, and draws
    nothing from the global stream, so that dropout sees the same numbers with this term and without it.
    Cost: to block2_conv2 0.38 GMAC a 64 x 64 frame, for the output twice (there and back) and for the target once, and
    about 6 MB a frame until the update is done; 0.26 M weights. In float32 under autocast, too.
    Source: see the module. Differs: layer relu2_2 is block2_conv2 here; any other may be chosen, with other units.
    Raises: ConfigError for an unknown net or layer, `file` beside `weights: random`, a file or shapes that do not fit;
    DataError for a file that cannot be had or read. Never falls back to random weights.
    """

    expects: Literal["logits", "unit"] = "unit"

    def __init__(
        self,
        *,
        net: Net = "vgg16",
        layer: str = "block2_conv2",
        weights: Literal["imagenet", "random"] = "imagenet",
        file: str | None = None,
        frames: int | None = None,
    ) -> None:
        super().__init__()
        if weights not in ("imagenet", "random"):
            raise ConfigError(f"loss 'perceptual': weights is '{weights}'", hint="known: imagenet, random")
        if file is not None and weights == "random":
            raise ConfigError(
                "loss 'perceptual': both a file and random weights are given", hint="leave one of them out"
            )
        if frames is not None and frames < 1:
            raise ConfigError(f"loss 'perceptual': frames is {frames}", hint="give one at least, or null for all")
        self.frames = frames
        self._seed, self._calls = -1, 0
        try:
            self.features, origin = _features(net, layer, weights, file)
        except ConfigError as error:
            raise ConfigError(f"loss 'perceptual': {error.message}", hint=error.hint) from error
        self.least = 2 ** int(layer[len("block")])
        self.notes = (f"perceptual loss: {TITLES[net]}, {layer} after its ReLU, {origin}",)
        self.marks = (f"random {TITLES[net]}",) if weights == "random" else ()

    def forward(self, output: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        if self.frames is not None and output.ndim == 5 and output.shape[1] > self.frames:
            chosen = self._draw(output.shape[1])[: self.frames].to(output.device)
            output, target = output[:, chosen], target[:, chosen]
            mask = mask[:, chosen] if mask is not None and mask.ndim == 2 else mask
        predicted, true, real = framed("perceptual", output, target, mask, least=self.least)
        channels = predicted.shape[1]
        if channels not in (1, 3):
            raise ConfigError(
                f"loss 'perceptual' takes grey or RGB frames, and these have {channels} channels",
                hint="the network behind it was trained on RGB",
            )
        with exactly(predicted):
            with torch.no_grad():
                wanted = self.features(true.float().expand(-1, 3, -1, -1))
            found = self.features(predicted.float().expand(-1, 3, -1, -1))
        return masked_mean((found - wanted).square().flatten(1).mean(1), real)

    def _draw(self, count: int) -> Tensor:
        """An order of `count` frames.

        The seed stands for the epoch, since the harness sets another one at the start of each: a resumed epoch then
        draws what it drew before, and a checkpoint needs no state of this.
        """
        seed = torch.initial_seed()
        self._calls = self._calls + 1 if seed == self._seed else 0
        self._seed = seed
        digest_of_both = hashlib.sha256(f"frames/{seed}/{self._calls}".encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest_of_both[:8], "big") >> 1)
        return torch.randperm(count, generator=generator)


def _features(net: Net, layer: str, weights: str, file: str | None) -> tuple[Features, str]:
    """The network, and where its weights are from."""
    up_to(net, layer)  # an unknown layer is said before half a gigabyte is downloaded
    if weights == "random":
        origin = "random weights: distances in random features, not the published perceptual loss"
        return random_features(net, layer), origin
    path = imagenet_file(net) if file is None else find_file(file, "loss 'perceptual'")
    try:
        features = loaded_features(net, layer, read_state(path))
    except ConfigError as error:
        raise ConfigError(
            f"'{path.name}' does not serve {TITLES[net]} up to {layer}: {error.message}", error.hint
        ) from error
    return features, f"weights from '{path.name}' (sha256 {digest(path)[:16]})"
