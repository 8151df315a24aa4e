"""A trained model as a file for other programs: what is read back gives the same numbers."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
import torch
from predict.stored import FEATURES, store_trial

import harness
from harness import api, exporting
from harness.cli import group
from harness.contracts import IO, Spec
from harness.errors import ConfigError, StoreError
from harness.store import Store
from harness.trial import Choice, Record

GRID = {
    "study": "export",
    "dataset": {"name": "digits"},
    "model": "resnet20",
    "train": {"epochs": 1, "batch_size": 256},
    "evaluate": [],
    "axes": {"attention": ["none", "hybrid_sequential"]},
}

CLIP = Spec("TCHW", (5, 1, 16, 16), "uint8")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export")
    harness.ablate(GRID, runs=folder / "runs", reports=folder / "reports", workers=1)
    return folder / "runs"


def record_of(runs: Path, attention: str) -> Record:
    return next(r for r in Store(runs).records() if r.trial.config.attention.name == attention)


def images(count: int) -> torch.Tensor:
    return torch.randn(count, 1, 8, 8, generator=torch.Generator().manual_seed(7))


def original(runs: Path, record: Record, x: torch.Tensor) -> torch.Tensor:
    model, _ = harness.load_trial(record.id, runs=runs)
    with torch.no_grad():
        return model({"inputs": x})["logits"]


def only(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


@pytest.mark.parametrize("attention", ["none", "hybrid_sequential"])
def test_a_program_of_torch_gives_the_same_logits_at_any_batch_size(runs: Path, tmp_path: Path, attention: str):
    record = record_of(runs, attention)
    done = api.export(record.id[:10], "torch-export", tmp_path / "m.pt2", runs=runs)
    assert only(tmp_path) == ["m.pt2", "m.pt2.json"]
    assert set(done.differences) == {"logits, batch 1", "logits, batch 3"}
    assert max(done.differences.values()) < 1e-5
    program = torch.export.load(tmp_path / "m.pt2").module()
    for count in (1, 5):
        x = images(count)
        torch.testing.assert_close(program(inputs=x)["logits"], original(runs, record, x), rtol=1e-5, atol=1e-5)


def test_an_onnx_file_gives_the_same_logits_in_onnxruntime(runs: Path, tmp_path: Path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    record = record_of(runs, "hybrid_sequential")
    done = api.export(record.id, "onnx", tmp_path, runs=runs)
    assert only(tmp_path) == [f"{record.id}.onnx", f"{record.id}.onnx.json"]
    assert 0 <= max(done.differences.values()) < 1e-4
    session = onnxruntime.InferenceSession(done.path, providers=["CPUExecutionProvider"])
    assert [i.name for i in session.get_inputs()] == ["inputs"]
    assert [o.name for o in session.get_outputs()] == ["logits"]
    assert session.get_modelmeta().custom_metadata_map["trial"] == record.id
    for count in (1, 5):
        x = images(count)
        found = torch.from_numpy(session.run(["logits"], {"inputs": x.numpy()})[0])
        torch.testing.assert_close(found, original(runs, record, x), rtol=1e-4, atol=1e-4)


def test_safetensors_hold_every_weight_and_say_what_they_are(runs: Path, tmp_path: Path):
    from safetensors import safe_open

    record = record_of(runs, "hybrid_sequential")
    done = api.export(record.id, "safetensors", tmp_path / "w.safetensors", runs=runs)
    assert set(done.differences.values()) == {0.0}
    state = harness.load_trial(record.id, runs=runs)[0].state_dict()
    with safe_open(done.path, "pt") as file:
        assert set(file.keys()) == set(state)
        assert all(torch.equal(file.get_tensor(key), value) for key, value in state.items())
        told = file.metadata()
    assert (told["trial"], told["model"], told["attention"]) == (record.id, "resnet20", "hybrid_sequential")
    assert json.loads(told["classes"]) == list("0123456789")
    assert json.loads(told["preprocessing"])["inputs"]["mean"] == list(record.io["inputs"]["inputs"]["mean"])
    assert json.loads(told["io"])["outputs"]["logits"]["shape"] == [10]


def test_the_sidecar_says_all_that_a_reader_of_the_file_needs(runs: Path, tmp_path: Path):
    record = record_of(runs, "hybrid_sequential")
    done = api.export(record.id, "safetensors", tmp_path / "w.safetensors", runs=runs)
    told = json.loads(done.sidecar.read_text())
    assert told["trial"] == record.id
    assert told["config"]["attention"]["name"] == "hybrid_sequential"
    assert told["takes"] == {"inputs": {"dtype": "float32", "shape": [None, 1, 8, 8]}}
    assert told["preprocessing"]["inputs"]["steps"].startswith("divide by 255, subtract mean")
    assert told["differences"] == dict(done.differences)
    assert told["bytes"] == done.path.stat().st_size
    assert "torch" in told["versions"]


def test_a_missing_package_is_named_with_the_line_that_installs_it(runs: Path, tmp_path: Path, monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(exporting.util, "find_spec", lambda n: None if n == "onnxruntime" else real(n))
    with pytest.raises(ConfigError, match="needs onnxruntime, which is not installed") as caught:
        api.export(record_of(runs, "none").id, "onnx", tmp_path / "m.onnx", runs=runs)
    assert "pip install" in (caught.value.hint or "")
    assert only(tmp_path) == []


def test_a_model_of_predicted_video_is_exported(tmp_path: Path):
    clips = IO({"inputs": CLIP}, {"logits": Spec("TCHW", (5, 1, 16, 16), "float32")})
    tiny = Choice.of("convlstm", hidden=(4,), kernels=(3,))
    record = store_trial(tmp_path / "runs", clips, tiny, task="video_prediction")
    done = api.export(record.id, "torch-export", tmp_path / "m.pt2", runs=tmp_path / "runs")
    assert max(done.differences.values()) < 1e-5


def test_a_model_of_videos_of_any_length_gives_its_weights_and_is_no_program(tmp_path: Path):
    record = store_trial(tmp_path / "runs", FEATURES)
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(ConfigError, match=r"to torch-export \(its inputs vary in length: features, mask\): ") as caught:
        api.export(record.id, "torch-export", out, runs=tmp_path / "runs")
    assert "safetensors" in (caught.value.hint or "")
    assert only(out) == []
    done = api.export(record.id, "safetensors", out, runs=tmp_path / "runs")
    assert set(done.differences.values()) == {0.0}


class Stubborn(torch.nn.Module):
    """Its path depends on values, which no traced program can say."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.inner = model

    def forward(self, batch):
        scale = 2.0 if float(batch["inputs"].sum()) > 0 else 1.0
        return {key: scale * value for key, value in self.inner(batch).items()}


