"""One trial, from its configuration to its record. The loop in `train` reads top to bottom; no task is named here."""

from __future__ import annotations

import dataclasses
import math
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from . import audits, environment, foreign, measure
from .assembly import Parts, assemble, begin_stage, check_splits, loss_terms, set_training
from .contracts import Figure, Sink, Split
from .errors import ComponentFailed, ConfigError, Diverged, said
from .evaluation import autocast, check_finite, evaluate, summarised
from .front import Feeder, hold
from .ledger import Ledger
from .loading import Loader
from .progress import Clock, Outcome, Progress
from .registry import Registry
from .trial import Audit, Config, Record, Stage, Trial, to_plain

if TYPE_CHECKING:
    from timm.utils import ModelEmaV3

    from .recipe.schedules import Schedule


@dataclass(frozen=True, slots=True)
class Run:
    """How this process runs a trial: none of it is part of the trial's id, all of it stands in the record."""

    data_root: Path
    device: str = "cpu"
    threads: int = 1
    loader_processes: int = 0


@dataclass(slots=True)
class Learning:
    """What one stage trains with."""

    optimizer: torch.optim.Optimizer
    schedule: Schedule


def run_trial(trial: Trial, registry: Registry, sink: Sink, run: Run) -> Record:
    """Train, test and measure one trial. What goes wrong becomes a failed record; only an interrupt passes through."""
    started = datetime.now(UTC).isoformat(timespec="seconds")
    record = Record(trial.id, "ok", trial, started=started)
    try:
        resumed = sink.resume()
        # A trial that goes on keeps its number of threads: another number would give other bits.
        threads = int(resumed["threads"]) if resumed else run.threads
        run = dataclasses.replace(run, threads=threads)
        found = foreign.homes(name.split(" ")[1] for name, _ in trial.provenance.sources)
        record = dataclasses.replace(record, environment=environment.describe(run.device, threads), targets=found)
        with environment.pinned(threads, trial.config.train.deterministic):
            parts = assemble(trial.config, registry, run.data_root)
            with parts.blocks.telling():
                return _run(record, parts, registry, sink, run, resumed)
    except (Exception, SystemExit) as error:  # a component's bug must not stop the study
        reason = _refusal(error, trial) or said(error)
        return dataclasses.replace(record, status="failed", reason=reason, traceback=traceback.format_exc())


def _refusal(error: BaseException, trial: Trial) -> str:
    # What a block raised stands behind the words that say which block.
    words = str(error.__cause__ if isinstance(error, ComponentFailed) else error)
    operation, found, _ = words.partition(" does not have a deterministic implementation")
    if not trial.config.train.deterministic or not found:
        return ""
    operation = operation.strip()
    return f"deterministic: true cannot be honoured: '{operation}' has no deterministic implementation on this device"


def _run(
    record: Record, parts: Parts, registry: Registry, sink: Sink, run: Run, resumed: Mapping[str, Any] | None
) -> Record:
    config = record.trial.config
    cost = measure.parameters(parts.model) | {"macs": measure.macs(parts.model, parts.io, "cpu")}
    parts.to(run.device)
    loaders = {name: _loader(parts, record.trial, name, run) for name in ("train", "val", "test")}
    check_splits(config, {name: len(loader.split) for name, loader in loaders.items()})
    before = _audit(parts, loaders["test"], run, fresh=True)
    feeder = Feeder(parts, loaders)
    # Features are shared by trials, so neither the time nor the memory of the one that computes them holds that work.
    feeder.loaders(config.train.stages[:1])

    memory = measure.PeakMemory(run.device)
    memory.start()
    outcome = train(record.trial, parts, registry, feeder, sink, run, resumed)
    peak = memory.read()

    chosen = sink.best() if config.train.choose == "best" else sink.resume()
    if chosen is None:
        raise ConfigError("the checkpoint to be tested has vanished", hint="is another process using this store?")
    parts.model.load_state_dict(chosen["model"])
    # Training can open a path that the first weights kept shut.
    audit = audits.worse(before, _audit(parts, loaders["test"], run))
    items = evaluate(parts, feeder.loaders(config.train.stages, ["test"])["test"])
    figures: Sequence[Figure] = parts.task.figures(items)
    sink.finish(items, figures)
    epoch = int(chosen["epoch"])
    judged = {k.removeprefix("val/"): v for k, v in outcome.curve[epoch - 1].items() if k.startswith("val/")}
    return dataclasses.replace(
        record,
        metrics=summarised(parts, items),
        validation=judged,  # the chosen weights were judged on that split when their epoch ended
        floors=_floors(parts, config, loaders["test"].split),
        curve=outcome.curve,
        stages=outcome.stages,
        cost=cost
        | outcome.trainable()
        | {"seconds": outcome.seconds}
        | ({"peak_memory": peak} if peak is not None else {}),
        parts=measure.groups(parts.contract.groups()),
        chosen_epoch=epoch,
        chosen_by=_chosen_by(parts, config.train.choose, epoch, len(loaders["val"].split)),
        sites=parts.sites,
        sizes={name: len(loader.split) for name, loader in loaders.items()},
        classes=parts.info.classes,
        notes=parts.notes,
        marks=parts.marks,
        audits=() if audit is None else (audit,),
        providers=_providers(record.trial, registry),
        io=to_plain(parts.io),
    )


