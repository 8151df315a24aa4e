"""Images that only one row gets right, from trained trials on digits."""

from __future__ import annotations

import dataclasses
import warnings
from pathlib import Path

import numpy as np
import pytest

import harness
from harness import api, discovery
from harness.gallery import LARGEST, SIDE, make_gallery, only_right
from harness.pixels import enlarged, picture, thinned
from harness.store import Store
from harness.trial import Study

GRID = {
    "study": "gallery",
    "dataset": "digits",
    "model": "resnet20",
    "train": {"epochs": 1, "batch_size": 128},
    "seeds": 1,
    "evaluate": [],
    "axes": {"attention": ["none", "eca"]},
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, Store]:
    folder = tmp_path_factory.mktemp("gallery")
    result = harness.ablate(GRID, runs=folder / "runs", reports=folder / "reports", workers=1)
    return result.study, Store(folder / "runs")


def make(study: Study, store: Store) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make_gallery(study, store, discovery.load().registry, api.data_root())


def test_what_is_stored_is_what_only_one_row_gets_right_in_the_order_of_the_split(trained: tuple[Study, Store]):
    study, store = trained
    make(study, store)
    found = store.study_evaluation(study.name, "gallery")
    items = [store.items(c.trials[0].id) for c in study.cells]
    right = [i.values["predicted"] == i.values["target"] for i in items]
    expected = [np.flatnonzero(right[0] & ~right[1]), np.flatnonzero(right[1] & ~right[0])]

    assert [found.rows[c.key]["only_right"] for c in study.cells] == [len(e) for e in expected]
    assert sum(map(len, expected)) > 0
    drawn = {f.title: f for f in found.figures}
    for cell, other, places in zip(study.cells, reversed(items), expected, strict=True):
        if not len(places):
            continue
        names = [f"{items[0].values['target'][p]} → {other.values['predicted'][p]}" for p in places[:8]]
        assert drawn[cell.label].data["columns"].tolist() == names
        assert drawn[cell.label].data["images"].shape == (1, len(names), 64, 64, 3)


def test_the_pixels_are_those_of_the_test_split(trained: tuple[Study, Store]):
    study, store = trained
    make(study, store)
    figure = store.study_evaluation(study.name, "gallery").figures[0]
    dataset = discovery.load().registry.build("dataset", "digits", api.data_root())
    split = dataset.split("test")
    place = list(split.ids).index(figure.data["items"][0])
    whole = np.asarray(split.resident()["inputs"][place, 0])

    np.testing.assert_array_equal(figure.data["images"][0, 0, ::8, ::8, 0], whole)


def test_a_second_call_does_nothing_and_other_trials_make_it_anew(trained: tuple[Study, Store]):
    study, store = trained
    make(study, store)
    path = next(store.root.glob("studies/evaluations/gallery/gallery.json"))
    before = path.stat().st_mtime_ns
    make(study, store)
    assert path.stat().st_mtime_ns == before

    found = store.study_evaluation(study.name, "gallery")
    store.write_study_evaluation(study.name, dataclasses.replace(found, signature={"version": 0}))
    make(study, store)
    again = store.study_evaluation(study.name, "gallery")
    assert (again.signature, again.rows) == (found.signature, found.rows)


def test_control_rows_take_no_part(trained: tuple[Study, Store]):
    study, store = trained
    control = dataclasses.replace(study.cells[1], control="matched_conv", of=study.cells[0].key)
    alone = dataclasses.replace(study, name="alone", cells=(study.cells[0], control))
    make(alone, store)

    assert store.study_evaluation("alone", "gallery") is None, "one row is left, and one row alone has no gallery"


def test_data_that_is_not_what_was_tested_is_a_warning(trained: tuple[Study, Store], tmp_path: Path):
    study, store = trained
    other = Store(tmp_path)
    for cell in study.cells:
        record = store.record(cell.trials[0].id)
        provenance = dataclasses.replace(record.trial.provenance, dataset="another")
        other.write_record(dataclasses.replace(record, trial=dataclasses.replace(record.trial, provenance=provenance)))
        items = store.directory(record.id) / "items.h5"
        (other.directory(record.id) / "items.h5").write_bytes(items.read_bytes())
    with pytest.warns(RuntimeWarning, match="is not that which the trials were tested on"):
        make_gallery(study, other, discovery.load().registry, api.data_root())

    assert other.study_evaluation(study.name, "gallery") is None


def test_damaged_items_are_a_warning(trained: tuple[Study, Store], tmp_path: Path):
    study, store = trained
    other = Store(tmp_path)
    for cell in study.cells:
        record = store.record(cell.trials[0].id)
        other.write_record(record)
        (other.directory(record.id) / "items.h5").write_bytes(b"no HDF5")
    with pytest.warns(RuntimeWarning, match=r"could not be gathered: StoreError: .*items\.h5 is damaged"):
        make_gallery(study, other, discovery.load().registry, api.data_root())


def test_right_and_wrong_are_those_of_most_seeds():
    mine = np.array([[1, 1, 1, 0], [1, 1, 0, 0], [0, 1, 0, 0]], bool)
    other = np.array([[0, 1, 0, 1], [0, 1, 0, 1], [1, 0, 0, 1]], bool)
    halved = np.array([[0, 0, 0, 0], [0, 0, 0, 1]], bool)

    got = only_right({"mine": mine, "other": other, "halved": halved})
    assert {key: places.tolist() for key, places in got.items()} == {"mine": [0], "other": [], "halved": []}


@pytest.mark.parametrize(("shape", "shown"), [((1, 8, 8), 64), ((3, 32, 32), 64), ((3, 600, 400), 200)])
def test_thumbnails_are_enlarged_or_thinned_out(shape: tuple[int, ...], shown: int):
    small = thinned(enlarged(picture(np.zeros(shape, np.uint8)), SIDE), LARGEST)
    assert small.shape == (shown, round(shown * shape[2] / shape[1]), 3) or small.shape == (200, 134, 3)


def test_pictures_are_bytes_in_grey_or_colour():
    unit = np.linspace(0, 1, 64, dtype=np.float32).reshape(1, 8, 8)
    assert picture(unit)[-1, -1].tolist() == [255, 255, 255]
    assert picture(unit / 2)[-1, -1].tolist() == [128, 128, 128], "what lies in [0, 1] is not stretched"
    assert picture(5 * unit - 2)[0, 0, 0] == 0
    assert picture(5 * unit - 2)[-1, -1, 0] == 255
    bytes_ = np.arange(48, dtype=np.uint8).reshape(3, 4, 4)
    assert np.array_equal(picture(bytes_), bytes_.transpose(1, 2, 0))
    assert picture(np.stack([bytes_[0], bytes_[0] + 2])).tolist() == picture(bytes_[:1] + 1).tolist()


def test_a_damaged_gallery_is_made_again(trained: tuple[Study, Store]):
    study, store = trained
    make(study, store)
    before = store.study_evaluation(study.name, "gallery")
    (path,) = (store.root / "studies" / "evaluations").rglob("gallery.json")
    path.write_text("{")
    make(study, store)

    assert store.study_evaluation(study.name, "gallery").rows == before.rows
