"""Importance of a video's frames, judged as rankings by people who disagree.

Two conventions stand side by side, as they differ by a factor of two: `spearman` and `kendall` are means over
annotators of the correlation with each (Otani et al. 2019, arXiv:1903.11328), `spearman_mean` and `kendall_mean` are
correlations with the annotators' mean score.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy.special import expit

from ..contracts import IO, DatasetInfo, Figure, Items, Metric, Spec, Split
from ..errors import ConfigError
from . import keyframe_floors
from .keyframe_figures import BINS, PICTURES, figures
from .keyframe_scores import Truth, precision_name, read

if TYPE_CHECKING:
    from torch import Tensor

    from ..contracts import Arrays, Batch, Output

Array = np.ndarray[Any, Any]

_MAP = "map_"
_UNDEFINED = "a correlation is undefined, and counts as 0, if prediction or annotation is constant over the video"
_EACH = "between the predicted scores and those of each annotator at the sampled frames, mean over annotators, then"
_MEAN = "between the predicted scores and the annotators' mean score at the sampled frames, mean"
TVSUM_BOUND = 0.488
TVSUM_FLAT = 0.0196


def metrics(share: float) -> tuple[Metric, ...]:
    """`share`: of the frames that make a summary."""
    part = f"{100 * share:g} %"
    rho, tau = "Spearman's rho (average ranks)", "Kendall's tau-b"
    return (
        Metric("spearman", "", "higher", f"{rho} {_EACH} over videos; {_UNDEFINED}"),
        Metric("kendall", "", "higher", f"{tau} {_EACH} over videos; {_UNDEFINED}"),
        Metric("spearman_mean", "", "higher", f"{rho} {_MEAN} over videos; {_UNDEFINED}"),
        Metric("kendall_mean", "", "higher", f"{tau} {_MEAN} over videos; {_UNDEFINED}"),
        Metric("mse", "", "lower", "squared error of the score in [0, 1], mean over frames, then over videos"),
        Metric(
            precision_name(share),
            "%",
            "higher",
            f"share of the {part} of frames (rounded up) with the highest predicted scores that are among as many with"
            " the highest mean score of the annotators; frames that tie for the last places share them equally, so"
            " that a perfect ranking may stay below 100 %; mean over videos",
        ),
        Metric(
            "fscore",
            "%",
            "higher",
            "F1 of frames between the predicted summary and each user's, mean over users (the highest where the data"
            f" set says so), then over videos that have shots; a summary is the shots that fit {part} of the frames"
            " with the greatest sum of mean scores (0/1 knapsack), a user's is the data set's or made likewise",
        ),
        Metric("undefined", "%", "lower", "share of videos whose predicted scores are all equal"),
    )


class Keyframes:
    """Inputs: inputs [B, T, 3, H, W] or features [B, T, D], mask [B, T]. Outputs: logits [B, T]; score: their sigmoid.

    Options: share, the part of a video that a summary may take, of `fscore` and of `precision15`, which is named by it.
    Source: rank protocol: Otani et al. 2019, arXiv:1903.11328; F-score: see `summaries`. Differs: an undefined
    correlation is 0, not left out; frames are ranked by logits, whose order a sigmoid keeps but for rounding.
    Raises: ConfigError if the data are no videos with a score a frame, or if the share is not between 0 and 1.
    """

    select = "spearman"
    resample: Literal["item", "item+seed"] = "item+seed"
    ceilings = ("target", "human", "oracle")

    def __init__(self, *, share: float = 0.15) -> None:
        if not 0 < share < 1:
            raise ConfigError(f"task 'keyframes': share is {share}", hint="it is a part of the video: 0 < share < 1")
        self._share = share
        self._categories: tuple[str, ...] = ()
        self.metrics: tuple[Metric, ...] = metrics(share)

    def io(self, info: DatasetInfo) -> IO:
        key = next((k for k, axes in (("features", "TK"), ("inputs", "TCHW")) if _axes(info, k) == axes), None)
        if key is None or _axes(info, "target") != "T":
            raise ConfigError(
                "task 'keyframes' needs videos with a score for each frame: 'inputs' of axes TCHW or 'features' of axes"
                " TK, and a 'target' of axis T",
                hint="for instance dataset: tvsum, summe, scored_videos or toy_videos",
            )
        self._categories = info.classes
        inputs = {key: info.specs[key], "mask": Spec("T", (None,), "bool")}
        return IO(inputs, {"logits": Spec("T", (None,), "float32")})

    def present(self, batch: Batch) -> Batch:
        """`explain` asks for attention maps of the first few videos; a model may give them in evaluation."""
        shown = {key: batch[key] for key in ("inputs", "features", "mask") if key in batch}
        return {**shown, "explain": batch["index"] < PICTURES}

    def pair(self, output: Output, batch: Batch, expects: str) -> tuple[Tensor, Tensor, Tensor | None]:
        logits = output["logits"].float()
        return (logits if expects == "logits" else logits.sigmoid()), batch["target"].float(), batch.get("mask")

    def measure(self, output: Output, batch: Batch, extras: Sequence[Arrays]) -> Items:
        """Per video: every metric (`fscore` NaN without shots), frames, category (-1: none), timed (0: no seconds).

        Ragged: predicted and truth [T] in [0, 1], times [T] (else numbers of frames); of the first few videos `maps`,
        all attention maps behind each other, which the words of `map_names` name (see `binned`).
        """
        logits, target = (x.detach().float().cpu().numpy() for x in (output["logits"], batch["target"]))
        if logits.shape != target.shape:
            raise ConfigError(
                f"the model answers {list(logits.shape)} where scores {list(target.shape)} are to be predicted",
                hint="it must give one logit for each frame",
            )
        mask = batch["mask"].cpu().numpy() if "mask" in batch else np.ones(target.shape, bool)
        index = batch["index"].cpu().numpy()
        rows, ragged = [], []
        for b, real in enumerate(mask):
            truth = read(target[b][real], extras[b] if b < len(extras) else {}, self._share)
            maps = _maps(output, b, real) if index[b] < PICTURES else {}
            rows.append({**self._scores(logits[b][real], truth), **_facts(truth), "map_names": " ".join(maps)})
            ragged.append(_ragged(logits[b][real], truth, maps))
        values = {name: np.array([row[name] for row in rows]) for name in rows[0]}
        joined = {name: _join([row[name] for row in ragged]) for name in ragged[0]}
        return Items(tuple(str(i) for i in index), values, joined)

    def _scores(self, logits: Array, truth: Truth) -> dict[str, float]:
        if not np.isfinite(logits).all():
            return {metric.name: float("nan") for metric in self.metrics}
        order = logits[None].astype(np.float64)
        found = truth.scores(order, _sigmoid(order), self._share)
        return {name: float(value[0]) for name, value in found.items()}

    def summarise(self, items: Items) -> Mapping[str, float]:
        """Means over videos. `fscore` is left out where no video has shots."""
        found = {}
        for metric in self.metrics:
            values = items.values[metric.name]
            if metric.name == "fscore":
                values = values[np.isfinite(values)]
            if len(values):
                found[metric.name] = float(values.mean())
        return found

    def floors(self, split: Split) -> Mapping[str, Items]:
        """See `keyframe_floors.floors`."""
        return keyframe_floors.floors(split, self._share)

    def figures(self, items: Items) -> Sequence[Figure]:
        return figures(items, [m.name for m in self.metrics], self._categories)

    def identities(self, numbers: Mapping[str, float]) -> Sequence[str]:
        """Ranges; a video with a constant prediction adds nothing to a correlation."""
        found = []
        for metric in self.metrics:
            number, least = numbers.get(metric.name, 0.0), -1 if metric.name.startswith(("spearman", "kendall")) else 0
            if not least <= number <= 1:
                shown = f"{100 * number:.2f} %" if metric.unit == "%" else f"{number:.4g}"
                found.append(f"{metric.name} of {shown} is outside its range")
            elif least and abs(number) > 1 - numbers.get("undefined", 0.0) + 1e-6:
                found.append(
                    f"{metric.name} of {number:.4g} cannot be reached if {100 * numbers['undefined']:.4g} % of the"
                    " videos count as 0"
                )
        return found

    def remarks(self, numbers: Mapping[str, float]) -> Sequence[str]:
        """What a number would mean on TVSum's annotations."""
        found = []
        if TVSUM_BOUND < numbers.get("spearman", 0.0) <= 1:
            found.append(
                f"on TVSum no score has a Spearman correlation above {TVSUM_BOUND} with single annotators:"
                f" {numbers['spearman']:.4g} would need another convention, such as their mean as the truth"
            )
        if TVSUM_FLAT <= numbers.get("mse", 0.0) <= 1:
            found.append(
                f"on TVSum the same score for all frames of a video has an MSE of {TVSUM_FLAT} if it is the video's"
                f" mean: {numbers['mse']:.4g} is no better"
            )
        return found


