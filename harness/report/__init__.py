"""A study and its records as tables, pictures, Markdown, HTML, CSV and LaTeX. Pure: no model, no dataset, no clock."""

from __future__ import annotations

from .build import build, table
from .evidence import Evidence, Latency

__all__ = ["Evidence", "Latency", "build", "table"]
