"""What the package declares."""

from __future__ import annotations

import subprocess
import sys

import pytest

import harness_models
from harness.contracts import IO, Spec
from harness.errors import ConfigError
from harness.registry import Registry

CLIPS = IO(
    {"inputs": Spec("TCHW", (4, 1, 8, 8), "uint8")},
    {"logits": Spec("TCHW", (4, 1, 8, 8), "float32")},
    sees={"inputs": 0},
)
VIDEOS = IO(
    {"inputs": Spec("TCHW", (None, 3, 32, 32), "uint8", scaled=False), "mask": Spec("T", (None,), "bool")},
    {"logits": Spec("T", (None,), "float32")},
)


@pytest.fixture
def registry():
    registry = Registry("ablation-harness")
    harness_models.harness_register(registry)
    return registry


def test_every_declared_model_builds_and_has_a_summary_and_a_source(registry, image_io):
    names = registry.names("model")
    assert set(names) == {
        "timm",
        "resnet20",
        "resnet32",
        "resnet44",
        "resnet56",
        "resnet110",
        "convlstm",
        "convlstm_baseline",
        "keyframe_transformer",
        "frame_mlp",
    }
    for name in names:
        assert registry.get("model", name).summary
        assert registry.get("model", name).source
        options = {"arch": "resnet18"} if name == "timm" else {}
        io = CLIPS if name.startswith("convlstm") else image_io()
        front = None
        if name in ("keyframe_transformer", "frame_mlp"):
            options, io, front = (
                {"backbone": "test_resnet", "pretrained": False},
                VIDEOS,
                ("backbone", "inputs", "features"),
            )
        assert registry.build("model", name, io, **options).prefix() == front


def test_the_control_of_a_model_of_time_is_declared_and_takes_its_backbone(registry):
    control = registry.get("model", "keyframe_transformer").load().control
    both = [{o.name for o in registry.get("model", name).options()} for name in ("keyframe_transformer", control)]
    assert {"backbone", "pretrained", "weights", "weights_by", "dim", "hidden", "dropout", "chunk"} == both[1]
    assert both[1] < both[0]


@pytest.mark.parametrize("name", ["keyframe_transformer", "frame_mlp"])
def test_the_content_of_a_file_of_weights_is_part_of_what_decides_a_result(name, registry):
    assert registry.get("model", name).files == ("weights",)


def test_options_are_read_from_the_signature_with_their_types(registry, image_io):
    assert [o.name for o in registry.get("model", "timm").options() if o.required] == ["arch"]
    for options in ({"stem": "cifr"}, {"drop_path": "0.1"}, {"pretrained": 1}, {"native_attention": "drop"}):
        with pytest.raises(ConfigError):
            registry.build("model", "timm", image_io(), arch="resnet18", **options)
    with pytest.raises(ConfigError, match="'shortcut' is 'C'"):
        registry.build("model", "resnet20", image_io(), shortcut="C")


def test_the_entry_module_imports_no_torch():
    code = "import sys, harness_models; sys.exit('torch' in sys.modules or 'timm' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
