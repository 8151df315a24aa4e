"""The one door through which video files are decoded: PyAV, and decord where its frames are exact.

decord loses count after a seek (MPEG-1, 2 and 4, HEVC, WMV) and in some containers from the first frame on (MPEG-TS,
H.264 in AVI), and says nothing. So it is asked only for H.264, HEVC and VP9 in .mp4, .mkv and .webm, and always reads
from the first frame on without a seek, so that all frames of a file come from the same decoder.

Files are not to be trusted. A reader is never kept: one that was opened before a fork hangs after it, so a process that
is going to fork must first use up, or close, what `read_frames` gave. Importing this module imports no decoder.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from ..errors import DataError

Array: TypeAlias = "np.ndarray[Any, Any]"

VIDEO_SUFFIXES = (
    ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".wmv", ".flv", ".ogv", ".3gp", ".gif",
)  # fmt: skip
# Playlists and lists of files are formats as well for libav, and would have it open what they name.
_FORMATS = "mov,mp4,matroska,webm,avi,mpeg,mpegts,asf,flv,ogg,gif"
_HINT = "write the file again, for instance as H.264 in an mp4, or take it away"
_DECORD_SUFFIXES = (".mp4", ".mkv", ".webm")
_DECORD_FORMATS = frozenset({"mov", "mp4", "matroska", "webm"})
_DECORD_CODECS = frozenset({"h264", "hevc", "vp9"})
_PIXELS = 100_000_000
_BYTES = 64 << 20
_BACKLOG = 256 << 20
"""Bytes of all of a file's frames up to which decord reads it.

A thread of decord decodes ahead of what is asked for until the file ends, and keeps all of it. PyAV, which reads what
is longer or larger, decodes on demand. The rule knows file and size alone, so all reads choose the same decoder.
"""
_MOMENTARY = frozenset({errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EACCES, errno.ESTALE})
_SLACK = 0.5
"""Seconds by which whole files may miss the duration that they claim."""


class MomentaryError(DataError):
    """The machine or its drive could not read a file just now; that says nothing about the file."""


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What a file holds.

    `frames` are those whose packets are there; `fps` is 0.0 where unknown. `duration` is in seconds, as the container
    claims it, and `short` is how many of them are missing at the end (0.0: the file is whole). width and height are of
    the pictures as they are shown: a phone's video may be stored lying, `rotation` degrees off (0, 90, 180, 270;
    anticlockwise is what mends it).
    """

    frames: int
    fps: float
    duration: float
    width: int
    height: int
    rotation: int
    short: float


def probe(path: Path) -> VideoInfo:
    """Read the packets of a file from end to end, and decode its first picture alone.

    Containers' own counts are not believed: a Matroska has none, and a file that was cut off still claims all.
    Raises DataError if there is no video in the file that can be decoded; MomentaryError, which is one, if memory,
    file handles or the drive fail.
    """
    import av

    with _refused(path):
        with _opened(path) as container:
            first = next(container.decode(video=0), None)
            if first is None:
                raise DataError(f"'{path}' has a video stream, but no picture in it", hint=_HINT)
            turned = round(first.rotation / 90) % 4
            width, height = (first.height, first.width) if turned % 2 else (first.width, first.height)
        with _opened(path) as container:
            stream = container.streams.video[0]
            seen = _packets(container, stream)
            rate = float(stream.average_rate or stream.guessed_rate or 0)
            claimed = (container.duration or 0) / av.time_base
            start = (container.start_time or 0) / av.time_base
            missing = claimed - (seen.end - start)
            if rate > 0:
                missing = max(missing, (stream.frames - seen.packets) / rate)
            # Whole files miss a little of what they claim, too; a packet that is cut off they never have.
            lost = seen.cut or missing > max(_SLACK, 0.01 * claimed)
    return VideoInfo(seen.shown, rate, claimed, width, height, 90 * turned, max(missing, 0.001) if lost else 0.0)


