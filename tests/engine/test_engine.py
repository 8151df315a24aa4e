"""One trial: pairing, resuming to the same bits, divergence, stages, and what a record says."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from engine.trials import CONFIG, STAGE, recipe, registry, run, trial

from harness.assembly import assemble, build_model
from harness.engine import Run, run_trial
from harness.errors import Diverged
from harness.evaluation import check_finite
from harness.store import Store
from harness.trial import Choice, Term, Trial

TRAIN_AND_DIE = """
import os, sys
from pathlib import Path
from engine.trials import recipe, registry, trial, STAGE
from dataclasses import replace
from harness.engine import Run, run_trial
from harness.store import Store
one = trial(train=recipe(stages=(replace(STAGE, epochs=3),), ema={ema}))
root = Path(sys.argv[1])
sink = Store(root).sink(one, lambda epoch, values: print("epoch", epoch, flush=True), lambda *a: None)
run_trial(one, registry(), sink, Run(root / "data", "cpu", 1))
"""


def final_weights(root: Path, one: Trial) -> dict[str, Any]:
    state = Store(root).sink(one, lambda e, v: None, lambda d, t, x: None).resume()
    assert state is not None
    return dict(state["model"])


class Stopped(BaseException):
    """Ends a trial from within, right after an epoch was kept."""


STAGES = (replace(STAGE, epochs=1, clip_norm=0.5), replace(STAGE, epochs=2, train_only=("head",), clip_norm=0.5))
DROPOUT = Choice.of("timm", arch="resnet10t", stem="cifar", drop_rate=0.5, drop_path=0.2)


@pytest.mark.parametrize(
    "changes",
    [
        {"train": recipe(stages=STAGES)},
        {"train": recipe(stages=(replace(STAGE, epochs=3),), choose="best")},
        {"train": recipe(stages=(replace(STAGE, epochs=3, optimizer=Choice("adamw")),)), "model": DROPOUT},
    ],
    ids=["stages with clipping", "choose best", "dropout and stochastic depth"],
)
def test_stages_dropout_and_the_best_checkpoint_resume_to_the_same_bits(tmp_path: Path, changes: dict[str, Any]):
    one = trial(dataset=Choice.of("digits", val=0.7), **changes)
    whole, _ = run(tmp_path / "whole", one)
    assert whole.status == "ok", whole.reason

    def stop(epoch: int, values: object) -> None:
        if epoch < 3:
            raise Stopped

    for _ in range(2):
        sink = Store(tmp_path / "cut").sink(one, stop, lambda done, total, loss: None)
        with pytest.raises(Stopped):
            run_trial(one, registry(), sink, Run(tmp_path / "data", "cpu", 1))
    resumed, epochs = run(tmp_path / "cut", one)
    assert len(epochs) == 1
    assert resumed.metrics == whole.metrics
    assert resumed.chosen_epoch == whole.chosen_epoch
    before, after = final_weights(tmp_path / "whole", one), final_weights(tmp_path / "cut", one)
    assert all(torch.equal(before[k], after[k]) for k in before)


@pytest.mark.parametrize("ema", [None, 0.9])
def test_a_trial_killed_in_the_middle_of_an_epoch_resumes_to_the_same_bits(tmp_path: Path, ema: float | None):
    one = trial(train=recipe(stages=(replace(STAGE, epochs=3),), ema=ema))
    whole, _ = run(tmp_path / "whole", one)
    paths = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
    child = subprocess.Popen(
        [sys.executable, "-c", TRAIN_AND_DIE.format(ema=ema), str(tmp_path / "killed")],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "epoch 1\n"
    time.sleep(0.15)  # somewhere in the second epoch
    child.kill()
    child.communicate()

    resumed, epochs = run(tmp_path / "killed", one)

    assert 1 <= len(epochs) <= 2, "at least one epoch was left, and the first one was not trained again"
    assert resumed.metrics == whole.metrics
    assert [c["train/loss"] for c in resumed.curve] == [c["train/loss"] for c in whole.curve]
    before, after = final_weights(tmp_path / "whole", one), final_weights(tmp_path / "killed", one)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[k], after[k]) for k in before)


def test_a_resumed_trial_keeps_the_number_of_threads_it_began_with(tmp_path: Path):
    one = trial()
    run(tmp_path, one)
    (tmp_path / "trials" / one.id / "record.json").unlink()
    state = torch.load(tmp_path / "trials" / one.id / "last.pt", weights_only=True)
    torch.save({**state, "threads": 2}, tmp_path / "trials" / one.id / "last.pt")
    again, epochs = run(tmp_path, one)
    assert again.environment["threads"] == 2
    assert epochs == []


def test_shared_parameters_start_equal_in_all_arms_of_a_seed(tmp_path: Path):
    known = registry()
    plain = assemble(CONFIG, known, tmp_path)
    start = plain.model.state_dict()
    for name in known.names("attention"):
        if name in ("none", "matched_conv") or known.get("attention", name).load().domain != "image":
            continue  # a control needs a block to wrap: test_controls.py
        choice = Choice.of(name, layer="ese") if name == "timm" else Choice(name)
        arm, sites = build_model(replace(CONFIG, attention=choice), known, plain.io)
        state = arm.state_dict()
        assert sites
        assert all(torch.equal(state[k], v) for k, v in start.items()), name
        assert all(".attention." in k for k in state.keys() - start.keys()), name
    other, _ = build_model(replace(CONFIG, seed=1), known, plain.io)
    assert not torch.equal(other.state_dict()["net.conv1.weight"], start["net.conv1.weight"])


def test_a_blocks_own_weights_depend_on_the_site_and_not_on_the_placement(tmp_path: Path):
    known = registry()
    io = assemble(CONFIG, known, tmp_path).io
    one, _ = build_model(replace(CONFIG, attention=Choice("se"), placement=("layer3.2",)), known, io)
    all_, _ = build_model(replace(CONFIG, attention=Choice("se"), placement="block"), known, io)
    key = next(k for k in one.state_dict() if ".attention." in k and k.endswith("weight"))
    assert torch.equal(one.state_dict()[key], all_.state_dict()[key])


def test_the_same_trial_gives_the_same_bits_twice(tmp_path: Path):
    first, _ = run(tmp_path / "a", trial())
    second, _ = run(tmp_path / "b", trial())
    assert first.metrics == second.metrics
    assert first.metrics["top1"] > 0.5


def test_divergence_ends_the_trial_as_failed_with_epoch_and_update(tmp_path: Path):
    wild = replace(STAGE, optimizer=Choice.of("sgd", lr=1e20))
    record, _ = run(tmp_path, trial(train=recipe(stages=(wild,))))
    assert record.status == "failed"
    assert record.reason.startswith("diverged in epoch 1 at update ")
    assert "lower the learning rate" in record.reason


def test_an_update_that_breaks_the_weights_is_divergence_even_if_no_loss_saw_it(tmp_path: Path):
    wild = replace(STAGE, epochs=1, optimizer=Choice.of("sgd", lr=1e38), schedule=Choice("constant"))
    one = trial(dataset=Choice.of("digits", val=0.1), train=recipe(stages=(wild,), batch_size=2000))
    record, _ = run(tmp_path, one)
    assert record.status == "failed"
    assert record.reason.startswith("diverged: 'cross_entropy' is nan when the model is evaluated")
    assert record.metrics == {}


def test_a_weight_that_is_not_finite_is_divergence_in_that_epoch():
    model = torch.nn.Linear(2, 2)
    check_finite(model, 0)
    with torch.no_grad():
        model.bias[1] = float("inf")
    with pytest.raises(Diverged, match="diverged in epoch 4 at its last update: 'bias' is not finite"):
        check_finite(model, 3)


def test_top1_agrees_with_the_confusion_matrix_also_after_bf16_training(tmp_path: Path):
    one = trial(train=recipe(precision="bf16"))
    record, _ = run(tmp_path, one)
    items = Store(tmp_path).items(one.id)
    assert items is not None
    assert record.metrics["top1"] == float((items.values["predicted"] == items.values["target"]).mean())


def test_a_component_that_exits_is_a_failed_trial(tmp_path: Path):
    known = registry()
    known.add("loss", "leaving", "engine.buggy:Leaving")
    record, _ = run(tmp_path, trial(loss=(Term(Choice("leaving"), 1.0, "leaving"),)), known)
    assert record.status == "failed"
    assert record.reason == "SystemExit: 0"


def test_a_bug_in_a_component_becomes_a_failed_record_with_its_traceback(tmp_path: Path):
    known = registry()
    known.add("loss", "buggy", "engine.buggy:Loss")
    record, _ = run(tmp_path, trial(loss=(Term(Choice("buggy"), 1.0, "buggy"),)), known)
    assert record.status == "failed"
    assert record.reason == "ZeroDivisionError: division by zero"
    assert "buggy.py" in record.traceback


def test_deterministic_is_refused_with_the_name_of_the_operation(tmp_path: Path):
    known = registry()
    known.add("loss", "refused", "engine.buggy:Nondeterministic")
    one = trial(loss=(Term(Choice("refused"), 1.0, "refused"),), train=recipe(deterministic=True))
    record, _ = run(tmp_path, one, known)
    assert record.status == "failed"
    assert record.reason.startswith("deterministic: true cannot be honoured: 'kthvalue CUDA'")
    assert not torch.are_deterministic_algorithms_enabled()


def test_deterministic_is_honoured_by_every_built_in_attention(tmp_path: Path):
    for name in ("se", "hybrid_sequential", "hybrid_parallel"):
        stage = replace(STAGE, epochs=1)
        record, _ = run(tmp_path, trial(attention=Choice(name), train=recipe(stages=(stage,), deterministic=True)))
        assert record.status == "ok", record.reason


def test_stages_freeze_groups_have_their_own_optimiser_and_report_what_trains(tmp_path: Path):
    first = replace(STAGE, epochs=1, freeze=("backbone",), freeze_bn=True)
    second = replace(STAGE, epochs=1, train_only=("backbone.layer3", "head"), optimizer=Choice.of("adamw", lr=1e-3))
    one = trial(train=recipe(stages=(first, second)))
    start = assemble(one.config, registry(), tmp_path).model.state_dict()
    record, _ = run(tmp_path, one)
    assert record.status == "ok", record.reason
    assert [s["trainable"] for s in record.stages] == [650, 650 + 203_520]
    end = final_weights(tmp_path, one)
    assert torch.equal(start["net.layer1.0.conv1.weight"], end["net.layer1.0.conv1.weight"])
    assert not torch.equal(start["net.layer3.0.conv1.weight"], end["net.layer3.0.conv1.weight"])


def test_an_unknown_group_is_named_with_those_that_exist(tmp_path: Path):
    record, _ = run(tmp_path, trial(train=recipe(stages=(replace(STAGE, freeze=("encoder",)),))))
    assert record.status == "failed"
    assert record.reason.startswith("unknown group 'encoder' to freeze or train")
    assert "backbone.layer3" in record.reason


def test_the_best_checkpoint_is_chosen_on_validation_and_the_record_says_so(tmp_path: Path):
    stage = replace(STAGE, epochs=3, schedule=Choice("constant"))
    record, epochs = run(tmp_path, trial(train=recipe(stages=(stage,), choose="best")))
    values = [e["val/top1"] for e in epochs]
    assert record.chosen_epoch == 1 + values.index(max(values))
    assert record.validation["top1"] == max(values)
    assert record.chosen_by == (
        f"the epoch with the best top1 on the 144 validation items (epoch {record.chosen_epoch})"
    )


def test_choosing_the_best_without_a_validation_split_is_refused(tmp_path: Path):
    record, _ = run(tmp_path, trial(dataset=Choice.of("digits", val=0.0), train=recipe(choose="best")))
    assert record.status == "failed"
    assert record.reason.startswith("`choose: best` needs a validation split")


def test_loss_terms_are_kept_apart(tmp_path: Path):
    loss = (Term(Choice("cross_entropy"), 1.0, "cross_entropy"), Term(Choice("bce"), 0.5, "bce"))
    record, epochs = run(tmp_path, trial(loss=loss))
    assert record.status == "ok", record.reason
    for values in epochs:
        expected = values["train/cross_entropy"] + 0.5 * values["train/bce"]
        assert values["train/loss"] == pytest.approx(expected, rel=1e-5)


def test_bf16_with_clipping_trains(tmp_path: Path):
    stage = replace(STAGE, clip_norm=1.0)
    record, _ = run(tmp_path, trial(train=recipe(stages=(stage,), precision="bf16")))
    assert record.status == "ok", record.reason
    assert record.metrics["top1"] > 0.4


def test_a_record_says_what_it_cost_and_where_it_ran(tmp_path: Path):
    record, _ = run(tmp_path, trial(attention=Choice("se")))
    assert record.cost["parameters"] == 269_434 + 2_373
    assert record.cost["attention_parameters"] == 2_373
    assert record.cost["seconds"] > 0
    assert record.cost["peak_memory"] > 1e8
    assert record.environment["torch"] == torch.__version__.split("+")[0]
    assert record.environment["device"] == "cpu"
    assert record.sizes == {"train": 1294, "val": 144, "test": 359}
    assert len(record.sites) == 9
    assert set(record.floors) == {"majority"}


@pytest.mark.slow
def test_a_compiled_model_trains_and_stores_plain_weights(tmp_path: Path):
    eager, _ = run(tmp_path / "eager", trial())
    record, _ = run(tmp_path / "compiled", trial(train=recipe(compile=True)))
    assert record.status == "ok", record.reason
    assert record.curve[0]["train/loss"] == pytest.approx(eager.curve[0]["train/loss"], rel=0.05)
    assert "net.conv1.weight" in final_weights(tmp_path / "compiled", trial(train=recipe(compile=True)))
