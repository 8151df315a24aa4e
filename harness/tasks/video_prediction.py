"""Frames to come from frames that were seen.

Protocols. `next_frame`: the model is shown all frames but the last and answers each with the one that follows
(teacher-forced: it always sees true frames); output t may depend on frames up to t, which the leak audit checks.
`rollout`: it is shown the first `given` frames and predicts the rest, feeding on its own predictions. Numbers of the
two must never stand in one table: the first looks one step ahead, the second up to `horizon` steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor

from ..contracts import IO, DatasetInfo, Figure, Items, Metric, Spec, Split
from ..errors import ConfigError
from . import frames as measures
from .lpips import Lpips
from .video_claims import identities, remarks
from .video_figures import PICTURES, figures

if TYPE_CHECKING:
    from ..contracts import Arrays, Batch, Output

Array = np.ndarray[Any, Any]
Protocol = Literal["next_frame", "rollout"]
Net = Literal["none", "alex", "vgg", "squeeze"]

_RANGE = "after clipping to [0, 1]"
_CLIPPED = f"{_RANGE}, peak 1"
_FRAMES = f"mean over clips and frames of 10 log10(1 / MSE of the frame), at most {measures.CEILING:g}, {_CLIPPED}"
METRICS = (
    Metric("psnr", "dB", "higher", _FRAMES),
    Metric("psnr_pooled", "dB", "higher", f"10 log10(1 / MSE over all pixels of all frames), {_CLIPPED}"),
    Metric("ssim", "", "higher", "structural similarity, mean over frames: uniform 7x7 window, data range 1, clipped"),
    Metric("mse", "", "lower", f"mean squared error per pixel and channel, {_RANGE}"),
    Metric("mse_frame", "", "lower", f"squared error summed over a frame, mean over frames, {_RANGE}"),
    Metric("mae", "", "lower", f"mean absolute error per pixel and channel, {_RANGE}"),
    Metric("mae_frame", "", "lower", f"absolute error summed over a frame, mean over frames, {_RANGE}"),
    Metric(
        "sharpness",
        "dB",
        "higher",
        "10 log10(1 / mean difference of the gradients' sizes of truth and prediction), mean over frames, clipped",
    ),
)
LPIPS = "learned perceptual distance (Zhang et al. 2018) with the features of {}, mean over frames, clipped"
SEEN = ("psnr", "ssim", "mse", "mae", "sharpness")
"""What has one number a frame."""


BATCH_BYTES = 8 * 2**20
"""Bytes of frames that floors are measured on at once."""


class VideoPrediction:
    """Inputs: inputs [B, T, C, H, W] in [0, 1]. Outputs: logits [B, T', C, H, W], or frames in [0, 1].

    Options: protocol; given, the frames that `rollout` shows; lpips, the network of an additional perceptual metric.
    Source: metrics as in OpenSTL (Tan et al. 2023, arXiv:2306.11249). Differs: SSIM's range is stated, and predictions
    are clipped to [0, 1] for every metric, so that MSE and pooled PSNR are one number in two forms.
    Raises: ConfigError if the data are no clips of frames in [0, 1], or too short for the protocol; DataError if the
    weights of `lpips` are not there.
    """

    select = "psnr"
    resample: Literal["item", "item+seed"] = "item+seed"

    def __init__(
        self,
        *,
        protocol: Protocol = "next_frame",
        given: int = 10,
        lpips: Net = "none",
    ) -> None:
        if given < 1:
            raise ConfigError(
                f"task 'video_prediction': given is {given}", hint="a rollout needs a frame to start from"
            )
        self._protocol, self._given = protocol, given
        self._net: Net = lpips
        self._lpips: Lpips | None = None
        self._answers = 19 if protocol == "next_frame" else 10  # output frames, until `io` knows
        self.metrics: tuple[Metric, ...] = METRICS
        if lpips != "none":
            self.metrics = (*METRICS, Metric("lpips", "", "lower", LPIPS.format(lpips)))

    def io(self, info: DatasetInfo) -> IO:
        spec = info.specs.get("inputs")
        if spec is None or spec.axes != "TCHW" or spec.mean or spec.dtype != "uint8":
            raise ConfigError(
                "task 'video_prediction' needs clips: an array 'inputs' of axes TCHW, uint8, without normalisation",
                hint="for instance dataset: moving_mnist, moving_digits or video_folder",
            )
        length = spec.shape[0]
        if length is None or length < (2 if self._protocol == "next_frame" else self._given + 1):
            raise ConfigError(
                f"task 'video_prediction': clips of {length} frames are too short for {self._told()}",
                hint="give the dataset more frames, or the task a smaller `given`",
            )
        if any(n is None or n < measures.WINDOW for n in spec.shape[2:]):
            raise ConfigError(f"task 'video_prediction' needs frames of at least {measures.WINDOW} pixels")
        shown = length - 1 if self._protocol == "next_frame" else self._given
        answered = length - 1 if self._protocol == "next_frame" else length - self._given
        self._answers = answered
        if self._net != "none":  # here and not before: a report knows the task, and needs no network of it
            self._lpips = Lpips(self._net)
        horizon = 0 if self._protocol == "next_frame" else answered
        frame = spec.shape[1:]
        return IO(
            {"inputs": Spec("TCHW", (shown, *frame), "uint8")},
            {"logits": Spec("TCHW", (answered, *frame), "float32")},
            horizon,
            {"inputs": 0} if self._protocol == "next_frame" else None,
        )

    def _told(self) -> str:
        return self._protocol if self._protocol == "next_frame" else f"rollout with {self._given} given frames"

    def present(self, batch: Batch) -> Batch:
        return {"inputs": self._shown(batch["inputs"]), "index": batch["index"]}

    def _shown(self, clips: Tensor) -> Tensor:
        return clips[:, :-1] if self._protocol == "next_frame" else clips[:, : self._given]

    def _target(self, clips: Tensor) -> Tensor:
        return clips[:, 1:] if self._protocol == "next_frame" else clips[:, self._given :]

    def pair(self, output: Output, batch: Batch, expects: str) -> tuple[Tensor, Tensor, Tensor | None]:
        target = self._target(batch["inputs"])
        if expects == "unit":
            return _unit(output), target, None
        if "logits" in output:
            return output["logits"].float(), target, None
        return torch.logit(output["frames"].float(), eps=1e-6), target, None

    def measure(self, output: Output, batch: Batch, extras: Sequence[Arrays]) -> Items:
        """Per clip: each metric as the mean over its frames, `<metric>_t` [T] by frame; pictures of the first clips."""
        index = batch["index"].cpu().numpy()
        predicted, truth = _unit(output), self._target(batch["inputs"])
        if predicted.shape != truth.shape:
            raise ConfigError(
                f"the model answers {list(predicted.shape)} where frames {list(truth.shape)} are to be predicted",
                hint="it must give one frame for each that is asked for",
            )
        values = self._values(predicted, truth)
        activation = output.get("activation")
        drawn = {"predicted": predicted, "truth": truth}
        ragged = {name: _ragged(_bytes(x), index) for name, x in drawn.items()}
        if activation is not None and activation.shape[:2] == truth.shape[:2] and activation.ndim == 4:
            ragged["activation"] = _ragged(activation.float().cpu().numpy(), index)
        # One shape for all, as ragged rows are flat.
        values["shape"] = np.tile(np.array(truth.shape[1:], np.int32), (len(index), 1))
        if activation is not None and "activation" in ragged:
            values["activation_shape"] = np.tile(np.array(activation.shape[1:], np.int32), (len(index), 1))
        return Items(tuple(str(i) for i in index), values, ragged)

    def _values(self, predicted: Tensor, truth: Tensor) -> dict[str, Array]:
        predicted, truth = predicted.float(), truth.float()
        a, b = predicted.clamp(0, 1).flatten(0, 1), truth.clamp(0, 1).flatten(0, 1)
        clips, length = truth.shape[:2]
        error = a.double() - b.double()
        mse = error.square().mean(dim=(1, 2, 3))
        found = {
            "mse": mse,
            "mae": error.abs().mean(dim=(1, 2, 3)),
            "psnr": measures.psnr(mse),
            "ssim": measures.ssim(a, b),
            "sharpness": measures.sharpness(a, b),
            "own_gradient": measures.gradient(a).double().mean(dim=(1, 2, 3)),
            "true_gradient": measures.gradient(b).double().mean(dim=(1, 2, 3)),
        }
        if self._lpips is not None:
            found["lpips"] = self._lpips(a, b)
        values: dict[str, Array] = {}
        for name, value in found.items():
            rows = value.reshape(clips, length).cpu().numpy()
            values[f"{name}_t"] = rows.astype(np.float32)
            values[name] = rows.mean(axis=1)
        return values

    def summarise(self, items: Items) -> Mapping[str, float]:
        v = items.values
        means = {name: float(v[name].mean()) for name in (*SEEN, *(["lpips"] if "lpips" in v else []))}
        pixels = float(np.prod(v["shape"][0, 1:], dtype=np.int64))
        pooled = float(measures.psnr(torch.tensor(means["mse"])))
        return {**means, "mse_frame": pixels * means["mse"], "mae_frame": pixels * means["mae"], "psnr_pooled": pooled}

    def floors(self, split: Split) -> Mapping[str, Items]:
        """`copy_last`: the last frame that was shown; `mean_frame`: this split's mean frame, always; `black`."""
        mean = _mean_frame(split)
        rules: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
            "copy_last": self._copied,
            "mean_frame": lambda shown, truth: mean.expand_as(truth),
            "black": lambda shown, truth: torch.zeros_like(truth),
        }
        found: dict[str, list[Items]] = {name: [] for name in rules}
        with torch.inference_mode():
            for clips, index in _batches(split):
                shown, truth = self._shown(clips), self._target(clips)
                for name, rule in rules.items():
                    guess = rule(shown, truth)
                    found[name].append(self.measure({"frames": guess}, {"inputs": clips, "index": index}, ()))
        return {name: _joined(parts, tuple(split.ids)) for name, parts in found.items()}

    def _copied(self, shown: Tensor, truth: Tensor) -> Tensor:
        return shown if self._protocol == "next_frame" else shown[:, -1:].expand_as(truth)

    def figures(self, items: Items) -> Sequence[Figure]:
        return figures(items, self._protocol, self._given)

    def identities(self, numbers: Mapping[str, float]) -> Sequence[str]:
        return identities(numbers)

    def remarks(self, numbers: Mapping[str, float]) -> Sequence[str]:
        return remarks(numbers, self._answers, teacher_forced=self._protocol == "next_frame")


