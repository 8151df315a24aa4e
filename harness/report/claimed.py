"""Published numbers, each with what became of it here."""

from __future__ import annotations

from ..claims import Judgement
from ..claims.settings import describe
from ..trial import Claim
from . import numbers
from .analysis import Analysis
from .document import Column, Entry, Line, Section, Table, Tone
from .escaping import one_line

_TONES: dict[str, Tone] = {"reproduced": "good", "contradicted": "bad", "impossible": "bad"}


def claims(analysis: Analysis) -> Section | None:
    """Published numbers, each with its verdict."""
    if not analysis.judgements:
        return None
    columns = tuple(Column(c, numeric=False) for c in ("claim", "reported", "source", "verdict", "why"))
    lines = tuple(Line(_claim(j)) for j in analysis.judgements)
    caption = (
        "reproduced: the interval lies within the tolerance; contradicted: outside; inconclusive: across its edge;"
        " not comparable: other data, budget or protocol; impossible: breaks an identity or excludes another claim."
    )
    return Section("claims", "Published claims", (Table(caption, columns, lines),))


def _claim(judgement: Judgement) -> tuple[Entry, ...]:
    claim = judgement.claim
    reported = "order" if claim.reported is None else f"{claim.reported:.10g} {claim.unit}".strip()
    tolerance = "" if claim.tolerance is None else f"± {claim.tolerance:g}"
    return (
        Entry(one_line(_about(claim)), f"line {claim.line}" if claim.line else ""),
        Entry(one_line(reported), tolerance),
        Entry(one_line(claim.source) or numbers.NONE),
        Entry(judgement.verdict, tone=_TONES.get(judgement.verdict, "muted")),
        Entry(one_line(judgement.sentence)),
    )


def _about(claim: Claim) -> str:
    pair = claim.difference or claim.order
    if len(pair) == 2:
        joint = " minus " if claim.difference else " beats "
        return f"{claim.metric}: {joint.join(describe(w) for w in pair)}"
    return f"{claim.metric}: {describe(claim.where)}"