def binned(attention: Array) -> Array:
    """[n, n] of weights [T, T], n at most BINS: means over stretches of queries, sums over stretches of keys.

    So rows still sum to 1. Stretch i of n begins at frame floor(i T / n).
    """
    starts = np.arange(min(BINS, len(attention))) * len(attention) // min(BINS, len(attention))
    sizes = np.diff(starts, append=len(attention))
    keys = np.add.reduceat(attention.astype(np.float64), starts, axis=1)
    return np.asarray((np.add.reduceat(keys, starts, axis=0) / sizes[:, None]).astype(np.float32))


def _axes(info: DatasetInfo, key: str) -> str:
    return info.specs[key].axes if key in info.specs else ""


def _sigmoid(x: Array) -> Array:
    return np.asarray(expit(x))


def _maps(output: Output, b: int, real: Array) -> dict[str, Array]:
    found = {k: v[b].float().cpu().numpy() for k, v in output.items() if k.startswith(_MAP) and v.ndim == 3}
    return {k: binned(v[np.ix_(real, real)]) for k, v in found.items() if v.shape == (len(real),) * 2}


def _facts(truth: Truth) -> dict[str, float]:
    return {"frames": len(truth.target), "category": truth.category, "timed": int(truth.times is not None)}


def _ragged(logits: Array, truth: Truth, maps: Mapping[str, Array]) -> dict[str, Array]:
    times = np.arange(len(logits), dtype=np.float64) if truth.times is None else truth.times
    return {
        "predicted": _sigmoid(logits),
        "truth": truth.target.astype(np.float32),
        "times": times,
        "maps": np.concatenate([m.ravel() for m in maps.values()] or [np.zeros(0, np.float32)]),
    }


def _join(rows: Sequence[Array]) -> tuple[Array, Array]:
    return np.concatenate(rows), np.concatenate([[0], np.cumsum([len(r) for r in rows])]).astype(np.int64)
