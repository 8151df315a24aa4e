"""`harness new`: a complete plugin package, written from templates, whose example works as it is written."""

from __future__ import annotations

from .kinds import KINDS
from .naming import Names, names_for
from .writing import Package, create

__all__ = ["KINDS", "Names", "Package", "create", "names_for"]
