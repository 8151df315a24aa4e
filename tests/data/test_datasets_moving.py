from __future__ import annotations

import gzip
import pickle
import struct
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from harness.contracts import Generates
from harness.data import status, uniforms
from harness.errors import ConfigError, DataError
from harness.registry import Registry
from harness_datasets import _moving, harness_register, moving_mnist
from harness_datasets._moving import Motion, MovingClips, clips
from harness_datasets.moving_digits import MovingDigits, scaled
from harness_datasets.moving_mnist import MovingMnist, open_standard

SMALL: dict[str, Any] = {"train_size": 12, "val_size": 6, "test_size": 5, "val_digits": 20}


@pytest.fixture
def mnist(tmp_path: Path) -> Path:
    """MNIST in its published form: training image i is all i + 1, and test image i all 201 + i."""
    place = tmp_path / "MNIST" / "raw"
    place.mkdir(parents=True)
    for part, rows, first in (("train", 100, 1), ("t10k", 30, 201)):
        images = (
            np.zeros((rows, 28, 28), dtype=np.uint8) + np.arange(first, first + rows, dtype=np.uint8)[:, None, None]
        )
        for kind, array in (("images-idx3", images), ("labels-idx1", np.arange(rows, dtype=np.uint8) % 10)):
            head = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
            (place / f"{part}-{kind}-ubyte.gz").write_bytes(gzip.compress(head + array.tobytes(), 1))
    return tmp_path


def whole(data: Any, split: str, draw: int = 0) -> torch.Tensor:
    part = data.split(split)
    return part.batch(range(len(part)), draw)["inputs"]


def one_clip(digits: np.ndarray, numbers: np.ndarray, motion: Motion) -> np.ndarray:
    """One clip as the field's generator makes it: one digit, one step, one pixel after the other."""
    side = digits.shape[-1]
    free = motion.size - side
    clip = np.zeros((motion.frames, motion.size, motion.size), dtype=np.uint8)
    for which, y, x, turn in numbers.reshape(motion.digits, 4):
        picture = digits[int(which * len(digits))]
        vy, vx = np.sin(turn * 2 * np.pi), np.cos(turn * 2 * np.pi)
        for t in range(motion.frames):
            y, x = y + vy * motion.speed, x + vx * motion.speed
            if y <= 0:
                y, vy = 0.0, -vy
            if y >= 1:
                y, vy = 1.0, -vy
            if x <= 0:
                x, vx = 0.0, -vx
            if x >= 1:
                x, vx = 1.0, -vx
            top, left = int(free * y), int(free * x)
            for i in range(side):
                for j in range(side):
                    clip[t, top + i, left + j] = max(clip[t, top + i, left + j], picture[i, j])
    return clip


@pytest.mark.parametrize(
    "motion", [Motion(2, 0.1, 24, 20, 1), Motion(3, 0.37, 20, 30, 3), Motion(1, 1.0, 33, 8, 1), Motion(2, 0.1, 8, 4, 1)]
)
def test_clips_equal_a_slow_generator_pixel_by_pixel(motion: Motion) -> None:
    digits = np.random.default_rng(0).integers(0, 256, (7, 8, 8), dtype=np.uint8)
    numbers = uniforms(torch.arange(5), 4 * motion.digits, 99)
    made = clips(torch.from_numpy(digits), numbers, motion)
    assert made.dtype == torch.uint8
    assert made.shape == (5, motion.frames, motion.channels, motion.size, motion.size)
    assert made.is_contiguous()
    for clip, row in zip(made.numpy(), numbers.double().numpy(), strict=True):
        expected = one_clip(digits, row, motion)
        for channel in range(motion.channels):
            assert (clip[:, channel] == expected).all()


def test_a_digit_stops_at_the_wall_and_turns_round() -> None:
    # Straight to the right from 0.85 in steps of 0.1 over 100 free pixels: 95, the wall, and back.
    numbers = torch.tensor([[0.0, 0.5, 0.85, 0.0]])
    made = clips(torch.full((1, 2, 2), 255, dtype=torch.uint8), numbers, Motion(1, 0.1, 102, 5, 1))
    columns = [int(frame.amax(0).to(torch.int64).argmax()) for frame in made[0, :, 0]]
    assert columns == [95, 100, 90, 80, 70]
    assert {int(frame.amax(1).to(torch.int64).argmax()) for frame in made[0, :, 0]} == {50}