def _audit(parts: Parts, loader: Loader, run: Run, fresh: bool = False) -> Audit | None:
    """With the first two test items beside clips of noise."""
    if not parts.io.sees:
        return None
    count = min(2, len(loader.split))
    shown = parts.task.present(parts.prepare(loader.split.batch(range(count), 0)))
    clips = [{key: shown[key][i : i + 1] for key in parts.io.inputs} for i in range(count)]
    return audits.leaks(
        parts.model, parts.io, run.device, clips=clips, rows=loader.batch_size, training=fresh, fresh=fresh
    )


_FLOORS: dict[tuple[object, ...], Mapping[str, Mapping[str, float]]] = {}


def _floors(parts: Parts, config: Config, split: Split) -> Mapping[str, Mapping[str, float]]:
    """Predictors that need no training are the same for every trial on the same data, so a process asks once."""
    key = (config.task, config.dataset, config.fold, parts.info.fingerprint)
    if key not in _FLOORS:
        _FLOORS[key] = {name: summarised(parts, floor) for name, floor in parts.task.floors(split).items()}
    return _FLOORS[key]


def train(
    trial: Trial,
    parts: Parts,
    registry: Registry,
    feeder: Feeder,
    sink: Sink,
    run: Run,
    resumed: Mapping[str, Any] | None,
) -> Outcome:
    """Every epoch of every stage, going on after the last one that was kept.

    All randomness of an epoch comes from (seed, epoch): the global streams are seeded anew at its start, data order
    and augmentation are functions of it. A checkpoint therefore holds no state of a generator, and a resumed trial
    ends with the same bits.
    """
    recipe, model = trial.config.train, parts.model
    loaders = feeder.loaders(recipe.stages[:1])
    loader = loaders["train"]
    state = Progress(resumed)
    selects = next(m for m in parts.task.metrics if m.name == parts.task.select)
    ema = _ema(model, recipe.ema, resumed)
    ledger = Ledger.of(parts.losses, recipe.balance == "gradient_norm", loader.steps)
    forward = _compiled(model, ledger) if recipe.compile else model
    started, clock = time.perf_counter(), Clock()
    learning: Learning | None = None
    if resumed:
        model.load_state_dict(resumed["live"])

    for epoch, number, first in _epochs(recipe.stages):
        stage = recipe.stages[number]
        if epoch < state.epochs_done:
            continue
        if learning is None or epoch == first:
            learning = Learning(*begin_stage(parts, registry, stage, loader.steps))
            loaders = feeder.loaders(recipe.stages[: number + 1])
            loader = loaders["train"]
            if resumed and epoch == state.epochs_done and epoch > first:
                learning.optimizer.load_state_dict(resumed["optimizer"])
            if epoch == first:
                state.stages.append({"epochs": stage.epochs, **measure.parameters(model)})
        environment.seed_all(environment.derive(trial.config.seed, "epoch", epoch))
        set_training(model, stage)
        hold(model)
        ledger.begin_epoch()
        losses: list[Tensor] = []
        epoch_started = time.perf_counter()
        for step, raw in enumerate(loader.training(epoch)):
            learning.schedule.step_update((epoch - first) * loader.steps + step)
            batch = parts.prepare(raw, epoch)
            with autocast(run.device, recipe.precision):
                output = forward(parts.task.present(batch))
            terms = loss_terms(parts, output, batch)
            ledger.observe(step, terms, model)
            loss = ledger.total(terms)
            learning.optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            norm = nn.utils.get_total_norm([p.grad for p in model.parameters() if p.grad is not None])
            if stage.clip_norm is not None:
                nn.utils.clip_grads_with_norm_(model.parameters(), stage.clip_norm, norm)
            learning.optimizer.step()
            if ema is not None:
                ema.update(model)
            losses.append(torch.stack([v.detach().to(loss.dtype) for v in (loss, norm, *terms)]))
            if clock.due():
                sink.progress(epoch * loader.steps + step + 1, recipe.epochs * loader.steps, float(loss.detach()))
        values = _train_values(parts, losses, epoch, stage) | ledger.values()
        tested = ema.module if ema is not None else model
        check_finite(tested, epoch)
        if len(loaders["val"].split):
            items = evaluate(parts, loaders["val"], tested)
            values |= {f"val/{name}": value for name, value in summarised(parts, items).items()}
        values |= {
            "lr": float(learning.optimizer.param_groups[0]["lr"]),
            "seconds": time.perf_counter() - epoch_started,
        }
        best = state.finish_epoch(epoch, values, selects, recipe.choose, time.perf_counter() - started)
        kept = {"model": tested.state_dict(), "epoch": epoch + 1}
        live = {"live": model.state_dict(), "optimizer": learning.optimizer.state_dict(), "threads": run.threads}
        sink.checkpoint({**kept, **live, **state.plain()}, kept if best else None)
        sink.epoch(epoch + 1, values)
    return state.outcome(time.perf_counter() - started)


