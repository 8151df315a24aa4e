"""What the feature cache is worth: training a head on a frozen backbone, with features kept and with frames each time.

    python benchmarks/feature_cache.py [--epochs 4] [--videos 16] [--rounds 3] [--threads 2]
        [--backbone resnet50] [--size 96] [--weights FILE --weights-by order]

The same trials, in turn in one process: `frames` runs the backbone for every frame in every epoch (and in validation
and test), as a loop without a cache does, on frames that are already decoded; `first` computes the features and then
trains on them; `again` finds them. Random weights unless a file is given: arithmetic does not depend on their values.
Prints seconds of a whole trial, from its configuration to its record, and the ratios of the medians.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from harness import front
from harness.data import data_root
from harness.discovery import load
from harness.engine import Run, run_trial
from harness.loading import Loader
from harness.registry import Registry
from harness.store import Store
from harness.trial import Choice, Config, Provenance, Recipe, Stage, Term, Trial


def config(options: argparse.Namespace) -> Config:
    given = {} if options.weights is None else {"weights": options.weights, "weights_by": options.weights_by}
    model = Choice.of("keyframe_transformer", backbone=options.backbone, pretrained=False, **given)
    stage = Stage(options.epochs, Choice.of("adamw", lr=1e-4), Choice("cosine"), freeze=("backbone",))
    sizes = {"train": options.videos, "val": max(1, options.videos // 4), "test": max(1, options.videos // 4)}
    return Config(
        task=Choice("keyframes"),
        dataset=Choice.of("toy_videos", size=options.size, **sizes),
        model=model,
        attention=Choice.of("dual"),
        placement="stage",
        loss=(Term(Choice("spearman"), 1.0, "spearman"),),
        augment=(),
        train=Recipe((stage,), batch_size=4),
        seed=0,
    )


def seconds(one: Config, registry: Registry, threads: int) -> tuple[float, float]:
    """Of a whole trial, and of its training alone."""
    trial = Trial(one, Provenance((), 1, "benchmark"))
    with tempfile.TemporaryDirectory() as folder:
        sink = Store(Path(folder)).sink(trial, lambda epoch, values: None, lambda done, total, loss: None)
        started = time.perf_counter()
        record = run_trial(trial, registry, sink, Run(data_root(), "cpu", threads))
        elapsed = time.perf_counter() - started
    if record.status != "ok":
        raise SystemExit(record.traceback)
    return elapsed, record.cost["seconds"]


def plain(self: front.Feeder, stages: Sequence[Stage], names: Iterable[str] | None = None) -> Mapping[str, Loader]:
    """Frames every time."""
    return self._loaders


def main() -> None:
    parser = argparse.ArgumentParser(description="The feature cache against running the backbone every time.")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--videos", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--weights")
    parser.add_argument("--weights-by", default="name")
    options = parser.parse_args()
    registry, one = load(third_party=False).registry, config(options)
    times: dict[str, list[tuple[float, float]]] = {"frames": [], "first": [], "again": []}
    cached = front.Feeder.loaders
    with tempfile.TemporaryDirectory() as cache:
        os.environ["HARNESS_CACHE"] = cache
        front.Feeder.loaders = plain
        seconds(one, registry, options.threads)  # writes and decodes the videos, which no row is charged for
        for _ in range(options.rounds):
            front.Feeder.loaders = plain
            times["frames"].append(seconds(one, registry, options.threads))
            front.Feeder.loaders = cached
            shutil.rmtree(Path(cache) / "features", ignore_errors=True)
            times["first"].append(seconds(one, registry, options.threads))
            times["again"].append(seconds(one, registry, options.threads))
    medians = {
        name: [statistics.median(column) for column in zip(*found, strict=True)] for name, found in times.items()
    }
    for name, found in times.items():
        whole = ", ".join(f"{t:.1f}" for t, _ in found)
        print(f"{name:7} whole trial {whole} s (median {medians[name][0]:.1f}), training {medians[name][1]:.1f} s")
    for name in ("first", "again"):
        ratios = [medians["frames"][i] / medians[name][i] for i in range(2)]
        print(f"frames / {name}: whole trial {ratios[0]:.1f}, training {ratios[1]:.1f}")


if __name__ == "__main__":
    main()
