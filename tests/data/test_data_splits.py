from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.data import ArraySplit, cached_arrays, stratified_holdout
from harness.errors import ConfigError


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 6), min_size=2, max_size=200), st.integers(0, 5), st.data())
def test_a_holdout_is_disjoint_complete_sorted_and_stratified(
    labels: list[int], seed: int, data: st.DataObject
) -> None:
    count = data.draw(st.integers(0, len(labels) - 1))
    stay, held = stratified_holdout(labels, count, seed)
    assert len(held) == count
    assert sorted([*stay, *held]) == list(range(len(labels)))
    assert (np.diff(stay) > 0).all()
    assert (np.diff(held) > 0).all()
    y = np.asarray(labels)
    for value in set(labels):
        share = count * (y == value).sum() / len(y)
        assert abs((y[held] == value).sum() - share) < 1


def test_a_holdout_is_the_same_everywhere_and_always() -> None:
    labels = np.arange(40) % 4
    assert stratified_holdout(labels, 8, 0)[1].tolist() == FROZEN
    assert stratified_holdout(labels.tolist(), 0.2, 0)[1].tolist() == FROZEN


FROZEN = [2, 3, 11, 13, 18, 20, 21, 32]


def test_another_seed_is_another_holdout() -> None:
    labels = np.zeros(100, dtype=np.int64)
    assert stratified_holdout(labels, 50, 0)[1].tolist() != stratified_holdout(labels, 50, 1)[1].tolist()


def test_a_holdout_is_spread_evenly_over_the_rows() -> None:
    labels = np.zeros(200, dtype=np.int64)
    hits = sum(np.bincount(stratified_holdout(labels, 50, s)[1], minlength=200) for s in range(400))
    # Binomial(400, 1/4): mean 100, standard deviation 8.7.
    assert hits.min() > 100 - 5 * 8.7
    assert hits.max() < 100 + 5 * 8.7


@pytest.mark.parametrize("part", [4, 5, -1, 1.0, -0.1, True, float("nan"), "2"])
def test_a_part_that_leaves_nothing_is_refused(part: object) -> None:
    with pytest.raises(ConfigError, match="cannot hold out"):
        stratified_holdout([0, 0, 1, 1], part, 0)  # type: ignore[arg-type]


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(ConfigError, match="seed is -1"):
        stratified_holdout([0, 1], 1, -1)


def split_of(rows: list[int] | None) -> ArraySplit:
    def build() -> dict[str, np.ndarray]:
        x = np.arange(10 * 4, dtype=np.uint8).reshape(10, 1, 2, 2)
        return {"x": x, "y": np.arange(10, dtype=np.int64)}

    chosen = None if rows is None else np.asarray(rows, dtype=np.int64)
    ids = [f"train/{r}" for r in (range(10) if rows is None else rows)]
    return ArraySplit(cached_arrays("whole", build), "x", "y", chosen, ids, "part")


def test_a_batch_is_pure_in_index_and_draw() -> None:
    split = split_of([1, 4, 7])
    one, two = split.batch([2, 0, 2], 5), split.batch([2, 0, 2], 5)
    assert {k: (v.dtype, tuple(v.shape)) for k, v in one.items()} == {
        k: (v.dtype, tuple(v.shape)) for k, v in two.items()
    }
    assert one["target"].tolist() == [7, 1, 7]
    assert one["index"].tolist() == [2, 0, 2]
    assert str(one["inputs"].dtype) == "torch.uint8"
    assert str(one["target"].dtype) == str(one["index"].dtype) == "torch.int64"
    assert one["inputs"][0].flatten().tolist() == [28, 29, 30, 31]
    one["inputs"].zero_()
    assert two["inputs"].equal(split.batch([2, 0, 2], 5)["inputs"])


@pytest.mark.parametrize("index", [[-1], [3], [0, 99]])
def test_an_index_outside_the_split_is_an_error(index: list[int]) -> None:
    with pytest.raises(IndexError):
        split_of([1, 4, 7]).batch(index, 0)


@pytest.mark.parametrize("rows", [None, [1, 4, 7], []])
def test_resident_arrays_are_mapped_contiguous_and_equal_to_batches(rows: list[int] | None) -> None:
    split = split_of(rows)
    arrays = split.resident()
    assert isinstance(arrays["inputs"], np.memmap)
    assert arrays["inputs"].flags.c_contiguous
    assert arrays["inputs"].dtype == np.uint8
    assert arrays["target"].dtype == np.int64
    batch = split.batch(range(len(split)), 0)
    assert np.array_equal(arrays["inputs"], batch["inputs"].numpy())
    assert np.array_equal(arrays["target"], batch["target"].numpy())
    assert len(split.ids) == len(split)
    assert split.lengths is None
    assert split.extras(0) == {}


def test_a_split_travels_to_a_worker_without_its_pictures() -> None:
    def build() -> dict[str, np.ndarray]:
        return {"x": np.zeros((1000, 3, 32, 32), dtype=np.uint8), "y": np.zeros(1000, dtype=np.int64)}

    split = ArraySplit(cached_arrays("large", build), "x", "y", np.arange(500), [], "large-part")
    split.resident()
    text = pickle.dumps(split)
    assert len(text) < 10_000
    assert pickle.loads(text).batch([3], 0)["inputs"].shape == (1, 3, 32, 32)
