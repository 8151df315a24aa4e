"""From a trained classifier and image files to classes, tables, a sheet and a page."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import look, needed
from PIL import Image
from predict.films import film

import harness
from harness import api
from harness.data import data_root
from harness.errors import ConfigError
from harness.predict import Predictions, Wish, classifying, images
from harness.registry import Registry
from harness.store import Store

GRID = {
    "study": "few",
    "dataset": "digits",
    "model": "resnet20",
    "attention": "se",
    "train": {"epochs": 1, "batch_size": 128},
    "seeds": 1,
    "evaluate": [],
}


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A store, and the id of a trial that was trained for one epoch."""
    folder = tmp_path_factory.mktemp("classifier")
    done = harness.ablate(GRID, runs=folder / "runs", reports=folder / "reports", workers=1, device="cpu")
    (trial,) = done.records
    return folder / "runs", trial


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first 80 images of the test split, as PNG files in two folders."""
    folder = tmp_path_factory.mktemp("digits")
    for k, image in enumerate(test_images(80)):
        path = folder / ("a" if k < 40 else "b/deep") / f"{k:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[0]).save(path)
    return folder


def test_images(count: int) -> np.ndarray[Any, Any]:
    dataset: Any = api.load_registry(third_party=False).build("dataset", "digits", data_root())
    arrays = dataset.split("test").resident()
    return np.asarray(arrays["inputs"][:count])


test_images.__test__ = False  # type: ignore[attr-defined]


def predicted(
    classifier: tuple[Path, str], inputs: Any, out: Path, registry: Registry | None = None, **options: Any
) -> Predictions:
    runs, trial = classifier
    return api.predict(trial, inputs, out, runs=runs, device="cpu", registry=registry, **options)


def test_files_of_the_test_images_get_what_the_trial_was_tested_with(
    classifier: tuple[Path, str], digits: Path, tmp_path: Path
):
    done = predicted(classifier, digits, tmp_path / "out")
    stored = Store(classifier[0]).items(classifier[1])

    assert stored is not None
    assert not done.failures
    assert [one.path.name for one in done.images] == [f"{k:03d}.png" for k in range(80)]
    assert [int(one.label) for one in done.images] == stored.values["predicted"][:80].tolist()
    assert len(set(stored.values["predicted"][:80].tolist())) > 1  # else the equality would say little
    given = np.array([one.probability for one in done.images])
    np.testing.assert_allclose(given, stored.values["confidence"][:80], rtol=1e-4)
    target = stored.values["target"][:80]
    own = np.array([one.probabilities[t] for one, t in zip(done.images, target, strict=True)])
    np.testing.assert_allclose(-np.log(own), stored.values["loss"][:80], rtol=1e-3, atol=1e-5)


def test_the_size_of_a_batch_changes_nothing(
    classifier: tuple[Path, str], digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    whole = predicted(classifier, digits / "a", tmp_path / "whole")
    monkeypatch.setattr(classifying, "_BYTES", 7 * 64)
    sizes = []
    call = classifying.Classifier.__call__
    monkeypatch.setattr(classifying.Classifier, "__call__", lambda s, x: (sizes.append(len(x)), call(s, x))[1])
    parts = predicted(classifier, digits / "a", tmp_path / "parts")
    assert sizes == [7, 7, 7, 7, 7, 5]
    for one, other in zip(whole.images, parts.images, strict=True):
        np.testing.assert_allclose(one.probabilities, other.probabilities, rtol=1e-4, atol=1e-7)


def test_the_tables_hold_every_image(classifier: tuple[Path, str], digits: Path, tmp_path: Path):
    out = tmp_path / "out"
    done = predicted(classifier, [digits / "a", digits / "a" / "003.png"], out, wish=Wish(top=3))

    assert {p.name for p in out.iterdir()} == {"predictions.csv", "predictions.json", "predictions.jpg", "index.html"}
    with (out / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    told = json.loads((out / "predictions.json").read_text())
    assert len(rows) == len(told["images"]) == len(done.images) == 40  # one that is named twice is done once
    assert list(rows[0]) == ["file", "predicted", "probability"] + [
        f"{word}_{k}" for k in (1, 2, 3) for word in ("class", "probability")
    ]
    for row, plain, one in zip(rows, told["images"], done.images, strict=True):
        assert row["file"] == plain["file"] == str(one.path)
        assert row["predicted"] == row["class_1"] == plain["predicted"] == one.label
        assert float(row["probability_2"]) == pytest.approx(plain["top"][1]["probability"], abs=1e-6)
        assert len(plain["top"]) == 3
        assert sum(plain["probabilities"]) == pytest.approx(1, abs=1e-5)
        assert max(plain["probabilities"]) == pytest.approx(one.probability, rel=1e-6)
    assert told["trial"] == classifier[1]
    assert told["classes"] == [str(k) for k in range(10)]
    assert told["preprocessing"]["size"] == [1, 8, 8]
    assert told["preprocessing"]["mean"] == [0.3053]
    assert "torch" in told["versions"]


def test_the_sheet_and_the_page_say_how_many_images_they_leave_out(
    classifier: tuple[Path, str], digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(images, "MOST", 9)
    done = predicted(classifier, digits / "a", tmp_path / "out")
    assert done.page is not None
    page = done.page.read_text(encoding="utf-8")
    assert page.count('<div class="square">') == 9
    assert "The first 9 of 40 images; 31 are not shown" in page
    assert "All 40 images" in page
    assert "the middle cut out" in page
    with Image.open(done.page.parent / "predictions.jpg") as sheet:
        assert sheet.width >= 640
    assert not re.findall(r'(?:src|href)="(?!data:)', page)


def test_every_image_is_explained(classifier: tuple[Path, str], digits: Path, tmp_path: Path):
    out = tmp_path / "out"
    done = predicted(classifier, [digits / "a" / f"{k:03d}.png" for k in range(3)], out, explain=True)

    assert [one.explained for one in done.images] == [out / f"explain_{k:03d}.jpg" for k in range(3)]
    pictures = []
    for one in done.images:
        assert one.explained is not None
        with Image.open(one.explained) as picture:
            pictures.append(np.asarray(picture.convert("RGB")))
            assert picture.width > 5 * 150  # the image, Grad-CAM, and the maps of three blocks
    assert any(p.shape != pictures[0].shape or (p != pictures[0]).any() for p in pictures[1:])
    assert done.page is not None
    page = done.page.read_text(encoding="utf-8")
    sites = Store(classifier[0]).find(classifier[1]).sites
    assert page.count("Grad-CAM of ") == 3 * 2 + 1  # an alternative text and a caption each, and the sentence above
    for site in sites[-3:]:
        assert page.count(f"{site}: gain of its 64 channels") == 3
    assert f"{sites[-4]}: " not in page


def test_the_explained_class_is_the_predicted_one(
    classifier: tuple[Path, str], digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    seen: list[int] = []
    inner = classifying.explain

    def spy(model: Any, batch: Any, target: Any, *rest: Any) -> Any:
        seen.extend(target.tolist())
        return inner(model, batch, target, *rest)

    monkeypatch.setattr(classifying, "explain", spy)
    done = predicted(classifier, digits / "a", tmp_path / "out", explain=True)
    assert seen == [int(one.label) for one in done.images]


def test_a_second_run_replaces_its_own_files_alone(classifier: tuple[Path, str], digits: Path, tmp_path: Path):
    (tmp_path / "explain_mine.jpg").write_bytes((digits / "a" / "000.png").read_bytes())
    (tmp_path / "x.png").write_bytes((digits / "a" / "001.png").read_bytes())
    first = predicted(classifier, tmp_path, tmp_path, explain=True)
    assert [one.path.name for one in first.images] == ["explain_mine.jpg", "x.png"]
    assert (tmp_path / "explain_x.jpg").exists()

    again = predicted(classifier, tmp_path, tmp_path)  # its own pictures are no input
    assert [one.path.name for one in again.images] == ["explain_mine.jpg", "x.png"]
    assert not (tmp_path / "explain_x.jpg").exists()
    assert (tmp_path / "explain_mine.jpg").exists()


def test_images_of_one_name_get_pictures_of_their_own(classifier: tuple[Path, str], digits: Path, tmp_path: Path):
    paths = []
    for name in ("a/x.png", "b/X.png", "c/x_2.png", "d/" + "n" * 200 + ".png"):
        path = tmp_path / name
        path.parent.mkdir()
        path.write_bytes((digits / "a" / "000.png").read_bytes())
        paths.append(path)
    done = predicted(classifier, paths, tmp_path / "out", explain=True)
    names = [one.explained.name.casefold() for one in done.images if one.explained]
    assert len(set(names)) == 4
    assert names[:2] == ["explain_x.jpg", "explain_x_2.jpg"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"wish": Wish(distinct=True)}, "--distinct leaves out frames of a video"),
        ({"wish": Wish(share=0.5)}, "--share is a part of a video's frames"),
    ],
)
def test_what_suits_videos_alone_is_refused(
    classifier: tuple[Path, str], digits: Path, tmp_path: Path, options: dict[str, Any], told: str
):
    with pytest.raises(ConfigError, match=re.escape(told)):
        predicted(classifier, digits, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_a_video_for_a_classifier_is_told(classifier: tuple[Path, str], tmp_path: Path):
    (tmp_path / "films").mkdir()
    film(tmp_path / "films" / "one.mp4", seconds=1)
    done = predicted(classifier, [tmp_path / "films" / "one.mp4", tmp_path / "films"], tmp_path / "out")
    assert not done.images
    assert [f.error.message.rpartition("'")[2] for f in done.failures] == [
        " is a video, and this trial classifies images",
        " has videos in it and no image",
    ]


def test_images_for_a_trial_of_videos_are_told(runs: Path, tiny: str, registry: Registry, digits: Path, tmp_path: Path):
    inputs = [digits / "a" / "000.png", digits / "a"]
    done = predicted((runs, tiny), inputs, tmp_path / "out", registry)
    assert [f.error.message.rpartition("'")[2] for f in done.failures] == [
        " is an image, and this trial scores videos",
        " has images in it, and this trial scores videos",
    ]
    with pytest.raises(ConfigError, match="--explain shows where a classifier of images looked"):
        predicted((runs, tiny), inputs, tmp_path / "out", registry, explain=True)


@needed
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_fits_fetches_nothing_and_logs_nothing(
    classifier: tuple[Path, str], digits: Path, tmp_path: Path, width: int
):
    named = tmp_path / ("a_very_long_name_without_a_space" * 5 + ".png")
    named.write_bytes((digits / "a" / "000.png").read_bytes())
    done = predicted(classifier, [named, *sorted((digits / "a").iterdir())[:4]], tmp_path / "out", explain=True)
    assert done.page is not None
    found, log = look(done.page, width, tmp_path)
    assert found["images"] == 5 * 6
    assert found["broken"] == 0
    assert found["width"] <= found["client"]
    assert [n for n in found["fetched"] if not n.startswith("data:")] == []
    assert "CONSOLE" not in log


def _command(classifier: tuple[Path, str], place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    where = ("--runs", str(classifier[0].resolve()), "--device", "cpu")
    return subprocess.run(
        [sys.executable, "-m", "harness", "--no-plugins", "predict", classifier[1][:8], *arguments, *where],
        cwd=place,
        env={**os.environ, "COLUMNS": "160"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_the_command_shows_a_table_and_names_what_failed(classifier: tuple[Path, str], digits: Path, tmp_path: Path):
    (tmp_path / "in").mkdir()
    for k in range(22):
        shutil.copy(digits / "a" / f"{k:03d}.png", tmp_path / "in")
    (tmp_path / "in" / "text\x1b[2J.png").write_text("I am no image\n")
    done = _command(classifier, tmp_path, "in", "--out", "out")
    lines = done.stdout.splitlines()
    assert done.returncode == 1
    assert lines[0].split() == ["image", "class", "probability", "notes"]
    assert re.fullmatch(r"in/000.png +\d +\d+\.\d %\s*", lines[1])
    assert lines[21:] == ["and 2 more, in predictions.csv", "out/index.html"]
    assert done.stderr.startswith("error: 'in/text [2J.png' is damaged or no image: cannot identify image file\n")
    assert done.stderr.endswith("1 of 23 inputs failed\n")


def test_the_command_ends_with_2_where_nothing_could_be_done(classifier: tuple[Path, str], tmp_path: Path):
    (tmp_path / "bad.png").write_text("I am no image\n")
    done = _command(classifier, tmp_path, "bad.png", "--out", "out")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    done = _command(classifier, tmp_path, "bad.png", "--out", "out", "--distinct")
    assert done.returncode == 2
    assert done.stderr.startswith("error: --distinct leaves out frames of a video")
    done = _command(classifier, tmp_path, "bad.png", "--out", "out", "--share", "0.15")
    assert done.returncode == 2
    assert done.stderr.startswith("error: --share is a part of a video's frames")
