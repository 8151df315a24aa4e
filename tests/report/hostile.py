"""A study in which everything that comes from outside is an attack on some format."""

from __future__ import annotations

import dataclasses

import numpy as np
from report.evidence import CLASSES, make_evidence, make_figures, make_trial
from report.video import frames_of

from harness.contracts import Figure
from harness.report import Evidence
from harness.trial import Audit, Cell, Choice, Claim, Record, Skipped

NASTY = (
    "<script>alert(1)</script>",
    "a | b",
    "[x](javascript:alert(1))",
    "\\input{/etc/passwd}",
    "line\n\n# break\r\n- item",
    "=cmd|'/c calc'!A0",
    '"><img src=http://evil.example/x onerror=alert(1)>',
    "$x^2_{y}$ 100 % & ~ `code` *bold*",
    "</style></title><svg onload=alert(1)>",
    "\u202etxt.exe \x00\x1b[31m",
)


def hostile_evidence() -> Evidence:
    """Every place that a person, a folder or a plugin can write to holds something nasty."""
    base = make_evidence(("none", "se", "spatial"), seeds=2, epochs=2)
    cells, records = [], dict(base.records)
    for cell, name in zip(base.study.cells, NASTY, strict=False):
        cells.append(dataclasses.replace(cell, label=name))
        for trial in cell.trials:
            records[trial.id] = dataclasses.replace(
                records[trial.id],
                notes=NASTY,
                chosen_by=NASTY[0],
                environment={NASTY[0]: NASTY[6], "device": NASTY[1]},
                providers={NASTY[2]: NASTY[3]},
                floors={NASTY[5]: {"top1": 0.1}},
                sites=NASTY,
                started=NASTY[4],
                marks=NASTY[:3],
                audits=(_audit(cell.label == "spatial"),),
            )
    failing = make_trial(Choice("gone"), 7)
    cells.append(Cell("../../up", NASTY[5], (("attention", NASTY[0]),), (failing,)))
    records[failing.id] = Record(
        failing.id, "failed", failing, reason=NASTY[4], traceback="```\n</pre><script>alert(2)</script>\n````"
    )
    study = dataclasses.replace(
        base.study,
        title=NASTY[0],
        cells=tuple(cells),
        skipped=tuple(Skipped(n, n) for n in NASTY),
        claims=tuple(Claim("top1", n, 90.0, (("attention", n),), unit="%") for n in NASTY),
        source="\n".join(NASTY),
        reach=((NASTY[0], 1.0), ("top1", 0.5)),
    )
    names = (*NASTY, *CLASSES)[:10]
    figures = tuple(
        dataclasses.replace(f, title=NASTY[6], alt=NASTY[0], key=NASTY[3] if f.kind == "table" else "../../x")
        for f in make_figures(0.0, 0, names)
    )
    figures += tuple(_nasty(f) for f in frames_of("mse", 3, 16))
    stale = {cells[0].key: NASTY[0]}
    return dataclasses.replace(base, study=study, records=records, figures=lambda _: figures, stale=stale)


def _audit(failed: bool) -> Audit:
    return Audit(NASTY[6], "failed" if failed else "unproven", NASTY[4], NASTY[0], {NASTY[1]: 1.0})


def _nasty(figure: Figure) -> Figure:
    """Frames whose every name is an attack."""
    lengths = {"rows": 2, "columns": 3, "reference_name": 1, "x_label": 1}
    names = {k: np.array([n.replace("\x00", "") for n in NASTY[:n]]) for k, n in lengths.items() if k in figure.data}
    key = f"../../{figure.kind}{figure.key}"
    return dataclasses.replace(figure, key=key, title=NASTY[6], alt=NASTY[0], data={**figure.data, **names})
