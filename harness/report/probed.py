"""What was measured of trained attention, by row: gates and knock-outs, as numbers by site and seed."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..contracts import Evaluation, Metric
from ..errors import StoreError
from ..stats import Difference, paired_difference
from .analysis import Analysis, Arm
from .escaping import one_line

MEASURES = ("mean", "spread", "entropy_channels", "entropy_places", "saturated")
TRAINED, ALL = "none", "all"
"""Rows of a knock-out that are no site: nothing taken out, and every block."""

Seeds = Mapping[int, float]


@dataclass(frozen=True, slots=True)
class Probed:
    """One row of the study. `gates`: site -> measure -> seed -> value. `scores`: a site, `none` or `all` -> seed -> the
    primary metric. Folds of a seed are averaged, and a seed counts when all its folds are measured. `sites`: in the
    model's order. `items`, `tested`: how many items the knock-out measured, and how many the test split has; each
    number once. `notes`: sentences about what is missing or no finite number. `told`: the
    evaluations' own notes.
    """

    arm: Arm
    sites: tuple[str, ...]
    gates: Mapping[str, Mapping[str, Seeds]]
    scores: Mapping[str, Seeds]
    items: tuple[int, ...]
    tested: tuple[int, ...]
    notes: tuple[str, ...]
    definitions: Mapping[str, str]
    told: tuple[str, ...]

    def gate(self, measure: str) -> tuple[dict[str, float], float | None]:
        """Site -> mean over seeds, and the mean over sites; no mean over all if a site has none."""
        own = {s: self.gates[s].get(measure, {}) for s in self.sites if s in self.gates}
        by_site = {s: sum(v.values()) / len(v) for s, v in own.items() if v}
        whole = bool(by_site) and len(by_site) == len(own)
        return by_site, sum(by_site.values()) / len(by_site) if whole else None

    def loss(self, what: str, metric: Metric) -> Difference:
        """What the network loses without a block, seed by seed: positive where it is worse without."""
        trained, out = self.scores.get(TRAINED, {}), self.scores.get(what, {})
        return paired_difference(trained, out) if metric.better == "higher" else paired_difference(out, trained)


def probed(analysis: Analysis) -> tuple[Probed, ...]:
    """The rows of which gates or knock-outs were measured, or cannot be read, which their notes say."""
    return tuple(found for arm in analysis.arms if (found := _probed(analysis, arm)) is not None)


def evaluation(analysis: Analysis, trial_id: str, name: str) -> Evaluation | str | None:
    """What was stored, None if nothing was, or why it cannot be read: a damaged file is no reason to lose a report."""
    try:
        return analysis.evidence.evaluations(trial_id, name)
    except StoreError as error:
        return one_line(error)


def _probed(analysis: Analysis, arm: Arm) -> Probed | None:
    notes: list[str] = []
    found: dict[str, dict[str, Evaluation]] = {"gates": {}, "knockout": {}}
    for record in arm.ok:
        for name, by_trial in found.items():
            stored = evaluation(analysis, record.id, name)
            if isinstance(stored, str):
                notes.append(f"'{name}' of '{arm.label}', seed {record.trial.config.seed}: {stored}")
            elif stored is not None and stored.rows:
                by_trial[record.id] = stored
    gates, knockout = found["gates"], found["knockout"]
    if not gates and not knockout and not notes:
        return None
    sites = _sites(arm, [*gates.values(), *knockout.values()])
    measured = {s: {m: _seeds(arm, gates, s, m, notes) for m in MEASURES} for s in sites if _has(gates, s)}
    rows = (TRAINED, ALL, *sites)
    scores = {r: _seeds(arm, knockout, r, analysis.primary.name, notes) for r in rows if _has(knockout, r)}
    if knockout:
        lost = [w for w in (TRAINED, ALL) if len(scores.get(w, {})) < len({r.trial.config.seed for r in arm.ok})]
        if lost:
            short = min(len(scores.get(w, {})) for w in lost)
            notes.append(f"'{arm.label}': the knock-out is usable for {short} of {arm.seeds} seeds")
    both = (*gates.values(), *knockout.values())
    shown = (*MEASURES, analysis.primary.name)
    definitions = {k: v for e in both for k, v in e.definitions.items() if k in shown}
    told = tuple(dict.fromkeys(one_line(n) for e in both for n in e.notes))
    items = sorted({n for e in knockout.values() if (n := _items(e)) is not None})
    tested = sorted({r.sizes["test"] for r in arm.ok if r.id in knockout and "test" in r.sizes})
    return Probed(arm, sites, measured, scores, tuple(items), tuple(tested), tuple(notes), definitions, told)


def _has(stored: Mapping[str, Evaluation], row: str) -> bool:
    return any(row in e.rows for e in stored.values())


def _sites(arm: Arm, stored: Sequence[Evaluation]) -> tuple[str, ...]:
    """In the model's order where its record tells it; names that it does not tell come after, numbers as numbers."""
    named = {row for e in stored for row in e.rows} - {TRAINED, ALL}
    known = [s for r in arm.ok for s in r.sites if s in named]
    return tuple(dict.fromkeys([*known, *sorted(named, key=_natural)]))


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d{1,9})", name)]


def _seeds(arm: Arm, stored: Mapping[str, Evaluation], row: str, measure: str, notes: list[str]) -> dict[int, float]:
    """Seed -> mean over its folds; nothing at all where one number is not finite, as leaving it out would flatter."""
    folds: dict[int, list[float | None]] = {}
    for trial, _ in arm.runs:
        own = stored.get(trial.id)
        folds.setdefault(trial.config.seed, []).append(None if own is None else _number(own, row, measure))
    known = {seed: [v for v in values if v is not None] for seed, values in folds.items()}
    bad = [(seed, v) for seed, values in known.items() for v in values if not math.isfinite(v)]
    if bad:
        seed, number = bad[0]
        notes.append(f"{one_line(measure)} at '{one_line(row)}' of '{arm.label}' is {number} for seed {seed}")
        return {}
    return {seed: sum(v) / len(v) for seed, v in known.items() if v and len(v) == len(folds[seed])}


def _number(stored: Evaluation, row: str, measure: str) -> float | None:
    value = stored.rows.get(row, {}).get(measure)
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _items(stored: Evaluation) -> int | None:
    value = stored.signature.get("items")
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
