"""From a trial's configuration to live parts: data, model with attention attached, losses, augmentation.

Pairing: the plain model is built first under the trial's seed; each attention block is built afterwards under a seed
of its own (seed, site). Parameters of equal name and shape are therefore equal in all arms of a seed.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import torch
from torch import Tensor, nn

from . import foreign
from .augment.pipeline import Pipeline
from .blocks import Blocks
from .contracts import IO, Dataset, DatasetInfo, Loss, Model, Task
from .data import without_initial_weights
from .environment import derive, seed_all
from .errors import ComponentFailed, ConfigError, HarnessError, NoControl
from .importing import told
from .measure import block_macs, example
from .registry import Registry
from .restore import from_plain
from .store import Store
from .trial import Choice, Config, Record, Stage

if TYPE_CHECKING:
    from .recipe.schedules import Schedule


@dataclass(frozen=True, slots=True)
class WeightedLoss:
    """One term of the sum that is minimised."""

    key: str
    coefficient: float
    loss: Loss


@dataclass(slots=True)
class Parts:
    """What the engine works with."""

    info: DatasetInfo
    dataset: Dataset
    task: Task
    io: IO
    model: nn.Module
    sites: tuple[str, ...]
    losses: tuple[WeightedLoss, ...]
    prepare: Pipeline
    notes: tuple[str, ...]
    marks: tuple[str, ...] = ()
    blocks: Blocks = field(default_factory=Blocks)

    def to(self, device: str) -> None:
        """Move what has weights: the model, and losses that compare features."""
        self.model.to(device)
        for term in self.losses:
            if isinstance(term.loss, nn.Module):
                term.loss.to(device)

    @property
    def contract(self) -> Model:
        """The model seen through its contract, where the engine needs more than a torch module."""
        return cast(Model, self.model)


class Factory:
    """Builds the chosen attention block for one site after the other (contracts.AttentionFactory).

    A block with an option `of` wraps another one, which is built first, under the seed that it has in its own row.
    `sizes`: site -> (H, W) of its map, where a block is to be as expensive as the one that it wraps. `made`: (site,
    block) of all that it has built.
    """

    def __init__(
        self, registry: Registry, choice: Choice, seed: int, sizes: Mapping[str, tuple[int, int]] | None = None
    ) -> None:
        self._registry, self._choice, self._seed, self._sizes = registry, choice, seed, sizes or {}
        self.domain: Literal["image", "temporal"] = self._domain(choice)
        self.made: list[tuple[str, nn.Module]] = []

    def _domain(self, choice: Choice) -> Literal["image", "temporal"]:
        domain = getattr(self._registry.get("attention", choice.name).load(), "domain", "image")
        inner = choice.as_dict().get("of")
        if domain == "any" and isinstance(inner, Choice):
            return self._domain(inner)
        return "temporal" if domain == "temporal" else "image"

    def __call__(self, channels: int, /, *, site: str = "") -> nn.Module:
        block = self._build(self._choice, channels, site)
        self.made.append((site, block))
        return block

    def _build(self, choice: Choice, channels: int, site: str) -> nn.Module:
        options = choice.keywords()
        inner = choice.as_dict().get("of")
        if isinstance(inner, Choice):
            options["of"] = self._build(inner, channels, site)
        component = self._registry.get("attention", choice.name)
        for _, error in component.mistakes(options):
            raise error
        if isinstance(inner, Choice) and site in self._sizes and choice.as_dict().get("match") == "macs":
            height, width = self._sizes[site]
            options["measured"] = (block_macs(options["of"], (channels, height, width)), height * width)
        seed_all(derive(self._seed, "attention", site))
        target = component.load()
        try:
            return cast(nn.Module, target(channels, **options))
        except ConfigError as error:
            if isinstance(inner, Choice):
                raise NoControl(error.message, error.hint) from error
            raise
        except HarnessError:
            raise
        except Exception as error:
            block = f"attention '{choice.title()}' ({getattr(target, '__name__', target)})"
            where = f"with {channels} channels for '{site}'"
            raise ComponentFailed(f"{block}, {where}: {told(error, component.module)}") from error


class _Sizer:
    """Stands in for attention (contracts.AttentionFactory) and learns the size of every site's map."""

    domain: Literal["image", "temporal"] = "image"

    def __init__(self) -> None:
        self.sizes: dict[str, tuple[int, int]] = {}

    def __call__(self, channels: int, /, *, site: str = "") -> nn.Module:
        def note(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
            self.sizes[site] = (output.shape[-2], output.shape[-1])

        block = nn.Identity()
        block.register_forward_hook(note)
        return block


def _sizes_of(config: Config, registry: Registry, io: IO) -> Mapping[str, tuple[int, int]]:
    """Site -> (H, W), from one forward pass of a model that is thrown away; empty where no block asks for it."""
    if config.attention.as_dict().get("match") != "macs":
        return {}
    sizer = _Sizer()
    model: Model = registry.build("model", config.model.name, io, **config.model.keywords())
    model.attach(sizer, config.placement)
    with torch.no_grad():
        cast(nn.Module, model).eval()(example(io.inputs, 1, "cpu"))
    return sizer.sizes


def told_by_blocks(model: nn.Module) -> tuple[str, ...]:
    """What each kind of block has to say about all its blocks of one model (its attribute `told`)."""
    blocks = [module for name, module in model.named_modules() if name.endswith(".attention")]
    said: list[str] = []
    for kind in dict.fromkeys(map(type, blocks)):
        told: Any = getattr(kind, "told", None)
        if told is not None:
            said += told([block for block in blocks if type(block) is kind])
    return tuple(dict.fromkeys(said))


def assemble(config: Config, registry: Registry, data_root: Path) -> Parts:
    """Build every part on the CPU, and try the blocks of attention out.

    Raises HarnessError for what does not fit together, and ComponentFailed for a block that raises.
    """
    info, dataset = open_data(config.dataset, registry, data_root)
    task: Task = registry.build("task", config.task.name, **config.task.keywords())
    foreign.complete("task", config.task.name, task)
    io = task.io(info)
    model, sites, blocks = _built(config, registry, io)
    _try_out(config, model, blocks, io)
    losses = []
    for term in config.loss:
        loss: Loss = registry.build("loss", term.loss.name, **term.loss.keywords())
        foreign.complete("loss", term.loss.name, loss)
        losses.append(WeightedLoss(term.key, term.coefficient, loss))
    # The second `erasing` draws for itself, so it has a name of its own.
    counts: Counter[str] = Counter()
    augments = []
    for choice in config.augment:
        counts[choice.name] += 1
        key = choice.name if counts[choice.name] == 1 else f"{choice.name}_{counts[choice.name]}"
        augments.append((key, registry.build("augment", choice.name, **choice.keywords())))
    prepare = Pipeline(io.inputs, augments, config.seed, config.train.channels_last)
    if not losses:
        raise ConfigError("a trial needs at least one loss")
    speakers = (model, *(term.loss for term in losses))
    notes = (*info.notes, *(note for s in speakers for note in getattr(s, "notes", ())), *told_by_blocks(model))
    marks = tuple(dict.fromkeys(mark for s in speakers for mark in getattr(s, "marks", ())))
    return Parts(info, dataset, task, io, model, sites, tuple(losses), prepare, notes, marks, blocks)


def open_data(choice: Choice, registry: Registry, data_root: Path) -> tuple[DatasetInfo, Dataset]:
    """What a dataset says of itself, and the dataset. Raises HarnessError for data that is missing or damaged."""
    target = registry.get("dataset", choice.name).load()
    options = choice.keywords()
    info: DatasetInfo = target.describe(data_root, **options)  # type: ignore[attr-defined]
    dataset: Dataset = registry.build("dataset", choice.name, data_root, **options)
    foreign.complete("dataset", choice.name, dataset)
    return info, dataset


def stored_model(
    record: Record, store: Store, registry: Registry, changed: bool = False
) -> tuple[nn.Module, tuple[str, ...], IO]:
    """The model that a finished trial tested (evaluation mode, on the CPU), its sites, and what it reads and writes.

    `changed`: also where a class that is no plugin has changed since; that is a warning then.
    Raises StoreError if its weights are not there or damaged, ConfigError if a module that it was built with is gone,
    lies in the store, or has changed.
    """
    io = from_plain(IO, record.io, "record.io")
    config, digests = record.trial.config, record.trial.provenance.foreign("model", "attention")
    names = (*config.model.names(), *config.attention.names())
    for sentence in foreign.recall(names, digests, record.targets, store.root):
        if not changed:
            hint = "undo the change; or open it all the same: --changed, or load_trial(…, changed=True)"
            raise ConfigError(f"trial '{record.id}': {sentence}", hint)
        warnings.warn(f"trial '{record.id}': {sentence}", RuntimeWarning, stacklevel=3)
    with without_initial_weights():
        model, sites = build_model(config, registry, io)
    model.load_state_dict(store.weights(record)["model"])
    return model.eval(), sites, io


def build_model(config: Config, registry: Registry, io: IO) -> tuple[nn.Module, tuple[str, ...]]:
    """The model with its attention attached, and the sites."""
    model, sites, _ = _built(config, registry, io)
    return model, sites


def _built(config: Config, registry: Registry, io: IO) -> tuple[nn.Module, tuple[str, ...], Blocks]:
    sizes = _sizes_of(config, registry, io)
    seed_all(derive(config.seed, "model"))
    model: Model = registry.build("model", config.model.name, io, **config.model.keywords())
    foreign.complete("model", config.model.name, model)
    sites: Sequence[str] = ()
    blocks = Blocks()
    if config.attention.name != "none":
        if not hasattr(model, "attach"):
            raise ConfigError(f"model '{config.model.name}' has no `attach`, so it takes no attention")
        factory = Factory(registry, config.attention, config.seed, sizes)
        sites = model.attach(factory, config.placement)
        blocks = Blocks.of(config.attention, factory.made, cast(nn.Module, model))
        if not sites:
            raise ConfigError(
                f"placement '{config.placement}' of model '{config.model.label()}' has no place for attention",
                hint="try placement: residual, block or stage",
            )
    module = cast(nn.Module, model)
    if config.train.channels_last:
        for parameter in module.parameters():
            if parameter.dim() == 4:  # the whole module's `to` raises at the first weight of a Conv3d
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return module, tuple(sites), blocks


_TRIED: set[tuple[object, ...]] = set()
"""Models whose blocks went through: rows that differ in loss or training alone, and other seeds, need not try again."""


def _try_out(config: Config, model: nn.Module, blocks: Blocks, io: IO) -> None:
    # With the classes, as one that was edited and imported again is another under the same name.
    key = (config.model, config.attention, config.placement, repr(io), type(model), *blocks.kinds)
    if key not in _TRIED:
        blocks.try_out(model, io)
        _TRIED.add(key)


def trained(model: nn.Module, groups: Mapping[str, nn.Module], stage: Stage) -> list[nn.Parameter]:
    """What one stage trains: all, less `freeze`; or `train_only` alone, less `freeze`. Raises ConfigError."""
    for name in (*stage.freeze, *stage.train_only):
        if name not in groups:
            raise ConfigError(f"unknown group '{name}' to freeze or train", hint=f"known: {', '.join(groups)}")
    frozen = {id(p) for name in stage.freeze for p in groups[name].parameters()}
    wanted = {id(p) for name in stage.train_only for p in groups[name].parameters()}
    found = [p for p in model.parameters() if id(p) not in frozen and (not stage.train_only or id(p) in wanted)]
    if not found:
        raise ConfigError(f"a stage of {stage.epochs} epochs freezes every parameter", hint="shorten its `freeze`")
    return found


def freeze(model: nn.Module, groups: Mapping[str, nn.Module], stage: Stage) -> None:
    """Set `requires_grad` for one stage. Raises ConfigError."""
    wanted = trained(model, groups, stage)
    model.requires_grad_(False)
    for parameter in wanted:
        parameter.requires_grad_(True)


def begin_stage(parts: Parts, registry: Registry, stage: Stage, steps: int) -> tuple[torch.optim.Optimizer, Schedule]:
    """Freeze what the stage freezes, then build its optimiser and schedule. `steps`: updates of an epoch."""
    freeze(parts.model, parts.contract.groups(), stage)
    # What froze just now would keep its last gradient, and clipping would count it.
    parts.model.zero_grad(set_to_none=True)
    optimizer: torch.optim.Optimizer = registry.build(
        "optimizer", stage.optimizer.name, parts.model, **stage.optimizer.keywords()
    )
    total = stage.epochs * steps
    options = stage.schedule.keywords()
    schedule: Schedule = registry.build("schedule", stage.schedule.name, optimizer, total, steps, **options)
    return optimizer, schedule


def check_splits(config: Config, sizes: Mapping[str, int]) -> None:
    """Raises ConfigError if a split that the trial needs has no items."""
    for name in ("train", "test"):
        if not sizes[name]:
            raise ConfigError(f"dataset '{config.dataset.name}' has an empty {name} split")
    if config.train.choose == "best" and not sizes["val"]:
        raise ConfigError("`choose: best` needs a validation split", hint="give the dataset one, or use `choose: last`")


def set_training(model: nn.Module, stage: Stage) -> None:
    """Training mode, with the statistics of batch norm held where the stage asks for it."""
    model.train()
    if stage.freeze_bn:
        for module in model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()


def loss_terms(parts: Parts, output: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> list[Tensor]:
    """Each term of the sum, without its coefficient."""
    return [term.loss(*parts.task.pair(output, batch, term.loss.expects)) for term in parts.losses]
