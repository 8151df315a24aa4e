"""A study of attention as it is when nothing was left out: controls, classes, probes, gallery and both latencies."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
from report.evidence import CLASSES, make_evidence, make_figures, make_record, make_trial
from report.probes import probed_evidence

from harness.contracts import Evaluation, Figure, Items
from harness.report import Evidence
from harness.trial import Cell, Choice

N = 1000
CAT, DOG, SHIP = (CLASSES.index(c) for c in ("cat", "dog", "ship"))
GAINS = {"matched_conv": 0.002, "identity_gate": 0.0, "shuffled_gate": 0.011}


def answers(evidence: Evidence, classes: int = 10, size: int = N) -> dict[str, Items]:
    """Every row errs at random in 10 % of images; `se` also takes 40 % of cats for dogs, and never misses a ship."""
    target = (np.arange(size) % classes).astype(np.int32)
    found = {}
    for cell in evidence.study.cells:
        for trial in cell.trials:
            random = np.random.default_rng(trial.config.seed)
            predicted = np.where(random.random(size) < 0.1, (target + 3) % classes, target)
            if cell.label == "se":
                predicted[(target == CAT) & (random.random(size) < 0.4)] = DOG
                predicted[target == SHIP] = SHIP
            values = {"target": target, "predicted": predicted.astype(np.int32)}
            found[trial.id] = Items(tuple(map(str, range(size))), values)
    return found


def stored_gallery(evidence: Evidence, **changes: object) -> Evaluation:
    rows = {c.key: {"only_right": 2.0 * i, "images": 1000.0, "seeds": 3.0} for i, c in enumerate(evidence.study.cells)}
    images = np.random.default_rng(0).integers(0, 255, (1, 2, 64, 64, 3), dtype=np.uint8)
    data = {"images": images, "rows": np.array(["x"]), "columns": np.array(["cat → dog", "ship → <b>truck</b> / cat"])}
    figure = Figure("cell-1", "strip", "se", "Images that only 'se' gets right", data)
    signature = {"version": 1, "rows": {c.key: [t.id for t in c.trials] for c in evidence.study.cells}}
    return dataclasses.replace(Evaluation("gallery", signature, rows, figures=(figure,)), **changes)


def with_controls(made: Evidence, key: str, gains: Mapping[str, float]) -> Evidence:
    """`made` with controls of the row `key`, whose gains are given; the identity copies the baseline."""
    cells, records = list(made.study.cells), dict(made.records)
    row = next(c for c in cells if c.key == key)
    base = next(c for c in cells if c.baseline)
    wrapped = row.trials[0].config.attention
    figures = {}
    for index, (name, gain) in enumerate(gains.items(), 5):
        trials = tuple(make_trial(Choice.of(name, of=wrapped), t.config.seed) for t in row.trials)
        label = f"{row.label}: {name.replace('_', ' ')}"
        cells.append(Cell(f"{key}-{name}", label, (), trials, control=name, of=key))
        for trial, twin in zip(trials, base.trials, strict=True):
            records[trial.id] = make_record(trial, gain, index)
            figures[trial.id] = make_figures(gain, trial.config.seed)
            if name == "identity_gate":
                records[trial.id] = dataclasses.replace(records[trial.id], metrics=records[twin.id].metrics)
    study = dataclasses.replace(made.study, cells=tuple(cells))
    return dataclasses.replace(
        made, study=study, records=records, figures=lambda i: figures[i] if i in figures else made.figures(i)
    )


def complete_evidence(seeds: int = 3) -> Evidence:
    """Every section that a study of attention can have."""
    made = make_evidence(("none", "se", "hybrid_sequential"), seeds, epochs=2)
    for key in ("cell-1", "cell-2"):
        made = with_controls(made, key, GAINS)
    latency = next(iter(made.latency.values()))
    alone = {c.key: latency for c in made.study.cells}
    batched = {
        key: dataclasses.replace(latency, median_ms=64.0, low_ms=60.0, high_ms=70.0, rounds=5, batch=128)
        for key in alone
    }
    made = dataclasses.replace(made, latency=alone, batched=batched, items=answers(made).get)
    return probed_evidence(base=dataclasses.replace(made, together={"gallery": stored_gallery(made)}.get))
