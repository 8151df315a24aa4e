from __future__ import annotations

import errno
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from harness.data import VideoInfo, probe, read_frames, video
from harness.errors import DataError

RED, BLUE = (220, 20, 20), (20, 20, 220)


def picture(i: int, width: int = 64, height: int = 48) -> np.ndarray:
    """Red on the left, blue on the right, a white bar whose height counts the frames."""
    made = np.zeros((height, width, 3), dtype=np.uint8)
    made[:, : width // 2], made[:, width // 2 :] = RED, BLUE
    made[: 2 * (i % 20), :4] = 255
    return made


def write(path: Path, count: int = 40, codec: str = "libx264", width: int = 64, height: int = 48) -> Path:
    options = {"movflags": "faststart"} if path.suffix == ".mp4" else {}
    with av.open(str(path), "w", options=options) as container:
        stream: Any = container.add_stream(codec, rate=20)
        stream.width, stream.height, stream.gop_size = width, height, 10
        stream.pix_fmt = "rgb8" if codec == "gif" else "yuv420p"
        for i in range(count):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(i, width, height), format="rgb24")))
        container.mux(stream.encode())
    return path


def cut(path: Path, share: float) -> Path:
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    return path


def turned(path: Path) -> Path:
    """The same file with the display matrix of a phone that was held upright."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 4 + 20 + 16
    assert struct.unpack(">9i", data[at : at + 36])[0] == 1 << 16  # the matrix lies where it is looked for
    data[at : at + 36] = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 48 << 16, 0, 1 << 30)
    path.write_bytes(data)
    return path


def read(path: Path, *args: Any, **options: Any) -> np.ndarray:
    return np.concatenate(list(read_frames(path, *args, **options)))


@pytest.fixture
def without_decord(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video, "_decord", lambda: None)


def write_numbers(path: Path, codec: str, options: dict[str, str], count: int = 60) -> Path:
    """Each frame shows its own number: eight bars, white for a bit that is set."""
    with av.open(str(path), "w") as container:
        try:
            stream: Any = container.add_stream(codec, rate=25, options=options)
        except av.codec.codec.UnknownCodecError:
            pytest.skip(f"this PyAV cannot write {codec}")
        stream.width, stream.height, stream.pix_fmt = 128, 48, "yuv420p"
        for i in range(count):
            bars = np.repeat([(i >> b & 1) * 255 for b in range(8)], 16).astype(np.uint8)
            made = np.broadcast_to(bars[None, :, None], (48, 128, 3)).copy()
            container.mux(stream.encode(av.VideoFrame.from_ndarray(made, format="rgb24")))
        container.mux(stream.encode())
    return path


def numbers(frames: np.ndarray) -> list[int]:
    width = frames.shape[2] // 8
    return [sum(int(f[:, b * width + 2 : (b + 1) * width - 2].mean() > 128) << b for b in range(8)) for f in frames]


NUMBERED = [
    ("plain.avi", "libx264", {"g": "12", "bf": "0"}),
    ("b.avi", "mpeg4", {"g": "12", "bf": "2"}),
    ("b.mpg", "mpeg2video", {"g": "12", "bf": "2", "b": "4M"}),
    ("b.ts", "libx264", {"g": "12"}),
    ("a.wmv", "wmv2", {"g": "12"}),
    ("b.mov", "mpeg4", {"g": "12", "bf": "2"}),
    ("b.mov", "libx264", {"g": "12", "bf": "3"}),
    ("b.mp4", "mpeg4", {"g": "12", "bf": "2"}),
    ("b.mp4", "libx264", {"g": "12", "bf": "3"}),
    ("plain.mp4", "libx264", {"g": "12", "bf": "0"}),
    ("open.mp4", "libx264", {"g": "12", "bf": "3", "x264-params": "open-gop=1"}),
    ("hevc.mp4", "libx265", {"g": "12", "preset": "ultrafast", "x265-params": "log-level=none:bframes=3"}),
    ("b.mkv", "libx264", {"g": "12", "bf": "3"}),
    ("hevc.mkv", "libx265", {"g": "12", "preset": "ultrafast", "x265-params": "log-level=none:open-gop=1"}),
    ("vp9.webm", "libvpx-vp9", {"g": "12", "auto-alt-ref": "1", "lag-in-frames": "16", "cpu-used": "8", "b": "1M"}),
]


@pytest.mark.parametrize(("name", "codec", "options"), NUMBERED, ids=lambda v: v if isinstance(v, str) else "")
def test_every_read_gives_the_frames_that_were_asked_for(
    tmp_path: Path, name: str, codec: str, options: dict[str, str]
) -> None:
    path = write_numbers(tmp_path / name, codec, options)
    info = probe(path)
    assert info.frames == 60
    everything = read(path, info=info, size=(12, 64))
    assert numbers(everything) == list(range(60))
    for chosen in (range(25), range(29, 60), range(3, 60, 7), [59], [0, 13, 14, 58]):
        frames = np.concatenate(list(read_frames(path, chosen, info=info, size=(12, 64), limit=16 * 12 * 64 * 3)))
        assert numbers(frames) == list(chosen)
        # From another decoder they would be resized a little differently, and training would differ from testing.
        assert (frames == everything[list(chosen)]).all()


@pytest.mark.parametrize(
    ("name", "codec"), [("a.avi", "libx264"), ("a.mov", "libx264"), ("a.ts", "libx264"), ("a.mp4", "mpeg4")]
)
def test_decord_is_not_asked_where_it_loses_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, codec: str
) -> None:
    asked = []

    class Decord:
        def __getattr__(self, name: str) -> Any:
            asked.append(name)
            raise AttributeError(name)

    monkeypatch.setattr(video, "_decord", Decord)
    read(write(tmp_path / "control.mp4", 4))
    assert asked
    asked.clear()
    path = write(tmp_path / name, codec=codec)
    renamed = path.rename(tmp_path / "renamed.mkv") if name == "a.avi" else path
    assert len(read(renamed)) == 40
    assert not asked


def test_frames_that_cannot_be_decoded_are_not_replaced_by_repeating_the_last(tmp_path: Path) -> None:
    path = write_numbers(tmp_path / "a.mkv", "libx264", {"g": "12", "bf": "3"})
    with av.open(str(path)) as whole, av.open(str(tmp_path / "b.mkv"), "w") as beheaded:
        stream = beheaded.add_stream_from_template(whole.streams.video[0])
        for k, packet in enumerate(whole.demux(video=0)):
            if k >= 3 and packet.dts is not None:
                packet.stream = stream
                beheaded.mux(packet)
    with pytest.raises(DataError, match=r"b\.mkv' ends \d+ frames before the 57"):
        read(tmp_path / "b.mkv")


def test_a_video_that_ends_with_a_still_picture_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=20)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for i in range(30):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(min(i, 10)), format="rgb24")))
        container.mux(stream.encode())
    assert len(read(path)) == 30


FILES = [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.avi", "mpeg4"), ("a.mov", "mpeg4"), ("a.mpg", "mpeg2video")]


@pytest.mark.parametrize(("name", "codec"), FILES)
def test_frames_come_in_order_and_in_true_colours_from_both_decoders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, codec: str
) -> None:
    path = write(tmp_path / name, codec=codec)
    info = probe(path)
    assert (info.frames, info.fps, info.width, info.height, info.rotation, info.short) == (40, 20.0, 64, 48, 0, 0.0)
    assert info.duration == pytest.approx(2.0, abs=0.2)
    frames = read(path)
    assert frames.shape == (40, 48, 64, 3)
    assert frames.dtype == np.uint8
    for i, frame in enumerate(frames):
        assert np.abs(frame[40:, 6:26].mean((0, 1)) - RED).max() < 12
        assert np.abs(frame[:, 40:].mean((0, 1)) - BLUE).max() < 12
        assert (frame[:, 1].astype(int).min(-1) > 128).sum() == pytest.approx(2 * (i % 20), abs=2)
    monkeypatch.setattr(video, "_decord", lambda: None)
    assert (read(path) == frames).all()


def test_decord_is_the_one_that_reads_what_it_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("decord", reason="no wheel of decord for this platform")
    path = write(tmp_path / "a.mp4")

    def fail(*_: Any) -> Any:
        raise AssertionError("PyAV was asked")

    monkeypatch.setattr(video, "_with_av", fail)
    assert len(read(path)) == 40


def test_files_whose_frames_are_many_bytes_are_not_read_by_decord_which_reads_ahead_without_a_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.mp4")
    info = probe(path)
    asked = []

    class Decord:
        def __getattr__(self, name: str) -> Any:
            asked.append(name)
            raise AttributeError(name)

    monkeypatch.setattr(video, "_decord", Decord)
    monkeypatch.setattr(video, "_BACKLOG", 40 * 3 * 24 * 32)
    assert len(read(path, [0], info=info, size=(24, 32))) == 1
    assert asked
    asked.clear()
    # Nothing depends on how much of the file is asked for, or how much at once.
    assert len(read(path, [0], info=info, size=(24, 33), limit=1)) == 1
    assert not asked


def test_decoders_agree_when_they_resize(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.mp4")
    first = read(path, range(0, 40, 3), size=(24, 40))
    monkeypatch.setattr(video, "_decord", lambda: None)
    second = read(path, range(0, 40, 3), size=(24, 40))
    assert first.shape == second.shape == (14, 24, 40, 3)
    # At the edge of red and blue they differ in the order of enlarging the colour planes and resizing.
    assert np.abs(first.astype(int) - second.astype(int)).mean() < 2


@pytest.mark.parametrize("decoder", ["decord", "av"])
def test_chosen_frames_are_those_of_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decoder: str) -> None:
    path = write(tmp_path / "a.mp4")
    everything = read(path)
    if decoder == "av":
        monkeypatch.setattr(video, "_decord", lambda: None)
    for chosen in ([], [0], [39], [3, 4, 17, 38], range(5, 30, 7)):
        blocks = list(read_frames(path, chosen, info=probe(path)))
        assert sum(map(len, blocks)) == len(chosen)
        assert all(
            (a == b).all() for a, b in zip((f for b in blocks for f in b), everything[list(chosen)], strict=True)
        )


@pytest.mark.parametrize("decoder", ["decord", "av"])
def test_blocks_are_bounded_in_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decoder: str) -> None:
    path = write(tmp_path / "a.mp4")
    if decoder == "av":
        monkeypatch.setattr(video, "_decord", lambda: None)
    assert [len(b) for b in read_frames(path, limit=9 * 64 * 48 * 3)] == [9, 9, 9, 9, 4]
    assert [len(b) for b in read_frames(path, [1, 2], limit=1)] == [1, 1]


def test_grey_is_pillows_luma(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4")
    grey = read(path, [7, 8], grey=True)
    assert grey.shape == (2, 48, 64, 1)
    for made, frame in zip(grey, read(path, [7, 8]), strict=True):
        assert (made[..., 0] == np.asarray(Image.fromarray(frame).convert("L"))).all()


@pytest.mark.parametrize("codec", ["libsvtav1", "libaom-av1", "gif"])
def test_what_decord_cannot_read_is_read_by_pyav(tmp_path: Path, codec: str) -> None:
    if codec not in av.codecs_available:
        pytest.skip(f"this PyAV cannot write {codec}")
    path = write(tmp_path / ("a.gif" if codec == "gif" else "a.mkv"), 12, codec, 64, 64)
    frames = read(path)
    assert frames.shape == (12, 64, 64, 3)
    assert np.abs(frames[:, 40:, 6:26].mean((0, 1, 2)) - RED).max() < 40


def test_a_phones_video_comes_upright(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4")
    lying = read(path)
    info = probe(turned(path))
    assert (info.width, info.height, info.rotation) == (48, 64, 270)
    assert (read(path) == np.rot90(lying, -1, (1, 2))).all()
    assert read(path, [0], size=(32, 24)).shape == (1, 32, 24, 3)


@pytest.mark.parametrize(("name", "codec"), [("a.mkv", "libx264"), ("a.mp4", "libx264"), ("a.avi", "mpeg4")])
@pytest.mark.parametrize("share", [0.5, 0.7, 0.97])
def test_a_shortened_file_is_noticed(tmp_path: Path, name: str, codec: str, share: float) -> None:
    info = probe(cut(write(tmp_path / name, 120, codec), share))
    # The last bytes of a Matroska or AVI are an index: without it all frames are there, and nothing is short.
    assert (info.frames == 120) == (share == 0.97 and name != "a.mp4")
    assert (info.short > 0) == (info.frames < 120)
    assert info.short == pytest.approx((120 - info.frames) / 20, abs=0.25)


@pytest.mark.usefixtures("without_decord")
def test_a_file_that_ends_before_its_frames_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mkv")
    told = probe(path)
    cut(path, 0.6)
    with pytest.raises(DataError, match=r"a\.mkv' ends \d+ frames before the 40"):
        read(path, info=told)


def test_a_file_whose_packets_are_noise_is_an_error_and_says_nothing(tmp_path: Path, capfd: Any) -> None:
    path = write(tmp_path / "a.mp4", 120)
    data = bytearray(path.read_bytes())
    at = data.index(b"mdat") + 4
    middle = at + (len(data) - at) // 3
    data[middle:] = np.random.default_rng(0).integers(0, 256, len(data) - middle, dtype=np.uint8).tobytes()
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"a\.mp4'"):
        read(path)
    told = capfd.readouterr()
    assert (told.out, told.err) == ("", "")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no video",
        np.random.default_rng(3).bytes(3000),
        b"#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\nother.mp4\n#EXT-X-ENDLIST\n",
        b"ffconcat version 1.0\nfile other.mp4\n",
    ],
    ids=["empty", "text", "noise", "playlist", "list"],
)
def test_what_is_no_video_is_refused_and_opens_nothing_else(tmp_path: Path, capfd: Any, content: bytes) -> None:
    write(tmp_path / "other.mp4")
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.mp4' is damaged or no video") as caught:
        probe(path)
    assert caught.value.hint
    assert capfd.readouterr().err == ""
    with pytest.raises(DataError, match="No such file"):
        probe(tmp_path / "gone.mp4")


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (MemoryError(), "could not be read: out of memory"),
        (OSError(errno.EMFILE, "Too many open files"), "could not be read: Too many open files"),
        (av.error.OSError(errno.ENFILE, "Too many open files"), "could not be read: Too many open files"),
        (av.error.PermissionError(errno.EACCES, "Permission denied"), "could not be read: Permission denied"),
        (av.error.OSError(errno.ESTALE, "Stale file handle"), "could not be read: Stale file handle"),
        (av.error.MemoryError(errno.ENOMEM, "Cannot allocate memory"), "could not be read: Cannot allocate memory"),
    ],
    ids=lambda v: type(v).__name__ if isinstance(v, BaseException) else "",
)
def test_a_momentary_fault_is_not_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: BaseException, said: str
) -> None:
    path = write(tmp_path / "a.mp4")
    info = probe(path)

    def fail(*_: Any, **__: Any) -> Any:
        raise fault

    with monkeypatch.context() as patch:
        patch.setattr(av, "open", fail)
        for read_it in (lambda: probe(path), lambda: read(path, info=info)):
            with pytest.raises(video.MomentaryError, match=said):
                read_it()
    assert len(read(path)) == 40


@pytest.mark.parametrize(
    "fault",
    [
        av.error.InvalidDataError(1, "Invalid data found"),
        av.error.EOFError(1, "End of file"),
        av.error.DecoderNotFoundError(1, "Decoder not found"),
        av.error.OSError(errno.EIO, "Input/output error"),
        av.error.OSError(errno.EINVAL, "Invalid argument"),
        av.error.UnknownError(1, "Unknown error occurred"),
        ValueError("bad"),
    ],
    ids=lambda v: type(v).__name__,
)
def test_what_the_parser_refuses_is_the_files_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: BaseException
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise fault

    (tmp_path / "a.mp4").write_bytes(b"readable")
    monkeypatch.setattr(av, "open", fail)
    with pytest.raises(DataError, match="is damaged or no video") as caught:
        probe(tmp_path / "a.mp4")
    assert not isinstance(caught.value, video.MomentaryError)


@pytest.mark.parametrize(("name", "codec"), [("a.mkv", "libx264"), ("a.webm", "libvpx-vp9")])
def test_a_file_that_ends_in_its_header_is_damaged_and_the_drive_is_not(tmp_path: Path, name: str, codec: str) -> None:
    data = write(tmp_path / name, 4, codec).read_bytes()
    reasons = []
    for count in range(0, 400, 12):
        path = tmp_path / f"cut-{name}"
        path.write_bytes(data[:count])
        with pytest.raises(DataError) as caught:
            probe(path)
        assert not isinstance(caught.value, video.MomentaryError)
        reasons.append(caught.value.message)
    assert any("Input/output error" in r for r in reasons)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs a file that cannot be read")
def test_a_drive_that_cannot_read_the_file_is_a_momentary_fault(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.symlink_to("/proc/self/mem")
    with pytest.raises(video.MomentaryError, match="could not be read: Input/output error"):
        probe(path)


def test_sound_alone_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), dtype=np.int16), format="s16", layout="mono")
        frame.rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(DataError, match="has no video stream"):
        probe(path)


def test_absurd_sizes_and_frames_that_are_not_there_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.mp4")
    with pytest.raises(DataError, match="has 40 frames, so there is no frame 40"):
        read(path, [3, 40])
    with pytest.raises(ValueError, match="must increase"):
        read(path, [3, 3])
    monkeypatch.setattr(video, "_PIXELS", 3000)
    with pytest.raises(DataError, match="claims pictures of 64x48"):
        probe(path)


def test_a_process_can_fork_after_reading(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4")
    code = (
        "import os, sys; from pathlib import Path; from harness.data import read_frames\n"
        f"p = Path({str(path)!r}); list(read_frames(p))\n"
        "child = os.fork()\n"
        "if not child: os._exit(sum(map(len, read_frames(p))))\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 40)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=20, check=False).returncode == 0


def test_importing_the_door_imports_no_decoder() -> None:
    code = "import sys, harness.data; assert not {'av', 'decord', 'torch', 'PIL'} & sys.modules.keys()"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.data
def test_real_videos_are_whole_and_both_decoders_agree(real_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = real_data / "videos" / "sintel_trailer_480x204.mp4"
    if not path.is_file():
        pytest.skip("no videos below HARNESS_DATA")
    info = probe(path)
    assert info == VideoInfo(1252, 24.0, pytest.approx(52.1667, abs=1e-3), 480, 204, 0, 0.0)
    chosen = range(0, 240, 24)
    first = read(path, chosen, size=(102, 240))
    monkeypatch.setattr(video, "_decord", lambda: None)
    second = read(path, chosen, size=(102, 240))
    assert np.abs(first.astype(int) - second.astype(int)).max() <= 4
    matroska = probe(real_data / "videos" / "decord__flipping_a_pancake.mkv")
    assert (matroska.frames, matroska.short) == (310, 0.0)