def test_starts_and_directions_are_uniform() -> None:
    made = clips(
        torch.full((1, 1, 1), 255, dtype=torch.uint8), uniforms(torch.arange(4000), 4, 5), Motion(1, 0, 11, 2, 1)
    )
    places = made[:, 0, 0].to(torch.float64).mean(0)[:10, :10] / 255
    assert places.sum() == pytest.approx(1)
    assert places.min() > 0.005
    assert places.max() < 0.016


def test_a_clip_has_as_many_digits_as_asked_for() -> None:
    for count in (1, 2, 5):
        data = MovingDigits(Path(), digits=count, size=160, digit_size=8, frames=2, test_size=3)
        digits = data.split("test").resident()["digits"]
        ink = whole(data, "test")[:, 0].to(torch.float64).sum((1, 2, 3)) / digits.sum((1, 2), dtype=float).mean()
        assert (ink - count).abs().max() < 0.4 * count


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_a_clip_depends_on_its_index_and_draw_alone(split: str) -> None:
    data, again = (MovingDigits(Path()).split(split) for _ in range(2))
    batch = data.batch([5, 0, 7, 5], 3)
    assert batch["index"].tolist() == [5, 0, 7, 5]
    assert batch["inputs"].shape == (4, 20, 1, 32, 32)
    assert batch["inputs"].dtype == torch.uint8
    for row, i in enumerate([5, 0, 7, 5]):
        assert torch.equal(batch["inputs"][row], again.batch([i], 3)["inputs"][0])
    assert not torch.equal(batch["inputs"][0], batch["inputs"][1])


def test_training_clips_are_new_in_every_draw_and_others_stay() -> None:
    data = MovingDigits(Path())
    first, second = whole(data, "train", 0), whole(data, "train", 2**62 + 1)
    assert not (first == second).flatten(1).all(1).any()
    for split in ("val", "test"):
        assert torch.equal(whole(data, split, 0), whole(data, split, 2**62 + 1))


def test_another_seed_gives_other_clips_of_the_same_digits() -> None:
    first, second = MovingDigits(Path()), MovingDigits(Path(), seed=1)
    for split in ("train", "val", "test"):
        assert not (whole(first, split) == whole(second, split)).flatten(1).all(1).any()
        assert (first.split(split).resident()["digits"] == second.split(split).resident()["digits"]).all()
    assert MovingDigits.describe(Path()).fingerprint != MovingDigits.describe(Path(), seed=1).fingerprint


def test_splits_of_the_same_index_differ(mnist: Path) -> None:
    data = MovingMnist(mnist, **SMALL)
    train, val = ((whole(data, s)[:5].amax((2, 3, 4)) > 0).sum() for s in ("train", "val"))
    assert train == val == 5 * 20
    assert not ((whole(data, "train")[:5] > 0) == (whole(data, "val")[:5] > 0)).flatten(1).all(1).any()


def test_moving_mnist_keeps_the_digits_of_the_splits_apart(mnist: Path) -> None:
    data = MovingMnist(mnist, **(SMALL | {"train_size": 400, "val_size": 100, "test_size": 100}))
    seen = {s: set(whole(data, s).unique().tolist()) - {0} for s in ("train", "val", "test")}
    assert len(seen["val"]) == 20
    assert len(seen["train"]) > 70
    assert seen["train"] | seen["val"] <= set(range(1, 101))
    assert not seen["train"] & seen["val"]
    assert seen["test"] == set(range(201, 231))


def test_moving_digits_keeps_the_digits_of_the_splits_apart() -> None:
    data = MovingDigits(Path(), digit_size=8)
    own = {s: data.split(s).resident()["digits"] for s in ("train", "val", "test")}
    assert [len(own[s]) for s in ("train", "val", "test")] == [1294, 144, 359]
    seen = {s: {d.tobytes() for d in digits} for s, digits in own.items()}
    assert not seen["train"] & seen["val"]
    assert not seen["train"] & seen["test"]


