from __future__ import annotations

import inspect
import io
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import CenterCrop, Compose, Resize

from harness.data import fetch, status
from harness.errors import ConfigError, DataError
from harness.registry import Registry
from harness_datasets import harness_register
from harness_datasets._decoding import decode
from harness_datasets.digits import Digits
from harness_datasets.image_folder import ImageFolder


def picture(seed: int, width: int = 12, height: int = 10, kind: str = "png", mode: str = "RGB") -> bytes:
    bands = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(bands).convert(mode).save(stream, "JPEG" if kind in ("jpg", "jpeg") else kind)
    return stream.getvalue()


def files(parts: dict[str, int], classes: tuple[str, ...] = ("ant", "bee")) -> dict[str, bytes]:
    """`parts`: how many images a class has in each split; "" is the layout without splits."""
    made = {}
    for part, count in parts.items():
        for label in classes:
            for i in range(count):
                path = f"{part}/{label}/{i:03d}.png".lstrip("/")
                made[path] = picture(len(made))
    return made


def write(root: Path, made: dict[str, bytes], kind: str = "folder") -> str:
    source = root / ("images" if kind == "folder" else f"images.{kind}")
    source.parent.mkdir(parents=True, exist_ok=True)
    if kind == "folder":
        for path, body in made.items():
            (source / path).parent.mkdir(parents=True, exist_ok=True)
            (source / path).write_bytes(body)
    elif kind == "zip":
        with zipfile.ZipFile(source, "w") as packed:
            for path, body in made.items():
                packed.writestr(path, body)
    else:
        with tarfile.open(source, "w:gz" if kind == "tar.gz" else "w") as tar:
            for path, body in made.items():
                info = tarfile.TarInfo(path)
                info.size = len(body)
                tar.addfile(info, io.BytesIO(body))
    return source.name


def items(data: Any, split: str) -> tuple[np.ndarray, list[int], list[str]]:
    part = data.split(split)
    batch = part.batch(range(len(part)), 0)
    return batch["inputs"].numpy(), batch["target"].tolist(), list(part.ids)


@pytest.mark.parametrize("wrap", ["", "wrapped/"])
def test_a_folder_and_every_archive_of_it_give_the_same_images(tmp_path: Path, wrap: str) -> None:
    made = {wrap + k: v for k, v in files({"train": 6, "valid": 2, "test": 3}).items()}
    opened = [ImageFolder(tmp_path, path=write(tmp_path, made, k), size=8) for k in ("folder", "zip", "tar", "tar.gz")]
    for split, count in (("train", 12), ("val", 4), ("test", 6)):
        first = items(opened[0], split)
        assert first[0].shape == (count, 3, 8, 8)
        assert first[1] == [0] * (count // 2) + [1] * (count // 2)
        for other in opened[1:]:
            found = items(other, split)
            assert np.array_equal(found[0], first[0])
            assert found[1:] == first[1:]


def test_an_item_is_the_image_that_its_name_says(tmp_path: Path) -> None:
    made = files({"": 10})
    data = ImageFolder(tmp_path, path=write(tmp_path, made), size=8)
    for split in ("train", "val", "test"):
        images, _, ids = items(data, split)
        for image, name in zip(images, ids, strict=True):
            assert np.array_equal(image, decode(made[name], 8, name))


def test_missing_splits_are_taken_from_training_stratified_disjoint_and_told(tmp_path: Path) -> None:
    path = write(tmp_path, files({"": 20}))
    data = ImageFolder(tmp_path, path=path, size=8)
    parts = {s: items(data, s) for s in ("train", "val", "test")}
    assert {s: len(p[2]) for s, p in parts.items()} == {"train": 29, "val": 3, "test": 8}
    assert len({i for p in parts.values() for i in p[2]}) == 40
    assert np.bincount(parts["test"][1]).tolist() == [4, 4]
    info = ImageFolder.describe(tmp_path, path=path, size=8)
    assert info.sizes == {"train": 29, "val": 3, "test": 8}
    assert info.classes == ("ant", "bee")
    assert len(info.notes) == 2
    assert "the test split is 8 images taken from the training images, stratified, seed 0" in info.notes[1]
    none = ImageFolder.describe(tmp_path, path=path, size=8, val=0, test=0)
    assert (none.sizes, none.notes) == ({"train": 40, "val": 0, "test": 0}, ())


def test_decoding_equals_torchvisions_resize_and_crop() -> None:
    for seed, (width, height) in enumerate([(50, 37), (37, 50), (64, 64), (20, 90), (8, 9)]):
        body = picture(seed, width, height)
        expected = Compose([Resize(16), CenterCrop(16)])(Image.open(io.BytesIO(body)).convert("RGB"))
        assert np.array_equal(decode(body, 16, "x"), np.asarray(expected).transpose(2, 0, 1))


@pytest.mark.parametrize(
    ("kind", "mode"), [("jpg", "L"), ("jpg", "CMYK"), ("png", "RGBA"), ("png", "P"), ("png", "1"), ("png", "LA")]
)
def test_images_of_other_modes_become_rgb(kind: str, mode: str) -> None:
    assert decode(picture(0, kind=kind, mode=mode), 8, "x").shape == (3, 8, 8)


def bomb() -> bytes:
    stream = io.BytesIO()
    Image.new("1", (20_000, 10_000)).save(stream, "png")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "damaged"),
        (b"no image", "damaged"),
        (picture(0)[:-30], "damaged"),
        (picture(0, 64, 64, "jpg")[:400], "damaged"),
        (picture(0, kind="gif"), "damaged"),
        (bomb(), "pixels"),
        (picture(0, 2000, 1), "too narrow"),
    ],
    ids=["empty", "text", "cut_png", "cut_jpg", "gif", "bomb", "narrow"],
)
def test_a_damaged_or_hostile_image_is_named(tmp_path: Path, body: bytes, said: str) -> None:
    made = {**files({"": 10}), "bee/broken.jpg": body}
    for kind in ("folder", "zip"):
        with pytest.raises(DataError, match=rf"'bee/broken\.jpg' in .*{said}"):
            ImageFolder(tmp_path, path=write(tmp_path, made, kind), size=8)


