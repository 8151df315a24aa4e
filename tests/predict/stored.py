"""Finished trials, written into a store as the engine leaves them, with models that nobody trained."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

from harness import discovery
from harness.assembly import build_model
from harness.contracts import IO, Spec
from harness.plain import to_plain
from harness.registry import Registry
from harness.store import Store
from harness.trial import Choice, Config, Provenance, Recipe, Record, Stage, Term, Trial

MASK = Spec("T", (None,), "bool")
SCORES = {"logits": Spec("T", (None,), "float32")}


def frames(height: int = 64, width: int = 64, rate: float = 2.0) -> IO:
    return IO(
        {"inputs": Spec("TCHW", (None, 3, height, width), "uint8", scaled=False, rate=rate), "mask": MASK}, SCORES
    )


FEATURES = IO({"features": Spec("TK", (None, 16), "float32", rate=2.0), "mask": MASK}, SCORES)
TINY = Choice.of("keyframe_transformer", backbone="resnet10t", pretrained=False, dim=32, heads=4, hidden=64, layers=1)


def components() -> Registry:
    """All that ships, and the models of `models`."""
    registry = discovery.load(third_party=False).registry
    registry.add("model", "bright", "predict.models:Bright")
    registry.add("model", "odd", "predict.models:Odd")
    return registry


def store_trial(
    root: Path,
    io: IO,
    model: Choice = TINY,
    registry: Registry | None = None,
    task: str = "keyframes",
    attention: str | Choice = "none",
    **record: Any,
) -> Record:
    """Write record.json and last.pt below `root`; the weights are those that the model begins with."""
    registry = registry or components()
    stage = Stage(1, Choice("adamw"), Choice("constant"))
    config = Config(
        task=Choice(task),
        dataset=Choice("toy_videos"),
        model=model,
        attention=Choice(attention) if isinstance(attention, str) else attention,
        placement="residual",
        loss=(Term(Choice("mse"), key="mse"),),
        augment=(),
        train=Recipe((stage,), channels_last=False),
        seed=zlib.crc32(repr(io).encode()),  # trials that differ in what they read have ids that differ
    )
    trial = Trial(config, Provenance((), 1, "made"))
    done = Record(trial.id, trial=trial, io=to_plain(io), **{"status": "ok", **record})
    store = Store(root)
    net, _ = build_model(config, registry, io)
    sink = store.sink(trial, lambda *_: None, lambda *_: None)
    sink.checkpoint({"model": net.state_dict()})
    store.write_record(done)
    return done
