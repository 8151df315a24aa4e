"""Splits that share items under other ids: what is told of handwritten digits, of which some are put into the test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from harness.conformance import contents
from harness.conformance.contents import Seen, altered, copies, look, pictures
from harness.conformance.findings import Broken, Doubtful, NotChecked
from harness.contracts import DatasetInfo, Spec


class Held:
    """A split of images that lie in memory; `seconds`: how long each batch takes by a clock that is turned by hand."""

    lengths = None

    def __init__(self, name: str, images: Tensor, clock: list[float] | None = None) -> None:
        self.ids = [f"{name}/{i}" for i in range(len(images))]
        self.images, self.clock = images, clock

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, index: Sequence[int], draw: int) -> Mapping[str, Tensor]:
        if self.clock:
            self.clock[0] += len(index)
        return {"inputs": self.images[list(index)], "target": torch.zeros(len(index)), "index": torch.tensor(index)}

    def resident(self) -> None:
        return None

    def extras(self, i: int) -> Mapping[str, Any]:
        return {}


def info(images: Tensor) -> DatasetInfo:
    return DatasetInfo("made", {"inputs": Spec("CHW", tuple(images.shape[1:]), "uint8")}, {})


def read(**splits: Tensor) -> dict[str, Seen]:
    return look({name: Held(name, x) for name, x in splits.items()}, info(next(iter(splits.values()))))


def ids(seen: Mapping[str, Seen]) -> list[Mapping[str, Sequence[str]]]:
    return [{name: one.ids for name, one in seen.items()}]


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> tuple[Tensor, Tensor]:
    """(training images, test images) of the digits that scikit-learn brings, uint8 [N, 1, 8, 8]."""
    from harness_datasets.digits import Digits

    data = Digits(Path(tmp_path_factory.mktemp("data")))
    train, test = (data.split(name) for name in ("train", "test"))
    return tuple(s.batch(list(range(len(s))), 0)["inputs"] for s in (train, test))  # type: ignore[return-value]


CHANGES = {
    "darker": lambda x: (x * 0.6).astype(np.uint8),
    "brighter": lambda x: np.clip(x * 0.8 + 50, 0, 255).astype(np.uint8),
    "mirrored": lambda x: x[..., ::-1].copy(),
    "inverted": lambda x: 255 - x,
    "noisy": lambda x: np.clip(x + np.random.default_rng(0).normal(0, 8, x.shape), 0, 255).astype(np.uint8),
}


def mixed(digits: tuple[Tensor, Tensor], count: int, change: str) -> dict[str, Seen]:
    """Training digits, changed, in the place of `count` test digits."""
    train, test = digits
    changed = torch.from_numpy(CHANGES[change](train[:count].numpy()))
    return read(train=train, test=torch.cat([changed, test[count:]]))


def test_digits_as_they_are_share_nothing(digits: tuple[Tensor, Tensor]) -> None:
    seen = read(train=digits[0], test=digits[1])
    assert copies(seen, ids(seen)).endswith(f"read were all {len(digits[0]):,} of train, all {len(digits[1])} of test")
    assert contents.NOT_LOOKED_FOR in altered(seen)


@pytest.mark.parametrize("change", CHANGES)
def test_training_digits_that_were_changed_are_found_in_the_test(digits: tuple[Tensor, Tensor], change: str) -> None:
    with pytest.raises(Broken, match=r"items of test correlate by more than 0\.9"):
        altered(mixed(digits, 180, change))
    with pytest.raises(Doubtful, match="items of test correlate"):
        altered(mixed(digits, 50, change))


def test_few_training_digits_beside_many_to_validate_with_are_no_fault(digits: tuple[Tensor, Tensor]) -> None:
    """Of many references one is near by chance."""
    train, test = digits
    assert "items of val do among themselves" in altered(read(train=train[:20], val=train[20:900], test=test))


def test_a_copy_among_many_is_a_warning_and_a_share_of_them_fails(digits: tuple[Tensor, Tensor]) -> None:
    train, test = digits
    seen = read(train=train, test=torch.cat([test[1:], train[-1:]]))
    with pytest.raises(Doubtful, match=f"1 of {len(test)} items of test are exact copies of items of train"):
        copies(seen, ids(seen))
    seen = read(train=train, test=torch.cat([test[40:], train[-40:]]))
    with pytest.raises(Broken, match=f"40 of {len(test)} items of test are exact copies of items of train, more than"):
        copies(seen, ids(seen))
    assert "items of test" in altered(seen)  # exact copies are told of once


def test_copies_in_another_fold_are_found_though_the_first_has_none(digits: tuple[Tensor, Tensor]) -> None:
    images = torch.cat([digits[0][:20], digits[0][:20], digits[1][:20]])
    seen = read(train=images[:40], test=images[40:])
    names = seen["train"].ids
    both = [name for i in range(20) for name in names if name in (f"train/{i}", f"train/{i + 20}")]
    first = {"train": names, "test": seen["test"].ids}
    second = {"train": [*both[0::2], *seen["test"].ids], "test": both[1::2]}
    assert "no item has" in copies(seen, [first])
    with pytest.raises(Broken, match=r"20 of 20 items of test are exact copies of items of train \(fold 1\)"):
        copies(seen, [first, second])


def test_time_and_room_are_bounded_and_what_was_read_is_said(
    digits: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    train, test = digits
    monkeypatch.setattr(contents, "BYTES", 64 * 500)
    monkeypatch.setattr(contents, "CHUNK", 64 * 10)
    seen = read(train=train, test=test[:100])
    assert seen["test"].told("test") == "all 100 of test"
    assert seen["train"].told("train") == f"401 of {len(train):,} of train"
    # A third of the training items was read, and so a third of the copies is found; the share is what it would be.
    seen = read(train=train, test=torch.cat([test[:90], train[:10]]))
    all_ids = {"train": [f"train/{i}" for i in range(len(train))], "test": [f"test/{i}" for i in range(100)]}
    with pytest.raises(Broken, match="more than 2%"):
        copies(seen, [all_ids])

    monkeypatch.setattr(contents, "BYTES", 2**29)
    clock = [1.0]
    monkeypatch.setattr(contents.time, "monotonic", lambda: clock[0])
    seen = look({"train": Held("train", train, clock), "test": Held("test", test, clock)}, info(train))
    assert [len(one.ids) for one in seen.values()] == [11, 11]  # 10 s each, a batch of 10 takes 10 s


def test_blank_images_are_no_copies_and_short_items_are_not_compared() -> None:
    blank = torch.full((9, 3, 8, 8), 7, dtype=torch.uint8)
    seen = read(train=blank, test=blank)
    assert "all 9 of train (9 of them blank)" in copies(seen, ids(seen))
    with pytest.raises(NotChecked, match="blank ones are left out"):
        altered(seen)
    with pytest.raises(NotChecked, match="an item has 12 bytes"):
        read(train=blank[:, :, :2, :2])


def test_a_picture_does_not_change_with_brightness_and_contrast() -> None:
    x = torch.rand(4, 3, 40, 30)
    spec = Spec("CHW", (3, 40, 30), "float32")
    first, second = pictures(x, spec), pictures(0.3 * x + 0.5, spec)
    assert first is not None
    assert second is not None
    assert first.shape == (4, 16, 16)
    torch.testing.assert_close(first, second, atol=1e-4, rtol=0)
    assert pictures(x, Spec("TK", (None, 3), "float32")) is None
