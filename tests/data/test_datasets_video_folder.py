from __future__ import annotations

import errno
import pickle
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

from harness.data import read_frames, status
from harness.data.video import MomentaryError
from harness.errors import ConfigError, DataError
from harness_datasets import video_folder
from harness_datasets.video_folder import VideoFolder

SMALL: dict[str, Any] = {"path": "videos", "frames": 4, "size": 16}


def write(
    path: Path, level: int, count: int = 24, width: int = 48, height: int = 32, codec: str = "mpeg4", **options: str
) -> Path:
    """A video whose green says which video it is and whose blue counts the frames; its red is the left third."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=10, options=options)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = width, height, "yuv420p", 4_000_000
        for i in range(count):
            made = np.zeros((height, width, 3), dtype=np.uint8)
            made[..., 1], made[..., 2], made[:, : width // 3, 0] = level, 8 * i % 256, 200
            container.mux(stream.encode(av.VideoFrame.from_ndarray(made, format="rgb24")))
        container.mux(stream.encode())
    return path


@pytest.fixture
def five(tmp_path: Path) -> Path:
    for i in range(5):
        write(tmp_path / "videos" / ("boxing" if i % 2 else "waving") / f"person{i}.avi", 40 * (i + 1))
    return tmp_path


def whole(data: Any, split: str) -> torch.Tensor:
    part = data.split(split)
    return part.batch(range(len(part)), 0)["inputs"]


def shown(data: Any, split: str) -> set[tuple[int, int]]:
    """(video, frame) of every frame that the split shows, read off its colours."""
    clips = whole(data, split).double()[:, :, :, :, -4:].mean((3, 4))
    return {(round(float(f[1]) / 40) - 1, round(float(f[2]) / 8)) for clip in clips for f in clip}


def test_clips_are_the_videos_frames_in_order_and_colour(five: Path) -> None:
    data = VideoFolder(five, **SMALL)
    train = data.split("train")
    batch = train.batch([1, 0], 0)
    assert batch["inputs"].shape == (2, 4, 3, 16, 16)
    assert batch["inputs"].dtype == torch.uint8
    assert batch["index"].tolist() == [1, 0]
    name, at = train.ids[1].split("@")
    assert at == "00004"
    frames = np.concatenate(list(read_frames(five / "videos" / name, range(4, 8), size=(16, 24))))
    assert (batch["inputs"][0].numpy().transpose(0, 2, 3, 1) == frames[:, :, 4:20]).all()
    red, green, blue = batch["inputs"][0].double().mean((3,)).unbind(1)
    assert (green - 40 * (int(name[-5]) + 1)).abs().max() < 8
    assert (blue.mean(1) - torch.arange(4, 8) * 8).abs().max() < 8
    left, right = batch["inputs"][0, :, 0, :, :3].double().mean(), batch["inputs"][0, :, 0, :, 8:].double().mean()
    assert left > 180
    assert right < 20
    assert red.mean() < 80


def test_videos_are_divided_whole_and_by_seed(five: Path) -> None:
    info, data = VideoFolder.describe(five, **SMALL), VideoFolder(five, **SMALL)
    assert info.sizes == {"train": 18, "val": 6, "test": 6}
    videos = {s: {i.split("@")[0] for i in data.split(s).ids} for s in ("train", "val", "test")}
    assert [len(v) for v in videos.values()] == [3, 1, 1]
    assert len(set.union(*videos.values())) == 5
    assert {v for s in videos for v, _ in shown(data, s)} == {0, 1, 2, 3, 4}
    assert info.notes == ("video_folder: 5 videos were divided by drawing with seed 0: train 3, val 1, test 1",)
    drawn = {tuple(VideoFolder(five, split_seed=s, **SMALL).split("test").ids) for s in range(4)}
    assert len(drawn) > 1


@pytest.mark.parametrize("options", [{}, {"stride": 1}, {"stride": 3, "step": 2}, {"val": 0.3, "test": 0.3}])
def test_one_video_is_divided_in_time_with_a_gap(tmp_path: Path, options: dict[str, Any]) -> None:
    write(tmp_path / "only.avi", 80, 31)
    given = SMALL | {"path": "only.avi", "frames": 3, "val": 0.25, "test": 0.25} | options
    data = VideoFolder(tmp_path, **given)
    used = {s: sorted(i for _, i in shown(data, s)) for s in ("train", "val", "test")}
    span = 2 * options.get("step", 1) + 1
    assert used["train"][0] == 0
    assert used["train"][-1] + span < used["val"][0]
    assert used["val"][-1] + span < used["test"][0]
    assert all(len(data.split(s)) == n for s, n in VideoFolder.describe(tmp_path, **given).sizes.items())
    assert "divided in time (train, val, test)" in VideoFolder.describe(tmp_path, **given).notes[0]


def test_stride_and_step_choose_the_frames(tmp_path: Path) -> None:
    write(tmp_path / "only.avi", 80, 24)
    data = VideoFolder(tmp_path, path="only.avi", frames=3, size=16, stride=5, step=4, val=0, test=0)
    assert data.split("train").ids == [f"only.avi@{i:05d}" for i in (0, 5, 10, 15)]
    blues = (whole(data, "train")[:, :, 2].double().mean((2, 3)) / 8).round().long()
    assert blues.tolist() == [[s, s + 4, s + 8] for s in (0, 5, 10, 15)]
    assert len(data.split("val")) == len(data.split("test")) == 0
    assert data.split("val").batch([], 0)["inputs"].shape == (0, 3, 3, 16, 16)


def test_split_folders_are_used_as_they_are(tmp_path: Path) -> None:
    for i, part in enumerate(("train", "train", "train", "validation", "test")):
        write(tmp_path / "videos" / part / "deep" / f"{i}.avi", 40 * (i + 1))
    data = VideoFolder(tmp_path, **SMALL)
    assert [{v for v, _ in shown(data, s)} for s in ("train", "val", "test")] == [{0, 1, 2}, {3}, {4}]
    assert VideoFolder.describe(tmp_path, **SMALL).notes == ()
    (tmp_path / "videos" / "validation" / "deep" / "3.avi").unlink()
    data = VideoFolder(tmp_path, **SMALL)
    assert {v for v, _ in shown(data, "test")} == {4}
    assert len({v for v, _ in shown(data, "val")}) == 1
    assert {v for s in ("train", "val") for v, _ in shown(data, s)} == {0, 1, 2}
    write(tmp_path / "videos" / "extra" / "a.avi", 80)
    with pytest.raises(DataError, match="'extra' lies beside 'train'"):
        VideoFolder.describe(tmp_path, **SMALL)


def broken(path: Path) -> Path:
    """A video whose packets are noise from the middle on: its first picture is there, and its count of packets."""
    write(path, 80, 120, codec="libx264")
    data = bytearray(path.read_bytes())
    begin, end = data.index(b"mdat") + 4, data.index(b"moov") - 4
    middle = begin + (end - begin) // 2
    data[middle:end] = np.random.default_rng(0).bytes(end - middle)
    path.write_bytes(data)
    return path


def test_no_test_video_is_trained_on_where_all_training_videos_are_damaged(tmp_path: Path) -> None:
    for i in range(5):
        write(tmp_path / "videos" / "test" / f"{i}.avi", 40 * (i + 1))
    (tmp_path / "videos" / "train").mkdir()
    (tmp_path / "videos" / "train" / "noise.mp4").write_bytes(b"no video at all")
    with pytest.raises(DataError, match=r"no video to train with .*noise\.mp4' is damaged"):
        VideoFolder.describe(tmp_path, **SMALL)


@pytest.mark.parametrize("fractions", [{}, {"val": 0, "test": 0}])
@pytest.mark.parametrize("part", ["val", "test"])
@pytest.mark.parametrize(("health", "said"), [("damaged", "is damaged"), ("brief", "has 3 frames")])
def test_ones_own_split_of_which_nothing_can_be_used_is_not_replaced(
    tmp_path: Path, health: str, said: str, part: str, fractions: dict[str, Any]
) -> None:
    for i in range(5):
        write(tmp_path / "videos" / "train" / f"{i}.avi", 40 * (i + 1))
    path = write(tmp_path / "videos" / part / "one.avi", 80, 3)
    if health == "damaged":
        path.write_bytes(b"no video at all")
    with pytest.raises(DataError, match=rf"no video for '{part}' .*one\.avi' {said}"):
        VideoFolder.describe(tmp_path, **SMALL, **fractions)
    path.unlink()
    assert VideoFolder.describe(tmp_path, **SMALL).sizes[part] == 6


@pytest.mark.parametrize(("name", "codec"), [("a.ts", "libx264"), ("a.avi", "mpeg4"), ("a.mpg", "mpeg2video")])
def test_no_frame_of_training_is_in_another_split(tmp_path: Path, name: str, codec: str) -> None:
    write(tmp_path / name, 80, 120, width=64, codec=codec, g="12", bf="2")
    data = VideoFolder(tmp_path, path=name, frames=3, size=(32, 64), val=0.25, test=0.25)
    for split in ("train", "val", "test"):
        said = [[(int(i.split("@")[1]) + k) % 32 for k in range(3)] for i in data.split(split).ids]
        blues = whole(data, split)[:, :, 2].double().mean((2, 3)) / 8
        assert (blues - torch.tensor(said)).abs().max() < 1


def test_clips_overlap_in_training_alone(five: Path) -> None:
    data = VideoFolder(five, stride=1, **SMALL)
    assert {s: len(data.split(s)) for s in ("train", "val", "test")} == {"train": 3 * 21, "val": 6, "test": 6}
    assert VideoFolder.describe(five, stride=1, **SMALL).sizes == {"train": 63, "val": 6, "test": 6}
    assert VideoFolder.describe(five, stride=8, **SMALL).sizes == {"train": 9, "val": 3, "test": 3}


def test_a_file_that_is_no_video_changes_no_fingerprint(five: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = VideoFolder.describe(five, **SMALL)
    monkeypatch.setattr("harness_datasets._videos.probe", lambda _: pytest.fail("a video was looked at again"))
    (five / "videos" / "Thumbs.db").write_bytes(b"\0")
    (five / "videos" / "boxing" / "README.txt").write_text("by somebody")
    assert VideoFolder.describe(five, **SMALL).fingerprint == before.fingerprint


def test_a_momentary_fault_is_an_error_and_is_forgotten(five: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = av.open

    def flaky(path: str, *args: Any, **options: Any) -> Any:
        if "person1" in path:
            raise OSError(errno.EMFILE, "Too many open files")
        return real(path, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(av, "open", flaky)
        with pytest.raises(MomentaryError, match=r"person1\.avi' could not be read: Too many open files"):
            VideoFolder.describe(five, **SMALL)
    info = VideoFolder.describe(five, **SMALL)
    assert sum(info.sizes.values()) == 30
    with monkeypatch.context() as patch:
        patch.setattr(av, "open", flaky)
        with pytest.raises(DataError, match=r"person1\.avi' could not be read: Too many open files") as caught:
            VideoFolder(five, **SMALL)
    assert "try again" in str(caught.value.hint)
    assert VideoFolder.describe(five, **SMALL) == info
    assert sum(len(VideoFolder(five, **SMALL).split(s)) for s in ("train", "val", "test")) == 30


def test_all_videos_that_break_off_are_found_in_one_run(five: Path) -> None:
    for i in range(6):
        broken(five / "videos" / f"noisy{i}.mp4")
    given = SMALL | {"val": 0, "test": 0}
    with pytest.raises(DataError, match=r"6 videos failed: 'noisy0\.mp4', .*'noisy3\.mp4' \(and 2 more\)") as caught:
        VideoFolder(five, **given)
    assert "run again" in str(caught.value.hint)
    assert len(VideoFolder(five, **given).split("train")) == 30
    assert sum("left out, as it is damaged" in n for n in VideoFolder.describe(five, **given).notes) == 6
    with pytest.raises(DataError, match="6 of the videos cannot be used"):
        VideoFolder.describe(five, strict=True, **given)


def test_a_cache_of_an_earlier_version_is_not_read(five: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(video_folder, "VERSION", 1)
        old = VideoFolder.describe(five, **SMALL).fingerprint
        VideoFolder(five, **SMALL)
    decoded = []
    real = video_folder.read_frames
    monkeypatch.setattr(video_folder, "read_frames", lambda *a, **k: decoded.append(a) or real(*a, **k))
    VideoFolder(five, **SMALL)
    assert len(decoded) == 5
    assert VideoFolder.describe(five, **SMALL).fingerprint != old


def test_grey_and_oblong_clips(five: Path) -> None:
    options = SMALL | {"channels": 1, "size": (12, 30)}
    data, info = VideoFolder(five, **options), VideoFolder.describe(five, **options)
    assert info.specs["inputs"].shape == (4, 1, 12, 30) == whole(data, "val").shape[1:]
    name, _ = data.split("val").ids[0].split("@")
    frames = np.concatenate(list(read_frames(five / "videos" / name, range(4), size=(20, 30), grey=True)))
    assert (whole(data, "val")[0].numpy().transpose(0, 2, 3, 1) == frames[:, 4:16]).all()


def test_damaged_and_shortened_videos_are_named_and_left_out_or_refused(five: Path) -> None:
    folder = five / "videos"
    (folder / "noise.mp4").write_bytes(b"no video at all")
    long = write(folder / "long.mkv", 80, 60, codec="libx264")
    long.write_bytes(long.read_bytes()[: long.stat().st_size // 2])
    (folder / "notes.txt").write_text("not a video")
    write(folder / "brief.avi", 80, 3)
    info, data = VideoFolder.describe(five, **SMALL), VideoFolder(five, **SMALL)
    assert sum(info.sizes.values()) == sum(len(data.split(s)) for s in ("train", "val", "test")) == 30
    assert any("left out, as it is damaged" in n and "noise.mp4" in n for n in info.notes)
    assert any("long.mkv' is cut off" in n and "of 6.0 seconds" in n for n in info.notes)
    assert "video_folder: 1 videos of less than 4 frames were left out" in info.notes
    assert "video_folder: 1 files that are no video were left out" in info.notes
    with pytest.raises(DataError, match="2 of the videos cannot be used"):
        VideoFolder.describe(five, strict=True, **SMALL)


def test_a_video_that_breaks_off_while_decoding_is_named_and_left_out_from_then_on(five: Path) -> None:
    broken(five / "videos" / "noisy.mp4")
    before = VideoFolder.describe(five, **SMALL)
    assert sum(before.sizes.values()) == 60
    with pytest.raises(DataError, match=r"noisy\.mp4' is damaged") as caught:
        VideoFolder(five, **SMALL)
    assert "run again" in str(caught.value.hint)
    after = VideoFolder.describe(five, **SMALL)
    assert after.fingerprint != before.fingerprint
    assert sum(after.sizes.values()) == 30
    assert any("noisy.mp4" in n for n in after.notes)
    assert len(VideoFolder(five, **SMALL).split("train")) == 18
    with pytest.raises(DataError, match=r"noisy\.mp4"):
        VideoFolder.describe(five, strict=True, **SMALL)


def test_describing_a_second_time_looks_at_no_video(five: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = VideoFolder.describe(five, **SMALL)

    def fail(*_: Any) -> Any:
        raise AssertionError("a video was opened")

    monkeypatch.setattr("harness_datasets._videos.probe", fail)
    monkeypatch.setattr("harness_datasets.video_folder.read_frames", fail)
    assert VideoFolder.describe(five, **SMALL) == first


def test_frames_are_decoded_once(five: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = whole(VideoFolder(five, **SMALL), "train")
    monkeypatch.setattr("harness_datasets.video_folder.read_frames", lambda *_, **__: pytest.fail("decoded again"))
    assert torch.equal(whole(VideoFolder(five, **SMALL), "train"), first)
    overlapping = VideoFolder(five, stride=1, **SMALL).split("train")
    assert len(overlapping) == 3 * 21
    assert torch.equal(overlapping.batch([4], 0)["inputs"], first[1:2])


def test_every_option_that_changes_a_clip_changes_the_fingerprint(five: Path) -> None:
    others: list[dict[str, Any]] = [{"frames": 5}, {"size": 17}, {"channels": 1}, {"stride": 3}, {"step": 2}]
    others += [{"val": 0.4}, {"test": 0.4}, {"split_by": "time", "val": 0.3, "test": 0.3}, {"split_seed": 1}]
    marks = [VideoFolder.describe(five, **(SMALL | o)).fingerprint for o in ({}, *others)]
    assert len(set(marks)) == len(marks)
    assert VideoFolder.describe(five, **(SMALL | {"size": (16, 16)})).fingerprint == marks[0]
    write(five / "videos" / "boxing" / "person1.avi", 90)
    assert VideoFolder.describe(five, **SMALL).fingerprint not in marks


def test_resident_frames_are_those_of_the_split_alone_and_travel_as_a_path(five: Path) -> None:
    split: Any = VideoFolder(five, **SMALL).split("val")
    arrays = split.resident()
    assert arrays["frames"].shape == (24, 3, 16, 16)
    assert len(pickle.dumps(split)) < 2000
    on_device = {k: torch.from_numpy(np.array(a)) for k, a in arrays.items()}
    made = split.generate(on_device, torch.tensor([2, 5]), 0)
    assert torch.equal(made["inputs"], pickle.loads(pickle.dumps(split)).batch([2, 5], 9)["inputs"])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"frames": 1}, "option 'frames' is 1"),
        ({"size": 0}, "option 'size' is 0"),
        ({"size": (16, 5000)}, "option 'size' is 5000"),
        ({"channels": 2}, "option 'channels' is 2"),
        ({"stride": 0}, "option 'stride' is 0"),
        ({"step": 0}, "option 'step' is 0"),
        ({"val": 0.5, "test": 0.5}, "options 'val' and 'test' are 0.5 and 0.5"),
        ({"val": -0.1}, "options 'val' and 'test'"),
        ({"split_by": "day"}, "option 'split_by' is 'day'"),
        ({"split_seed": -1}, "option 'split_seed' is -1"),
    ],
)
def test_options_out_of_range_are_refused_by_name(five: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        VideoFolder.describe(five, **(SMALL | options))


def test_a_source_without_what_is_needed_says_what(five: Path) -> None:
    with pytest.raises(DataError, match=r"there is no '.*nowhere'"):
        VideoFolder.describe(five, path="nowhere")
    (five / "empty").mkdir()
    with pytest.raises(DataError, match="there is no video in"):
        VideoFolder.describe(five, path="empty")
    with pytest.raises(DataError, match=r"no video to train with .* the 200 frames of a clip"):
        VideoFolder.describe(five, **(SMALL | {"frames": 200}))
    with pytest.raises(DataError, match="2 videos to draw test and val from, which is too few"):
        VideoFolder.describe(five, **(SMALL | {"path": "videos/boxing", "split_by": "video"}))
    with pytest.raises(DataError, match=r"no video .* is long enough to be divided in time: 'val' gets no clip"):
        VideoFolder.describe(five, **(SMALL | {"split_by": "time"}))
    assert status(VideoFolder, five).state == "by hand"


@pytest.mark.data
def test_real_videos_become_clips(real_data: Path) -> None:
    if not (real_data / "videos").is_dir():
        pytest.skip("no videos below HARNESS_DATA")
    options: dict[str, Any] = {"path": "videos", "size": 32, "channels": 1, "stride": 40}
    data, info = VideoFolder(real_data, **options), VideoFolder.describe(real_data, **options)
    assert {s: len(data.split(s)) for s in ("train", "val", "test")} == info.sizes
    assert all(info.sizes.values())
    clips = whole(data, "train").double()
    moved = (clips[:, 1:] - clips[:, :-1]).abs().mean()
    assert 0 < moved < (clips[1:, 0] - clips[:-1, 0]).abs().mean()
