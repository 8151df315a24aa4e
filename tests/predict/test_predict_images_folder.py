"""What a prediction on images does to its folder: what it takes away, what it lists, and what it says of its trial."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from predict.stored import store_trial

from harness import api
from harness.cli.predict_command import _table
from harness.contracts import IO, Spec
from harness.predict import Predictions, classifying, images, images_folder
from harness.registry import Registry
from harness.trial import Choice

READS = IO({"inputs": Spec("CHW", (1, 8, 8), "uint8")}, {"logits": Spec("K", (10,), "float32")})
RESNET = Choice.of("resnet20")


@pytest.fixture(scope="module")
def trial(runs: Path, registry: Registry) -> str:
    return store_trial(runs, READS, RESNET, registry, task="classification", notes=("a note on data",)).id


@pytest.fixture(scope="module")
def shuffled(runs: Path, registry: Registry) -> str:
    attention = Choice.of("shuffled_gate", of=Choice.of("se"))
    return store_trial(runs, READS, RESNET, registry, task="classification", attention=attention).id


@pytest.fixture
def go(runs: Path, registry: Registry, tmp_path: Path) -> Any:
    def predict(trial: str, *inputs: Path, **options: Any) -> Predictions:
        return api.predict(trial, inputs, tmp_path / "out", runs=runs, device="cpu", registry=registry, **options)

    return predict


@pytest.fixture
def given(tmp_path: Path) -> Path:
    """A folder of two images."""
    return drawn(tmp_path / "in", 2)


def drawn(folder: Path, count: int) -> Path:
    folder.mkdir()
    values = np.random.default_rng(0).integers(0, 256, (count, 8, 8), dtype=np.uint8)
    for k, image in enumerate(values):
        Image.fromarray(image).save(folder / f"i{k:02d}.png")
    return folder


def told(out: Path) -> Any:
    return json.loads((out / "predictions.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("explain", [False, True])
def test_a_photo_behind_a_link_under_our_name_stays(go: Any, trial: str, given: Path, tmp_path: Path, explain: bool):
    photo, out = tmp_path / "photo.jpg", tmp_path / "out"
    photo.write_bytes(b"somebody's photo")
    go(trial, given, explain=True)
    link = out / "explain_i01.jpg"
    link.unlink()
    link.symlink_to(photo)
    done = go(trial, given, explain=explain)
    assert not done.failures
    assert photo.read_bytes() == b"somebody's photo"
    assert not link.is_symlink()
    assert link.exists() == explain


def test_a_folder_under_our_name_stays_and_is_no_error(go: Any, trial: str, given: Path, tmp_path: Path):
    go(trial, given, explain=True)
    place = tmp_path / "out" / "explain_i01.jpg"
    place.unlink()
    place.mkdir()
    assert not go(trial, given).failures
    assert place.is_dir()
    assert not (tmp_path / "out" / "explain_i00.jpg").exists()


def test_the_photo_itself_is_classified_where_only_a_link_to_it_is_left_out(go: Any, trial: str, tmp_path: Path):
    out = drawn(tmp_path / "out", 2)
    go(trial, out / "i00.png", explain=True)
    (out / "explain_i00.jpg").unlink()
    (out / "explain_i00.jpg").symlink_to(out / "i01.png")
    done = go(trial, out)
    assert [one.path.name for one in done.images] == ["i00.png", "i01.png"]


def test_a_file_of_somebody_under_a_name_like_ours_is_not_overwritten(go: Any, trial: str, given: Path, tmp_path: Path):
    out = drawn(tmp_path / "out", 1)
    (out / "i00.png").rename(out / "explain_i00.jpg")
    mine = (out / "explain_i00.jpg").read_bytes()
    for _ in range(2):
        done = go(trial, given, explain=True)
        assert [one.explained.name for one in done.images] == ["explain_i00_2.jpg", "explain_i01.jpg"]
    go(trial, given)
    assert (out / "explain_i00.jpg").read_bytes() == mine
    assert not (out / "explain_i00_2.jpg").exists()


def test_where_every_image_fails_nothing_of_an_earlier_prediction_stays(go: Any, trial: str, given: Path, tmp_path):
    go(trial, given, explain=True)
    (tmp_path / "bad.png").write_text("I am no image\n")
    (tmp_path / "out" / "mine.txt").touch()
    done = go(trial, tmp_path / "bad.png")
    assert (done.images, done.page, len(done.failures)) == ((), None, 1)
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"predictions.json", "mine.txt"}
    now = told(tmp_path / "out")
    assert (now["finished"], now["images"], now["pictures"]) == (True, [], [])
    assert [f["file"] for f in now["failures"]] == [str(tmp_path / "bad.png")]


def test_an_input_that_is_not_there_leaves_no_earlier_page(go: Any, trial: str, given: Path, tmp_path: Path):
    go(trial, given)
    go(trial, tmp_path / "gone.png")
    assert not (tmp_path / "out" / "index.html").exists()


def test_pictures_of_an_interrupted_prediction_are_no_inputs_and_go(
    go: Any, trial: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    out = drawn(tmp_path / "out", 3)
    go(trial, out / "i02.png", explain=True)
    add = images_folder.Folder.add

    def interrupted(self: Any, one: Any, *rest: Any) -> None:
        if one.path.name == "i01.png":
            raise KeyboardInterrupt
        add(self, one, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(images.Folder, "add", interrupted)
        with pytest.raises(KeyboardInterrupt):
            go(trial, out / "i00.png", out / "i01.png", explain=True)
    assert not told(out)["finished"]
    assert {"explain_i00.jpg", "explain_i02.jpg"} <= {p.name for p in out.iterdir()}
    assert not (out / "index.html").exists()
    assert not (out / "predictions.csv").exists()

    done = go(trial, out)
    assert [one.path.name for one in done.images] == ["i00.png", "i01.png", "i02.png"]
    assert not list(out.glob("explain_*"))
    assert told(out)["finished"]


def test_a_block_whose_outputs_depend_on_the_batch_says_so_everywhere(
    go: Any, shuffled: str, given: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    done = go(shuffled, given)
    (warning,) = done.warnings
    assert "shuffled_gate rolls gates over the batch" in warning
    assert told(tmp_path / "out")["warnings"] == [warning]
    page = done.page.read_text(encoding="utf-8")
    assert "shuffled_gate rolls gates over the batch" in page.split("Before you trust this")[1].split("</ul>")[0]
    assert "at most 64 images a batch" in page
    _table(done)
    assert capsys.readouterr().err == f"warning: {warning}\n"


def test_notes_that_change_no_prediction_are_facts_and_no_warnings(
    go: Any, trial: str, given: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    done = go(trial, given)
    assert done.warnings == ()
    now = told(tmp_path / "out")
    assert (now["warnings"], now["notes"]) == ([], ["a note on data"])
    page = done.page.read_text(encoding="utf-8")
    assert "a note on data" in page
    assert "Before you trust this" not in page
    _table(done)
    assert capsys.readouterr().err == ""


def test_what_is_explained_is_the_batch_that_was_classified(
    go: Any, shuffled: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    import torch

    classified: list[Any] = []
    explained: list[Any] = []
    call, inner = classifying.Classifier.__call__, classifying.explain

    def broken(self: classifying.Classifier, pixels: Any) -> Any:
        found = call(self, pixels)
        classified.append(found.copy())
        found[1] = np.nan
        return found

    def spy(model: Any, batch: Any, *rest: Any) -> Any:
        with torch.inference_mode():
            explained.append(model(batch)["logits"].softmax(1).double().numpy())
        return inner(model, batch, *rest)

    monkeypatch.setattr(classifying.Classifier, "__call__", broken)
    monkeypatch.setattr(classifying, "explain", spy)
    done = go(shuffled, drawn(tmp_path / "many", 20), explain=True)
    assert [len(c) for c in classified] == [16, 4]
    for one, other in zip(classified, explained, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)
    assert [one.path.name for one in done.images] == [f"i{k:02d}.png" for k in range(20) if k not in (1, 17)]
    assert all(one.explained.name == f"explain_{one.path.stem}.jpg" for one in done.images)
