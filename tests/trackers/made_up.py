"""Studies and records that nobody trained, for tests of what is said about them."""

from __future__ import annotations

from collections.abc import Sequence

from harness.trial import Cell, Choice, Config, Provenance, Recipe, Record, Stage, Study, Term, Trial


def trial(attention: str = "none", seed: int = 0, model: str = "resnet20", **options: float) -> Trial:
    recipe = Recipe((Stage(2, Choice.of("sgd", lr=0.1), Choice.of("cosine")),))
    config = Config(
        task=Choice.of("classification"),
        dataset=Choice.of("digits"),
        model=Choice.of(model),
        attention=Choice.of(attention, **options),
        placement="residual",
        loss=(Term(Choice.of("cross_entropy"), key="cross_entropy"),),
        augment=(),
        train=recipe,
        seed=seed,
    )
    return Trial(config, Provenance((), 1, "data"))


def study(rows: dict[str, Sequence[Trial]], name: str = "made-up") -> Study:
    """The first row is the baseline."""
    cells = [Cell(key, key, (), tuple(trials), baseline=i == 0) for i, (key, trials) in enumerate(rows.items())]
    return Study(name, name, "product", tuple(cells), axes=("attention",))


def curve(epochs: int) -> tuple[dict[str, float], ...]:
    return tuple({"train/loss": 1.0 / e, "val/top1": e / 10, "lr": 0.1} for e in range(1, epochs + 1))


def record(of: Trial, top1: float = 0.9, epochs: int = 2) -> Record:
    return Record(of.id, "ok", of, metrics={"top1": top1}, curve=curve(epochs), chosen_epoch=epochs, cost={"macs": 5.0})


def failed(of: Trial, reason: str = "RuntimeError: diverged in epoch 2") -> Record:
    return Record(of.id, "failed", of, reason=reason, curve=curve(1))
