"""Trials, ids and their plain forms."""

from __future__ import annotations

import dataclasses
import json
import math

import pytest

from harness.errors import StoreError
from harness.restore import from_plain
from harness.trial import Choice, Config, Provenance, Recipe, Record, Stage, Term, Trial, to_plain


def make(lr: float = 0.1, seed: int = 0, reduction: int = 16) -> Trial:
    stage = Stage(2, Choice.of("sgd", lr=lr, betas=(0.9, 0.99)), Choice("cosine"), clip_norm=1.0)
    config = Config(
        task=Choice("classification"),
        dataset=Choice.of("digits", nested=(Choice.of("inner", a=1), None)),
        model=Choice("resnet20"),
        attention=Choice.of("se", reduction=reduction),
        placement=("layer1.0", "layer2.0"),
        loss=(Term(Choice("cross_entropy"), 1.0, "cross_entropy"),),
        augment=(Choice("flip"),),
        train=Recipe((stage,)),
        seed=seed,
    )
    return Trial(config, Provenance((("attention se", "abc"),), 1, "data"))


def test_a_record_survives_json_whole():
    record = Record(make().id, "ok", make(), metrics={"top1": 0.5, "odd": math.inf}, curve=({"loss": 1.0},))
    assert from_plain(Record, json.loads(json.dumps(to_plain(record)))) == record


def test_not_a_number_survives_json():
    record = Record("x", "ok", make(), metrics={"top1": math.nan})
    back = from_plain(Record, json.loads(json.dumps(to_plain(record), allow_nan=False)))
    assert math.isnan(back.metrics["top1"])


def test_ids_depend_on_configuration_seed_code_and_data_and_on_nothing_else():
    trial = make()
    assert trial.id == make().id
    assert len({trial.id, make(lr=0.2).id, make(seed=1).id, make(reduction=8).id}) == 4
    for change in ({"core": 2}, {"dataset": "other"}, {"sources": (("attention se", "abd"),)}):
        changed = dataclasses.replace(trial, provenance=dataclasses.replace(trial.provenance, **change))
        assert changed.id != trial.id
        assert changed.config_id == trial.config_id


def test_one_and_one_point_zero_are_the_same_training():
    assert make(lr=1).id == make(lr=1.0).id


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"status": "fine"}, "status: 'fine' is none of"),
        ({"chosen_epoch": "two"}, "chosen_epoch: expected int, found str"),
        ({"surprise": 1}, "unknown key 'surprise'"),
        ({"metrics": [1]}, "metrics: expected a mapping"),
    ],
)
def test_a_damaged_record_names_the_place(change: dict[str, object], message: str):
    plain = {**to_plain(Record("x", "ok", make())), **change}
    with pytest.raises(StoreError, match=message):
        from_plain(Record, plain)


def test_a_missing_key_is_named():
    plain = to_plain(Record("x", "ok", make()))
    del plain["trial"]
    with pytest.raises(StoreError, match="trial"):
        from_plain(Record, plain)