def _loader(parts: Parts, trial: Trial, name: Any, run: Run) -> Loader:
    split: Split = parts.dataset.split(name, trial.config.fold)
    return Loader(split, run.device, trial.config.train.batch_size, trial.config.seed, run.loader_processes)


def _epochs(stages: Sequence[Stage]) -> Iterator[tuple[int, int, int]]:
    """(epoch over all stages, number of its stage, the stage's first epoch)."""
    first = 0
    for number, stage in enumerate(stages):
        for epoch in range(first, first + stage.epochs):
            yield epoch, number, first
        first += stage.epochs


def _ema(model: nn.Module, decay: float | None, resumed: Mapping[str, Any] | None) -> ModelEmaV3 | None:
    if decay is None:
        return None
    from timm.utils import ModelEmaV3

    ema = ModelEmaV3(model, decay=decay)
    if resumed:
        ema.module.load_state_dict(resumed["model"])
    return ema


def _train_values(parts: Parts, losses: Sequence[Tensor], epoch: int, stage: Stage) -> dict[str, float]:
    """Means over the epoch. Raises Diverged at the first update whose loss or gradient was not finite."""
    history = torch.stack(list(losses)).double().cpu()
    bad = (~torch.isfinite(history).all(dim=1)).nonzero()
    if len(bad):
        step = int(bad[0]) + 1
        loss, norm = (float(v) for v in history[step - 1, :2])
        what = f"the loss is {loss}" if not math.isfinite(loss) or math.isfinite(norm) else f"the gradient is {norm}"
        raise Diverged(
            f"diverged in epoch {epoch + 1} at update {step} of {len(history)}: {what}",
            hint="lower the learning rate, warm up, or clip gradients",
        )
    means = history.mean(dim=0).tolist()
    keys = ["train/loss", "grad/norm", *(f"train/{term.key}" for term in parts.losses)]
    values = dict(zip(keys, means, strict=True))
    if stage.clip_norm is not None:
        values["grad/clipped"] = float(history[:, 1].clamp(max=stage.clip_norm).mean())
    return values


def _compiled(model: nn.Module, ledger: Ledger) -> Any:
    if ledger.active:
        import torch._functorch.config as functorch

        # Taking gradients term by term keeps the graph, which a compiled one refuses while it gives its buffers away.
        functorch.donated_buffer = False
    # What earlier trials of this process compiled would make other graphs of this one, of sizes that vary; so would
    # their order, and the bits of a trial would follow from who came before.
    torch.compiler.reset()
    return torch.compile(model)


def _chosen_by(parts: Parts, choose: str, epoch: int, validation: int) -> str:
    if choose == "best":
        return f"the epoch with the best {parts.task.select} on the {validation:,} validation items (epoch {epoch})"
    return f"the last epoch ({epoch}), fixed beforehand; no split chose it"


def _providers(trial: Trial, registry: Registry) -> dict[str, str]:
    return {f"{kind} {name}": registry.get(kind, name).provider for kind, name in trial.provenance.components()}
