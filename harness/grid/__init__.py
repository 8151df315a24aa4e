"""A grid file or mapping, resolved into a `Study`; every mistake at once, with its line."""

from .components import Context
from .plan import load

__all__ = ["Context", "load"]
