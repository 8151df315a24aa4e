"""One label an image.

Definitions: top-k accuracy; mean cross-entropy in nats; expected calibration error with 15 equal-width bins of the
largest probability (Guo et al. 2017, arXiv:1706.04599, eq. 3); per class precision, recall and F1 with 0 where a
denominator is 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..contracts import IO, DatasetInfo, Figure, Items, Metric, Spec, Split
from ..errors import ConfigError

if TYPE_CHECKING:
    from ..contracts import Arrays, Batch, Output

Array = np.ndarray[Any, Any]
BINS = 15


class Classification:
    """Outputs: logits [B, K] float32. Targets: target [B] int64."""

    metrics = (
        Metric("top1", "%", "higher", "share of images whose highest logit is the true class"),
        Metric("top5", "%", "higher", "share of images whose true class is among the five highest logits"),
        Metric("cross_entropy", "nats", "lower", "mean of -log softmax(logits)[target]"),
        Metric("ece", "%", "lower", f"expected calibration error, {BINS} equal-width bins of the largest probability"),
        Metric("macro_f1", "%", "higher", "unweighted mean over classes of the F1 score"),
    )
    select = "top1"
    resample: Literal["item", "item+seed"] = "item"

    def __init__(self) -> None:
        self._classes: tuple[str, ...] = ()

    def io(self, info: DatasetInfo) -> IO:
        if not info.classes or "inputs" not in info.specs:
            raise ConfigError("task 'classification' needs a dataset with classes and an array 'inputs'")
        self._classes = info.classes
        outputs = {"logits": Spec("K", (len(info.classes),), "float32")}
        return IO({"inputs": info.specs["inputs"]}, outputs)

    def present(self, batch: Batch) -> Batch:
        return {"inputs": batch["inputs"], "index": batch["index"]}

    def pair(self, output: Output, batch: Batch, expects: str) -> tuple[Tensor, Tensor, Tensor | None]:
        logits = output["logits"].float()
        return (logits if expects == "logits" else logits.sigmoid()), batch["target"], None

    def measure(self, output: Output, batch: Batch, extras: Sequence[Arrays]) -> Items:
        """Per image: target, predicted, rank of the true class (0 = first), -log p(target), largest probability."""
        logits, target = output["logits"].float(), batch["target"]
        log_p = F.log_softmax(logits, dim=1)
        own = log_p.gather(1, target[:, None])
        # An equal logit of another class counts as ahead, so that a constant output earns nothing by its order.
        rank = (log_p >= own).sum(dim=1) - 1
        rank = torch.where(own[:, 0].isfinite(), rank, log_p.shape[1])  # NaN compares as false with everything
        confidence, predicted = log_p.max(dim=1)
        values = {
            "target": target.cpu().numpy().astype(np.int32),
            "predicted": predicted.cpu().numpy().astype(np.int32),
            "rank": rank.cpu().numpy().astype(np.int32),
            "loss": -own[:, 0].cpu().numpy(),
            "confidence": confidence.exp().cpu().numpy(),
        }
        return Items(tuple(str(i) for i in batch["index"].tolist()), values)

    def summarise(self, items: Items) -> Mapping[str, float]:
        v = items.values
        matrix = confusion(v["target"], v["predicted"], self._count(v))
        return {
            "top1": float((v["rank"] == 0).mean()),
            "top5": float((v["rank"] < 5).mean()),
            "cross_entropy": float(v["loss"].astype(np.float64).mean()),
            "ece": calibration_error(v["confidence"], v["rank"] == 0),
            "macro_f1": float(per_class(matrix)[:, 2].mean()),
        }

    def floors(self, split: Split) -> Mapping[str, Items]:
        """`majority`: the most frequent class of this split always wins, class frequencies as probabilities.

        A uniform guess is not listed: its expectation is 1 / K, which the reader knows without a row.
        """
        targets = _targets(split)
        counts = np.bincount(targets, minlength=len(self._classes)).astype(np.float64)
        order = np.argsort(-counts, kind="stable")
        position = np.empty_like(order)
        position[order] = np.arange(len(order))
        share = counts / counts.sum()
        values = {
            "target": targets.astype(np.int32),
            "predicted": np.full(len(targets), order[0], np.int32),
            "rank": position[targets].astype(np.int32),
            "loss": -np.log(share[targets]).astype(np.float32),
            "confidence": np.full(len(targets), share[order[0]], np.float32),
        }
        return {"majority": Items(tuple(split.ids), values)}

    def figures(self, items: Items) -> Sequence[Figure]:
        v = items.values
        names = np.array(self._classes)
        matrix = confusion(v["target"], v["predicted"], len(names))
        share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
        table = per_class(matrix)
        columns = np.array(["precision", "recall", "f1", "support"])
        return (
            Figure(
                "per_class",
                "table",
                "Per-class report",
                "Precision, recall, F1 and support of every class on the test split",
                {"values": table, "rows": names, "columns": columns},
                compare=True,
            ),
            Figure(
                "confusion",
                "heatmap",
                "Confusion matrix",
                "Share of each true class (row) that was predicted as each class (column)",
                {"values": share, "rows": names, "columns": names},
                compare=True,
            ),
        )

    def identities(self, numbers: Mapping[str, float]) -> Sequence[str]:
        """Accuracies are fractions; top-1 is at most top-5; at most ln K of cross-entropy comes for free."""
        found = []
        for name in ("top1", "top5", "macro_f1", "ece"):
            if name in numbers and not 0 <= numbers[name] <= 1:
                found.append(f"{name} of {100 * numbers[name]:.2f} % is outside 0 to 100 %")
        if numbers.get("top1", 0.0) > numbers.get("top5", 1.0):
            found.append("top-1 accuracy cannot exceed top-5 accuracy")
        if numbers.get("cross_entropy", 0.0) < 0:
            found.append("cross-entropy cannot be negative")
        return found

    def remarks(self, numbers: Mapping[str, float]) -> Sequence[str]:
        return ()

    def _count(self, values: Arrays) -> int:
        return len(self._classes) or int(max(values["target"].max(), values["predicted"].max())) + 1


def confusion(target: Array, predicted: Array, classes: int) -> Array:
    """Counts [K, K]: rows are true classes, columns predicted ones."""
    flat = np.bincount(target.astype(np.int64) * classes + predicted, minlength=classes * classes)
    return flat.reshape(classes, classes)


def per_class(matrix: Array) -> Array:
    """[K, 4]: precision, recall, F1, support of a confusion matrix."""
    hit = np.diag(matrix).astype(np.float64)
    predicted, support = matrix.sum(axis=0), matrix.sum(axis=1)
    precision = hit / np.maximum(predicted, 1)
    recall = hit / np.maximum(support, 1)
    f1 = 2 * hit / np.maximum(predicted + support, 1)
    return np.stack([precision, recall, f1, support.astype(np.float64)], axis=1)


def calibration_error(confidence: Array, correct: Array) -> float:
    """Mean over 15 equal-width bins (lower edge open) of |accuracy - confidence|, weighted by the bins' shares."""
    edges = np.linspace(0, 1, BINS + 1)
    bins = np.clip(np.searchsorted(edges, confidence.astype(np.float64), side="left") - 1, 0, BINS - 1)
    gap = np.bincount(bins, weights=correct.astype(np.float64) - confidence, minlength=BINS)
    return float(np.abs(gap).sum() / len(confidence))


def _targets(split: Split) -> Array:
    arrays = split.resident()
    if arrays is not None:
        return np.asarray(arrays["target"])
    parts = [split.batch(range(i, min(i + 256, len(split))), 0)["target"] for i in range(0, len(split), 256)]
    return np.asarray(torch.cat(parts).cpu().numpy())
