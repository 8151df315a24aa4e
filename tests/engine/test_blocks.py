"""Every block of attention gives back the shape that it was given, wherever it sits; one that raises is named."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from engine import bent
from engine.trials import CONFIG, STAGE, recipe, registry, run, trial
from keyframes import trials as keyframes

from harness import assembly
from harness.assembly import assemble
from harness.environment import seed_all
from harness.errors import ComponentFailed, ConfigError
from harness.registry import Registry
from harness.trial import Choice, Config, Recipe, Stage, Term

VIDEO = Config(
    task=Choice("video_prediction"),
    dataset=Choice.of(
        "moving_digits", size=16, digit_size=8, digits=1, frames=4, train_size=4, val_size=2, test_size=2
    ),
    model=Choice.of("convlstm", hidden=(4,), kernels=(3,)),
    attention=Choice("none"),
    placement="block",
    loss=(Term(Choice("mse"), 1.0, "mse"),),
    augment=(),
    train=Recipe((Stage(1, Choice("adamw"), Choice("constant")),), batch_size=2),
    seed=0,
)


@pytest.fixture
def known() -> Registry:
    found = registry()
    for name in ("Pooled", "OneMap", "Halved", "OverItems", "InTraining", "Pair", "Mixed", "Large", "Counting"):
        found.add("attention", name.lower(), f"engine.bent:{name}")
    for name in ("Summary", "RealOnes", "InPlace"):
        found.add("attention", name.lower(), f"engine.bent:{name}")
    found.add("model", "hiding", "engine.bent:Hiding")
    return found


def refused(config: Config, known: Registry, folder: Path) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        assemble(config, known, folder)
    return caught.value


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("pooled", "[1, 16, 1, 1] of [1, 16, 8, 8]"),
        ("onemap", "[1, 1, 8, 8] of [1, 16, 8, 8]"),
        ("halved", "[1, 8, 8, 8] of [1, 16, 8, 8]"),
        ("pair", "a tuple of [1, 16, 8, 8]"),
        ("overitems", "[1, 16, 8, 8] of [2, 16, 8, 8]"),
        ("intraining", "[2, 16, 1, 1] of [2, 16, 8, 8]"),
    ],
)
def test_a_block_that_changes_the_shape_is_refused_with_place_shapes_and_hint(
    tmp_path: Path, known: Registry, name: str, made: str
):
    error = refused(replace(CONFIG, attention=Choice(name)), known, tmp_path)
    kind = type(known.build("attention", name, 4)).__name__
    assert error.message == f"attention '{name}' (class {kind}) at 'sites.layer1_0.attention' makes {made}"
    assert error.hint == f"a block gives back [B, C, H, W] as it came; try: harness check attention {name}"


def test_a_block_that_writes_into_its_input_is_no_fault(tmp_path: Path, known: Registry):
    parts = assemble(replace(CONFIG, attention=Choice("inplace")), known, tmp_path)
    assert len(parts.blocks.placed) == len(parts.sites) > 0


def test_a_class_named_by_target_is_refused_like_a_plugin(tmp_path: Path):
    error = refused(replace(CONFIG, attention=Choice("engine.bent:Pooled")), registry(), tmp_path)
    assert error.message.startswith("attention 'Pooled (engine.bent)' (class Pooled) at 'sites.layer1_0.attention'")


def test_it_is_noticed_in_models_of_timm_too(tmp_path: Path, known: Registry):
    config = replace(CONFIG, model=Choice.of("timm", arch="test_resnet"), attention=Choice("onemap"))
    assert "at 'sites." in refused(config, known, tmp_path).message


def test_a_timm_layer_that_refuses_the_map_is_named_with_its_place(tmp_path: Path, known: Registry):
    config = replace(CONFIG, attention=Choice.of("timm", layer="halo"))
    error = refused(config, known, tmp_path)
    assert error.message.startswith("attention 'timm' (class TimmAttention) at 'sites.layer")
    assert "cuts maps into squares of 8, and this one is" in error.message
    assert "block_size" in (error.hint or "")


@pytest.mark.parametrize("name", ["pooled", "overitems", "intraining"])
def test_image_blocks_in_models_of_video_are_held_to_it(tmp_path: Path, known: Registry, name: str):
    error = refused(replace(VIDEO, attention=Choice(name)), known, tmp_path)
    assert "at 'sites.layers_0.attention' makes [" in error.message


@pytest.mark.parametrize(
    ("name", "made"), [("summary", "[1, 1, 16] of [1, 16, 16]"), ("realones", "[1, 15, 16] of [1, 16, 16]")]
)
def test_temporal_blocks_are_held_to_it_under_a_mask_as_well(tmp_path: Path, known: Registry, name: str, made: str):
    error = refused(replace(keyframes.CONFIG, attention=Choice(name)), known, tmp_path)
    assert f"at 'sites.temporal.attention' makes {made}" in error.message
    assert (error.hint or "").startswith("a block gives back [B, T, C] as it came")


def test_blocks_of_a_third_party_model_are_known_by_whoever_made_them(tmp_path: Path, known: Registry):
    config = replace(CONFIG, model=Choice("hiding"))
    error = refused(replace(config, attention=Choice("pooled")), known, tmp_path)
    assert "at 'added.0' makes [1, 8, 1, 1] of [1, 8, 8, 8]" in error.message
    # Its own part named `attention` gives a tuple, and is none of the study's blocks.
    assert assemble(replace(config, attention=Choice("se")), known, tmp_path).blocks.placed.keys() == {"added.0"}


@pytest.mark.parametrize("model", ["resnet20", "hiding"])
def test_trying_out_leaves_no_trace(tmp_path: Path, known: Registry, model: str, monkeypatch: pytest.MonkeyPatch):
    config = replace(CONFIG, model=Choice(model), attention=Choice("counting"))

    def state() -> tuple[dict[str, Any], torch.Tensor, list[bool], int, list[int]]:
        seed_all(1)
        random.seed(1)
        net = assemble(config, known, tmp_path).model
        hooks = sum(len(m._forward_hooks) for m in net.modules())
        calls = [m.calls for m in net.modules() if isinstance(m, bent.Counting)]
        return (
            net.state_dict(),
            torch.cat([torch.rand(3), torch.tensor([random.random()])]),
            [m.training for m in net.modules()],
            hooks,
            calls,
        )

    tried = state()
    monkeypatch.setattr(assembly, "_try_out", lambda *arguments: None)
    plain = state()
    assert all(torch.equal(value, plain[0][key]) for key, value in tried[0].items())
    assert torch.equal(tried[1], plain[1])
    assert tried[2:] == plain[2:]


def test_a_model_is_tried_once_in_a_process(tmp_path: Path, known: Registry, monkeypatch: pytest.MonkeyPatch):
    config = replace(CONFIG, attention=Choice("large"))
    assemble(config, known, tmp_path)
    monkeypatch.setattr("harness.blocks.Blocks.try_out", lambda *arguments: pytest.fail("a second time"))
    assemble(replace(config, seed=3, train=recipe(batch_size=7)), known, tmp_path)


def test_a_large_front_sees_one_frame_of_the_sixteen(tmp_path: Path, known: Registry, monkeypatch: pytest.MonkeyPatch):
    seen: list[int] = []
    kind = type(assemble(keyframes.CONFIG, known, tmp_path).model.backbone)
    before = kind.forward
    monkeypatch.setattr(kind, "forward", lambda self, x: seen.append(len(x)) or before(self, x))
    assemble(replace(keyframes.CONFIG, attention=Choice.of("local", window=3)), known, tmp_path)
    assert seen == [1]


def test_an_error_from_within_names_block_place_and_input(tmp_path: Path, known: Registry):
    with pytest.raises(ComponentFailed) as caught:
        assemble(replace(CONFIG, attention=Choice("mixed")), known, tmp_path)
    assert str(caught.value).startswith(
        "attention 'mixed' (class Mixed) at 'sites.layer1_0.attention', for an input of [1, 16, 8, 8]: RuntimeError: "
    )


def test_an_error_that_only_a_batch_of_training_shows_is_named_in_the_record(tmp_path: Path, known: Registry):
    record, _ = run(tmp_path, trial(attention=Choice("large"), train=recipe(stages=(replace(STAGE, epochs=1),))), known)
    assert record.status == "failed"
    assert re.fullmatch(
        r"attention 'large' \(class Large\) at 'sites.layer1_0.attention', for an input of \[128, 16, 8, 8\]: "
        r"RuntimeError: too many items for me \(engine/bent.py:\d+\)",
        record.reason,
    )
    assert "bent.py" in record.traceback
