"""A realistic study in memory: five attention arms on CIFAR-10, three seeds, figures as classification stores them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from harness.contracts import Figure, Metric
from harness.report import Evidence, Latency
from harness.trial import (
    Cell,
    Choice,
    Claim,
    Config,
    Provenance,
    Recipe,
    Record,
    Skipped,
    Stage,
    Study,
    Term,
    Trial,
    Value,
)

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
ARMS = ("none", "se", "spatial", "hybrid_sequential", "hybrid_parallel")
GAIN = {"none": 0.0, "se": 0.012, "spatial": -0.009, "hybrid_sequential": 0.004, "hybrid_parallel": 0.002}
METRICS = (
    Metric("top1", "%", "higher", "share of images whose highest logit is the true class"),
    Metric("top5", "%", "higher", "share of images whose true class is among the five highest logits"),
    Metric("cross_entropy", "nats", "lower", "mean of -log softmax(logits)[target]"),
    Metric("ece", "%", "lower", "expected calibration error, 15 equal-width bins"),
)
DEFINITION = "median and quartiles of one forward pass, eager, evaluation mode, all arms measured in turn"
SOURCE = "study: cifar10-attention\naxes:\n  attention: [none, se, spatial, hybrid_sequential, hybrid_parallel]\n"


def make_trial(attention: Choice, seed: int, epochs: int = 12) -> Trial:
    optimizer = Choice.of("sgd", lr=0.1, momentum=0.9, weight_decay=5e-4)
    stage = Stage(epochs, optimizer, Choice.of("cosine", warmup=1), clip_norm=1.0)
    config = Config(
        task=Choice("classification"),
        dataset=Choice("cifar10"),
        model=Choice("resnet20"),
        attention=attention,
        placement="residual",
        loss=(Term(Choice.of("cross_entropy", label_smoothing=0.1), 1.0, "cross_entropy"),),
        augment=(Choice.of("crop", padding=4), Choice("flip")),
        train=Recipe((stage,)),
        seed=seed,
    )
    sources = (("attention " + attention.name, "a1b2c3d4e5f60718"), ("model resnet20", "0f1e2d3c4b5a6978"))
    return Trial(config, Provenance(sources, 1, "cifar10-1f2e3d4c"))


def make_record(trial: Trial, gain: float, index: int) -> Record:
    config = trial.config
    rng = np.random.default_rng([config.seed, index])
    shared = np.random.default_rng(config.seed).normal(0, 0.003)
    epochs = config.train.epochs
    top1 = 0.84 + gain + shared + rng.normal(0, 0.0012)
    t = np.arange(1, epochs + 1) / epochs
    accuracy = top1 - 0.4 * np.exp(-4 * t) + rng.normal(0, 0.004, epochs)
    loss = 0.55 - 2 * gain + 1.6 * np.exp(-3 * t) + rng.normal(0, 0.01, epochs)
    curve = tuple(
        {
            "train/loss": float(loss[e]),
            "train/cross_entropy": float(loss[e]),
            "val/top1": float(accuracy[e]),
            "val/loss": float(loss[e] + 0.05),
            "lr": float(0.05 * (1 + np.cos(np.pi * t[e]))),
            "seconds": 13.5,
        }
        for e in range(epochs)
    )
    parameters = 272_474.0 + 2_600 * index
    numbers = {"top1": top1, "top5": 0.99 + gain / 5, "cross_entropy": 0.47 - gain, "ece": 0.031 + rng.normal(0, 0.001)}
    return Record(
        id=trial.id,
        status="ok",
        trial=trial,
        metrics={k: float(v) for k, v in numbers.items()},
        validation={k: float(v) + 0.003 for k, v in numbers.items()},
        floors={"majority": {"top1": 0.1, "top5": 0.5, "cross_entropy": 2.302585, "ece": 0.0}},
        curve=curve,
        stages=({"epochs": epochs, "trainable": parameters, "parameters": parameters},),
        cost={
            "parameters": parameters,
            "attention_parameters": 2_600.0 * index,
            "macs": 40_813_184.0 + 9_000 * index,
            "seconds": 161.0 + 4 * index + float(rng.normal(0, 2)),
            "peak_memory": 612e6 + 3e6 * index,
        },
        chosen_epoch=epochs,
        chosen_by=f"the last epoch ({epochs}), fixed beforehand; no split chose it",
        sites=tuple(f"layer{i}.{j}" for i in (1, 2, 3) for j in range(3)) if index else (),
        sizes={"train": 45_000, "val": 5_000, "test": 10_000},
        classes=CLASSES,
        environment={"python": "3.11.9", "torch": "2.15.0", "timm": "1.0.31", "device": "cpu", "threads": 1},
        providers={f"attention {config.attention.name}": "ablation-harness"},
        started=f"2026-11-21T0{config.seed}:00:00+00:00",
    )


def make_figures(gain: float, seed: int, classes: Sequence[str] = CLASSES) -> tuple[Figure, ...]:
    """A confusion matrix and the per-class table that follows from it."""
    rng = np.random.default_rng([seed, round(1000 * abs(gain))])
    k = len(classes)
    hard = np.linspace(-0.05, 0.05, k)
    counts = rng.poisson(8 + 60 * rng.random((k, k)) ** 6 / k, (k, k)).astype(np.float64)
    np.fill_diagonal(counts, 0)
    right = np.clip(0.84 + gain + hard + rng.normal(0, 0.004, k), 0, 1)
    share = counts / counts.sum(axis=1, keepdims=True) * (1 - right)[:, None]
    np.fill_diagonal(share, right)
    precision = right / share.sum(axis=0)
    table = np.stack([precision, right, 2 * precision * right / (precision + right), np.full(k, 1000.0)], axis=1)
    names = np.array(classes)
    columns = np.array(["precision", "recall", "f1", "support"])
    alt = "Share of each true class (row) that was predicted as each class (column)"
    return (
        Figure(
            "per_class",
            "table",
            "Per-class report",
            "Precision, recall, F1 and support of every class on the test split",
            {"values": table, "rows": names, "columns": columns},
            compare=True,
        ),
        Figure(
            "confusion",
            "heatmap",
            "Confusion matrix",
            alt,
            {"values": share, "rows": names, "columns": names},
            compare=True,
        ),
    )


def no_identities(numbers: Mapping[str, float]) -> Sequence[str]:
    return ["top-1 accuracy cannot exceed top-5 accuracy"] if numbers.get("top1", 0) > numbers.get("top5", 1) else []


def defaults(kind: str, name: str) -> Mapping[str, Value]:
    return {"reduction": 16, "gate": "sigmoid"} if (kind, name) == ("attention", "se") else {}


def make_evidence(arms: Sequence[str] = ARMS, seeds: int = 3, epochs: int = 12, **study: object) -> Evidence:
    """`arms` may repeat no name; those outside GAIN get a gain that follows from their place."""
    cells, records, gains = [], {}, {}
    for index, name in enumerate(arms):
        gain = GAIN.get(name, 0.0015 * ((index * 7) % 11 - 5))
        trials = tuple(make_trial(Choice(name), seed, epochs) for seed in range(seeds))
        settings: tuple[tuple[str, Value], ...] = (("attention", name),)
        cells.append(Cell(f"cell-{index}", name, settings, trials, baseline=name == "none"))
        for trial in trials:
            records[trial.id] = make_record(trial, gain, index)
            gains[trial.id] = (gain, trial.config.seed)
    latency = {
        cell.key: Latency(3.1 + 0.2 * i, 3.0 + 0.2 * i, 3.4 + 0.2 * i, 40, 1, "cpu", DEFINITION)
        for i, cell in enumerate(cells)
    }
    plan = Study("cifar10-attention", "Attention in ResNet-20 on CIFAR-10", "product", tuple(cells), source=SOURCE)
    return Evidence(
        study=dataclasses.replace(plan, **study),  # type: ignore[arg-type]
        records=records,
        metrics=METRICS,
        select="top1",
        items=lambda _: None,
        figures=lambda trial_id: make_figures(*gains[trial_id]),
        latency=latency,
        identities=no_identities,
        defaults=defaults,
    )


def with_problems() -> Evidence:
    """As studies are: a failed seed, a missing one, a skipped cell, claims, mixed versions, a stale row."""
    claims = (
        Claim("top1", "Woo et al. 2018, table 3", 84.5, (("attention", "hybrid_sequential"),), unit="%", tolerance=1.0),
        Claim("top1", "Woo et al. 2018, table 3", 92.5, (("attention", "se"),), unit="%", tolerance=0.3, line=19),
        Claim("parameters", "He et al. 2016", 0.27, (("attention", "none"),), unit="M", tolerance=0.005),
        Claim("top1", "a blog", order=((("attention", "se"),), (("attention", "spatial"),))),
        Claim("top1", "a blog", 2.0, difference=((("attention", "eca"),), (("attention", "none"),)), unit="pp"),
    )
    skipped = (Skipped("spatial, reduction 4", "attention 'spatial' has no option 'reduction'"),)
    evidence = make_evidence(claims=claims, skipped=skipped)
    records = dict(evidence.records)
    failed, missing = evidence.study.cells[4].trials[2], evidence.study.cells[3].trials[2]
    del records[missing.id]
    trace = 'Traceback (most recent call last):\n  File "engine.py", line 1, in train\nDiverged: the loss is nan\n'
    reason = "diverged in epoch 3 at update 17 of 351: the loss is nan"
    records[failed.id] = Record(failed.id, "failed", failed, reason=reason, traceback=trace)
    first = evidence.study.cells[1].trials[0]
    mixed = {**records[first.id].environment, "torch": "2.14.1"}
    records[first.id] = dataclasses.replace(records[first.id], environment=mixed, notes=("hashes are not official",))
    return dataclasses.replace(evidence, records=records, stale={"cell-2": "the source of 'spatial' changed"})
