"""Stored frames become strips and animations; what cannot be drawn is a sentence."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from report.evidence import make_evidence
from report.video import LEAKY, RANDOM, T, frames_of, truth, video_evidence

from harness.contracts import Figure
from harness.report import Evidence, build
from harness.report.analysis import analyse
from harness.report.document import Gallery, Section, Text
from harness.report.joined import stored_figures
from harness.report.style import styled


def sections(evidence: Evidence) -> dict[str, Section]:
    with styled():
        return {s.title: s for s in stored_figures(analyse(evidence))}


def with_figures(figures: Mapping[str, Sequence[Figure]]) -> Evidence:
    evidence = make_evidence(tuple(figures), seeds=1, epochs=1)
    by_trial = {t.id: figures[c.label] for c in evidence.study.cells for t in c.trials}
    return dataclasses.replace(evidence, figures=lambda trial_id: by_trial[trial_id])


def gallery(section: Section) -> Gallery:
    return next(b for b in section.blocks if isinstance(b, Gallery))


def texts(section: Section) -> str:
    return " ".join(b.text for b in section.blocks if isinstance(b, Text))


def strip(images: Any, reference: Any = None, **more: Any) -> Figure:
    array = np.asarray(images)
    rows = np.array([str(k) for k in range(len(array))])
    columns = np.array([f"frame {f}" for f in range(array.shape[1])])
    data = {"images": array, "rows": rows, "columns": columns}
    data |= {} if reference is None else {"reference": reference, "reference_name": np.array(["truth"])}
    return Figure("s", "strip", "Strip", "what it shows", data | more)


def moving_figure(images: np.ndarray, **more: Any) -> Figure:
    data = {"images": images, "rows": np.array([str(k) for k in range(len(images))]), "milliseconds": np.array([80])}
    return Figure("m", "animation", "Motion", "what moves", data | more)


def frames(content: bytes) -> list[np.ndarray]:
    image = Image.open(io.BytesIO(content))
    found = []
    for t in range(image.n_frames):
        image.seek(t)
        found.append(np.asarray(image.convert("RGB")))
    return found


def test_a_strip_has_the_truth_once_then_the_baseline_and_every_row_marked():
    shown = gallery(sections(video_evidence(seeds=2))["Predicted frames"])

    assert [p.name for p in shown.pictures] == ["frames-0.svg", "frames-1.svg"]
    order = f"from top to bottom: truth, mse, mse + gdl, {RANDOM} [random VGG-16], {LEAKY} [LEAKS 1 frame];"
    assert order in shown.pictures[0].alt
    assert shown.pictures[0].alt.endswith("from left to right: frame 0, frame 2, frame 5")
    assert "First line: truth" in shown.caption
    assert "Every row's first finished trial: seed 0." in shown.caption


def test_a_strip_shows_the_stored_pixels_unblurred(moving: Path):
    svg = (moving / "figures" / "frames-0.svg").read_text()

    assert svg.count("<image") == 1
    assert "image-rendering:pixelated" in svg.replace(" ", "")


def test_a_heat_strip_has_a_colour_bar_and_no_reference():
    shown = gallery(sections(video_evidence(seeds=2))["Error maps"])
    svg = shown.pictures[0].content.decode()

    assert "First line" not in shown.caption
    assert svg.count("<image") == 2  # the frames, and the bar
    assert "from top to bottom: mse, mse + gdl" in shown.pictures[0].alt


def test_the_first_finished_seed_of_each_row_is_named_where_they_differ():
    evidence = video_evidence(seeds=2)
    lost = evidence.study.cells[1].trials[0].id
    records = {k: r for k, r in evidence.records.items() if k != lost}
    caption = gallery(sections(dataclasses.replace(evidence, records=records))["Predicted frames"]).caption

    assert "seed 1 of 'mse', seed 0 of 'mse + gdl'" in caption


def test_rows_with_another_truth_are_left_out_and_named():
    true = truth(2, 8)
    figures = {"none": [strip(true, true)], "se": [strip(true, 255 - true)]}
    section = sections(with_figures(figures))["Strip"]

    assert "Left out, as their items, columns or truth are not those of the others: 'se'." in texts(section)
    assert "se" not in gallery(section).pictures[0].alt.split("to bottom: ")[1].split(";")[0].split(", ")


def test_of_many_items_three_are_drawn_and_the_rest_counted():
    shown = gallery(sections(with_figures({"none": [strip(np.zeros((5, 2, 8, 8), np.uint8))]}))["Strip"])

    assert len(shown.pictures) == 3
    assert "Shown are 3 of 5 items." in shown.caption


def test_of_many_columns_twelve_are_drawn_and_large_frames_are_thinned_out():
    shown = gallery(sections(with_figures({"none": [strip(np.zeros((1, 30, 600, 300), np.uint8))]}))["Strip"])

    assert "Drawn are 12 of 30 columns." in shown.caption
    assert "one pixel in 3 is drawn" in shown.caption
    assert shown.pictures[0].alt.endswith("frame 29")


def test_maps_of_different_sizes_are_drawn_equally_large():
    small, large = np.full((1, 2, 4, 4), 9, np.uint8), np.full((1, 2, 8, 8), 9, np.uint8)
    shown = gallery(sections(with_figures({"none": [strip(small)], "se": [strip(large)]}))["Strip"])

    assert "none, se" in shown.pictures[0].alt
    assert "different sizes" in shown.caption


def test_colour_frames_are_drawn():
    colour = np.zeros((1, 2, 8, 8, 3), np.uint8)
    found = sections(with_figures({"none": [strip(colour, colour), moving_figure(colour)]}))

    assert len(gallery(found["Strip"]).pictures) == len(gallery(found["Motion"]).pictures) == 1


def test_an_animation_is_one_looping_gif_an_item_with_every_frame(moving: Path):
    image = Image.open(io.BytesIO((moving / "figures" / "clips-1.gif").read_bytes()))

    assert (image.n_frames, image.info["loop"]) == (T, 0)
    assert image.info["duration"] == 150
    assert "![Test clips. Item clip 1 in motion, side by side: truth, mse" in (moving / "report.md").read_text()


def test_the_panels_of_an_animation_hold_the_stored_pixels_enlarged():
    images = np.random.default_rng(0).integers(0, 256, (1, 3, 64, 64), dtype=np.uint8)
    picture = gallery(sections(with_figures({"none": [moving_figure(images)]}))["Motion"]).pictures[0]
    found = frames(picture.content)

    assert picture.media == "image/gif"
    for t in range(3):
        large = np.repeat(np.repeat(images[0, t], 2, axis=0), 2, axis=1)
        windows = [found[t][y : y + 128, 10 : 10 + 128, 0] for y in range(found[t].shape[0] - 128)]
        assert any(np.array_equal(w, large) for w in windows)


def test_a_reader_who_wants_less_motion_gets_the_last_frame(moving: Path):
    html = (moving / "report.html").read_text()
    picture = gallery(sections(video_evidence(seeds=2))["Clips in motion"]).pictures[0]
    still = np.asarray(Image.open(io.BytesIO(picture.still)).convert("RGB"))

    assert html.count('<source media="(prefers-reduced-motion: reduce)" srcset="data:image/png;base64,') == 2
    assert np.array_equal(still, frames(picture.content)[-1])


def test_the_same_evidence_gives_the_same_strips_and_animations(moving: Path, tmp_path: Path):
    build(video_evidence(seeds=2), tmp_path)
    names = {p.name for p in (moving / "figures").iterdir()}

    assert {"frames-0.svg", "errors-1.svg", "clips-0.gif"} <= names
    assert names == {p.name for p in (tmp_path / "figures").iterdir()}
    assert all((tmp_path / "figures" / n).read_bytes() == (moving / "figures" / n).read_bytes() for n in names)


def test_building_again_removes_animations_that_are_gone_and_nothing_of_the_users(tmp_path: Path):
    (tmp_path / "figures").mkdir()
    for name in ("old.gif", "old.svg", "mine.png"):
        (tmp_path / "figures" / name).write_bytes(b"x")
    build(make_evidence(("none",), seeds=1, epochs=1), tmp_path)
    left = {p.name for p in (tmp_path / "figures").iterdir()}

    assert "mine.png" in left
    assert not left & {"old.gif", "old.svg"}


def test_the_axis_of_lines_is_named_and_no_series_of_it():
    shown = gallery(sections(video_evidence(seeds=2))["Metrics against horizon"])

    assert [p.caption for p in shown.pictures] == ["psnr (dB)"]


GOOD = np.zeros((1, 2, 8, 8), np.uint8)
BROKEN = {
    "float": {"images": GOOD.astype(np.float64)},
    "nan": {"images": np.full((1, 2, 8, 8), np.nan)},
    "flat": {"images": GOOD[0]},
    "four colours": {"images": np.zeros((1, 2, 8, 8, 4), np.uint8)},
    "empty": {"images": GOOD[:, :0]},
    "text": {"images": np.array(["x"])},
    "names": {"rows": np.array(["a", "b"])},
    "other reference": {"reference": GOOD[:, :1]},
    "reference of floats": {"reference": GOOD.astype(np.float32)},
}


@pytest.mark.parametrize("kind", ["strip", "animation"])
@pytest.mark.parametrize("damage", BROKEN)
def test_damaged_frames_are_a_sentence_and_the_other_rows_are_drawn(kind: str, damage: str):
    sound = strip(GOOD) if kind == "strip" else moving_figure(GOOD)
    broken = dataclasses.replace(sound, data={**sound.data, **BROKEN[damage]})
    section = sections(with_figures({"none": [sound], "se": [broken]}))[sound.title]
    alone = sections(with_figures({"none": [broken]}))[sound.title]

    assert "Not shown: 'se': " in texts(section)
    assert len(gallery(section).pictures) == 1
    assert "Not shown: 'none': " in texts(alone)
    assert len(alone.blocks) == 1


@pytest.mark.parametrize("pace", [np.array([]), np.array([np.nan]), np.array([-5]), np.array(["fast"])])
def test_a_pace_that_makes_no_sense_does_not_stop_the_clip(pace: np.ndarray):
    figure = moving_figure(GOOD, milliseconds=pace)

    assert gallery(sections(with_figures({"none": [figure]}))["Motion"]).pictures


def test_stored_names_as_a_file_gives_them_back_are_read():
    figure = strip(GOOD, GOOD, rows=np.array(["7"], object), columns=np.array([b"a", b"b"]))

    assert gallery(sections(with_figures({"none": [figure]}))["Strip"]).pictures[0].alt.endswith("a, b")


def test_frames_video_stores_are_those_of_the_contract():
    kinds = {f.key: f.kind for f in frames_of("mse")}

    assert kinds == {"horizon": "lines", "frames": "strip", "errors": "strip", "clips": "animation"}