def test_batch_is_generate_over_the_resident_arrays(mnist: Path) -> None:
    for data in (MovingMnist(mnist, **SMALL), MovingDigits(Path())):
        split: Any = data.split("train")
        assert isinstance(split, Generates)
        arrays = {k: torch.from_numpy(np.array(a)) for k, a in split.resident().items()}
        made = split.generate(arrays, torch.tensor([3, 1]), 8)
        assert torch.equal(made["inputs"], split.batch([3, 1], 8)["inputs"])


@pytest.mark.parametrize("lacking", [True, False])
def test_no_float64_is_made_on_a_device_that_has_none(monkeypatch: pytest.MonkeyPatch, lacking: bool) -> None:
    """Any accelerator stands for Apple's, as only shapes, types and devices are followed here."""
    made = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            out = func(*args, **(kwargs or {}))
            made.extend([(out.device.type, out.dtype)] if isinstance(out, torch.Tensor) else [])
            return out

    monkeypatch.setattr(_moving, "_WITHOUT_FLOAT64", frozenset({"cuda"} if lacking else ()))
    split = MovingClips(["a", "b", "c"], {}, Motion(2, 0.2, 64, 5, 1), {"seed": 0}, fresh=True)
    with FakeTensorMode(), Watch():
        digits = torch.empty(10, 28, 28, dtype=torch.uint8, device="cuda")
        clip = split.generate({"digits": digits}, torch.arange(3, device="cuda"), 4)["inputs"]
    assert (clip.device.type, clip.shape) == ("cuda", (3, 5, 1, 64, 64))
    assert (("cuda", torch.float64) in made) == (not lacking)
    assert (("cpu", torch.float64) in made) == lacking


def test_clips_are_the_same_where_the_path_is_made_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    split = MovingDigits(Path()).split("train")
    before = split.batch(range(32), 3)["inputs"]
    monkeypatch.setattr(_moving, "_WITHOUT_FLOAT64", frozenset({"cpu"}))
    assert torch.equal(split.batch(range(32), 3)["inputs"], before)


@pytest.mark.gpu
def test_a_gpu_makes_the_same_clips() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    split: Any = MovingDigits(Path(), train_size=4096).split("train")
    arrays = {k: torch.from_numpy(np.array(a)).cuda() for k, a in split.resident().items()}
    made = split.generate(arrays, torch.arange(4096).cuda(), 1)
    assert torch.equal(made["inputs"].cpu(), split.batch(range(4096), 1)["inputs"])


def test_a_split_can_be_sent_to_a_worker_as_its_path(mnist: Path) -> None:
    split = MovingMnist(mnist, **SMALL).split("train")
    sent = pickle.dumps(split)
    assert len(sent) < 2000
    assert torch.equal(pickle.loads(sent).batch([4], 1)["inputs"], split.batch([4], 1)["inputs"])


def test_ids_sizes_and_specs_are_those_described(mnist: Path) -> None:
    info = MovingMnist.describe(mnist, channels=3, frames=7, size=40, **SMALL)
    data = MovingMnist(mnist, channels=3, frames=7, size=40, **SMALL)
    assert info.specs["inputs"].axes == "TCHW"
    assert info.specs["inputs"].shape == (7, 3, 40, 40) == whole(data, "val").shape[1:]
    assert info.specs["inputs"].mean == ()
    assert info.classes == ()
    assert {s: len(data.split(s)) for s in ("train", "val", "test")} == dict(info.sizes)
    assert data.split("train").ids[11] == "train/00011"
    grey = whole(data, "train")
    assert torch.equal(grey[:, :, 0], grey[:, :, 2])
    with pytest.raises(IndexError):
        data.split("val").batch([6], 0)
    with pytest.raises(ConfigError, match="has no folds"):
        data.split("val", 1)


def test_a_split_may_be_empty() -> None:
    data = MovingDigits(Path(), val_size=0, val_digits=0)
    assert len(data.split("val")) == 0
    assert data.split("val").batch([], 0)["inputs"].shape == (0, 20, 1, 32, 32)


