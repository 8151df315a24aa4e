"""Components small enough to plan with: nothing here trains, so nothing imports torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from harness.contracts import DatasetInfo
from harness.errors import DataError
from harness.grid import Context, load
from harness.registry import Registry
from harness.trial import Study

HERE = "grid_components"
CONTEXT = Context(Path("data"), "fp32", 1)
BASE: dict[str, Any] = {"study": "s", "dataset": "toy", "model": "net", "train": {"epochs": 2}}
described: list[Mapping[str, Any]] = []


class Toy:
    def __init__(self, root: Path, *, val: float = 0.1, folds: int = 1) -> None: ...

    @staticmethod
    def describe(root: Path, **options: Any) -> DatasetInfo:
        described.append(options)
        if options.get("val", 0.1) >= 1:
            raise DataError("toy: val leaves nothing to train on", hint="give a fraction below 1")
        return DatasetInfo(f"toy-{sorted(options.items())}", {}, {}, folds=options.get("folds", 1))


def silent(root: Path) -> None: ...


def net(io: object, *, depth: int = 20, width: float = 1.0) -> None: ...


def deep(io: object, *, arch: str, stem: Literal["imagenet", "cifar"] = "imagenet") -> None: ...


class Temporal:
    """Names another model that every study of it has beside it."""

    control = "alone"

    def __init__(self, io: object, *, depth: int = 3, width: float = 1.0, weights: str | None = None) -> None: ...


def alone(io: object, *, width: float = 2.0, weights: str | None = None) -> None: ...


def se(channels: int, *, reduction: int = 16, gate: str = "sigmoid", site: str = "") -> None: ...


def eca(channels: int, *, kernel_size: int | None = None) -> None: ...


def spatial(channels: int, *, kernel_size: int = 7, order: tuple[int, ...] = (1, 2)) -> None: ...


def empty() -> None: ...


def smooth(*, label_smoothing: float = 0.0) -> None: ...


def gdl(*, alpha: int = 1) -> None: ...


def erasing(*, p: float = 0.5) -> None: ...


def sgd(model: object, lr: float = 0.1, momentum: float = 0.9) -> None: ...


def adam(model: object, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999)) -> None: ...


def cosine(optimizer: object, total_steps: int, steps_per_epoch: int, warmup_epochs: float = 0.0) -> None: ...


def step(optimizer: object, total_steps: int, steps_per_epoch: int, milestones: tuple[int, ...]) -> None: ...


def registry() -> Registry:
    made = Registry("test")
    for kind, names in {
        "task": {"classification": "empty"},
        "dataset": {"toy": "Toy", "silent": "silent"},
        "model": {"net": "net", "deep": "deep", "broken": "nothing_there"},
        "attention": {"none": "empty", "se": "se", "eca": "eca", "spatial": "spatial"},
        "loss": {"cross_entropy": "smooth", "bce": "empty", "gdl": "gdl"},
        "augment": {"crop": "empty", "flip": "empty", "erasing": "erasing"},
        "optimizer": {"sgd": "sgd", "adam": "adam"},
        "schedule": {"cosine": "cosine", "step": "step"},
    }.items():
        for name, target in names.items():
            made.add(kind, name, f"{HERE}:{target}")
    made.add("model", "temporal", f"{HERE}:Temporal", files=("weights",))
    made.add("model", "alone", f"{HERE}:alone", files=("weights",))
    return made


def plan(grid: Path | Mapping[str, Any] | None = None, overrides: Sequence[str] = (), **changes: Any) -> Study:
    """Plan BASE with changes, or a whole grid."""
    return load(BASE | changes if grid is None else grid, registry(), CONTEXT, overrides)


def labels(study: Study) -> list[str]:
    return [cell.label for cell in study.cells]


def skips(study: Study) -> list[tuple[str, str]]:
    return [(s.label, s.reason) for s in study.skipped]
