"""The kinds that a package can be begun for, and what their templates are about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Example:
    """`module` is the file of the component; `about` and `source` are its summary and source in `harness list`."""

    module: str
    about: str
    source: str
    promises: str


KINDS: Mapping[str, Example] = {
    "attention": Example(
        "block",
        "gates every value by a convolution over its neighbours in the same channel",
        "original",
        "A block returns the shape that it is given, for any batch, size and number of channels, and mixes no images.",
    ),
    "model": Example(
        "model",
        "a small convolutional classifier of two stages",
        "original",
        "A model is built plain from what it reads and writes; attention is attached to it afterwards and changes no "
        "other weight.",
    ),
    "dataset": Example(
        "dataset",
        "made-up grey images of stripes in four directions, under noise; no download",
        "original",
        "A dataset describes itself without opening anything, and a split gives the same batch for the same arguments.",
    ),
    "loss": Example(
        "loss",
        "focal loss: cross-entropy that counts well predicted items less; gamma",
        "Lin et al. 2017, arXiv:1708.02002, eq. 4",
        "A loss is a mean over items, finite, and smaller for a better prediction.",
    ),
    "task": Example(
        "task",
        "one label an image, judged class by class: balanced accuracy, cross-entropy",
        "Brodersen et al. 2010, doi:10.1109/ICPR.2010.764",
        "A task shows a model no target, measures every test item by itself, and rates a perfect prediction best.",
    ),
}