def test_every_option_that_changes_a_clip_changes_the_fingerprint(mnist: Path) -> None:
    others = [{"digits": 3}, {"speed": 0.2}, {"size": 65}, {"frames": 19}, {"channels": 3}, {"seed": 1}]
    others += [{k: v + 1} for k, v in SMALL.items()]
    marks = [MovingMnist.describe(mnist, **(SMALL | o)).fingerprint for o in ({}, *others)]
    assert len(set(marks)) == len(marks)
    assert MovingMnist.describe(mnist, **SMALL).fingerprint == marks[0]
    marks = [MovingDigits.describe(Path(), **o).fingerprint for o in ({}, {"digit_size": 15}, {"val_digits": 9})]
    assert len(set(marks)) == 3
    assert MovingDigits.describe(Path(), speed=1).fingerprint == MovingDigits.describe(Path(), speed=1.0).fingerprint


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("digits", 0), ("speed", -0.1), ("speed", 1.5), ("speed", float("nan")), ("size", 15), ("digit_size", 7),
        ("frames", 1), ("channels", 2), ("train_size", 0), ("val_size", -1), ("val_digits", 0), ("val_digits", 1438),
        ("seed", -1),
    ],
)  # fmt: skip
def test_options_out_of_range_are_refused_by_name(option: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"moving_digits: option '{option}' is {value}"):
        MovingDigits.describe(Path(), **{option: value})


def test_small_digits_are_scaled_without_losing_ink_or_order() -> None:
    steps = np.repeat(np.linspace(0, 255, 8).astype(np.uint8)[None, None], 8, 1)
    assert (scaled(steps, 8) == steps).all()
    big = scaled(steps, 20)
    assert big.shape == (1, 20, 20)
    assert all(a <= b for a, b in pairwise(big[0, 3].tolist()))
    assert (big[0].min(), big[0].max()) == (0, 255)
    torchs = torch.nn.functional.interpolate(torch.from_numpy(steps)[None].double(), size=(20, 20), mode="bilinear")
    assert np.abs(big - torchs[0].numpy()).max() <= 0.6