def test_sixteen_bits_a_channel_are_refused() -> None:
    stream = io.BytesIO()
    Image.fromarray(np.full((9, 9), 40000, dtype=np.uint16)).save(stream, "png")
    with pytest.raises(DataError, match="8 bits"):
        decode(stream.getvalue(), 8, "x")


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (files({"train": 3}) | {"extra/ant/1.png": b""}, "'extra' lies beside 'train'"),
        (files({"": 3}) | {"loose.png": b""}, r"'loose\.png' in .* has no class"),
        (files({"train": 3}) | {"train/loose.png": b""}, "has no class"),
        (files({"train": 3}) | {"test/cat/1.png": b""}, "class '(ant|bee|cat)' is in '(test|train)' but not in"),
        (files({"": 3}, ("ant",)), "only the class|has no class"),
        ({"readme.txt": b""}, "no jpg or png"),
    ],
)
def test_a_layout_that_cannot_be_understood_is_explained(tmp_path: Path, made: dict[str, bytes], said: str) -> None:
    for kind in ("folder", "tar"):
        with pytest.raises(DataError, match=said):
            ImageFolder.describe(tmp_path, path=write(tmp_path, made, kind), size=8)


def test_hidden_and_other_files_are_left_out_and_counted(tmp_path: Path) -> None:
    made = files({"": 10}) | {".DS_Store": b"", "__MACOSX/ant/._1.png": b"", "notes.txt": b"", "ant/x.gif": b""}
    info = ImageFolder.describe(tmp_path, path=write(tmp_path, made), size=8)
    assert sum(info.sizes.values()) == 20
    assert info.notes[-1] == "image_folder: 2 files that are no jpg or png were left out"


def test_links_that_lead_back_up_are_followed_once(tmp_path: Path) -> None:
    path = write(tmp_path, files({"": 5}))
    (tmp_path / path / "ant" / "up").symlink_to(tmp_path / path)
    assert sum(ImageFolder.describe(tmp_path, path=path, size=8).sizes.values()) == 10


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_the_fingerprint_follows_images_and_split(tmp_path: Path, kind: str) -> None:
    made = files({"": 10})
    path = write(tmp_path, made, kind)
    first = ImageFolder.describe(tmp_path, path=path, size=8)
    assert ImageFolder.describe(tmp_path, path=str(tmp_path / path), size=8) == first
    marks = {first.fingerprint}
    for options in ({"size": 9}, {"split_seed": 1}, {"val": 0.3}, {"test": 0.3}):
        marks.add(ImageFolder.describe(tmp_path, path=path, **{"size": 8, **options}).fingerprint)  # type: ignore[arg-type]
    made["ant/000.png"] = picture(99)
    write(tmp_path, made, kind)
    marks.add(ImageFolder.describe(tmp_path, path=path, size=8).fingerprint)
    assert len(marks) == 6


def test_images_are_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, files({"": 10}))
    ImageFolder(tmp_path, path=path, size=8)
    monkeypatch.setattr("harness_datasets.image_folder.decode_all", lambda *a: pytest.fail("decoded again"))
    ImageFolder(tmp_path, path=path, size=8, split_seed=3)


@pytest.mark.parametrize("name", ["val", "test"])
@pytest.mark.parametrize("value", [1.0, -0.1, float("nan")])
def test_fractions_out_of_range_are_refused(tmp_path: Path, name: str, value: float) -> None:
    path = write(tmp_path, files({"": 3}))
    with pytest.raises(ConfigError, match=f"option '{name}'"):
        ImageFolder.describe(tmp_path, path=path, **{name: value})  # type: ignore[arg-type]


