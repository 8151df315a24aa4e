"""What a report is made from: a study, its records, and what its trials stored."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from ..contracts import Evaluation, Figure, Items, Metric
from ..trial import Record, Study, Value


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds of one forward pass: median and quartiles over `rounds` passes of `batch` items.

    memory: bytes that such a pass needs at most; None where that cannot be told for one model alone.
    """

    median_ms: float
    low_ms: float
    high_ms: float
    rounds: int
    batch: int
    device: str
    definition: str
    memory: float | None = None

    @property
    def throughput(self) -> float:
        """Items a second."""
        return 1000 * self.batch / self.median_ms


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that a report may look at. It opens no dataset, builds no model and reads no clock.

    records: by trial id; a missing id has not been run. metrics: of the task, in the order of display. select: the
    primary metric. items, figures: what a trial stored, by its id. latency, stale: by the cell's key (batched: the
    same at the training batch); stale says why
    the row's code or data is not today's. identities: the task's, for claims. defaults: (kind, name) -> the options
    of that component with their defaults. ceilings: the predictors among the floors that know answers. evaluations:
    (trial's id, name) -> what was measured of it after training. together: name -> the same of the whole study.
    """

    study: Study
    records: Mapping[str, Record]
    metrics: tuple[Metric, ...]
    select: str
    items: Callable[[str], Items | None]
    figures: Callable[[str], Sequence[Figure]]
    latency: Mapping[str, Latency]
    identities: Callable[[Mapping[str, float]], Sequence[str]]
    defaults: Callable[[str, str], Mapping[str, Value]]
    stale: Mapping[str, str] = field(default_factory=dict)
    resample: Literal["item", "item+seed"] = "item"
    remarks: Callable[[Mapping[str, float]], Sequence[str]] | None = None
    ceilings: tuple[str, ...] = ()
    evaluations: Callable[[str, str], Evaluation | None] = lambda trial_id, name: None
    together: Callable[[str], Evaluation | None] = lambda name: None
    batched: Mapping[str, Latency] = field(default_factory=dict)