def test_describing_imports_no_torch_and_needs_no_scikit_learn(mnist: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from harness_datasets.moving_mnist import MovingMnist\n"
        "from harness_datasets.moving_digits import MovingDigits\n"
        f"MovingMnist.describe(Path({str(mnist)!r}), val_digits=20); MovingDigits.describe(Path())\n"
        "assert not {'torch', 'sklearn', 'av', 'decord'} & sys.modules.keys()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_both_are_registered_and_known_to_the_data_command(mnist: Path) -> None:
    registry = Registry()
    harness_register(registry)
    assert {"moving_mnist", "moving_digits", "video_folder"} <= set(registry.names("dataset"))
    assert status(MovingMnist, mnist).state == "ready"
    assert status(MovingMnist, mnist / "nowhere").state == "missing"
    assert status(MovingDigits, mnist).state == "built in"


STANDARD = (20, 12, 64, 64)


def standard_file(root: Path, folder: str = "MovingMNIST", array: np.ndarray | None = None) -> np.ndarray:
    array = np.random.default_rng(1).integers(0, 256, STANDARD, dtype=np.uint8) if array is None else array
    (root / folder).mkdir(parents=True, exist_ok=True)
    np.save(root / folder / "mnist_test_seq.npy", array)
    return array


@pytest.fixture
def twelve(monkeypatch: pytest.MonkeyPatch) -> None:
    """The standard file has twelve clips here, not 10,000."""
    monkeypatch.setattr(moving_mnist, "STANDARD", STANDARD)


@pytest.mark.usefixtures("twelve")
@pytest.mark.parametrize("folder", ["MovingMNIST", "moving_mnist", "."])
def test_the_standard_test_file_is_used_when_it_is_there(mnist: Path, folder: str) -> None:
    options = SMALL | {"test_size": None}
    made = MovingMnist.describe(mnist, **options)
    array = standard_file(mnist, folder)
    data, info = MovingMnist(mnist, **options), MovingMnist.describe(mnist, **options)
    assert info.sizes["test"] == 12
    assert whole(data, "test").numpy().tobytes() == array.swapaxes(0, 1).tobytes()
    test = data.split("test")
    assert test.batch([7, 2], 5)["inputs"].shape == (2, 20, 1, 64, 64)
    assert torch.equal(test.batch([7, 2], 5)["inputs"][0, :, 0], torch.from_numpy(array[:, 7].copy()))
    assert len(pickle.dumps(test)) < 2000
    assert torch.equal(pickle.loads(pickle.dumps(test)).batch([3], 0)["inputs"], test.batch([3], 0)["inputs"])
    assert "moving_mnist: test clips are those of the standard mnist_test_seq.npy" in info.notes
    assert "moving_mnist: 'mnist_test_seq.npy' differs from the official hash" in info.notes
    assert any("generated from MNIST's test digits, not the standard" in n for n in made.notes)
    assert info.fingerprint != made.fingerprint
    assert whole(MovingMnist(mnist, channels=3, **SMALL), "test").shape == (5, 20, 3, 64, 64)


@pytest.mark.usefixtures("twelve")
def test_the_standard_file_is_left_aside_where_the_options_differ_or_say_so(mnist: Path) -> None:
    standard_file(mnist)
    for options, why in (({"frames": 10}, "'frames'"), ({"digits": 3}, "'digits'"), ({"test": "generated"}, "")):
        notes = MovingMnist.describe(mnist, **(SMALL | options)).notes
        assert any("not the standard mnist_test_seq.npy" in n and why in n for n in notes)
        assert set(whole(MovingMnist(mnist, **(SMALL | options)), "test").unique().tolist()) <= {0, *range(201, 231)}
    with pytest.raises(ConfigError, match="`test: standard` does not go with option 'size' 32"):
        MovingMnist.describe(mnist, size=32, test="standard", **SMALL)
    with pytest.raises(ConfigError, match=r"'test_size' is 13, but .* has 12 clips"):
        MovingMnist.describe(mnist, **(SMALL | {"test_size": 13}))


def test_demanding_the_standard_file_names_it_and_its_place(mnist: Path) -> None:
    with pytest.raises(DataError, match=r"there is no 'mnist_test_seq\.npy' in '.*/MovingMNIST'") as caught:
        MovingMnist(mnist, test="standard", **SMALL)
    assert "cs.toronto.edu" in str(caught.value.hint)


class Trap:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("harmed"),)


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((20, 12, 64, 63), dtype=np.uint8), r"holds uint8 \[20, 12, 64, 63\], not uint8 \[20, 12, 64, 64\]"),
        (np.zeros((12, 20, 64, 64), dtype=np.uint8), "not uint8"),
        (np.zeros(STANDARD, dtype=np.float32), "holds float32"),
        (np.asfortranarray(np.zeros(STANDARD, dtype=np.uint8)), "in column order"),
        (np.array([Trap()], dtype=object), "no plain array"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("twelve")
def test_another_array_than_the_standard_one_is_refused(
    mnist: Path, monkeypatch: pytest.MonkeyPatch, array: np.ndarray, said: str
) -> None:
    monkeypatch.chdir(mnist)
    standard_file(mnist, array=array)
    with pytest.raises(DataError, match=said):
        MovingMnist.describe(mnist, **SMALL)
    assert not Path("harmed").exists()


@pytest.mark.usefixtures("twelve")
@pytest.mark.parametrize("kind", ["empty", "text", "cut", "zip", "header"])
def test_a_damaged_standard_file_is_refused(tmp_path: Path, kind: str) -> None:
    standard_file(tmp_path, "")
    path = tmp_path / "mnist_test_seq.npy"
    good = path.read_bytes()
    bad = {
        "empty": b"", "text": b"not an array", "cut": good[:-1], "zip": b"PK\x03\x04" + good,
        "header": good.replace(b"'descr': '|u1'", b"'descr': 9999  "),
    }  # fmt: skip
    path.write_bytes(bad[kind])
    with pytest.raises(DataError, match="is damaged or no plain array"):
        open_standard(path)


@pytest.mark.data
def test_real_moving_mnist_looks_like_the_fields(real_data: Path) -> None:
    if status(MovingMnist, real_data).state != "ready":
        pytest.skip("no MNIST below HARNESS_DATA")
    data = MovingMnist(real_data, test="generated")
    made = data.split("test").batch(range(300), 0)["inputs"].double() / 255
    assert made.shape == (300, 20, 1, 64, 64)
    # Floors that were computed with another generator of the same kind: all black, and the last frame again.
    assert float((made[:, 1:] ** 2).mean()) == pytest.approx(0.0428, abs=0.002)
    assert float(((made[:, 1:] - made[:, :-1]) ** 2).mean()) == pytest.approx(0.0492, abs=0.002)
