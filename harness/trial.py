"""Studies, choices, trials, claims and records, and the ids that say when two trials are the same.

Everything is frozen and plain; `plain` turns it into JSON, and `restore` back.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from .plain import digest as digest
from .plain import to_plain as to_plain

Value: TypeAlias = "bool | int | float | str | tuple[Value, ...] | Choice | None"
Status: TypeAlias = Literal["ok", "failed", "skipped"]

TRAINABLE = "trainable_"


@dataclass(frozen=True, slots=True)
class Choice:
    """A component by name, with the options that were set; `options` is sorted by key."""

    name: str
    options: tuple[tuple[str, Value], ...] = ()

    @classmethod
    def of(cls, name: str, /, **options: Value) -> Choice:
        return cls(name, tuple(sorted(options.items())))

    def as_dict(self) -> dict[str, Any]:
        return dict(self.options)

    def names(self) -> tuple[str, ...]:
        """The name, and those of the choices among its options."""
        inner = (value.names() for _, value in self.options if isinstance(value, Choice))
        return (self.name, *(name for names in inner for name in names))

    def keywords(self) -> dict[str, Any]:
        """Options as keyword arguments of a target; a nested choice becomes a mapping with `name`."""
        return {key: _keyword(value) for key, value in self.options}

    @property
    def short(self) -> str:
        """The name; of a class that is no plugin ("my_module:MyBlock"), its own without the module's."""
        return short_name(self.name)

    def title(self) -> str:
        """`se`, or `MyBlock (my_module)`, without options."""
        return Choice(self.name).label()

    def label(self) -> str:
        """`se(reduction=8)`, or the bare name where nothing was set; `MyBlock(reduction=8) (my_module)`."""
        inner = ", ".join(f"{k}={format_value(v)}" for k, v in self.options)
        module, colon, attribute = self.name.partition(":")
        text = f"{attribute or module}({inner})" if inner else attribute or module
        return f"{text} ({module})" if colon else text


def short_name(name: str) -> str:
    """`MyBlock` of "my_module:MyBlock"; any other name as it is."""
    return name.rpartition(":")[2].rpartition(".")[2] if ":" in name else name


def _keyword(value: Value) -> Any:
    if isinstance(value, Choice):
        return {"name": value.name, **value.keywords()}
    return tuple(_keyword(v) for v in value) if isinstance(value, tuple) else value


def format_value(value: Value) -> str:
    """A value as a person writes it in a grid."""
    if isinstance(value, Choice):
        return value.label()
    if isinstance(value, tuple):
        return "[" + ", ".join(format_value(v) for v in value) + "]"
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return format(value, "g") if isinstance(value, float) else str(value)


@dataclass(frozen=True, slots=True)
class Term:
    """One loss of a weighted sum. `key` names it in curves (the name, numbered where it occurs twice)."""

    loss: Choice
    coefficient: float = 1.0
    key: str = ""


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of the training with its own optimiser, schedule and frozen groups."""

    epochs: int
    optimizer: Choice
    schedule: Choice
    freeze: tuple[str, ...] = ()
    train_only: tuple[str, ...] = ()
    freeze_bn: bool = False
    clip_norm: float | None = None


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a trial trains. `precision` and `channels_last` are resolved when the study is planned."""

    stages: tuple[Stage, ...]
    batch_size: int = 128
    precision: Literal["fp32", "bf16"] = "fp32"
    channels_last: bool = True
    compile: bool = False
    deterministic: bool = False
    ema: float | None = None
    choose: Literal["last", "best"] = "last"
    balance: Literal["none", "gradient_norm"] = "none"

    @property
    def epochs(self) -> int:
        return sum(s.epochs for s in self.stages)


@dataclass(frozen=True, slots=True)
class Config:
    """The resolved configuration of one trial: all that decides its result and can be written in a grid."""

    task: Choice
    dataset: Choice
    model: Choice
    attention: Choice
    placement: str | tuple[str, ...]
    loss: tuple[Term, ...]
    augment: tuple[Choice, ...]
    train: Recipe
    seed: int
    fold: int = 0


@dataclass(frozen=True, slots=True)
class Provenance:
    """What else decides a result: the source of every component, the core's results version, the data."""

    sources: tuple[tuple[str, str], ...]  # ("attention se", digest)
    core: int
    dataset: str

    def components(self) -> tuple[tuple[str, str], ...]:
        """(kind, name) of every component. A source is "kind name", or "kind name option" for a file of an option."""
        words = (name.split(" ") for name, _ in self.sources)
        return tuple(dict.fromkeys((w[0], w[1]) for w in words))

    def foreign(self, *kinds: str) -> dict[str, str]:
        """Module -> digest of its source, of every class of these kinds that is no plugin."""
        words = ((name.split(" "), digest) for name, digest in self.sources)
        return {w[1].partition(":")[0]: found for w, found in words if ":" in w[1] and w[0] in kinds}


@dataclass(frozen=True, slots=True)
class Trial:
    """One training. `id` is the hash of `config` and `provenance`."""

    config: Config
    provenance: Provenance

    @property
    def id(self) -> str:
        return digest({"config": _identity(self.config), "provenance": to_plain(self.provenance)})[:16]

    def named(self, row: str) -> str:
        """`se seed 0`, with the fold if it is not the first."""
        fold = f" fold {self.config.fold}" if self.config.fold else ""
        return f"{row} seed {self.config.seed}{fold}"

    @property
    def config_id(self) -> str:
        """The hash of the configuration alone: equal where only code or data changed."""
        return digest(_identity(self.config))[:16]


