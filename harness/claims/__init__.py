"""The audit of published numbers: what a claim says, what was measured, and whether the two can both be true."""

from __future__ import annotations

from .judging import Judgement, VerdictWord, judge
from .settings import MISSING, Missing, setting

__all__ = ["MISSING", "Judgement", "Missing", "VerdictWord", "judge", "setting"]
