"""A trained model on a person's own videos or images: keyframes or classes, pictures, and a page that shows them.

Importing this package imports no torch.
"""

from __future__ import annotations

from .listening import Classified, Failure, Listener, Predicted, Predictions, Step
from .pictures import IMAGE_SUFFIXES
from .reading import ImageReading, Reading, image_reading_of, reading_of
from .run import run
from .selection import Keyframe, Wish
from .videos import find, folders

__all__ = [
    "IMAGE_SUFFIXES",
    "Classified",
    "Failure",
    "ImageReading",
    "Keyframe",
    "Listener",
    "Predicted",
    "Predictions",
    "Reading",
    "Step",
    "Wish",
    "find",
    "folders",
    "image_reading_of",
    "reading_of",
    "run",
]
