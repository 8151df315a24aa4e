"""Trackers tell other programs of a running study. They are components of kind `tracker`, and hear what any plugin can
hear through the public hooks; one is built when it is asked for, and only then is its library imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..hookspecs import hookimpl

if TYPE_CHECKING:
    from ..registry import Registry


@hookimpl
def harness_register(registry: Registry) -> None:
    registry.add(
        "tracker",
        "tensorboard",
        "harness.trackers.tensorboard:TensorBoard",
        summary="events for TensorBoard, in the trial's folder of the store",
        source="https://www.tensorflow.org/tensorboard",
    )
    registry.add(
        "tracker",
        "mlflow",
        "harness.trackers.mlflow:Mlflow",
        summary="a run of MLflow for every trial; needs the extra mlflow",
        source="https://mlflow.org",
    )
    registry.add(
        "tracker",
        "wandb",
        "harness.trackers.wandb:Wandb",
        summary="a run of Weights & Biases for every trial; needs the extra wandb",
        source="https://wandb.ai",
    )