def _identity(config: Config) -> Any:
    """The plain form that is hashed. A key that came later is left out at its default, so that older ids stay."""
    plain = to_plain(config)
    # One term alone is never balanced, so it is the same training.
    if plain["train"]["balance"] == "none" or len(config.loss) == 1:
        del plain["train"]["balance"]
    return plain


@dataclass(frozen=True, slots=True)
class Cell:
    """One row of the comparison: a point of the grid, with the trials (seeds and folds) that measure it.

    A row that controls another names what it does (`control`: matched_conv, identity_gate, …) and the key of that
    other row (`of`).
    """

    key: str  # unique in the study, and safe as a file name
    label: str
    settings: tuple[tuple[str, Value], ...]  # dotted axis -> value; only what the study varies
    trials: tuple[Trial, ...]
    baseline: bool = False
    control: str = ""
    of: str = ""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A cell that the grid asked for and that makes no sense, or was excluded."""

    label: str
    reason: str


@dataclass(frozen=True, slots=True)
class Claim:
    """A published number. Exactly one of `where`, `difference` (a - b) and `order` (first beats second) is set.

    `where` maps dotted keys of the configuration to values; `unit` is "%", "pp" or a metric's own.
    `line` is the place in the grid file.
    """

    metric: str
    source: str
    reported: float | None = None
    where: tuple[tuple[str, Value], ...] = ()
    difference: tuple[tuple[tuple[str, Value], ...], ...] = ()
    order: tuple[tuple[tuple[str, Value], ...], ...] = ()
    unit: str = ""
    tolerance: float | None = None
    last_digit: int | None = None  # power of ten of the last digit of `reported` as it was written
    line: int = 0


@dataclass(frozen=True, slots=True)
class Study:
    """A grid file, resolved: what varies, what is compared with what, and the cells."""

    name: str
    title: str
    design: str
    cells: tuple[Cell, ...]
    skipped: tuple[Skipped, ...] = ()
    claims: tuple[Claim, ...] = ()
    axes: tuple[str, ...] = ()
    reach: tuple[tuple[str, float], ...] = ()  # metric -> the score whose first epoch the report looks for
    source: str = ""  # the grid's text, as it was read
    evaluate: tuple[str, ...] = ()  # what is measured of trained rows: gates, knockout, maps, gallery
    defaults: tuple[tuple[str, str, tuple[tuple[str, Value], ...]], ...] = ()
    """(kind, name, options with their defaults) of every component, as they were when the study was planned."""

    def trials(self) -> tuple[Trial, ...]:
        """Every trial once, in the order in which they run: seed by seed, so that early results already compare."""
        seen: dict[str, Trial] = {}
        for trial in sorted((t for c in self.cells for t in c.trials), key=lambda t: (t.config.seed, t.config.fold)):
            seen.setdefault(trial.id, trial)
        return tuple(seen.values())

    @property
    def baseline(self) -> Cell | None:
        return next((c for c in self.cells if c.baseline), None)


def trainable_names(study: Study) -> tuple[str, ...]:
    """`trainable_1`, …: the costs that count the weights of each stage, as many as the longest training has stages."""
    stages = max((len(t.config.train.stages) for t in study.trials()), default=0)
    return tuple(f"{TRAINABLE}{i}" for i in range(1, stages + 1))


@dataclass(frozen=True, slots=True)
class Audit:
    """What a check of the model itself found. A row with a failed audit is never ranked with the others.

    `mark`: a few words for every table (`LEAKS 1 frame`), empty if there is nothing to say. `numbers`: what was seen.
    """

    name: str
    outcome: Literal["passed", "failed", "unproven"]
    sentence: str
    mark: str = ""
    numbers: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Record:
    """The outcome of one trial, as `record.json` keeps it.

    metrics: on the test split, with the chosen checkpoint; fractions, not per cent.
    validation: the same on the validation split at the chosen epoch. floors: predictor -> metric -> value.
    curve: one mapping an epoch (train/loss, train/<term>, val/<metric>, lr, seconds, …).
    stages: one mapping a stage (epochs, trainable). cost: parameters, attention_parameters, macs, seconds,
    peak_memory (bytes), trainable_1, … (weights that a stage trains). parts: weights of every group of the model.
    marks: words that every table shows beside the row.
    """

    id: str
    status: Status
    trial: Trial
    reason: str = ""
    traceback: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    validation: Mapping[str, float] = field(default_factory=dict)
    floors: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    curve: tuple[Mapping[str, float], ...] = ()
    stages: tuple[Mapping[str, float], ...] = ()
    cost: Mapping[str, float] = field(default_factory=dict)
    parts: Mapping[str, float] = field(default_factory=dict)
    chosen_epoch: int = 0
    chosen_by: str = ""  # a sentence: which split chose the checkpoint, and how
    sites: tuple[str, ...] = ()
    sizes: Mapping[str, int] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    audits: tuple[Audit, ...] = ()
    environment: Mapping[str, Any] = field(default_factory=dict)
    providers: Mapping[str, str] = field(default_factory=dict)
    started: str = ""
    io: Mapping[str, Any] = field(default_factory=dict)
    targets: Mapping[str, str] = field(default_factory=dict)  # module of a class that is no plugin -> where it lay