def time_stamps(path: Path) -> Array | None:
    """Seconds of every shown frame, float64 in order, by the packets' time stamps; None where one has none.

    They count from wherever the container does. Raises DataError, MomentaryError as `probe` does.
    """
    with _refused(path), _opened(path) as container:
        stream = container.streams.video[0]
        stamps = [p.pts for p in container.demux(stream) if p.size and not p.is_discard]
        if any(s is None for s in stamps) or stream.time_base is None:
            return None
        return np.sort(np.array(stamps, dtype=np.float64)) * float(stream.time_base)


def read_frames(
    path: Path,
    indices: Sequence[int] | None = None,
    *,
    size: tuple[int, int] | None = None,
    grey: bool = False,
    info: VideoInfo | None = None,
    limit: int = _BYTES,
) -> Iterator[Array]:
    """Blocks uint8 [n, height, width, 3 (RGB) or 1 (grey)] that together are the frames `indices`, in that order.

    `indices` increase; None is all frames. `size` = (height, width): resized to exactly that while decoding (bilinear,
    with swscale's smoothing where it shrinks), so 4K frames are never held at full size. A block has at most `limit`
    bytes, or one frame. `info` saves the call of `probe`. grey is Pillow's luma of the RGB pixels (ITU-R 601).
    Raises DataError if a frame cannot be decoded or the file ends before it; MomentaryError, which is one, if memory,
    file handles or the drive fail; ValueError if indices do not increase.
    """
    info = probe(path) if info is None else info
    wanted = range(info.frames) if indices is None else [int(i) for i in indices]
    if any(b <= a for a, b in pairwise(wanted)):
        raise ValueError("indices of frames must increase")
    if len(wanted) and not (wanted[0] >= 0 and wanted[-1] < info.frames):
        raise DataError(f"'{path}' has {info.frames:,} frames, so there is no frame {wanted[-1]:,}", hint=_HINT)
    shape = (info.height, info.width) if size is None else size
    most = max(1, limit // (3 * shape[0] * shape[1]))
    given = 0
    for blocks in (_with_decord, _with_av):
        try:
            for block in blocks(path, wanted[given:], shape, info, most):
                given += len(block)
                yield _grey(block) if grey else block
        except _GaveUpError:
            continue
        break


def _with_decord(
    path: Path, wanted: Sequence[int], shape: tuple[int, int], info: VideoInfo, most: int
) -> Iterator[Array]:
    if not len(wanted):
        return
    height, width = shape
    if info.frames * 3 * height * width > _BACKLOG:
        raise _GaveUpError
    decord = _decord()
    # It gives turned pictures a wrong shape.
    if decord is None or info.rotation or not _exact_in_decord(path):
        raise _GaveUpError
    chosen, stop = set(wanted), wanted[-1] + 1
    last: Array | None = None
    try:
        reader = decord.VideoReader(str(path), ctx=decord.cpu(0), width=width, height=height, num_threads=1)
        if len(reader) != info.frames:
            raise _GaveUpError
    except Exception as error:
        raise _GaveUpError from error
    for start in range(0, stop, most):
        some = list(range(start, min(start + most, stop)))
        try:
            block = reader.get_batch(some).asnumpy()
        except Exception as error:
            raise _GaveUpError from error
        if block.shape != (len(some), height, width, 3):
            raise _GaveUpError
        before = block[-2] if len(block) > 1 else last
        # Past the last frame that it could decode it repeats that one for ever.
        still = some[-1] == stop - 1 and before is not None and bool((block[-1] == before).all())
        if still and not _reaches(path, stop):
            raise _GaveUpError
        last = block[-1].copy()  # a view would keep the whole block
        kept = [k for k, i in enumerate(some) if i in chosen]
        if kept:
            yield block if len(kept) == len(some) else block[kept]


def _exact_in_decord(path: Path) -> bool:
    if path.suffix.lower() not in _DECORD_SUFFIXES:
        return False
    with _refused(path), _opened(path) as container:
        return (
            # Of several streams, such as a cover picture, decord may choose another one.
            len(container.streams.video) == 1
            and container.streams.video[0].codec_context.name in _DECORD_CODECS
            and not _DECORD_FORMATS.isdisjoint(container.format.name.split(","))
        )


def _reaches(path: Path, count: int) -> bool:
    with _refused(path, " beyond its beginning"), _opened(path) as container:
        return sum(1 for _ in islice(container.decode(video=0), count)) == count


def _with_av(path: Path, wanted: Sequence[int], shape: tuple[int, int], info: VideoInfo, most: int) -> Iterator[Array]:
    if not len(wanted):
        return
    chosen, block, left = set(wanted), [], len(wanted)
    height, width = shape if info.rotation % 180 == 0 else shape[::-1]
    with _refused(path, " beyond its beginning"), _opened(path) as container:
        for i, frame in enumerate(container.decode(video=0)):
            if i in chosen:
                plain = frame.reformat(width, height, "rgb24", interpolation="BILINEAR").to_ndarray()
                block.append(np.rot90(plain, info.rotation // 90))
                left -= 1
                if len(block) == most or not left:
                    yield np.stack(block)
                    block = []
            if not left:
                return
    raise DataError(f"'{path}' ends {left:,} frames before the {info.frames:,} that it has by its packets", hint=_HINT)


@dataclass(frozen=True, slots=True)
class _Seen:
    packets: int
    shown: int
    end: float
    """Seconds at which the last packet of any stream ends."""
    cut: bool


def _packets(container: Any, stream: Any) -> _Seen:
    packets, shown, end, cut = 0, 0, 0.0, False
    for packet in container.demux():
        if not packet.size:  # a stream's end
            continue
        cut = cut or packet.is_corrupt
        if packet.stream is stream:
            packets += 1
            shown += not packet.is_discard
        at = packet.pts if packet.pts is not None else packet.dts
        if at is not None and packet.time_base is not None:
            end = max(end, float((at + (packet.duration or 0)) * packet.time_base))
    return _Seen(packets, shown, end, cut)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    import av

    with av.open(str(path), options={"format_whitelist": _FORMATS}) as container:
        if not container.streams.video:
            raise DataError(f"'{path}' has no video stream", hint=_HINT)
        stream = container.streams.video[0]
        if stream.codec_context is None:
            raise DataError(f"'{path}' is written in a way that no decoder here knows", hint=_HINT)
        stream.codec_context.thread_count = 1
        width, height = stream.codec_context.width, stream.codec_context.height
        if not 0 < width * height <= _PIXELS:
            raise DataError(f"'{path}' claims pictures of {width}x{height}; at most {_PIXELS:,} pixels are read")
        yield container


@contextlib.contextmanager
def _refused(path: Path, where: str = "") -> Iterator[None]:
    """Whatever a decoder raises becomes a DataError that names the file, or a MomentaryError if it is not to blame."""
    from av import error as av

    try:
        yield
    except (av.FFmpegError, ValueError, OverflowError, OSError, MemoryError) as error:
        reason = getattr(error, "strerror", None) or str(error) or "out of memory"
        if _momentary(path, error):
            again = "try again; if it stays so, check the drive, or take it away"
            raise MomentaryError(f"'{path}' could not be read: {reason}", hint=again) from error
        raise DataError(f"'{path}' is damaged{where} or no video that can be decoded: {reason}", hint=_HINT) from error


def _momentary(path: Path, error: Exception) -> bool:
    if isinstance(error, MemoryError) or getattr(error, "errno", None) in _MOMENTARY:
        return True
    # libav reports a Matroska that was cut off in its header as a fault of the drive.
    return isinstance(error, OSError) and not _readable(path)


def _readable(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            while stream.read(1 << 20):
                pass
    except OSError:
        return False
    return True


class _GaveUpError(Exception):
    """decord cannot go on with this file."""


@cache
def _decord() -> Any:
    """The module, or None on platforms that have no wheel of it."""
    try:
        import decord
    except (ImportError, OSError):
        return None
    decord.logging.set_level(decord.logging.QUIET)  # libav would write to file descriptor 2
    return decord


def _grey(block: Array) -> Array:
    r, g, b = (block[..., k : k + 1].astype(np.uint32) for k in range(3))
    return np.asarray((19595 * r + 38470 * g + 7471 * b + 0x8000) >> 16, dtype=np.uint8)
