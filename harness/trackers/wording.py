"""What trackers say of a trial in words that every service takes, and the note that finds its run again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..plain import dotted, to_plain
from ..trial import Record, Study, Trial

REASON = 500
"""Letters of a failure's reason that a service gets; the record has all of it."""


def row(trial: Trial, study: Study) -> str:
    """The row of the study that a trial measures; the first, where rows share it."""
    return next((c.label for c in study.cells if any(t.id == trial.id for t in c.trials)), "")


def name(trial: Trial, study: Study) -> str:
    """`se(reduction=8) seed 0`, with the fold if it is not the first."""
    return trial.named(row(trial, study))


def parameters(trial: Trial) -> dict[str, str]:
    """The resolved configuration under the dotted keys of a grid."""
    return dict(dotted(to_plain(trial.config)))


def results(record: Record) -> dict[str, float]:
    """`test/<metric>` and `cost/<what>`; empty for a trial that failed before it was tested."""
    found = {f"test/{name}": float(value) for name, value in record.metrics.items()}
    return found | {f"cost/{name}": float(value) for name, value in record.cost.items()}


def reason(record: Record) -> str:
    return record.reason[:REASON]


def read_note(path: Path) -> Mapping[str, Any]:
    """What `write_note` left in a trial's folder; empty if there is nothing, or nothing that can be read."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def write_note(path: Path, note: Mapping[str, Any]) -> None:
    part = path.with_name(f".{path.name}.part")
    part.write_text(json.dumps(note) + "\n", encoding="utf-8")
    part.replace(path)
