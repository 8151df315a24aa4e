"""Evaluations of trained attention as a study stores them: gates, knock-outs and maps of every trial, in memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
from report.evidence import make_evidence

from harness.contracts import Evaluation, Figure
from harness.report import Evidence

LOSS = {"se": 0.05, "spatial": 0.0004, "hybrid_sequential": 0.2, "hybrid_parallel": -0.03}
SITES = tuple(f"layer{i}.{j}" for i in (1, 2, 3) for j in range(3))
Change = Callable[[str, int, Evaluation], Evaluation | None]
"""(row, seed, evaluation) -> what is stored instead."""


def gates(row: str, seed: int, sites: tuple[str, ...] = SITES) -> Evaluation:
    rng = np.random.default_rng([seed, len(row)])
    rows = {}
    for i, site in enumerate(sites):
        values = (0.5 - 0.03 * i, 0.1 + 0.01 * i, 0.98 - 0.01 * i, 0.999, 0.02 * i)
        names = ("mean", "spread", "entropy_channels", "entropy_places", "saturated")
        rows[site] = {n: float(v + rng.normal(0, 0.003)) for n, v in zip(names, values, strict=True)}
    definitions = {"mean": "mean of the gate, output divided by input, no unit"}
    return Evaluation("gates", {"version": 1, "items": 2000}, rows, definitions)


def knockout(row: str, seed: int, sites: tuple[str, ...] = SITES, loss: float | None = None) -> Evaluation:
    rng = np.random.default_rng([seed, len(row), 1])
    trained = 0.84 + float(rng.normal(0, 0.002))
    whole = LOSS.get(row, 0.0) if loss is None else loss
    spread = abs(whole) / 20 + 0.0002
    rows = {"none": {"top1": trained}, "all": {"top1": trained - whole + float(rng.normal(0, spread))}}
    for i, site in enumerate(sites):
        rows[site] = {"top1": trained - whole * (i + 1) / 20 + float(rng.normal(0, spread))}
    definitions = {"top1": "share of the same items whose highest logit is the true class, in fp32"}
    return Evaluation("knockout", {"version": 1, "items": 2000, "device": "cpu"}, rows, definitions)


def maps(row: str, seed: int, sites: tuple[str, ...] = SITES, side: int = 96, shift: int = 0) -> Evaluation:
    """The same ten images for all rows; `shift`: other ones."""
    y, x = np.mgrid[:side, :side] / side
    images = np.stack([np.stack([x, y, 0 * x + (f + shift) / 12], axis=2) for f in range(10)])
    reference = (255 * images).astype(np.uint8)[None]
    blob = np.exp(-20 * ((x - 0.3 - len(row) % 5 / 10) ** 2 + (y - 0.5) ** 2))[None, :, :, None]
    over = (255 * (images * (1 - blob) + blob * np.array([1.0, 0.2, 0.1]))).astype(np.uint8)[None]
    columns = np.array([f"class{f} #{f * 7 + shift}" for f in range(10)])
    data = {"images": over, "reference": reference, "rows": np.array(["Grad-CAM of the true class"])}
    data |= {"columns": columns, "reference_name": np.array(["image"])}
    figures = [Figure("gradcam", "strip", "Grad-CAM of the true class", "Where the true class is seen", data)]
    if row != "none":
        heat = np.stack([np.stack([(255 * blob[0, ::6, ::6, 0]).astype(np.uint8)] * len(sites))] * 4)
        data = {"images": heat, "rows": columns[:4], "columns": np.array(sites), "colour": np.array(["heat"])}
        figures.append(Figure("places", "strip", "Place gain, 0 to 1", "Gain of every place, by site", data))
        gain = 0.5 + np.linspace(-0.3, 0.3, 11)[None] * np.linspace(0.2, 1, len(sites))[:, None]
        names = np.array([f"{p} %" for p in range(0, 101, 10)])
        data = {"values": gain, "rows": np.array(sites), "columns": names}
        figures.append(Figure("channels", "heatmap", "Channel gain", "Percentiles of the mean channel gain", data))
    return Evaluation("maps", {"version": 1}, figures=tuple(figures))


def probed_evidence(change: Change = lambda row, seed, e: e, base: Evidence | None = None) -> Evidence:
    """A study whose rows were probed; the baseline has no attention and maps alone."""
    evidence = make_evidence(epochs=2) if base is None else base
    whose = {t.id: (c.label, t.config.seed) for c in evidence.study.cells for t in c.trials}
    made: Mapping[str, Callable[[str, int], Evaluation]] = {"gates": gates, "knockout": knockout, "maps": maps}

    def find(trial_id: str, name: str) -> Evaluation | None:
        row, seed = whose[trial_id]
        if name not in made or (row == "none" and name != "maps"):
            return None
        return change(row, seed, made[name](row, seed))

    return dataclasses.replace(evidence, evaluations=find)
