"""What every model that scores frames has: a backbone or features in its place, masks, groups for freezing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from harness.contracts import IO
from harness.errors import ConfigError
from harness_models.backbone import Backbone, make_backbone
from harness_models.weights import WeightsBy

if TYPE_CHECKING:
    from harness.contracts import Batch


class FrameScorer(nn.Module):
    """The base of models that give every frame of a video a score: how frames become features.

    With inputs "inputs" (frames) there is a `backbone`, and a batch may bring its features instead; with inputs
    "features" there is none. `notes` are sentences for the record, `marks` words that tables show beside the row.
    """

    backbone: Backbone | None

    def __init__(
        self, io: IO, backbone: str, pretrained: bool, weights: str | None, weights_by: WeightsBy, chunk: int
    ) -> None:
        """Raises ConfigError for inputs or outputs of another task and options that do not fit, DataError for weights
        that cannot be had."""
        super().__init__()
        if weights is None and weights_by != "name":
            raise ConfigError(f"model: weights_by is '{weights_by}', and there is no file", "give one with `weights`")
        _check_output(io)
        self.marks: tuple[str, ...] = ()
        spec = io.inputs.get("features")
        if spec is not None:
            if spec.axes != "TK" or spec.shape[1] is None:
                raise ConfigError(
                    "a model of frames reads 'features' with axes 'TK' and a fixed number of them, and here: "
                    f"axes '{spec.axes}', shape {spec.shape}",
                    hint="choose a dataset of videos with scores, or another model",
                )
            if weights is not None:
                raise ConfigError(
                    f"model: weights is '{weights}', and the dataset gives features, so there is no backbone",
                    hint="leave `weights` out, or use the form of the dataset that has frames",
                )
            self.backbone, self.features = None, spec.shape[1]
            self.notes: tuple[str, ...] = (
                f"no backbone: the dataset gives {self.features} features a frame, so the options backbone, pretrained "
                "and chunk mean nothing here",
            )
            return
        made = make_backbone(backbone, _frame_size(io), pretrained, weights, weights_by, chunk)
        self.backbone, self.features = made.backbone, made.backbone.features
        self.notes, self.marks = (made.note,), made.marks

    def featured(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """(features [B, T, D], mask bool [B, T]), zero under padding; the mask is None where every frame is real.

        Frames under padding are not run: they cost nothing, and no batch norm sees them.
        """
        mask = batch.get("mask")
        tracing = torch.compiler.is_compiling()  # there, neither a branch nor a size may depend on the data
        if mask is not None and not tracing and bool(mask.all()):
            mask = None
        if self.backbone is None or "features" in batch:
            features = batch["features"]
            return (features if mask is None else features.masked_fill(~mask[..., None], 0)), mask
        frames = batch["inputs"]
        if mask is not None and (not tracing or _normalises_batches(self.backbone)):
            return self._scattered(self.backbone, frames, mask), mask
        if mask is not None:
            frames = frames.masked_fill(~mask[..., None, None, None], 0)
        features = self.backbone(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])
        return (features if mask is None else features.masked_fill(~mask[..., None], 0)), mask

    def _scattered(self, backbone: Backbone, frames: Tensor, mask: Tensor) -> Tensor:
        """Features [B, T, D] of the frames that the mask calls real, zero elsewhere."""
        if not bool(mask.any()):
            return torch.zeros((*mask.shape, self.features), device=mask.device)
        real: Tensor = backbone(frames[mask])
        return real.new_zeros((*mask.shape, self.features)).index_put((mask,), real)

    def groups(self) -> Mapping[str, nn.Module]:
        """`backbone`, `backbone.<stage>` (`backbone.layer4`) where there is one, and `head`: all else."""
        found: dict[str, nn.Module] = {}
        if self.backbone is not None:
            found["backbone"] = self.backbone
            found |= {f"backbone.{name}": stage for name, stage in self.backbone.stages().items()}
        found["head"] = nn.ModuleList(child for child in self.children() if child is not self.backbone)
        return found

    def prefix(self) -> tuple[str, str, str] | None:
        """The backbone, which maps every frame by itself; None where there is none."""
        return None if self.backbone is None else ("backbone", "inputs", "features")


def _normalises_batches(backbone: nn.Module) -> bool:
    """Would padding that is run change what real frames become, and the statistics that are kept?"""
    return any(isinstance(m, nn.modules.batchnorm._BatchNorm) and m.training for m in backbone.modules())


def padded(logits: Tensor, mask: Tensor | None) -> Tensor:
    """Float32 [B, T] of logits [B, T, 1], zero under padding."""
    flat = logits.squeeze(-1).float()
    return flat if mask is None else flat.masked_fill(~mask, 0)


def check_options(dropout: float, **sizes: int) -> None:
    """Raises ConfigError for a probability outside [0, 1) or a size below 1."""
    if not 0 <= dropout < 1:
        raise ConfigError(f"model: dropout is {dropout:g}", hint="dropout is a probability, at least 0 and below 1")
    for name, value in sizes.items():
        if value < 1:
            raise ConfigError(f"model: {name} is {value}", hint=f"{name} is at least 1")


def _check_output(io: IO) -> None:
    logits = io.outputs.get("logits")
    if logits is None or logits.axes != "T":
        raise ConfigError(
            "a model of frames gives out 'logits' with axes 'T'; asked for: "
            + (", ".join(io.outputs) or "nothing" if logits is None else f"axes '{logits.axes}'"),
            hint="use `task: keyframes`, or another model",
        )


def _frame_size(io: IO) -> tuple[int, int]:
    """(height, width) of the frames. Raises ConfigError if the inputs are no colour frames of one size."""
    spec = io.inputs.get("inputs")
    fixed = spec is not None and spec.axes == "TCHW" and None not in spec.shape[1:]
    if spec is None or not fixed or spec.shape[1] != 3:
        what = "there are none" if spec is None else f"axes '{spec.axes}', shape {spec.shape}"
        raise ConfigError(
            f"a model of frames reads 'inputs' with axes 'TCHW', three channels and a fixed size, and here: {what}",
            hint="choose a dataset of videos with scores, or another model",
        )
    height, width = (int(n) for n in spec.shape[2:] if n is not None)
    return height, width