def test_a_model_that_cannot_be_exported_is_refused_and_leaves_nothing(runs: Path, tmp_path: Path):
    record = record_of(runs, "none")
    model, _ = harness.load_trial(record.id, runs=runs)
    with pytest.raises(ConfigError, match=r"cannot be exported to torch-export: \w+: ") as caught:
        exporting.export(record, Stubborn(model), "torch-export", tmp_path / "m.pt2")
    assert record.id in caught.value.message
    assert only(tmp_path) == []


def test_a_file_whose_numbers_differ_is_not_kept(runs: Path, tmp_path: Path, monkeypatch):
    def wrong(named, example, spoken, about, part):
        part.write_bytes(b"anything")
        return lambda batch: {"logits": named(**batch)["logits"] + 0.1}

    record = record_of(runs, "none")
    model, _ = harness.load_trial(record.id, runs=runs)
    monkeypatch.setattr(exporting, "_WRITERS", {"safetensors": wrong})
    (tmp_path / "w.safetensors").write_bytes(b"older")
    with pytest.raises(ConfigError, match=r"differs from the model's own by 0\.1"):
        exporting.export(record, model, "safetensors", tmp_path / "w.safetensors")
    assert only(tmp_path) == ["w.safetensors"]
    assert (tmp_path / "w.safetensors").read_bytes() == b"older"


def test_a_wrong_ending_format_or_trial_is_named(runs: Path, tmp_path: Path):
    record = record_of(runs, "none")
    with pytest.raises(ConfigError, match=r"does not end in '\.pt2'"):
        api.export(record.id, "torch-export", tmp_path / "m.onnx", runs=runs)
    with pytest.raises(ConfigError, match="unknown format 'keras'"):
        api.export(record.id, "keras", tmp_path / "m.keras", runs=runs)
    with pytest.raises(StoreError, match="no finished trial starts with 'ffff0000'"):
        api.export("ffff0000", "safetensors", tmp_path, runs=runs)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError):
        api.export(record.id, "safetensors", tmp_path / "file" / "w.safetensors", runs=runs)
    assert only(tmp_path) == ["file"]


def test_the_command_prints_the_file_and_the_difference(runs: Path, tmp_path: Path, capsys):
    record = record_of(runs, "none")
    arguments = ["export", record.id[:8], "--format", "safetensors", "--out", str(tmp_path), "--runs", str(runs)]
    assert group.main(arguments, standalone_mode=False) == 0
    said = capsys.readouterr().out
    assert f"{record.id}.safetensors" in said
    assert "logits, batch 3: largest absolute difference to the original 0" in said
