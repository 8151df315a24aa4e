"""A study of video prediction in memory: sums of losses, one row that sees the future, one with random weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
from report.evidence import make_evidence, make_trial

from harness.contracts import Figure, Items, Metric
from harness.report import Evidence
from harness.trial import Audit, Cell, Choice, Claim, Record, Study, Term, Trial

METRICS = (
    Metric("psnr", "dB", "higher", "mean over clips and frames of 10 log10(1 / MSE of the frame)"),
    Metric("mse", "", "lower", "mean squared error per pixel"),
)
ROWS = {
    "mse": ("mse",),
    "mse + gdl": ("mse", "gdl"),
    "mse + gdl + perceptual": ("mse", "gdl", "perceptual"),
    "mse, padding same": ("mse",),
}
GAIN = dict(zip(ROWS, (0.0, 0.4, 0.9, 9.0), strict=True))
COEFFICIENTS = {"mse": 1.0, "gdl": 0.5, "perceptual": 0.1}
LEAKY, RANDOM = "mse, padding same", "mse + gdl + perceptual"
LEAK = Audit(
    "leaks",
    "failed",
    "outputs depend on inputs up to 1 frame later than they may: each of the 5 later frames was replaced by noise, by"
    " values above the clip's and by black, and outputs before it changed by up to 0.31; the model sees what it is"
    " asked to predict",
    "LEAKS 1 frame",
    {"reach": 1.0, "largest_change": 0.31, "pairs": 15.0},
)
PASSED = Audit("leaks", "passed", "no output depends on a later input", "", {"reach": 0.0, "pairs": 15.0})
T, SIDE, CLIPS, ITEMS, EPOCHS = 6, 32, 2, 12, 4


def truth(frames: int = T, side: int = SIDE, clips: int = CLIPS) -> np.ndarray:
    """A disc that moves: uint8 [K, T, H, W]."""
    y, x = np.mgrid[:side, :side]
    made = np.zeros((clips, frames, side, side), np.uint8)
    for k in range(clips):
        for t in range(frames):
            centre = side / 4 + (k + 1) * t * side / (3 * frames)
            made[k, t] = 255 * (((x - centre) ** 2 + (y - side / 2 + 2 * k) ** 2) < (side / 6) ** 2)
    return made


def frames_of(label: str, frames: int = T, side: int = SIDE) -> tuple[Figure, ...]:
    """As the task stores them: metrics against horizon, a strip, error maps, a clip in motion."""
    true = truth(frames, side)
    weight = {"mse": 0.5, "mse + gdl": 0.7, "mse + gdl + perceptual": 0.85}.get(label, 1.0)
    predicted = (weight * true + (1 - weight) * np.roll(true, -3, axis=3)).astype(np.uint8)
    error = np.abs(true.astype(np.int16) - predicted.astype(np.int16)).astype(np.uint8)
    rows, places = np.array([f"clip {k}" for k in range(len(true))]), [0, 2, frames - 1]
    columns, base = np.array([f"frame {p}" for p in places]), {"rows": rows, "reference_name": np.array(["truth"])}
    strip = {**base, "images": predicted[:, places], "reference": true[:, places], "columns": columns}
    heat = {"rows": rows, "images": error[:, places], "columns": columns, "colour": np.array(["heat"])}
    moving = {**base, "images": predicted, "reference": true, "milliseconds": np.array([150])}
    psnr = 20 + GAIN.get(label, 0.0) - np.arange(frames) / frames
    lines = {"x": np.arange(frames), "x_label": np.array(["output frame"]), "psnr (dB)": psnr}
    return (
        Figure("horizon", "lines", "Metrics against horizon", "Mean over test clips of every output frame", lines),
        Figure("frames", "strip", "Predicted frames", "Frames of test clips, each predicted from those before", strip),
        Figure("errors", "strip", "Error maps", "Absolute error of every pixel, 0 to 1", heat),
        Figure("clips", "animation", "Clips in motion", "Test clips", moving),
    )


def items_of(label: str, seed: int) -> Items:
    shared = np.random.default_rng(5).normal(0, 2, ITEMS)
    own = np.random.default_rng([seed, len(label)]).normal(0, 0.1, ITEMS)
    return Items(tuple(f"clip {i}" for i in range(ITEMS)), {"psnr": 20 + GAIN[label] + shared + own})


def _trial(label: str, seed: int) -> Trial:
    trial = make_trial(Choice("none"), seed, EPOCHS)
    terms = tuple(Term(Choice(k), COEFFICIENTS[k], k) for k in ROWS[label])
    model = Choice.of("convlstm", temporal_padding="same" if label == LEAKY else "causal")
    task, data = Choice("video_prediction"), Choice("moving_mnist")
    config = dataclasses.replace(trial.config, loss=terms, model=model, task=task, dataset=data)
    return dataclasses.replace(trial, config=config)


def _epoch(label: str, seed: int, e: int) -> Mapping[str, float]:
    keys = ROWS[label]
    falling = np.exp(-e / 2) * (1 + 0.05 * seed)
    values = {"train/loss": falling, "lr": 0.001, "seconds": 3.0, "grad/norm": 2 * falling, "grad/clipped": 1.0}
    values["val/psnr"] = 18.0 + GAIN[label] + e - 0.3 * seed
    values["val/mse"] = 0.02 - 0.003 * e
    for i, key in enumerate(keys):
        values[f"train/{key}"] = float((i + 1) * falling)
        if len(keys) > 1:
            share = (1 + i * e) / sum(1 + j * e for j in range(len(keys)))
            values |= {f"ledger/{key}/weight": COEFFICIENTS[key], f"ledger/{key}/share": share}
            values[f"ledger/{key}/norm"] = share * falling
            values |= {f"ledger/{key}~{other}/cosine": 0.25 + 0.1 * e for other in keys[i + 1 :]}
    return {k: float(v) for k, v in values.items()}


def _record(trial: Trial, label: str, index: int) -> Record:
    seed = trial.config.seed
    rng = np.random.default_rng([seed, index])
    psnr = float(items_of(label, seed).values["psnr"].mean())
    return Record(
        id=trial.id,
        status="ok",
        trial=trial,
        metrics={"psnr": psnr, "mse": 0.01 - GAIN[label] / 2000 + float(rng.normal(0, 1e-5))},
        floors={"copy_last": {"psnr": 14.2, "mse": 0.04}},
        curve=tuple(_epoch(label, seed, e) for e in range(EPOCHS)),
        stages=({"epochs": EPOCHS, "trainable": 1e5},),
        cost={"parameters": 1e5 + index, "macs": 4e8, "seconds": 60.0 + seed, "peak_memory": 6e8},
        chosen_epoch=EPOCHS,
        chosen_by=f"the last epoch ({EPOCHS}), fixed beforehand; no split chose it",
        sizes={"train": 1000, "val": 100, "test": ITEMS},
        marks=("random VGG-16",) if label == RANDOM else (),
        audits=(LEAK if label == LEAKY else PASSED,),
        environment={"torch": "2.15.0", "device": "cpu"},
    )


def video_evidence(baseline: str = "mse", seeds: int = 3, side: int = SIDE, frames: int = T) -> Evidence:
    """Four rows; the one that sees the future is the best by far."""
    cells, records, labels = [], {}, {}
    for index, label in enumerate((LEAKY, *(r for r in ROWS if r != LEAKY))):
        trials = tuple(_trial(label, seed) for seed in range(seeds))
        cells.append(Cell(f"row-{index}", label, (("loss", label),), trials, baseline=label == baseline))
        for trial in trials:
            records[trial.id], labels[trial.id] = _record(trial, label, index), label
    claims = (
        Claim("psnr", "a paper", 29.2, (("model.temporal_padding", "same"),), unit="dB", tolerance=5.0),
        Claim("psnr", "a paper", order=((("model.temporal_padding", "same"),), (("loss", ("mse", "gdl")),))),
    )
    study = Study(
        "moving", "Losses on Moving MNIST", "product", tuple(cells), claims=claims, reach=(("psnr", 20.0), ("mse", 0.0))
    )
    return dataclasses.replace(
        make_evidence(()),
        study=study,
        records=records,
        metrics=METRICS,
        select="psnr",
        items=lambda trial_id: items_of(labels[trial_id], records[trial_id].trial.config.seed),
        figures=lambda trial_id: frames_of(labels[trial_id], frames, side),
        identities=lambda _: (),
        defaults=lambda kind, name: {},
        resample="item+seed",
    )
