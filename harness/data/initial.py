"""Whether a model that is being built needs the weights that its options name.

A stored trial holds all its weights, so whoever rebuilds its model must not need the file, or the network, that the
training began with.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_WANTED: ContextVar[bool] = ContextVar("harness_initial_weights", default=True)


@contextmanager
def without_initial_weights() -> Iterator[None]:
    """Models that are built inside get all their weights afterwards: they leave files and downloads alone."""
    token = _WANTED.set(False)
    try:
        yield
    finally:
        _WANTED.reset(token)


def initial_weights_wanted() -> bool:
    """For plugins: False where a stored model is rebuilt, whose weights follow."""
    return _WANTED.get()
