from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from harness.data import Sampled, frame_times, probe, sample, sampled_frames
from harness.errors import ConfigError, DataError


def write(
    path: Path,
    times: Sequence[float],
    codec: str = "libx264",
    size: tuple[int, int] = (48, 128),
    audio: bool = False,
    rate: int = 25,
    **options: str,
) -> Path:
    """Frames that are shown at `times` (seconds), each with its number as eight bars, white for a bit that is set."""
    height, width = size
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=rate, options={"preset": "ultrafast"} | options)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = width, height, "yuv420p", 4_000_000
        tick = Fraction(1, 1000) if codec == "libx264" else Fraction(1, rate)
        stream.codec_context.time_base = tick
        sound: Any = container.add_stream("aac", rate=16000) if audio else None
        for i, at in enumerate(times):
            bars = np.repeat([(i >> b & 1) * 255 for b in range(8)], width // 8).astype(np.uint8)
            made = np.zeros((height, width, 3), dtype=np.uint8)
            made[:, : len(bars)] = bars[None, :, None]
            frame = av.VideoFrame.from_ndarray(made, format="rgb24")
            frame.pts, frame.time_base = round(at / tick), tick
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if sound is not None:
            noise = np.zeros((1, 16000), dtype=np.float32)
            block: Any = av.AudioFrame.from_ndarray(noise, format="fltp", layout="mono")
            block.sample_rate = 16000
            container.mux(sound.encode(block))
            container.mux(sound.encode())
    return path


def numbers(path: Path, found: Sampled, size: tuple[int, int] = (12, 64), **options: int) -> list[int]:
    frames = np.concatenate(list(sampled_frames(path, found, size, **options)))
    assert frames.dtype == np.uint8
    assert frames.shape == (len(found), 3, *size)
    wide = size[1] // 8
    return [sum(int(f[:, :, b * wide + 2 : (b + 1) * wide - 2].mean() > 128) << b for b in range(8)) for f in frames]


def shown_at(times: Sequence[float], fps: float, end: float) -> list[int]:
    """The definition, slowly: the last frame whose time has come at k / fps, each once."""
    picks: list[int] = []
    for k in range(int(end * fps) + 2):
        if k / fps < end - 0.75e-3:
            shown = max(i for i, at in enumerate(times) if at <= k / fps + 0.75e-3)
            picks += [shown] if shown not in picks else []
    return picks


RANDOM = np.cumsum(np.random.default_rng(1).choice([0.02, 0.04, 0.1, 0.35, 1.7], 60)) - 0.02
PACES = {
    "steady": np.arange(60) / 25,
    "slow": np.arange(7) * 1.0,
    "odd": np.arange(60) * 1001 / 30000,
    "late": 3 + np.arange(60) / 25,
    "screen": np.array([0, 0.04, 0.08, 2.2, 2.24, 2.9, 7.0, 7.5]),
    "random": np.round(RANDOM - RANDOM[0], 3),
}


@pytest.mark.parametrize("pace", PACES)
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("fps", [2.0, 3.0, 0.7])
def test_the_frame_that_is_shown_at_each_time_is_taken_once(tmp_path: Path, pace: str, suffix: str, fps: float) -> None:
    path = write(tmp_path / f"a{suffix}", PACES[pace])
    found = sample(path, fps)
    times = PACES[pace] - PACES[pace][0]
    assert np.abs(frame_times(path, found.info) - times).max() < 2e-3
    lasts = 1 / found.info.fps
    assert found.picks.tolist() == shown_at(times, fps, times[-1] + lasts)
    assert found.picks.dtype == np.int64
    assert np.abs(found.times - times[found.picks]).max() < 2e-3
    assert numbers(path, found) == found.picks.tolist()


def test_every_half_second_of_a_steady_video(tmp_path: Path) -> None:
    found = sample(write(tmp_path / "a.mp4", np.arange(50) / 10))
    assert found.picks.tolist() == list(range(0, 50, 5))
    assert found.times == pytest.approx(np.arange(10) / 2)
    assert len(found) == 10


def test_a_video_of_one_frame_a_second_gives_each_frame_once(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", np.arange(9.0), rate=1)
    found = sample(path, 2.0)
    assert found.picks.tolist() == list(range(9))
    assert found.times == pytest.approx(np.arange(9))
    assert numbers(path, found) == list(range(9))


def test_one_frame_is_a_video(tmp_path: Path) -> None:
    found = sample(write(tmp_path / "a.mkv", [0.0]))
    assert (found.picks.tolist(), found.times.tolist()) == ([0], [0.0])


@pytest.mark.parametrize(("name", "codec"), [("a.avi", "mpeg4"), ("a.mpg", "mpeg2video"), ("a.ts", "mpeg2video")])
def test_files_without_time_stamps_go_by_their_rate(tmp_path: Path, name: str, codec: str) -> None:
    path = write(tmp_path / name, np.arange(75) / 25, codec)
    found = sample(path)
    assert found.picks.tolist() == [0, 12, 25, 37, 50, 62]
    assert numbers(path, found) == [0, 12, 25, 37, 50, 62]


def test_b_frames_are_sampled_in_the_order_in_which_they_are_shown(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", np.arange(100) / 25, preset="medium", bf="3", g="12")
    assert numbers(path, sample(path)) == [0, 12, 25, 37, 50, 62, 75, 87]


def test_portrait_4k_and_sound_are_squashed_to_the_size(tmp_path: Path) -> None:
    tall = write(tmp_path / "tall.mp4", np.arange(20) / 10, size=(128, 64))
    assert numbers(tall, sample(tall), (32, 64)) == [0, 5, 10, 15]
    large = write(tmp_path / "large.mp4", np.arange(3) / 2, size=(2160, 3840))
    assert sample(large).info.height == 2160
    assert numbers(large, sample(large), (24, 64)) == [0, 1, 2]
    loud = write(tmp_path / "loud.mp4", np.arange(20) / 10, audio=True)
    assert numbers(loud, sample(loud)) == [0, 5, 10, 15]


def test_blocks_are_bounded_in_bytes_and_together_the_same(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", np.arange(200) / 25)
    found = sample(path)
    for limit in (1, 3 * 12 * 64 * 3, 1 << 30):
        blocks = list(sampled_frames(path, found, (12, 64), limit))
        assert all(b.nbytes <= max(limit, 3 * 12 * 64) for b in blocks)
        assert all(b.flags.c_contiguous for b in blocks)
        assert numbers(path, found, limit=limit) == found.picks.tolist()


def test_a_shortened_file_is_noticed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mkv", np.arange(200) / 25, g="10")
    whole = sample(path)
    assert whole.info.short == 0
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    cut = sample(path)
    assert cut.info.short > 1
    assert 0 < len(cut) < len(whole)


def test_what_cannot_be_sampled_is_refused_by_name_and_in_silence(tmp_path: Path, capfd: Any) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    whole = write(tmp_path / "whole.mp4", np.arange(200) / 25).read_bytes()
    (tmp_path / "headless.mp4").write_bytes(whole[: len(whole) // 2])  # what it holds is told at its end
    with av.open(str(tmp_path / "zero.mkv"), "w") as container:
        stream: Any = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.start_encoding()
    for name in ("text.mp4", "headless.mp4", "zero.mkv", "gone.mp4"):
        with pytest.raises(DataError, match=name):
            sample(tmp_path / name)
    damaged = bytearray(whole)
    middle = damaged.index(b"mdat") + len(damaged) // 3
    noise = np.random.default_rng(0).bytes(len(damaged) // 3)
    damaged[middle : middle + len(noise)] = noise
    (tmp_path / "noise.mp4").write_bytes(damaged)
    with pytest.raises(DataError, match=r"noise\.mp4"):
        list(sampled_frames(tmp_path / "noise.mp4", sample(tmp_path / "noise.mp4"), (12, 64)))
    told = capfd.readouterr()
    assert (told.out, told.err) == ("", "")


@pytest.mark.parametrize("fps", [0, -1, 241, float("nan")])
def test_a_rate_that_is_none_is_refused(tmp_path: Path, fps: float) -> None:
    with pytest.raises(ConfigError, match="frames a second"):
        sample(write(tmp_path / "a.mp4", [0.0]), fps)


def test_frames_that_are_not_those_of_the_info_are_noticed(tmp_path: Path) -> None:
    info = probe(write(tmp_path / "a.mp4", np.arange(20) / 25))
    with pytest.raises(DataError, match="changed while it was read"):
        sample(write(tmp_path / "a.mp4", np.arange(30) / 25), info=info)


def test_memory_does_not_grow_with_the_length(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", np.arange(1200) / 2, size=(240, 320))
    code = (
        "import resource, sys\nfrom pathlib import Path\nfrom harness.data import sample, sampled_frames\n"
        "path = Path(sys.argv[1])\nfound = sample(path)\nblocks = sampled_frames(path, found, (240, 320), 1 << 22)\n"
        "next(blocks)\nfirst = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "assert sum(len(b) for b in blocks) > 1100\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - first)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 60_000  # kB; all frames would be 276 MB


def test_real_videos_are_sampled_by_their_times(real_data: Path) -> None:
    lengths = {"sintel_trailer_480x204.mp4": 105, "intel__bottle-detection.mp4": 80, "pyscenedetect__testvideo.mp4": 49}
    for name, count in lengths.items():
        path = real_data / "videos" / name
        found = sample(path)
        assert len(found) == count
        times = frame_times(path, found.info)
        assert found.picks.tolist() == shown_at(times.tolist(), 2.0, times[-1] + 1 / found.info.fps)