def _unit(output: Output) -> Tensor:
    return output["frames"].float() if "frames" in output else output["logits"].float().sigmoid()


def _bytes(x: Tensor) -> Array:
    # Half is added before cutting off; PSNR is never computed from these bytes.
    return (x.clamp(0, 1) * 255 + 0.5).to(torch.uint8).cpu().numpy()


def _ragged(rows: Array, index: Array) -> tuple[Array, Array]:
    """The rows of the first few items of the split, flat; nothing for the others."""
    kept = [rows[i].ravel() if index[i] < PICTURES else rows[i].ravel()[:0] for i in range(len(index))]
    offsets = np.concatenate([[0], np.cumsum([len(k) for k in kept])]).astype(np.int64)
    return np.concatenate(kept), offsets


def _batches(split: Split) -> Iterator[tuple[Tensor, Tensor]]:
    """Clips in [0, 1], so many at once that the metrics' float64 copies of them stay below about a gigabyte."""
    bytes_each = int(split.batch([0], 0)["inputs"].numel()) if len(split) else 1
    size = max(1, min(64, BATCH_BYTES // bytes_each))
    for first in range(0, len(split), size):
        batch = split.batch(range(first, min(first + size, len(split))), 0)
        yield batch["inputs"].float() / 255, batch["index"]


def _mean_frame(split: Split) -> Tensor:
    total, count = torch.zeros(()), 0
    for clips, _ in _batches(split):
        total = total + clips.double().sum(dim=(0, 1))
        count += clips.shape[0] * clips.shape[1]
    return (total / max(1, count)).float()


def _joined(parts: Sequence[Items], ids: tuple[str, ...]) -> Items:
    """Values alone: floors have no pictures."""
    return Items(ids, {key: np.concatenate([p.values[key] for p in parts]) for key in parts[0].values})
