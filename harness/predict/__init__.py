"""A trained model on a person's own videos: scores of frames, keyframes, pictures, and a page that shows them.

Importing this package imports no torch.
"""

from __future__ import annotations

from .listening import Failure, Listener, Predicted, Predictions, Step
from .reading import Reading, reading_of
from .run import run
from .selection import Keyframe, Wish
from .videos import find, folders

__all__ = [
    "Failure",
    "Keyframe",
    "Listener",
    "Predicted",
    "Predictions",
    "Reading",
    "Step",
    "Wish",
    "find",
    "folders",
    "reading_of",
    "run",
]