def test_a_missing_source_and_a_wrong_size_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no '.*nowhere'"):
        ImageFolder.describe(tmp_path, path="nowhere")
    with pytest.raises(ConfigError, match="option 'size' is 0"):
        ImageFolder.describe(tmp_path, path="nowhere", size=0)
    (tmp_path / "x.zip").write_bytes(b"PK nonsense")
    with pytest.raises(DataError, match=r"x\.zip.*damaged"):
        ImageFolder.describe(tmp_path, path="x.zip")


def test_digits_are_scikit_learns_scaled_to_bytes(tmp_path: Path) -> None:
    from sklearn.datasets import load_digits

    data = Digits(tmp_path / "nowhere")
    assert [len(data.split(s)) for s in ("train", "val", "test")] == [1294, 144, 359]
    images = np.concatenate([items(data, s)[0] for s in ("train", "val", "test")])
    target = np.concatenate([items(data, s)[1] for s in ("train", "val", "test")])
    scaled = {0: 0, 1: 16, 8: 128, 15: 239, 16: 255}
    raw = load_digits()
    expected = np.rint(raw.images * 255 / 16 + 1e-9).astype(np.uint8)
    assert {int(v): int(e) for v, e in zip(raw.images.ravel(), expected.ravel(), strict=True) if v in scaled} == scaled
    order = lambda x, y: sorted((bytes(i), int(t)) for i, t in zip(x.reshape(len(y), -1), y, strict=True))  # noqa: E731
    assert order(images, target) == order(expected, raw.target)
    assert images.shape[1:] == (1, 8, 8)


def test_digits_keep_their_test_split_and_stratify_validation(tmp_path: Path) -> None:
    one, two = Digits(tmp_path), Digits(tmp_path, val=0.25, split_seed=5)
    assert np.array_equal(items(one, "test")[0], items(two, "test")[0])
    assert set(two.split("train").ids).isdisjoint(two.split("val").ids)
    assert len(two.split("val")) == 360
    assert np.bincount(items(two, "val")[1]).min() >= 34
    assert Digits.describe(tmp_path).fingerprint != Digits.describe(tmp_path, split_seed=5).fingerprint
    assert Digits.describe(tmp_path, val=0).sizes == {"train": 1438, "val": 0, "test": 359}
    with pytest.raises(ConfigError, match="option 'val' is 1"):
        Digits.describe(tmp_path, val=1)


def test_digits_have_the_statistics_that_they_say(tmp_path: Path) -> None:
    data = Digits(tmp_path, val=0)
    x = items(data, "train")[0] / 255
    spec = Digits.describe(tmp_path).specs["inputs"]
    assert (x.mean(), x.std()) == pytest.approx((spec.mean[0], spec.std[0]), abs=1e-4)


def test_nothing_is_fetched_for_built_in_and_own_data(tmp_path: Path) -> None:
    assert status(Digits, tmp_path).state == "built in"
    assert fetch(Digits, tmp_path) == []
    assert status(ImageFolder, tmp_path).state == "by hand"
    with pytest.raises(DataError, match="nothing to fetch"):
        fetch(ImageFolder, tmp_path)


def registered() -> Registry:
    registry = Registry("test")
    harness_register(registry)
    return registry


def test_opening_and_describing_take_the_same_options() -> None:
    for component in registered().components("dataset"):
        target = component.load()
        opening = list(inspect.signature(target).parameters.values())
        describing = list(inspect.signature(target.describe).parameters.values())  # type: ignore[attr-defined]
        assert [(p.name, p.default, p.annotation) for p in opening] == [
            (p.name, p.default, p.annotation) for p in describing
        ]
        # Clips and videos with scores are not normalised by their data set, and have splits of their own.
        videos = {"frames", "window"} & {o.name for o in component.options()}
        assert {o.name for o in component.options()} >= (set() if videos else {"normalise", "val", "split_seed"})
        assert not list(component.mistakes({o.name: "x" for o in component.options() if o.required}))


def test_describing_imports_no_torch_and_no_decoder(tmp_path: Path) -> None:
    write(tmp_path, files({"": 10}))
    code = (
        "import sys; from pathlib import Path\n"
        "from harness_datasets.digits import Digits; from harness_datasets.image_folder import ImageFolder\n"
        f"root = Path({str(tmp_path)!r})\n"
        "Digits.describe(root); ImageFolder.describe(root, path='images')\n"
        "print([m for m in ('torch', 'PIL', 'sklearn', 'torchvision') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_batches_can_be_written_to_without_harm(tmp_path: Path) -> None:
    part = Digits(tmp_path).split("test")
    batch = part.batch([0, 1], 0)
    before = batch["inputs"].clone()
    batch["inputs"].fill_(7)
    assert torch.equal(part.batch([0, 1], 0)["inputs"], before)
