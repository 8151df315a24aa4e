"""Importance of the frames of a video: a backbone, a transformer encoder over time, attention, and a score a frame.

Source: Vaswani et al. 2017, arXiv:1706.03762 (encoder, positions); as a model of importance after Fajtl et al. 2018,
arXiv:1812.01969. Differs: features of any backbone of timm; a residual block of temporal attention behind the encoder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from harness.contracts import IO, AttentionFactory
from harness.errors import ConfigError
from harness_models.attach import key_of, own_blocks
from harness_models.clips import sites_of
from harness_models.positions import Positional, Positions
from harness_models.scorer import FrameScorer, check_options, padded
from harness_models.weights import WeightsBy

if TYPE_CHECKING:
    from harness.contracts import Batch, Output

SITE = "temporal"
"""Where attention sits unless a list says otherwise: behind the encoder."""

LONGEST_MAP = 2048
"""Frames of the longest video whose attention is shown: a map is T x T."""


class KeyframeTransformer(FrameScorer):
    """Backbone -> Linear(D, dim) -> position -> encoder -> temporal attention -> an MLP that scores every frame.

    Shapes: batch["inputs"] [B, T, 3, H, W] uint8, or float in [0, 1], or batch["features"] [B, T, D] in its place;
    batch["mask"] bool [B, T], True = real, may be absent -> {"logits": [B, T] float32}, before the sigmoid, zero
    under padding. What stands under padding changes nothing else.
    In evaluation mode, where batch["explain"] bool [B] is true anywhere and T <= 2048: also "map_encoder" float32
    [B, T, T], the attention of the last encoder layer (mean over heads; row t sums to 1 over the real frames, and is
    zero under padding), and "map_<name>" of every map that the last temporal block gives of itself.

    `backbone` is an architecture of timm; its weights are those of the file `weights` (or package:NAME/path/inside),
    matched by name or one after the other (`weights_by`), else timm's own, else, with `pretrained: false`, random.
    `chunk` frames go through it at a time while it is frozen. `positional` "learned" ends at 2048 frames.
    `norm_first` puts a norm before each part of a layer and one behind the last layer.

    Placements: every word is the one site `temporal`, behind the encoder; a list names `temporal`, `encoder.0`, … or
    patterns. Layers are those of torch.nn.TransformerEncoder, but each starts from weights of its own, where that
    class starts all from one draw; and they work with the time axis first, so that evaluation takes the same
    scaled-dot-product kernels as training and needs no T x T scores for a long video.

    Cost: layers of 512 with 8 heads and hidden 2048: 9,457,152 parameters for three; the projection of 2048 features
    1,049,088; the score 131,585.
    Raises: ConfigError for options that do not fit, DataError for weights that cannot be had.
    """

    control: ClassVar[str] = "frame_mlp"

    def __init__(
        self,
        io: IO,
        *,
        backbone: str = "resnet50",
        pretrained: bool = True,
        weights: str | None = None,
        weights_by: WeightsBy = "name",
        dim: int = 512,
        layers: int = 3,
        heads: int = 8,
        hidden: int = 2048,
        dropout: float = 0.1,
        positional: Positional = "sinusoidal",
        norm_first: bool = False,
        score_hidden: int = 256,
        chunk: int = 64,
    ) -> None:
        sizes = {"dim": dim, "layers": layers, "heads": heads, "hidden": hidden}
        check_options(dropout, **sizes, score_hidden=score_hidden, chunk=chunk)
        if dim % heads:
            raise ConfigError(f"model: dim is {dim}, and heads is {heads}", hint="heads divides dim")
        super().__init__(io, backbone, pretrained, weights, weights_by, chunk)
        self.project = nn.Linear(self.features, dim)
        self.position = Positions(dim, positional)
        self.dropout = nn.Dropout(dropout)
        self.encoder = nn.ModuleList(
            nn.TransformerEncoderLayer(dim, heads, hidden, dropout, norm_first=norm_first) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(dim) if norm_first else nn.Identity()
        self.score = nn.Sequential(
            nn.Linear(dim, score_hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(score_hidden, 1)
        )
        self.sites = nn.ModuleDict()
        self.placement_note = ""
        self._dim = dim

    def forward(self, batch: Batch) -> Output:
        x, mask = self.featured(batch)
        x = self.dropout(self.position(self.project(x.to(self.project.weight.dtype))))
        # Of an item that is all padding, nothing is hidden: a softmax over no keys is no number.
        hidden = None if mask is None else ~mask & mask.any(dim=1, keepdim=True)
        maps: dict[str, Tensor] | None = {} if self._is_shown(batch, x.shape[1]) else None
        for i, layer in enumerate(self.encoder):
            if maps is not None and i == len(self.encoder) - 1:
                maps["encoder"] = _looks(layer, x, hidden)
            x = layer(x.transpose(0, 1), src_key_padding_mask=hidden).transpose(0, 1)
            x = self._attend(f"encoder.{i}", x, mask, maps)
        x = self._attend(SITE, self.norm(x), mask, maps)
        output = {"logits": padded(self.score(x), mask)}
        for name, values in (maps or {}).items():
            output[f"map_{name}"] = values.float() if mask is None else values.float().masked_fill(~mask[..., None], 0)
        return output

    def _is_shown(self, batch: Batch, length: int) -> bool:
        wanted = batch.get("explain")
        if self.training or wanted is None or length > LONGEST_MAP or torch.compiler.is_compiling():
            return False
        return bool(wanted.any())

    def _attend(self, site: str, x: Tensor, mask: Tensor | None, maps: dict[str, Tensor] | None) -> Tensor:
        """x [B, T, C] through the block of a site, if it has one; the last block's maps stay in `maps`."""
        key = key_of(site)
        if key not in self.sites:
            return x
        block: Any = self.sites[key].attention
        if maps is not None and hasattr(block, "maps"):
            maps.update(block.maps(x, mask))
        attended: Tensor = block(x, mask)
        return attended

    def attach(self, factory: AttentionFactory, placement: str | Sequence[str]) -> Sequence[str]:
        """Insert one block a site, in the order in which the sites are run; returns the sites.

        Raises ConfigError if there is no such place or the block is not for time; nothing is changed.
        """
        known = [SITE] if isinstance(placement, str) else [*(f"encoder.{i}" for i in range(len(self.encoder))), SITE]
        sites = sites_of(known, placement)
        added = own_blocks(self, self.sites, dict.fromkeys(sites, self._dim), factory, "temporal")
        where = ["the encoder" if site == SITE else f"layer '{site}'" for site in added.values()]
        self.placement_note = f"attention over time sits behind {', '.join(where)}"
        self.notes = (*self.notes, self.placement_note)
        return tuple(added.values())

    def groups(self) -> Mapping[str, nn.Module]:
        """`backbone`, `backbone.<stage>` (`backbone.layer4`), `head` (all else), and `attention` once there is any."""
        found = dict(super().groups())
        if len(self.sites):
            found["attention"] = nn.ModuleList(self.sites.values())
        return found


def _looks(layer: nn.Module, x: Tensor, hidden: Tensor | None) -> Tensor:
    """Where every frame of x [B, T, C] looks in an encoder layer: [B, T, T], the mean over heads."""
    parts: Any = layer
    seen = (parts.norm1(x) if parts.norm_first else x).transpose(0, 1)
    weights: Tensor = parts.self_attn(seen, seen, seen, key_padding_mask=hidden, need_weights=True)[1]
    return weights
