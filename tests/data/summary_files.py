"""Small files in the layouts that TVSum and SumMe are published in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

CODES = ("VT", "VU", "GA", "MS", "PK", "PR", "FM", "BK", "BT", "DS")
FRAMES = tuple(60 + k for k in range(50))


def scores(k: int, frames: int) -> np.ndarray:
    """Of video k, uint8 [20, frames]: constant for 20 frames, as people scored pieces."""
    drawn = np.random.default_rng(k).integers(1, 6, (20, -(-frames // 20)), dtype=np.uint8)
    return np.repeat(drawn, 20, axis=1)[:, :frames]


def rows(frames: Sequence[int] = FRAMES) -> list[list[str]]:
    """Lines of the authors' tsv: video, category, scores; 20 a video."""
    return [
        [f"video-{k:02d}", CODES[k // 5 % 10], ",".join(map(str, line))]
        for k, n in enumerate(frames)
        for line in scores(k, n).tolist()
    ]


def write_tsv(path: Path, lines: Sequence[Sequence[str]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join("\t".join(line) + "\n" for line in lines), encoding="utf-8")
    return path


def write_mat(path: Path, frames: Sequence[int] = FRAMES) -> Path:
    """The same as `rows`, as MATLAB 7.3 stores a struct array: references to one dataset a field."""
    with h5py.File(path, "w", userblock_size=512) as file:
        group = file.create_group("tvsum50")

        def put(key: str, values: Sequence[np.ndarray]) -> None:
            stored = group.create_dataset(key, (len(values), 1), dtype=h5py.ref_dtype)
            for k, value in enumerate(values):
                stored[k, 0] = file.create_dataset(f"#refs#/{key}{k}", data=value).ref

        def text(value: str) -> np.ndarray:
            return np.array([[ord(c)] for c in value], dtype=np.uint16)

        put("video", [text(f"video-{k:02d}") for k in range(len(frames))])
        put("category", [text(CODES[k // 5 % 10]) for k in range(len(frames))])
        put("nframes", [np.array([[float(n)]]) for n in frames])
        put("user_anno", [scores(k, n).astype(np.float64) for k, n in enumerate(frames)])
    return path


def group(k: int, frames: int, users: int = 3, name: str = "") -> dict[str, Any]:
    """The keys of one video in the field's HDF5 file, with picks at every 15th frame."""
    random = np.random.default_rng(1000 + k)
    picks = np.arange(0, frames, 15)
    starts = np.array([0, 20, 45])
    points = np.stack([starts, np.r_[starts[1:], frames] - 1], axis=1)
    return {
        "features": random.normal(size=(len(picks), 6)).astype(np.float32),
        "gtscore": random.uniform(0.2, 0.8, len(picks)).astype(np.float32),
        "gtsummary": np.ones(len(picks), dtype=np.float32),
        "user_summary": random.integers(0, 2, (users, frames)).astype(np.float32),
        "change_points": points.astype(np.int32),
        "n_frame_per_seg": points[:, 1] - points[:, 0] + 1,
        "n_frames": frames,
        "picks": picks.astype(np.int32),
        "n_steps": len(picks),
        **({"video_name": np.bytes_(name)} if name else {}),
    }


def write_h5(path: Path, groups: Mapping[str, Mapping[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for name, keys in groups.items():
            made = file.create_group(name)
            for key, value in keys.items():
                made[key] = value
    return path


def write_video(path: Path, frames: int) -> Path:
    """Red for the first 30 frames, then blue; 32x24 pixels, 30 frames a second."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 32, 24, "yuv420p"
        for i in range(frames):
            picture = np.zeros((24, 32, 3), dtype=np.uint8)
            picture[..., 0 if i < 30 else 2] = 200
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def spoil(path: Path) -> Path:
    """Noise in place of the second half of an mp4's packets, so that only decoding shows the damage."""
    content = bytearray(path.read_bytes())
    begin, end = content.index(b"mdat") + 4, content.index(b"moov") - 4
    middle = begin + (end - begin) // 2
    content[middle:end] = np.random.default_rng(0).bytes(end - middle)
    path.write_bytes(content)
    return path
