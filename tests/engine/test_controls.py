"""Controls in whole models: pairing, training, the store."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from engine.trials import CONFIG, STAGE, recipe, registry, run, trial

from harness.api import load_trial
from harness.assembly import assemble, build_model
from harness.errors import ConfigError
from harness.measure import macs
from harness.store import Store
from harness.trial import Choice

HYBRID = Choice("hybrid_sequential")


def test_wrapped_blocks_hold_exactly_the_weights_of_the_block(tmp_path: Path):
    known = registry()
    io = assemble(CONFIG, known, tmp_path).io
    row, sites = build_model(replace(CONFIG, attention=HYBRID), known, io)
    for name in ("identity_gate", "shuffled_gate"):
        control, own = build_model(replace(CONFIG, attention=Choice.of(name, of=HYBRID)), known, io)
        assert own == sites
        found = {k.replace(".attention.block.", ".attention."): v for k, v in control.state_dict().items()}
        assert found.keys() == row.state_dict().keys()
        assert all(torch.equal(v, found[k]) for k, v in row.state_dict().items())


def test_the_identity_trains_bit_for_bit_as_the_baseline(tmp_path: Path):
    train = recipe(stages=(replace(STAGE, epochs=1, clip_norm=1.0),), batch_size=512)
    base, _ = run(tmp_path, trial(train=train))
    control, _ = run(tmp_path, trial(train=train, attention=Choice.of("identity_gate", of=Choice("se"))))
    assert base.status == control.status == "ok"
    assert control.metrics == base.metrics
    weights, own = (Store(tmp_path).weights(r)["model"] for r in (base, control))
    assert all(torch.equal(v, own[k]) for k, v in weights.items())
    assert control.cost["attention_parameters"] > 0
    assert control.cost["macs"] == base.cost["macs"]
    # What it says of itself in the store is enough to build it again.
    model, _ = load_trial(control.id, runs=tmp_path, registry=registry())
    assert any(".attention.block." in name for name in model.state_dict())


def test_parameters_and_macs_of_whole_models_are_matched_and_told(tmp_path: Path):
    known = registry()
    plain = assemble(CONFIG, known, tmp_path)
    base = macs(plain.model, plain.io, "cpu")
    block = assemble(replace(CONFIG, attention=Choice("spatial")), known, tmp_path)
    for match in ("parameters", "macs"):
        choice = Choice.of("matched_conv", of=Choice("spatial"), **({"match": match} if match == "macs" else {}))
        control = assemble(replace(CONFIG, attention=choice), known, tmp_path)
        (note,) = (n for n in control.notes if n.startswith("matched_conv"))
        if match == "macs":
            wanted, found = (macs(p.model, p.io, "cpu") - base for p in (block, control))
            assert f"{found:,.0f} MACs in 9 blocks" in note
        else:
            wanted, found = (sum(p.numel() for p in x.model.sites.parameters()) for x in (block, control))
            assert f"{found:,} parameters in 9 blocks" in note
        assert abs(found - wanted) <= 0.02 * wanted
        for name, weight in plain.model.state_dict().items():
            assert torch.equal(weight, control.model.state_dict()[name])


def test_a_match_that_no_convolution_makes_is_told_before_anything_trains(tmp_path: Path):
    choice = Choice.of("matched_conv", of=Choice("eca"), match="macs")
    with pytest.raises(ConfigError, match="no convolution of 16 channels comes within 2% of") as caught:
        assemble(replace(CONFIG, attention=choice), registry(), tmp_path)
    assert caught.value.hint == "use match: parameters"
