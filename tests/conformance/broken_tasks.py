"""Tasks of images with labels, each with one fault; `Good` has none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from harness.contracts import IO, DatasetInfo, Figure, Items, Metric, Spec
from harness.errors import ConfigError


class Good:
    """Share of labels that have the highest logit."""

    metrics: tuple[Metric, ...] = (Metric("hits", "%", "higher", "share of images whose highest logit is the class"),)
    select = "hits"
    resample = "item"

    def io(self, info: DatasetInfo) -> IO:
        if not info.classes:
            raise ConfigError("no classes")
        return IO({"inputs": info.specs["inputs"]}, {"logits": Spec("K", (len(info.classes),), "float32")})

    def present(self, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        return {"inputs": batch["inputs"], "index": batch["index"]}

    def pair(self, output: Mapping[str, Tensor], batch: Mapping[str, Tensor], expects: str) -> Any:
        return output["logits"], batch["target"], None

    def rows(self, output: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> np.ndarray:
        top = output["logits"].topk(2, dim=1)
        tie = top.values[:, 0] == top.values[:, 1]
        return ((top.indices[:, 0] == batch["target"]) & ~tie).numpy().astype(np.float64)

    def measure(self, output: Mapping[str, Tensor], batch: Mapping[str, Tensor], extras: Sequence[Any]) -> Items:
        return Items(tuple(map(str, batch["index"].tolist())), {"hits": self.rows(output, batch)})

    def summarise(self, items: Items) -> Mapping[str, float]:
        return {"hits": float(items.values["hits"].mean())}

    def floors(self, split: Any) -> Mapping[str, Items]:
        return {"never": Items(tuple(split.ids), {"hits": np.zeros(len(split))})}

    def figures(self, items: Items) -> Sequence[Figure]:
        return (self.figure("hits"),)

    def figure(self, key: str) -> Figure:
        data = {"x": np.array([0, 1]), "share": np.array([0.5, 0.5])}
        return Figure(key, "bars", "Hits and misses", "Share of hits and of misses", data)

    def identities(self, numbers: Mapping[str, float]) -> Sequence[str]:
        return [] if 0 <= numbers["hits"] <= 1 else ["hits are a share"]

    def remarks(self, numbers: Mapping[str, float]) -> Sequence[str]:
        return ()


class Part:
    """Has metrics and nothing else."""

    metrics = Good.metrics


class OtherChoice(Good):
    """Checkpoints are chosen by a number that is never shown."""

    select = "misses"

    def summarise(self, items: Items) -> Mapping[str, float]:
        return {"hits": float(items.values["hits"].mean()), "misses": 1.0 - float(items.values["hits"].mean())}


class ByLuck(Good):
    resample = "luck"


class Undefined(Good):
    metrics = (Metric("hits", "%", "higher", " "),)


class Picky(Good):
    """Reads no data that anybody has."""

    def io(self, info: DatasetInfo) -> IO:
        raise ConfigError("sounds are needed")


class Shows(Good):
    """Shows the model what it is asked for."""

    def present(self, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        return batch


class Hints(Good):
    """Shows the target under another name."""

    def present(self, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        return {**super().present(batch), "hint": 2 * batch["target"].float() + 1}


class HintsHot(Good):
    def present(self, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        return {**super().present(batch), "groups": nn.functional.one_hot(batch["target"], 8)}


class HintsInPixel(Good):
    """Writes the target into a corner of the image."""

    def present(self, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        x = batch["inputs"].clone()
        x[:, 0, 0, 0] = batch["target"] / 8
        return {"inputs": x, "index": batch["index"]}


class Draws(Good):
    """No fault: what it shows is drawn anew every time."""

    def present(self, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        return {**super().present(batch), "noise": torch.rand(len(batch["index"]))}


class Garbled(Good):
    """Pairs the outputs with something that no output can equal."""

    def pair(self, output: Mapping[str, Tensor], batch: Mapping[str, Tensor], expects: str) -> Any:
        return output["logits"], batch["target"].float()[:, None] + torch.zeros(1, 3), None


class OtherMean(Good):
    """The rows are not what the metric is a mean of."""

    def measure(self, output: Mapping[str, Tensor], batch: Mapping[str, Tensor], extras: Sequence[Any]) -> Items:
        return Items(tuple(map(str, batch["index"].tolist())), {"hits": 0.5 * self.rows(output, batch) + 0.1})

    def summarise(self, items: Items) -> Mapping[str, float]:
        return {"hits": 2 * (float(items.values["hits"].mean()) - 0.1)}

    def floors(self, split: Any) -> Mapping[str, Items]:
        return {}


class Stray(Good):
    """Gives a number that is no metric."""

    def summarise(self, items: Items) -> Mapping[str, float]:
        return {**super().summarise(items), "luck": 1.0}


class WrongWay(Good):
    """More hits count as worse."""

    metrics = (Metric("hits", "%", "lower", "share of images whose highest logit is the class"),)

    def floors(self, split: Any) -> Mapping[str, Items]:
        return {}


class PerBatch(Good):
    """Measures against the batch: an item's share of the hits around it."""

    def rows(self, output: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> np.ndarray:
        found = super().rows(output, batch)
        return found * (1 - 0.01 * len(found))


class HighFloor(Good):
    """A predictor without training that beats what is perfect."""

    def floors(self, split: Any) -> Mapping[str, Items]:
        return {"luck": Items(tuple(split.ids), {"hits": np.full(len(split), 1.5)})}


class Suspicious(Good):
    def identities(self, numbers: Mapping[str, float]) -> Sequence[str]:
        return ["too good to be true"]


class Doubled(Good):
    def figures(self, items: Items) -> Sequence[Figure]:
        return (self.figure("hits"), self.figure("hits"))
